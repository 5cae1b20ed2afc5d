import numpy as np
import pytest
import torch

from kdray.data.batches import make_batch
from kdray.models.building import ModelState, freeze
from kdray.models.outputs import NOTHING, Needs
from kdray.teacher.layout import by_name
from kdray.teacher.lessons import EnsembleLessons, Lessons, other_rows
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
    return list(by_name(outputs).values())


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
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


OTHERS = [0, 3, 4]
BANK = Needs(features=True, bank=2)


def test_all_others_are_those_that_are_not_in_the_batch():
    for rows in ([1, 2, 5], [5, 1, 2], [0], [5], [0, 1, 2, 3, 4, 5]):
        expected = sorted(set(range(6)) - set(rows))
        assert other_rows(np.array(rows), 6, 6 - len(rows)).tolist() == expected


def test_drawn_rows_are_any_of_the_others_and_follow_from_the_random_state():
    torch.manual_seed(0)
    first = other_rows(ROWS, 6, 2)
    assert len(first) == 2
    counts = np.bincount(np.concatenate([other_rows(ROWS, 6, 2) for _ in range(300)]), minlength=6)
    assert np.flatnonzero(counts).tolist() == OTHERS
    assert counts[OTHERS].min() > 150  # 200 of each are expected
    torch.manual_seed(0)
    assert np.array_equal(other_rows(ROWS, 6, 2), first)


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_the_bank_is_taken_from_what_is_kept(where):
    model = tiny.model()
    outputs = kept(asked(model, needs=BANK), where)
    told = Lessons(outputs, ModelState({}, {}), BANK, tiny.dataset(), CPU)
    torch.manual_seed(3)
    found = told(batch(), 7).bank
    torch.manual_seed(3)
    assert np.array_equal(found, outputs.array("features")[other_rows(ROWS, 6, 2)])
    all_of_it = Lessons(outputs, ModelState({}, {}), BANK | Needs(bank=9), tiny.dataset(), CPU)
    assert np.array_equal(all_of_it(batch(), 7).bank, outputs.array("features")[OTHERS])
    assert told.count() == all_of_it.count() == 0


def test_a_bank_that_is_not_kept_is_computed_once():
    needs = Needs(features=True, bank=9)
    expected = lessons("memory", needs)(batch(), 7)
    for cache, asked_each_time in (({"where": "off"}, 3), ({"budget_mb": 0.0001}, 0)):
        live = lessons(**{"where": "memory", **cache}, needs=needs)
        found = live(batch(), 7)
        assert torch.allclose(found.bank, expected.bank, atol=1e-5)
        assert torch.allclose(found.features, expected.features, atol=1e-5)
        assert live.count() == 6 + asked_each_time  # of the training set, and for the logits
        live(batch(), 7)
        assert live.count() == asked_each_time


def test_without_need_there_is_no_bank():
    assert lessons("memory", Needs(features=True))(batch(), 7).bank is None


def test_an_ensemble_says_what_its_first_member_does_and_what_each_votes():
    first, second = lessons("memory"), lessons("off", NOTHING, family="distilbert")
    said = EnsembleLessons([first, second], (0.25, 0.75))
    told, alone = said(batch(), 7), first(batch(), 7)
    assert all(map(torch.equal, tensors(told), tensors(alone)))
    assert told.votes.weights == (0.25, 0.75)
    assert torch.equal(told.votes.logits[0], alone.logits)
    assert torch.equal(told.votes.logits[1], second(batch(), 7).logits)
    assert (said.count(), said.count()) == (6, 0)
