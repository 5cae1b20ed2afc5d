import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kdray.results.records import EpochReport
from kdray.sweep.schedulers.history import Criteria, History, best_epoch
from kdray.sweep.schedulers.standings import Standing, Standings

from .trials import CRITERIA, reports


def after(
    history: History, epoch: int, *names: str, known: Standings | None = None
) -> dict[str, list[float]]:
    """The values of each trial after an epoch, in the order of the ids."""
    chosen = names or tuple(CRITERIA.objectives)
    ways: Any = dict.fromkeys(chosen, "maximize")
    found = known or Standings(Criteria(ways, "macro_f1", {}), history)
    there = found.after(epoch)
    return dict(zip(there.ids, there.of(chosen).tolist(), strict=True))


def test_a_trial_is_worth_its_best_epoch_so_far_and_not_its_last() -> None:
    history = {"0000": reports([0.5, 0.7, 0.6, 0.9], 2.0)}
    assert after(history, 1) == {"0000": [0.5, 2.0]}
    assert after(history, 3) == {"0000": [0.7, 2.0]}


def test_the_best_epoch_is_that_of_the_selection_metric_in_every_objective() -> None:
    made = [*reports([0.5], 2.0, ece=0.1), *reports([0.0, 0.7], 2.0, ece=0.4)[1:]]
    assert after({"0000": made}, 2, "macro_f1", "ece") == {"0000": [0.7, 0.4]}


def test_only_trials_that_reached_an_epoch_and_go_on_are_seen_in_the_order_of_their_ids() -> None:
    history = {
        "10000": reports([0.4, 0.5], 1.0),
        "0002": reports([0.4], 1.0),
        "0003": reports([0.4, 0.6], 1.0, epochs=2),
        "0004": [],
        "0001": reports([0.4, 0.7, 0.8], 1.0),
    }
    assert list(after(history, 2)) == ["0001", "10000"]


def test_a_value_that_is_missing_is_no_number() -> None:
    [value] = after({"0000": reports([0.5], 1.0)}, 1, "auroc")["0000"]
    assert math.isnan(value)


def test_epochs_of_earlier_generations_and_of_hints_do_not_count() -> None:
    made = [
        replace(report, before=2, rising=report.epoch <= 2)
        for report in reports([0.9, 0.8, 0.4, 0.5, 0.6], 1.0, epochs=5)
    ]
    history = {"0000": made, "0001": reports([0.1, 0.2], 2.0, epochs=3)}
    assert after(history, 1) == {"0000": [0.4, 1.0], "0001": [0.1, 2.0]}
    assert after(history, 2)["0000"] == [0.5, 1.0]
    assert "0000" not in after(history, 3)  # its last epoch


def test_standings_are_those_of_all_reports_gone_through_again_whenever_one_comes() -> None:
    for seed in range(30):
        drawn = random.Random(seed)
        known, history = Standings(CRITERIA), dict[str, list[EpochReport]]()
        left = {f"{n:0{drawn.choice([4, 5])}d}": course(drawn) for n in range(8)}
        while left:
            trial_id = drawn.choice(list(left))
            # A worker that was lost may have done epochs of which nobody heard.
            news = left[trial_id][: drawn.choice([1, 1, 2])]
            left[trial_id] = left[trial_id][len(news) :]
            history[trial_id] = [*history.get(trial_id, []), *news]
            known[trial_id] = history[trial_id]
            if drawn.random() < 0.05:
                del known[trial_id], history[trial_id]
            left = {trial_id: more for trial_id, more in left.items() if more}
            for epoch in range(-2, 8):
                np.testing.assert_equal(
                    after(history, epoch, known=known), gone_through(history, epoch)
                )


def course(drawn: random.Random) -> list[EpochReport]:
    """What a trial of two generations reports: its epochs, of which some are counted."""
    before, epochs = drawn.choice([0, 0, 3]), drawn.choice([6, 9])
    scores = [drawn.choice([math.nan, round(drawn.random(), 1)]) for _ in range(epochs)]
    made = reports(scores, drawn.random(), epochs)
    pruned = drawn.choice([0, 2])
    made = [replace(one, before=before, rising=one.epoch <= before + pruned) for one in made]
    ends = drawn.choice([epochs, epochs - 1])  # by its patience
    return [*made[: ends - 1], replace(made[ends - 1], epochs=ends)]


def gone_through(history: History, epoch: int) -> dict[str, list[float]]:
    """The standings by their definition."""
    found = {}
    for trial_id in sorted(history, key=lambda trial_id: (len(trial_id), trial_id)):
        until = [one for one in history[trial_id] if one.counted <= epoch < one.to_count]
        if until and until[-1].counted == epoch and not until[-1].rising:
            metrics = best_epoch(until, CRITERIA.selection_metric).metrics
            found[trial_id] = [metrics.get(name, math.nan) for name in CRITERIA.objectives]
    return found


def test_what_is_computed_of_the_rows_is_computed_again_when_one_has_changed() -> None:
    there, computed = Standing(["a"]), list[Sequence[str]]()

    def compute() -> int:
        computed.append(list(there.ids))
        return len(computed)

    there.put("0001", [0.5])
    assert [there.once("x", compute) for _ in range(2)] == [1, 1]
    assert there.once("y", compute) == 2
    for row in ([0.6], None):
        there.put("0001", row)
        assert there.once("x", compute) == len(computed)
    assert computed == [["0001"], ["0001"], ["0001"], []]


def test_a_trial_whose_history_is_another_is_gone_through_again() -> None:
    known = Standings(CRITERIA, {"0000": reports([0.5, 0.9], 1.0)})
    known["0000"] = reports([0.4], 1.0)
    assert after({}, 1, known=known) == {"0000": [0.4, 1.0]}
    assert after({}, 2, known=known) == {}
    assert known.pop("0000") == reports([0.4], 1.0)
    assert after({}, 1, known=known) == {}
