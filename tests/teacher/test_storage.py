import json
from types import SimpleNamespace

import pytest
import torch

from kdray.models.student import PLAIN, Student, stored_mb
from kdray.results.folder import SweepFolder
from kdray.teacher.keeping import Place
from kdray.teacher.storage import load_verified, note_outputs, written_teacher
from kdray.teacher.verify import Verified
from tests import tiny
from tests.teacher.asked import LAYERS, asked, kept

VERIFIED = Verified(
    passed=False,
    problems=("its logits are not all finite",),
    metrics={"macro_f1": 0.25, "size_mb": 1.5},
    constant={"macro_f1": 0.1},
    digest="abc",
    metric="macro_f1",
    minimum=0.4,
)


@pytest.fixture
def folder(tmp_path):
    folder = SweepFolder(tmp_path / "sweep")
    return saved(folder)


def teacher(tokenizer=None):
    return Student(tiny.model(), tokenizer or tiny.tokenizer(), tiny.MULTI, 20)


def saved(folder):
    with written_teacher(folder, [teacher()], VERIFIED):
        return folder


def verification(folder):
    return json.loads(folder.verification_json.read_text(encoding="utf-8"))


def test_the_stored_teacher_is_a_plain_transformers_folder(folder):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    loaded = AutoModelForSequenceClassification.from_pretrained(folder.teacher)
    for name, tensor in tiny.model().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    tokenizer = AutoTokenizer.from_pretrained(folder.teacher)
    assert tokenizer("you are")["input_ids"] == tiny.tokenizer()("you are")["input_ids"]


def test_a_sparse_teacher_is_a_plain_transformers_folder_too_and_measured_packed(tmp_path):
    from transformers import AutoModelForSequenceClassification

    sparse, folder = teacher(), SweepFolder(tmp_path / "sweep")
    with torch.no_grad():
        sparse.model.get_input_embeddings().weight.mul_(0)
    with written_teacher(folder, [sparse], VERIFIED):
        pass
    loaded = AutoModelForSequenceClassification.from_pretrained(folder.teacher)
    for name, tensor in sparse.model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert stored_mb(sparse) < (folder.teacher / PLAIN).stat().st_size / 1e6


def test_what_verification_found_comes_back_as_it_was(folder):
    assert load_verified(folder) == VERIFIED
    note_outputs(folder, kept(asked()))
    assert load_verified(folder) == VERIFIED


def test_the_verification_file_says_what_was_asked_and_found(folder):
    found = verification(folder)
    assert (found["metric"], found["minimum"]) == ("macro_f1", 0.4)
    assert found["forward_examples"] == 0
    assert found["metrics"] == VERIFIED.metrics


def test_the_verification_file_says_what_the_outputs_cost_and_where_they_are(folder):
    outputs = kept(asked(needs=LAYERS), "disk", Place(folder), budget_mb=0.0007)
    note_outputs(folder, outputs)
    found = verification(folder)
    assert found["forward_examples"] == 6
    assert found["teacher_outputs"] == {
        "memory_mb": 0.0,
        "disk_mb": pytest.approx(0.000628),
        "in_loop": ["hidden.0", "hidden.2"],
        "reused": False,
    }


def test_a_sweep_that_goes_on_forgets_nothing(folder, tmp_path):
    other = SweepFolder(tmp_path / "other")
    saved(other)
    note_outputs(folder, kept(asked(), "disk", Place(folder)))
    note_outputs(other, kept(asked(), "disk", Place(other)))
    before = verification(other)
    note_outputs(other, kept(asked(), "disk", Place(other)))
    assert verification(other) == before
    assert before["teacher_outputs"]["reused"]
    assert before["forward_examples"] == 0
    other.teacher_outputs.rename(tmp_path / "gone")
    folder.teacher_outputs.rename(tmp_path / "gone too")
    note_outputs(other, kept(asked(), "disk", Place(other)))
    assert verification(other)["forward_examples"] == 6


def test_a_teacher_is_there_whole_or_not_at_all(tmp_path):
    def full(folder):
        raise OSError("disk full")

    folder, tokenizer = SweepFolder(tmp_path), SimpleNamespace(save_pretrained=full)
    with (
        pytest.raises(OSError, match="disk full"),
        written_teacher(folder, [teacher(tokenizer)], VERIFIED),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_teacher_whose_outputs_fail_is_not_there(tmp_path):
    folder = SweepFolder(tmp_path)
    with (
        pytest.raises(FileExistsError),
        written_teacher(folder, [teacher()], VERIFIED) as staging,
    ):
        staging.mkdir()
    assert not list(tmp_path.iterdir())
