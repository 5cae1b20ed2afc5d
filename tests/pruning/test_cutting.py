"""What holds for every method that cuts whole units, and how cut students are stored."""

import json
import subprocess
import sys

import pytest
import torch

from kdray.models.building import freeze, thaw
from kdray.models.student import PACKED, Student, load_student, save_student
from kdray.pruning.cutting import check_shape, left, most_important
from kdray.pruning.table import PRUNING
from tests import tiny
from tests.pruning.cut import FAMILIES, logits, model

CUTTING = ("width", "heads", "ffn", "layers")
UNITS = ("width", "heads", "ffn")
SPOKEN = ("width", "ffn", "layers")

# Runs in a new process: the logits of cut students as plain transformers has them.
NEW_PROCESS = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification
ids = torch.tensor([[2, 9, 17, 3], [2, 8, 3, 0]])
answers = []
for folder in sys.argv[1:]:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        answers.append(model(input_ids=ids, attention_mask=(ids > 0).long()).logits.tolist())
assert "kdray" not in sys.modules and "torch_pruning" not in sys.modules
print(json.dumps(answers))
"""


def prune(name, student, **options):
    return PRUNING[name](**options).prune(student, torch.Generator())


def stored(pruned, folder):
    save_student(Student(pruned.model, pruned.tokenizer, pruned.labels, 24), folder)
    return folder


def test_plain_transformers_loads_what_it_can_say_to_the_same_logits(tmp_path):
    expected, folders = [], []
    for name in SPOKEN:
        for family in FAMILIES:
            pruned = prune(name, tiny.prunable(model(family, layers=3)), ratio=0.5)
            expected.append(logits(pruned.model))
            folders.append(stored(pruned, tmp_path / f"{name} {family}"))
    command = [sys.executable, "-W", "error", "-c", NEW_PROCESS, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "newly initialized" not in done.stderr
    for answer, wanted in zip(json.loads(done.stdout), expected, strict=True):
        assert torch.allclose(torch.tensor(answer), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_unequal_heads_are_loaded_by_kdray_and_refused_by_plain_transformers(family, tmp_path):
    from transformers import AutoModelForSequenceClassification

    pruned = prune("heads", tiny.prunable(model(family)), ratio=0.4)
    folder = stored(pruned, tmp_path / "student")
    assert (folder / PACKED).exists()
    for forgiving in (False, True):
        with pytest.raises(OSError, match=r"model\.safetensors"):
            AutoModelForSequenceClassification.from_pretrained(
                folder, ignore_mismatched_sizes=forgiving
            )
    again = load_student(folder).model
    assert again.config.heads_kept == pruned.model.config.heads_kept
    assert torch.allclose(logits(again), logits(pruned.model), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", CUTTING)
def test_a_cut_student_is_smaller_on_disk(name, tmp_path):
    whole = tiny.prunable(model(width=32, layers=3))
    before = save_student(Student(whole.model, whole.tokenizer, whole.labels, 24), tmp_path / "a")
    pruned = prune(name, whole, ratio=0.5)
    after = save_student(Student(pruned.model, pruned.tokenizer, pruned.labels, 24), tmp_path / "b")
    assert after < 0.85 * before


@pytest.mark.parametrize("order", [CUTTING, CUTTING[::-1]], ids=["from width", "from layers"])
@pytest.mark.parametrize("family", FAMILIES)
def test_several_methods_in_a_list_each_take_their_share(family, order):
    student = tiny.prunable(model(family, layers=4))
    for name in order:
        student = prune(name, student, ratio=0.5 if name != "heads" else 0.6)
    config = student.model.config
    assert (config.hidden_size, config.num_hidden_layers) == (8, 2)
    assert set(getattr(config, "heads_kept", [2, 2])) <= {1, 2}
    again = thaw(freeze(student.model))
    assert torch.equal(logits(again), logits(student.model))


@pytest.mark.parametrize("name", UNITS)
def test_a_family_whose_layers_share_their_weights_is_refused(name):
    for layers in (1, 2):
        student = tiny.prunable(tiny.model(family="albert", layers=layers))
        before = {n: t.clone() for n, t in student.model.state_dict().items()}
        with pytest.raises(ValueError, match=r"Albert\w* has no"):
            prune(name, student)
        after = student.model.state_dict()
        assert all(torch.equal(after[n], tensor) for n, tensor in before.items())


@pytest.mark.parametrize("name", UNITS)
def test_a_family_of_another_build_is_refused(name):
    from transformers import MobileBertConfig, MobileBertForSequenceClassification

    config = MobileBertConfig(
        vocab_size=64,
        hidden_size=32,
        embedding_size=16,
        intra_bottleneck_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_feedforward_networks=2,
        num_labels=3,
        problem_type="multi_label_classification",
    )
    student = tiny.prunable(MobileBertForSequenceClassification(config).eval())
    with pytest.raises(ValueError, match="MobileBert"):
        prune(name, student)


def test_a_model_that_torch_pruning_cannot_trace_is_refused_whole():
    student = tiny.prunable(model())
    student.model.bert.encoder.layer[0].register_forward_pre_hook(_raise)
    before = {name: p.requires_grad for name, p in student.model.named_parameters()}
    student.model.set_attn_implementation("sdpa")
    with pytest.raises(ValueError, match="cannot be cut by Torch-Pruning: no way through"):
        prune("ffn", student)
    assert {name: p.requires_grad for name, p in student.model.named_parameters()} == before
    assert student.model.config._attn_implementation == "sdpa"


def _raise(*_):
    raise RuntimeError("no way through")


def test_a_shape_that_the_configuration_does_not_say_is_refused():
    classifier = model()
    check_shape(classifier)
    classifier.config.intermediate_size = 31
    with pytest.raises(ValueError, match=r"cannot say the shape of .*layer\.0\.intermediate"):
        check_shape(classifier)


@pytest.mark.parametrize("name", CUTTING)
def test_what_masks_comes_after_what_cuts(name):
    masked = prune("magnitude", tiny.prunable(model()))
    with pytest.raises(ValueError, match=f"{name} cuts whole units and must stand before"):
        prune(name, masked)


@pytest.mark.parametrize("name", CUTTING)
def test_a_ratio_of_0_changes_nothing(name):
    student = tiny.prunable(model())
    expected = {n: t.clone() for n, t in student.model.state_dict().items()}
    after = prune(name, student, ratio=0.0).model.state_dict()
    assert all(torch.equal(after[n], tensor) for n, tensor in expected.items())


@pytest.mark.parametrize("name", CUTTING)
def test_a_cubic_schedule_is_for_masks(name):
    with pytest.raises(ValueError, match="schedule"):
        PRUNING[name](schedule="cubic")


def test_the_most_important_are_in_order_of_place_and_ties_fall_from_the_front():
    assert most_important(torch.tensor([3.0, 1.0, 2.0, 4.0]), 3) == [0, 2, 3]
    assert most_important(torch.tensor([1.0, 1.0, 1.0]), 2) == [1, 2]
    assert most_important(torch.tensor([1.0, 2.0]), 0) == []


@pytest.mark.parametrize(("share", "units"), [(0, 10), (0.24, 8), (0.5, 5), (0.96, 0)])
def test_what_is_left_is_rounded_to_whole_units(share, units):
    assert left(10, share) == units
