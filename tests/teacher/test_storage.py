import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kdray.models.outputs import NOTHING, Needs
from kdray.results.folder import SweepFolder
from kdray.teacher.outputs import compute_outputs
from kdray.teacher.storage import load_outputs, load_verified, save_outputs, save_teacher
from kdray.teacher.verify import Verified
from tests import tiny

NEEDS = Needs(frozenset({0, 2}), frozenset({1, 2}))
VERIFIED = Verified(
    passed=False,
    problems=("its logits are not all finite",),
    metrics={"macro_f1": 0.25, "size_mb": 1.5},
    constant={"macro_f1": 0.1},
    digest="abc",
    metric="macro_f1",
    minimum=0.4,
)


@pytest.mark.parametrize("needs", [NEEDS, NOTHING], ids=["layers", "logits alone"])
def test_outputs_come_back_as_they_were(needs, tmp_path):
    outputs = compute_outputs(tiny.model(), tiny.dataset(), needs)
    save_outputs(outputs, tmp_path / "outputs")
    again = load_outputs(tmp_path / "outputs")
    assert again.forward_examples == outputs.forward_examples
    assert again.size_mb == outputs.size_mb
    rows, cpu = np.array([3, 1]), torch.device("cpu")
    one, other = outputs.batch(rows, 7, needs, cpu), again.batch(rows, 7, needs, cpu)
    assert torch.equal(one.logits, other.logits)
    for kind, layers in (("hidden", needs.hidden), ("attentions", needs.attentions)):
        assert getattr(again, kind).keys() == layers
        for layer in layers:
            assert torch.equal(getattr(one, kind)[layer], getattr(other, kind)[layer])


def test_more_than_nine_layers_keep_their_numbers(tmp_path):
    needs = Needs(frozenset(range(12)))
    outputs = compute_outputs(tiny.model(layers=11), tiny.dataset(), needs)
    save_outputs(outputs, tmp_path / "outputs")
    again = load_outputs(tmp_path / "outputs")
    for layer in needs.hidden:
        assert np.array_equal(again.hidden[layer].values, outputs.hidden[layer].values)


def test_loaded_outputs_stay_on_disk_and_cannot_be_written_to(tmp_path):
    save_outputs(compute_outputs(tiny.model(), tiny.dataset(), NEEDS), tmp_path / "outputs")
    again = load_outputs(tmp_path / "outputs")
    arrays = [
        again.logits,
        *(r.values for r in (*again.hidden.values(), *again.attentions.values())),
    ]
    assert len(arrays) == 5
    for array in arrays:
        assert isinstance(array, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.fixture
def folder(tmp_path):
    folder, model = SweepFolder(tmp_path / "sweep"), tiny.model()
    save_teacher(
        folder,
        model,
        tiny.tokenizer(),
        compute_outputs(model, tiny.dataset(), NEEDS),
        VERIFIED,
    )
    return folder


def test_the_stored_teacher_is_a_plain_transformers_folder(folder):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    loaded = AutoModelForSequenceClassification.from_pretrained(folder.teacher)
    for name, tensor in tiny.model().state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    tokenizer = AutoTokenizer.from_pretrained(folder.teacher)
    assert tokenizer("you are")["input_ids"] == tiny.tokenizer()("you are")["input_ids"]


def test_what_verification_found_comes_back_as_it_was(folder):
    assert load_verified(folder) == VERIFIED


def test_the_verification_file_says_what_was_asked_and_what_it_cost(folder):
    found = json.loads(folder.verification_json.read_text(encoding="utf-8"))
    assert (found["metric"], found["minimum"]) == ("macro_f1", 0.4)
    assert found["forward_examples"] == 6
    assert found["metrics"] == VERIFIED.metrics


def test_outputs_are_stored_with_the_teacher(folder):
    assert load_outputs(folder.teacher_outputs).logits.shape == (6, 3)


def test_a_teacher_is_there_whole_or_not_at_all(tmp_path):
    def full(folder):
        raise OSError("disk full")

    folder, model = SweepFolder(tmp_path), tiny.model()
    outputs = compute_outputs(model, tiny.dataset(), NEEDS)
    with pytest.raises(OSError, match="disk full"):
        save_teacher(folder, model, SimpleNamespace(save_pretrained=full), outputs, VERIFIED)
    assert not list(tmp_path.iterdir())
