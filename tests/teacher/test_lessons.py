import numpy as np
import pytest
import torch

from kdray.data.batches import make_batch
from kdray.models.building import ModelState, freeze
from kdray.models.outputs import NOTHING, Needs
from kdray.teacher.lessons import Lessons
from tests import tiny
from tests.teacher.asked import CPU, NEEDS, asked, kept

ROWS = np.array([1, 2, 5])


def batch():
    return make_batch(tiny.dataset(), ROWS, CPU)


def lessons(where, needs=NEEDS, family="bert", state=None, **cache):
    model = tiny.model(family=family)
    outputs = kept(asked(model), where, **cache)
    return Lessons(outputs, state or freeze(model), needs, tiny.dataset(), CPU)


def tensors(outputs):
    layers = [*sorted(outputs.hidden.items()), *sorted(outputs.attentions.items())]
    return [outputs.logits, *(tensor for _, tensor in layers)]


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize(
    "loop", [{"where": "off"}, {"where": "memory", "budget_mb": 0.0007}], ids=["off", "partly"]
)
def test_what_is_computed_in_the_loop_is_what_the_cache_would_hold(loop, family):
    cached, live = lessons("memory", family=family), lessons(**loop, family=family)
    for one, other in zip(tensors(cached(batch(), 7)), tensors(live(batch(), 7)), strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one.float(), other.float(), atol=1e-5, rtol=1e-3)
        assert torch.equal(one == 0, other == 0)
    assert (cached.count(), live.count()) == (0, 3)


def test_examples_are_counted_since_the_last_time():
    live = lessons("off")
    live(batch(), 7)
    live(batch(), 7)
    assert (live.count(), live.count()) == (6, 0)


def test_only_what_the_method_needs_decides_whether_the_teacher_is_run():
    partly = lessons("memory", NOTHING, budget_mb=0.0001)
    partly(batch(), 7)
    assert partly.count() == 0
    partly = lessons("memory", Needs(frozenset({2})), budget_mb=0.0001)
    partly(batch(), 7)
    assert partly.count() == 3


def test_the_teacher_in_the_loop_answers_in_float32_and_without_dropout():
    live = lessons("off")
    expected = tensors(live(batch(), 7))
    with torch.autocast("cpu", torch.bfloat16):
        found = tensors(live(batch(), 7))
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == torch.float32
        assert torch.equal(one, other)


def test_a_loss_can_keep_what_the_teacher_said():
    live, weight = lessons("off"), torch.ones(1, requires_grad=True)
    torch.cat([tensor.flatten() * weight for tensor in tensors(live(batch(), 7))]).sum().backward()
    assert weight.grad is not None


def test_the_shared_weights_are_neither_copied_nor_changed():
    state = freeze(tiny.model())
    before = {name: array.copy() for name, array in state.weights.items()}
    live = lessons("off", state=state)
    live(batch(), 7)
    own = {name: tensor.data_ptr() for name, tensor in live._model.state_dict().items()}
    assert own == {name: array.ctypes.data for name, array in state.weights.items()}
    assert all(np.array_equal(before[name], array) for name, array in state.weights.items())


def test_a_teacher_that_is_not_needed_is_not_built():
    lessons("memory", state=ModelState({}, {}))(batch(), 7)
