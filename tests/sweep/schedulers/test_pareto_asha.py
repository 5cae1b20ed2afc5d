import random
from dataclasses import replace

import pytest

from kdray.config.search import ParetoAsha
from kdray.sweep.schedulers.history import History
from kdray.sweep.schedulers.pareto_asha import rungs, stops, survivors

from .trials import CRITERIA, reports

WAYS = CRITERIA.objectives
REFERENCE = CRITERIA.reference


def kept(rung: dict[str, tuple[float, float]], reduction_factor: float = 3) -> list[str]:
    return survivors(rung, WAYS, REFERENCE, reduction_factor)


@pytest.mark.parametrize(
    ("first", "factor", "epochs", "expected"),
    [
        (1, 3, 27, {1, 3, 9}),
        (1, 3, 28, {1, 3, 9, 27}),
        (2, 2, 8, {2, 4}),
        (1, 2.5, 10, {1, 3, 7}),
        (1, 1.5, 5, {1, 2, 3, 4}),
        (3, 3, 4, {3}),
        (3, 3, 3, set()),
        (1, 3, 1, set()),
    ],
)
def test_rungs_are_geometric_rounded_up_and_below_the_last_epoch(
    first: int, factor: float, epochs: int, expected: set[int]
) -> None:
    assert rungs(ParetoAsha(first_rung=first, reduction_factor=factor), epochs) == expected


def test_the_first_trial_goes_on_and_the_second_only_if_it_is_better() -> None:
    assert kept({"a": (0.5, 4)}) == ["a"]
    assert kept({"a": (0.5, 4), "b": (0.4, 5)}) == ["a"]
    assert kept({"a": (0.5, 4), "b": (0.6, 5)}) == ["b"]
    assert kept({"a": (0.3, 1), "b": (0.31, 5)}) == ["b"]


def test_one_in_eta_goes_on_rounded_up() -> None:
    chain = {f"{n}": (0.9 - n / 100, 1.0 + n) for n in range(7)}
    sizes = {n: len(kept(dict(list(chain.items())[:n]))) for n in range(1, 8)}
    assert sizes == {1: 1, 2: 1, 3: 1, 4: 2, 5: 2, 6: 2, 7: 3}
    assert kept(chain) == ["0", "1", "2"]


def test_a_front_of_equals_keeps_its_ends_and_its_spread() -> None:
    # All nine are on the front. Three go on: the best, the smallest, and the one halfway.
    front = {f"{n}": (0.5 + n / 20, 1.0 + n) for n in range(9)}
    assert kept(front) == ["8", "0", "4"]


def test_a_worse_front_goes_on_only_behind_the_whole_better_one() -> None:
    # c is dominated by a, d by all; of four, two go on, and both are from the front.
    assert kept({"a": (0.6, 2), "b": (0.8, 4), "c": (0.5, 3), "d": (0.4, 5)}) == ["b", "a"]


def test_a_tiny_student_that_only_guesses_does_not_survive_by_being_tiny() -> None:
    rung = {"guess": (0.3, 0.1), "a": (0.5, 2), "b": (0.7, 4), "c": (0.6, 3)}
    assert "guess" not in kept(rung)
    # Without the cut it would be an end of the front.
    assert "guess" in survivors(rung, WAYS, {}, 3)


def test_those_that_guess_count_as_seen_so_the_others_are_not_cut_twice() -> None:
    guessing = {f"g{n}": (0.1, 1.0) for n in range(6)}
    good = {"a": (0.9, 1), "b": (0.8, 2), "c": (0.7, 3)}
    assert kept(guessing | good) == ["a", "b", "c"]


def test_a_value_that_is_no_number_never_goes_on() -> None:
    assert kept({"a": (float("nan"), 1.0), "b": (0.5, float("nan")), "c": (0.4, 1.0)}) == ["c"]


def run(history: dict[str, list[float]], trial_id: str, **options: int) -> bool:
    made: History = {
        name: reports(scores, size_mb=1.0 + index)
        for index, (name, scores) in enumerate(history.items())
    }
    return stops(ParetoAsha(**options), CRITERIA, made, trial_id)


def test_a_trial_is_compared_at_rungs_only() -> None:
    best = {"0000": [0.8, 0.9, 0.9], "0001": [0.7, 0.8, 0.8]}
    assert run(best | {"0002": [0.4]}, "0002")
    assert not run(best | {"0002": [0.75, 0.4]}, "0002")
    assert run(best | {"0002": [0.75, 0.4, 0.4]}, "0002")


def test_a_trial_is_never_stopped_at_its_last_epoch() -> None:
    history = {"0000": reports([0.8], 1.0, epochs=1), "0001": reports([0.1], 1.0, epochs=1)}
    assert not stops(ParetoAsha(), CRITERIA, history, "0001")


def test_a_late_bloomer_is_judged_by_what_it_had_at_the_rung() -> None:
    # 0000 was at 0.4 at the first rung; that it is at 0.9 now does not count there.
    history = {"0000": [0.4, 0.5, 0.9], "0001": [0.35], "0002": [0.8]}
    assert not run(history, "0002")


def test_objectives_that_come_after_training_are_left_out_and_without_any_all_go_on() -> None:
    history = {f"{n:04d}": reports([0.5 - n / 10], 1.0) for n in range(3)}
    timed = type(CRITERIA)({"latency_ms": "minimize", "macro_f1": "maximize"}, "macro_f1", {})
    assert stops(ParetoAsha(), timed, history, "0002")
    only = type(CRITERIA)({"latency_ms": "minimize"}, "macro_f1", {})
    assert not stops(ParetoAsha(), only, history, "0002")


def test_the_order_in_which_trials_arrived_does_not_matter() -> None:
    draw = random.Random(0)
    rung = {f"{n:04d}": [round(draw.random(), 1)] for n in range(20)}
    shuffled = dict(draw.sample(list(rung.items()), len(rung)))
    sizes = {name: round(draw.random(), 1) for name in rung}
    for trial_id in rung:
        decisions = {
            stops(
                ParetoAsha(),
                CRITERIA,
                {name: reports(scores, sizes[name]) for name, scores in order.items()},
                trial_id,
            )
            for order in (rung, shuffled)
        }
        assert len(decisions) == 1


@pytest.mark.parametrize(("epoch", "stopped"), [(1, False), (3, False), (4, True), (5, False)])
def test_a_rung_is_an_epoch_of_the_last_generation(epoch: int, stopped: bool) -> None:
    worse = [
        replace(report, before=3, rising=report.epoch <= 3)
        for report in reports([0.35] * epoch, 2.0, epochs=6)
    ]
    history: History = {"0000": reports([0.9], 1.0, epochs=3), "0001": worse}
    assert stops(ParetoAsha(), CRITERIA, history, "0001") == stopped
