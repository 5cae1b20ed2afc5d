"""Mean pooling and two layers: the same logits wherever such a student is loaded."""

import copy
import itertools
import json
import subprocess
import sys

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    GPT2Config,
    GPT2ForSequenceClassification,
)

from kdray.models.building import borrow, freeze, thaw
from kdray.models.classifier import TwoLayers, change_classifier, classification_layer, mean_state
from kdray.models.first_position import first_position_only
from kdray.models.outputs import Needs, forward
from kdray.models.student import Student, load_student, save_student
from tests import tiny

INPUTS = {
    "input_ids": torch.tensor([[2, 9, 17, 3, 0], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]),
}
WAYS = {"mean": ("mean", None), "two layers": ("cls", 6), "both": ("mean", 6)}
HIDDEN = frozenset({0, 1, 2})

NEW_PROCESS = """
import json, sys
import torch, kdray
inputs = {name: torch.tensor(rows) for name, rows in json.loads(sys.argv[1]).items()}
with torch.no_grad():
    logits = [kdray.load_student(folder).model(**inputs).logits.tolist() for folder in sys.argv[2:]]
print(json.dumps(logits))
"""


def changed(family="bert", way="both", **settings):
    made = tiny.model(family=family, **settings)
    change_classifier(made, *WAYS[way])
    return made.eval()


def logits(model):
    with torch.no_grad():
        return model(**INPUTS).logits


def behind(model, pooled):
    """What each family makes of what it pooled, from its source."""
    kind = model.config.model_type
    if kind in ("bert", "mobilebert"):
        return torch.tanh(model.base_model.pooler.dense(pooled))
    if kind == "albert":
        return torch.tanh(model.albert.pooler(pooled))
    if kind == "distilbert":
        return torch.relu(model.pre_classifier(pooled))
    activation = torch.tanh if kind == "roberta" else torch.nn.functional.gelu
    return activation(model.classifier.dense(pooled))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_the_logits_are_made_of_the_mean_of_the_real_positions_or_of_the_first(family, way):
    model = changed(family, way)
    found = forward(model, INPUTS, Needs(hidden=HIDDEN, features=True))
    states = found.hidden[2]
    assert states.shape == (2, 5, 16)
    mean = torch.stack([states[0, :4].mean(0), states[1, :3].mean(0)])
    features = behind(model, mean if WAYS[way][0] == "mean" else states[:, 0])
    assert torch.allclose(found.features, features, atol=1e-5)
    last = classification_layer(model)
    expected = last(features)
    if WAYS[way][1]:
        (layers,) = [part for part in model.modules() if isinstance(part, TwoLayers)]
        assert layers.first is last
        assert (last.out_features, layers.second.out_features) == (6, 3)
        expected = layers.second(torch.nn.functional.gelu(expected))
    assert torch.allclose(found.logits, expected, atol=1e-5)


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_hidden_states_are_those_of_a_model_that_pools_as_its_family_does(family):
    plain = forward(tiny.model(family=family), INPUTS, Needs(hidden=HIDDEN, first=HIDDEN))
    found = forward(changed(family), INPUTS, Needs(hidden=HIDDEN, first=HIDDEN))
    for layer in HIDDEN:
        assert torch.equal(found.hidden[layer], plain.hidden[layer])
        assert torch.equal(found.first[layer], plain.first[layer])


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_padding_changes_nothing(family):
    model = changed(family)
    alone = {name: tensor[1:, :3] for name, tensor in INPUTS.items()}
    bare = {"input_ids": alone["input_ids"]}
    with torch.no_grad():
        assert torch.allclose(model(**alone).logits, logits(model)[1:], atol=1e-5)
        assert torch.allclose(model(**bare).logits, logits(model)[1:], atol=1e-5)


def test_the_mean_by_hand():
    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    assert mean_state(states, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 4.0]]
    assert mean_state(states[:, :2], None).tolist() == [[2.0, 4.0]]
    assert mean_state(states, torch.tensor([[0, 0, 0]])).tolist() == [[0.0, 0.0]]
    # 300 is no number of bfloat16.
    long = torch.ones(1, 300, 1, dtype=torch.bfloat16)
    assert mean_state(long, torch.ones(1, 300)).item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_a_model_that_is_built_again_or_copied_gives_the_same_logits(family, way):
    model = changed(family, way)
    for again in (thaw(freeze(model)), borrow(freeze(model)), copy.deepcopy(model)):
        assert torch.equal(logits(again), logits(model))


@pytest.mark.parametrize("way", WAYS)
def test_a_new_process_gives_the_same_logits_and_plain_transformers_refuses(way, tmp_path):
    folders, expected = [], []
    for family in tiny.ALL_FAMILIES:
        model, folder = changed(family, way), tmp_path / family
        save_student(Student(model, tiny.tokenizer(), tiny.MULTI, 24), folder)
        folders.append(str(folder))
        expected.append(logits(model))
        for forgiving in (False, True):
            with pytest.raises(OSError, match=r"model\.safetensors"):
                AutoModelForSequenceClassification.from_pretrained(
                    folder, ignore_mismatched_sizes=forgiving
                )
    inputs = json.dumps({name: tensor.tolist() for name, tensor in INPUTS.items()})
    command = [sys.executable, "-W", "error", "-c", NEW_PROCESS, inputs, *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    for found, mine in zip(json.loads(done.stdout), expected, strict=True):
        assert torch.allclose(torch.tensor(found), mine, rtol=0, atol=1e-5)


def test_a_student_that_was_loaded_is_stored_as_the_same_bytes(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    save_student(Student(changed(), tiny.tokenizer(), tiny.MULTI, 24), first)
    save_student(load_student(first), second)
    name = "packed.safetensors"
    assert (first / name).read_bytes() == (second / name).read_bytes()


@pytest.mark.parametrize("family", ["bert", "roberta", "electra"])
def test_only_a_model_that_reads_the_first_position_is_cut_to_it(family):
    probe = {name: tensor[:1, :4] for name, tensor in INPUTS.items()}
    for way in WAYS:
        model = changed(family, way)
        with first_position_only(model, probe) as cut:
            assert cut == (way == "two layers")


def test_a_mean_is_read_whole_even_where_all_positions_are_alike():
    model = changed("bert", "mean")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    with first_position_only(model, INPUTS) as cut:
        assert not cut


def test_the_usual_classifier_changes_nothing_and_draws_nothing():
    model, before = tiny.model(), torch.get_rng_state()
    change_classifier(model, "cls", None)
    assert torch.equal(torch.get_rng_state(), before)
    assert "kdray_pooling" not in model.config.to_dict()
    assert "kdray_head" not in model.config.to_dict()
    assert not model.bert._forward_hooks


def test_two_layers_start_small_and_by_the_seed():
    found = []
    for seed in (0, 0, 1):
        model = tiny.model(width=64)
        torch.manual_seed(seed)
        change_classifier(model, "cls", 128)
        found.append(model.classifier)
    weights = [layers.first.weight for layers in found]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].std().item() == pytest.approx(0.3, rel=0.05)
    assert not found[0].first.bias.any()
    assert not found[0].second.bias.any()


def test_all_of_it_learns():
    model = changed("distilbert").train()
    model(**INPUTS).logits.pow(2).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("way", WAYS)
def test_another_family_is_refused(way):
    config = GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, pad_token_id=0)
    with pytest.raises(
        ValueError, match="is of family 'gpt2', but pooling and head are for albert, bert, disti"
    ):
        change_classifier(GPT2ForSequenceClassification(config), *WAYS[way])


def test_the_features_are_found_where_two_layers_are_as_wide_as_there_are_labels():
    for family, hidden in itertools.product(("bert", "roberta"), (3, 16)):
        model = tiny.model(family=family)
        change_classifier(model, "cls", hidden)
        found = forward(model, INPUTS, Needs(features=True))
        assert found.features.shape == (2, 16)


def test_a_head_of_two_layers_keeps_what_it_knows_unless_another_is_asked_for() -> None:
    model = tiny.model()
    change_classifier(model, "cls", 6)
    known = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    change_classifier(model, "mean", None)
    assert all(torch.equal(tensor, known[name]) for name, tensor in model.state_dict().items())
    change_classifier(model, "mean", 4)
    assert [
        tuple(linear.weight.shape) for linear in (model.classifier.first, model.classifier.second)
    ] == [
        (4, model.config.hidden_size),
        (model.config.num_labels, 4),
    ]
