import math
from typing import Any

from kdray.config.search import Median
from kdray.sweep.schedulers.history import Criteria
from kdray.sweep.schedulers.median import judge

from .trials import reports, rivals

# Medians of the five at epoch 2: macro-F1 0.6, 3 MB.
SCORES = (0.4, 0.5, 0.6, 0.7, 0.8)
FIVE = {f"{n:04d}": reports([0.3, score], 1.0 + n) for n, score in enumerate(SCORES)}


def stopped(scores: list[float], size_mb: float, **options: Any) -> bool:
    history = FIVE | {"0009": reports(scores, size_mb)}
    return judge(rivals(Median(**options), history), "0009") == "stops"


def test_a_trial_that_is_behind_the_median_in_every_objective_is_stopped() -> None:
    assert stopped([0.2, 0.59], 3.1)


def test_a_weak_student_survives_by_its_size_and_a_large_one_by_its_quality() -> None:
    assert not stopped([0.2, 0.1], 2.9)
    assert not stopped([0.2, 0.61], 9.0)


def test_a_trial_at_the_median_in_every_objective_goes_on() -> None:
    assert not stopped([0.2, 0.6], 3.0)


def test_a_trial_at_the_median_in_one_objective_is_stopped_if_it_is_worse_in_another() -> None:
    assert stopped([0.2, 0.6], 9.0)
    assert stopped([0.2, 0.1], 3.0)


def test_where_all_are_of_one_size_quality_decides_and_a_smaller_one_survives() -> None:
    alike = {f"{n:04d}": reports([0.3, 0.8], 1.0) for n in range(5)}
    for score, size_mb, verdict in (
        (0.31, 1.0, "stops"),
        (0.8, 1.0, "goes on"),
        (0.81, 1.0, "goes on"),
        (0.31, 0.99, "goes on"),
        (0.8, 1.01, "stops"),
    ):
        history = alike | {"0009": reports([0.3, score], size_mb)}
        assert judge(rivals(Median(), history), "0009") == verdict


def test_a_value_that_is_no_number_neither_saves_a_trial_nor_ends_it() -> None:
    timed = Criteria({"macro_f1": "maximize", "ece": "minimize"}, "macro_f1", {})
    for score, verdict in ((0.1, "stops"), (0.9, "goes on")):
        history = FIVE | {"0009": reports([0.2, score], 1.0, ece=math.nan)}
        history |= {i: reports([0.3, 0.5], 1.0, ece=0.1) for i in ("0005", "0006")}
        assert judge(rivals(Median(), history, criteria=timed), "0009") == verdict


def test_the_best_epoch_so_far_counts_and_not_the_last() -> None:
    assert not stopped([0.61, 0.1], 9.0)


def test_no_trial_is_stopped_before_the_grace_epochs_are_over() -> None:
    assert not stopped([0.2, 0.1], 9.0, grace_epochs=3)
    assert stopped([0.2, 0.1], 9.0, grace_epochs=2)


def test_no_trial_is_stopped_before_enough_others_reached_the_epoch() -> None:
    assert not stopped([0.2, 0.1], 9.0, startup_trials=6)
    assert not stopped([0.2, 0.1, 0.1], 9.0)


def test_no_trial_is_stopped_at_its_last_epoch() -> None:
    history = FIVE | {"0009": reports([0.1, 0.1], 9.0, epochs=2)}
    assert judge(rivals(Median(), history), "0009") == "goes on"


def test_objectives_that_come_after_training_are_left_out_and_without_any_all_go_on() -> None:
    history = FIVE | {"0009": reports([0.2, 0.1], 9.0)}
    timed = Criteria({"macro_f1": "maximize", "latency_ms": "minimize"}, "macro_f1", {})
    assert judge(rivals(Median(), history, criteria=timed), "0009") == "stops"
    later = Criteria({"speedup": "maximize"}, "macro_f1", {})
    assert judge(rivals(Median(), history, criteria=later), "0009") == "goes on"
