import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdray.config.search import Median, ParetoAsha
from kdray.sweep.schedulers.history import Criteria, History
from kdray.sweep.schedulers.pareto_asha import (
    MOST_WAITING,
    best_first,
    hopeless,
    judge,
    next_up,
    rungs,
    waits_there,
)
from kdray.sweep.schedulers.rivals import Rivals

from .trials import CRITERIA, reports, rivals

WAYS = CRITERIA.objectives
REFERENCE = CRITERIA.reference


def ranked(rung: Mapping[str, tuple[float, float]]) -> list[str]:
    return best_of(rung, REFERENCE)


def best_of(
    rung: Mapping[str, tuple[float, float]],
    reference: Mapping[str, float],
    most: int | None = None,
) -> list[str]:
    return best_first(list(rung), np.array(list(rung.values())), WAYS, reference, most)


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


def test_a_front_of_equals_keeps_its_ends_and_its_spread() -> None:
    # All nine are on the front. First are the best, the smallest, and the one halfway.
    front = {f"{n}": (0.5 + n / 20, 1.0 + n) for n in range(9)}
    assert ranked(front)[:3] == ["8", "0", "4"]


def test_a_worse_front_is_behind_the_whole_better_one() -> None:
    # c is dominated by a, d by all.
    rung = {"a": (0.6, 2), "b": (0.8, 4), "c": (0.5, 3), "d": (0.4, 5)}
    assert ranked(rung) == ["b", "a", "c", "d"]  # type: ignore[arg-type]


def test_a_tiny_student_that_only_guesses_does_not_survive_by_being_tiny() -> None:
    rung = {"guess": (0.3, 0.1), "a": (0.5, 2.0), "b": (0.7, 4.0), "c": (0.6, 3.0)}
    assert "guess" not in ranked(rung)
    # Without the cut it would be an end of the front.
    assert "guess" in best_of(rung, {})[:2]
    assert best_of(rung, REFERENCE, most=2) == ranked(rung)[:2]


def test_a_value_that_is_no_number_never_goes_on() -> None:
    rung = {"a": (float("nan"), 1.0), "b": (0.5, float("nan")), "c": (0.4, 1.0)}
    assert ranked(rung) == ["c"]


def at_rung(
    scores: Sequence[float], waiting: Sequence[str] = (), **options: Any
) -> tuple[Rivals, list[str]]:
    """Trials at the first rung of nine epochs, each larger than the one before; and their ids."""
    history = {f"{n:04d}": reports([score], 1.0 + n) for n, score in enumerate(scores)}
    trials = options.pop("trials", 100)
    return rivals(ParetoAsha(**options), history, waiting, trials), list(history)


def test_a_trial_waits_at_a_rung_until_enough_have_come() -> None:
    for count, verdict in ((1, "waits"), (2, "waits"), (3, "goes on")):
        all_of_them, ids = at_rung([0.5, 0.6, 0.7][:count], ids_before(count))
        assert judge(all_of_them, ids[-1]) == verdict


def ids_before(count: int) -> list[str]:
    return [f"{n:04d}" for n in range(count - 1)]


def test_a_trial_that_is_not_the_best_waits_also_if_there_is_a_place() -> None:
    all_of_them, ids = at_rung([0.9, 0.5, 0.4], ["0000", "0001"])
    assert judge(all_of_them, ids[-1]) == "waits"
    assert next_up(all_of_them, all_begun=False) == "0000"


def test_one_in_eta_goes_on_rounded_down_and_rounded_up_when_all_have_begun() -> None:
    # Each is worse and larger than the one before, so they go on in their order.
    for count in range(1, 8):
        for all_begun in (False, True):
            scores = [0.9 - n / 100 for n in range(count)]
            all_of_them, ids = at_rung(scores, [f"{n:04d}" for n in range(count)])
            going = []
            while (trial_id := next_up(all_of_them, all_begun)) is not None:
                del all_of_them.waiting[trial_id]
                going.append(trial_id)
            expected = -(-count // 3) if all_begun else count // 3
            assert going == ids[:expected]


def test_a_place_that_one_took_is_given_again_when_a_better_one_comes() -> None:
    # Of three one goes on, and 0000 has; 0003 comes, better and smaller than all.
    history: History = {
        "0000": reports([0.6, 0.7], 3.0),
        "0001": reports([0.5], 4.0),
        "0002": reports([0.4], 5.0),
        "0003": reports([0.8], 1.0),
    }
    assert judge(rivals(ParetoAsha(), history, ["0001", "0002"]), "0003") == "goes on"


def test_those_that_guess_count_as_seen_so_the_others_are_not_cut_twice() -> None:
    good = [0.9, 0.8, 0.7]
    all_of_them, ids = at_rung([0.1] * 6 + good, [f"{n:04d}" for n in (6, 7, 8)])
    for expected in ids[6:]:
        assert next_up(all_of_them, all_begun=False) == expected
        del all_of_them.waiting[expected]


def test_those_that_came_furthest_go_on_first() -> None:
    history: History = {f"{n:04d}": reports([0.5], 1.0 + n) for n in range(3)} | {
        f"{n:04d}": reports([0.5, 0.5, 0.6], 1.0 + n) for n in range(3, 6)
    }
    all_of_them = rivals(ParetoAsha(), history, list(history))
    assert next_up(all_of_them, all_begun=False) == "0003"
    all_of_them.waiting = {"0000": {}}
    assert next_up(all_of_them, all_begun=False) == "0000"


def test_nobody_is_next_where_nobody_waits() -> None:
    assert next_up(at_rung([0.5] * 3)[0], all_begun=True) is None


def test_a_trial_waits_at_rungs_only_and_never_at_its_last_epoch() -> None:
    best = {"0000": reports([0.8, 0.9, 0.9], 1.0), "0001": reports([0.7, 0.8, 0.8], 2.0)}
    for scores, verdict in (([0.4], "waits"), ([0.4, 0.4], "goes on"), ([0.4] * 3, "waits")):
        history = best | {"0002": reports(scores, 3.0)}
        assert judge(rivals(ParetoAsha(), history), "0002") == verdict
    history = {"0000": reports([0.8], 1.0, epochs=1), "0001": reports([0.4], 2.0, epochs=1)}
    assert judge(rivals(ParetoAsha(), history), "0001") == "goes on"


def test_a_late_bloomer_is_judged_by_what_it_had_at_the_rung() -> None:
    # 0000 was at 0.4 at the first rung; that it is at 0.9 now does not count there.
    history: History = {
        "0000": reports([0.4, 0.5, 0.9], 1.0),
        "0001": reports([0.35], 1.0),
        "0002": reports([0.8], 1.0),
    }
    assert judge(rivals(ParetoAsha(), history, ["0001"]), "0002") == "goes on"


def test_objectives_that_come_after_training_are_left_out_and_without_any_all_go_on() -> None:
    history = {f"{n:04d}": reports([0.5 - n / 10], 1.0) for n in range(3)}
    timed = Criteria({"latency_ms": "minimize", "macro_f1": "maximize"}, "macro_f1", {})
    assert judge(rivals(ParetoAsha(), history, criteria=timed), "0002") == "waits"
    only = Criteria({"latency_ms": "minimize"}, "macro_f1", {})
    assert judge(rivals(ParetoAsha(), history, criteria=only), "0002") == "goes on"


def test_the_order_in_which_trials_arrived_does_not_matter() -> None:
    drawn = random.Random(0)
    scores = {f"{n:04d}": round(drawn.random(), 1) for n in range(20)}
    sizes = {trial_id: round(drawn.random(), 1) for trial_id in scores}
    orders = [list(scores), drawn.sample(list(scores), len(scores))]
    found = []
    for order in orders:
        history = {trial_id: reports([scores[trial_id]], sizes[trial_id]) for trial_id in order}
        all_of_them = rivals(ParetoAsha(), history, order, trials=20)
        going = []
        while (trial_id := next_up(all_of_them, all_begun=True)) is not None:
            del all_of_them.waiting[trial_id]
            going.append(trial_id)
        found.append((going, sorted(hopeless(all_of_them))))
    assert found[0] == found[1]


@pytest.mark.parametrize(("epoch", "there"), [(1, False), (3, False), (4, True), (5, False)])
def test_a_rung_is_an_epoch_of_the_last_generation(epoch: int, there: bool) -> None:
    worse = [
        replace(report, before=3, rising=report.epoch <= 3)
        for report in reports([0.35] * epoch, 2.0, epochs=6)
    ]
    history: History = {"0000": reports([0.9], 1.0, epochs=3), "0001": worse}
    assert (judge(rivals(ParetoAsha(), history), "0001") == "waits") == there


def test_a_trial_that_was_cut_off_at_a_rung_is_known_by_its_reports() -> None:
    history: History = {"0000": reports([0.5], 1.0), "0001": reports([0.5, 0.5], 1.0)}
    all_of_them = rivals(ParetoAsha(), history)
    assert [waits_there(all_of_them, own) for own in ("0000", "0001", "0002")] == [
        True,
        False,
        False,
    ]
    assert not waits_there(rivals(Median(), history), "0000")


def test_who_is_behind_as_many_as_can_go_on_waits_in_vain() -> None:
    # Of twelve trials four can go on. Of six that came, the last two are behind four.
    waiting = [f"{n:04d}" for n in range(6)]
    all_of_them, _ = at_rung([0.9 - n / 100 for n in range(6)], waiting, trials=12)
    assert hopeless(all_of_them) == ["0004", "0005"]
    # Those that went on take places too.
    del all_of_them.waiting["0000"]
    assert hopeless(all_of_them) == ["0004", "0005"]


def test_who_is_not_better_than_the_constant_answer_waits_in_vain() -> None:
    assert hopeless(at_rung([0.3, 0.31], ["0000", "0001"])[0]) == ["0000"]


def test_no_more_wait_than_a_few_however_long_the_sweep() -> None:
    waiting = [f"{n:04d}" for n in range(MOST_WAITING + 3)]
    scores = [0.9 - n / 100 for n in range(len(waiting))]
    all_of_them, _ = at_rung(scores, waiting, trials=1000)
    assert hopeless(all_of_them) == waiting[MOST_WAITING:]
