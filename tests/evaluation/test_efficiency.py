import fcntl
import math
import os
import tempfile
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from kdray.evaluation import efficiency
from kdray.evaluation.efficiency import (
    alone,
    count_macs,
    count_parameters,
    paired_latency,
    throughput,
    timed_in_turn,
)
from kdray.models.outputs import forward, with_attentions
from tests import tiny


@pytest.fixture(autouse=True)
def _timed_briefly():
    """Here timing is what is tested."""


def inputs(length, batch=1):
    ids = torch.full((batch, length), 7)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def bert_macs(length, layers, width, classes):
    """Multiply-accumulates of BERT with a feed-forward part of 2·width and any number of heads."""
    projections = 4 * length * width * width  # query, key, value, output
    attention = 2 * length * length * width  # QKᵀ and AV, over all heads
    feed_forward = 2 * length * width * 2 * width
    head = width * width + width * classes  # pooler and classifier, on [CLS] alone
    return layers * (projections + attention + feed_forward) + head


@pytest.mark.parametrize(("layers", "width", "length"), [(1, 16, 5), (2, 16, 9), (3, 8, 1)])
def test_the_macs_of_bert_follow_the_formula(layers, width, length):
    model = tiny.model(layers=layers, width=width)
    assert count_macs(model, inputs(length)) == bert_macs(length, layers, width, 3)


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_macs_are_half_of_the_flops_that_torch_counts(family):
    model = tiny.model(family=family)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        forward(with_attentions(model, True), inputs(6))
    assert count_macs(model, inputs(6)) == counter.get_total_flops() / 2 > 0


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_counting_leaves_the_model_and_the_random_state_as_they_were(readable, training):
    model = with_attentions(tiny.model(), readable).train(training)
    before = torch.get_rng_state()
    count_macs(model, inputs(4))
    assert model.training == training
    assert (model.config._attn_implementation == "sdpa") == (not readable)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mask_makes_no_macs_fewer_and_a_batch_makes_them_more():
    model = tiny.model()
    padded = inputs(6) | {"attention_mask": torch.tensor([[1, 1, 1, 0, 0, 0]])}
    assert count_macs(model, padded) == count_macs(model, inputs(6))
    assert count_macs(model, inputs(6, batch=3)) == 3 * count_macs(model, inputs(6))


def test_parameters_that_are_exactly_0_are_counted_out():
    layer = torch.nn.Linear(4, 3)
    with torch.no_grad():
        layer.weight.fill_(0.5)
        layer.weight[0, :2] = 0
        layer.bias.fill_(-1e-30)
    assert count_parameters(layer) == {"num_parameters": 15.0, "nonzero_parameters": 13.0}


def test_latency_is_measured_beside_the_teacher():
    student, teacher = tiny.model(layers=1).train(), tiny.model(layers=2)
    found = paired_latency(student, teacher, inputs(4))
    assert set(found) == {"latency_ms", "latency_p95_ms", "speedup"}
    assert all(math.isfinite(value) and value > 0 for value in found.values())
    assert found["latency_ms"] <= found["latency_p95_ms"]


def test_the_time_of_an_ensemble_is_that_of_all_its_members(monkeypatch):
    student, teacher, other = (tiny.model(layers=1) for _ in range(3))
    times = {student: 0.001, teacher: 0.002, other: 0.005}
    monkeypatch.setattr("kdray.evaluation.efficiency._seconds", lambda model, text: times[model])
    found = paired_latency(student, teacher, inputs(4), None, [(other, inputs(3))])
    assert found["latency_ms"] == pytest.approx(1.0)
    assert found["speedup"] == pytest.approx(7.0)


def test_throughput_is_texts_a_second_over_three_batches_of_32(monkeypatch):
    seen = []

    def seconds(model, inputs):
        assert torch.get_num_threads() == 1
        seen.append(tuple(inputs["input_ids"].shape))
        return 0.25 if len(seen) > 6 else 0.01 * len(seen) + 0.1

    monkeypatch.setattr("kdray.evaluation.efficiency._seconds", seconds)
    found = throughput(tiny.model(), tiny.dataset(tiny.MULTI, range(2, 18)))
    # The fastest of each is that of the first pass: 0.11, 0.12 and 0.13 s.
    assert found["throughput"] == pytest.approx(96 / 0.36)
    # Of 16 texts each stands six or seven times in 96, the shortest first.
    assert seen == [(32, 8), (32, 16), (32, 17)] * 3


@pytest.mark.parametrize(("seconds", "passes"), [(0.001, 3), (0.2, 2), (0.4, 1), (60.0, 1)])
def test_a_slow_model_runs_its_batches_fewer_times(monkeypatch, seconds, passes):
    seen = []

    def fake(model, inputs):
        seen.append(model)
        return seconds

    monkeypatch.setattr("kdray.evaluation.efficiency._seconds", fake)
    found = throughput(tiny.model(), tiny.dataset())
    assert found["throughput"] == pytest.approx(32 / seconds)
    assert len(seen) == 3 * passes


@pytest.mark.parametrize(
    ("seconds", "warm_up", "rounds"),
    [(0.001, 5, 40), (0.012, 5, 40), (0.024, 5, 21), (0.06, 2, 10), (10.0, 1, 10)],
)
def test_what_is_slow_is_timed_in_fewer_rounds(monkeypatch, seconds, warm_up, rounds):
    monkeypatch.setattr(efficiency, "WARM_UP", 5)
    monkeypatch.setattr(efficiency, "ROUNDS", 40)
    done = []

    def run(name):
        done.append(name)
        return seconds

    found = timed_in_turn({name: partial(run, name) for name in ("one", "other")})
    assert [len(times) for times in found.values()] == [rounds, rounds]
    assert done == ["one", "other"] * (warm_up + rounds)


class Clock:
    """A clock that goes on when someone sleeps, and what happens then, by the second."""

    def __init__(self, monkeypatch):
        self.now, self.events = 0.0, {}
        fake = SimpleNamespace(monotonic=lambda: self.now, sleep=self.sleep, monotonic_ns=lambda: 7)
        monkeypatch.setattr(efficiency, "time", fake)
        monkeypatch.setattr(efficiency, "LOOK_S", 1.0)

    def sleep(self, seconds):
        self.now += seconds
        self.events.get(self.now, lambda: None)()


def held_by_another(folder, monkeypatch):
    """The lock, taken by one who measures."""
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    other = (folder / f"kdray-latency-{os.getuid()}.lock").open("w")
    fcntl.flock(other, fcntl.LOCK_EX)
    return other


def told(other, name):
    other.seek(0)
    other.truncate(0)
    other.write(name)
    other.flush()


def test_who_measures_is_waited_for(monkeypatch, tmp_path):
    clock, other = Clock(monkeypatch), held_by_another(tmp_path, monkeypatch)
    clock.events[30.0] = other.close
    with alone():
        assert clock.now == 30
        with (tmp_path / f"kdray-latency-{os.getuid()}.lock").open() as third:
            with pytest.raises(BlockingIOError):
                fcntl.flock(third, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert third.read() == f"{os.getpid()} 7"


def test_who_hangs_while_measuring_is_not_waited_for_after_a_minute(monkeypatch, tmp_path):
    clock, other = Clock(monkeypatch), held_by_another(tmp_path, monkeypatch)
    told(other, "a holder")
    with alone():
        assert clock.now == 61
    other.close()


def test_many_who_measure_one_after_another_are_waited_for(monkeypatch, tmp_path):
    clock, other = Clock(monkeypatch), held_by_another(tmp_path, monkeypatch)
    for turn in (50.0, 100.0, 150.0):
        clock.events[turn] = partial(told, other, f"holder {turn}")
    clock.events[200.0] = other.close
    with alone():
        assert clock.now == 200


def test_throughput_of_a_real_model_is_a_positive_number():
    found = throughput(tiny.model().train(), tiny.dataset())["throughput"]
    assert 0 < found < math.inf


def test_measuring_latency_leaves_the_number_of_threads_as_it_was():
    torch.set_num_threads(2)
    try:
        paired_latency(tiny.model(layers=1), tiny.model(layers=1), inputs(2))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
