import numpy as np
import pytest
import torch

from kdray.models.outputs import NOTHING, Needs, forward, with_attentions
from kdray.teacher.layout import Layout
from kdray.teacher.outputs import compute_outputs
from tests import tiny
from tests.teacher.asked import NEEDS, asked, kept, read

LENGTHS = (3, 7, 2, 5, 4, 6)


@pytest.fixture(params=tiny.ALL_FAMILIES)
def model(request):
    return tiny.model(family=request.param)


def alone(model, row):
    """The outputs of one example in a batch of its own, without any padding."""
    ids = torch.from_numpy(tiny.dataset().arrays(np.array([row]))["input_ids"]).long()
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad():
        return forward(with_attentions(model, True), inputs, NEEDS)


def test_the_outputs_are_those_of_each_example_on_its_own(model):
    outputs = kept(asked(model))
    rows = np.array([4, 0, 1])
    found = read(outputs, rows, 7)
    assert {found.logits.dtype, found.features.dtype, found.first[0].dtype} == {torch.float32}
    for place, row in enumerate(rows):
        expected, n = alone(model, row), LENGTHS[row]
        assert torch.allclose(found.logits[place], expected.logits[0], atol=1e-5)
        for layer in NEEDS.hidden:
            part = found.hidden[layer][place, :n].float()
            assert torch.allclose(part, expected.hidden[layer][0], atol=1e-5, rtol=1e-3)
        for layer in NEEDS.first:
            assert torch.allclose(found.first[layer][place], expected.first[layer][0], atol=1e-5)
        assert torch.allclose(found.features[place], expected.features[0], atol=1e-5)
        for layer in NEEDS.queries_keys_values:
            part = found.queries_keys_values[layer][place, :n].float()
            whole = expected.queries_keys_values[layer][0]
            assert torch.allclose(part, whole, atol=1e-4, rtol=1e-3)
        for layer in NEEDS.attentions:
            part = found.attentions[layer][place, :n, :n].float()
            assert torch.allclose(part, expected.attentions[layer][0], atol=1e-5, rtol=1e-3)


def test_a_batch_is_padded_with_zeros():
    found = read(kept(asked()), np.array([2, 1]), 9)
    assert found.hidden[2].shape == (2, 9, 16)
    assert found.attentions[1].shape == (2, 9, 9)
    assert found.queries_keys_values[2].shape == (2, 9, 3, 16)
    for place, n in enumerate((2, 7)):
        assert not found.hidden[2][place, n:].any()
        assert not found.queries_keys_values[2][place, n:].any()
        assert not found.attentions[1][place, n:].any()
        assert not found.attentions[1][place, :, n:].any()
        assert found.attentions[1][place, :n, :n].all()


def test_the_teacher_runs_over_each_example_once():
    model, seen = tiny.model(), []
    model.register_forward_pre_hook(
        lambda _, args, inputs: seen.extend(map(tuple, inputs["input_ids"].tolist())),
        with_kwargs=True,
    )
    outputs = kept(asked(model))
    assert outputs.forward_examples == len(seen) == len(LENGTHS)


def test_only_what_is_needed_is_kept():
    assert kept(asked(needs=NOTHING)).columns.keys() == {"logits"}
    for needs, name in (
        (Needs(frozenset({2})), "hidden.2"),
        (Needs(first=frozenset({2})), "first.2"),
        (Needs(queries_keys_values=frozenset({1})), "queries_keys_values.1"),
        (Needs(features=True), "features"),
    ):
        assert kept(asked(needs=needs)).columns.keys() == {"logits", name}


def test_the_size_is_that_of_all_columns():
    # 27 positions and 139 pairs of positions in all; half precision takes 2 bytes.
    outputs = kept(asked())
    logits, hidden, attention = 6 * 3 * 4, 2 * 27 * 16 * 2, 2 * 139 * 2
    projected, rows = 27 * 3 * 16 * 2, 3 * 6 * 16 * 4
    total = logits + hidden + attention + projected + rows
    assert outputs.size_mb(outputs.plan.kept) == pytest.approx(total / 1e6)


def test_the_teacher_is_left_as_fast_as_it_was_with_its_weights_untouched():
    model = tiny.model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept(asked(model))
    assert model.config._attn_implementation == "sdpa"
    assert not model.training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_dropout_is_off_while_the_teacher_answers(labels):
    model = tiny.model(labels).train()
    first = kept(asked(model, tiny.dataset(labels)))
    second = kept(asked(model.train(), tiny.dataset(labels)))
    assert np.array_equal(first.array("logits"), second.array("logits"))


def test_what_half_precision_cannot_hold_is_told():
    model, dataset = tiny.model(), tiny.dataset()
    with torch.no_grad():
        model.bert.encoder.layer[0].output.LayerNorm.weight.mul_(1e6)
    columns = Layout.of(dataset.lengths).columns(Needs(frozenset({0, 1, 2})), model)
    arrays = {name: np.empty(column.shape, column.dtype) for name, column in columns.items()}
    assert compute_outputs(model, dataset, arrays, False) == {"hidden.1"}
    assert np.isfinite(arrays["hidden.2"]).all()
