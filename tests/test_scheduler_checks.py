from typing import Any

import pytest

from kdray.config.domains import parse_tree
from kdray.config.search import Search
from kdray.scheduler_checks import scheduler_problems
from tests.spaces import space, told

QUALITY_AND_SIZE = {"macro_f1": "maximize", "size_mb": "minimize"}


def problems(scheduler: Any, epochs: Any, objectives: Any = QUALITY_AND_SIZE) -> list[str]:
    search = Search.model_validate({"scheduler": scheduler})
    tree = parse_tree({"training": {"epochs": epochs}})
    return [str(problem) for problem in scheduler_problems(tree, search, objectives)]


@pytest.mark.parametrize("scheduler", ["fifo", "median", "pareto_asha"])
def test_a_scheduler_is_chosen_by_its_name_or_a_mapping(scheduler: str) -> None:
    assert space(f"search: {{scheduler: {scheduler}}}").search.scheduler.name == scheduler
    mapping = space(f"search: {{scheduler: {{name: {scheduler}}}}}")
    assert mapping.search.scheduler.name == scheduler


def test_the_options_of_a_scheduler_are_its_own() -> None:
    text = "search: {scheduler: {name: pareto_asha, first_rung: 2, reduction_factor: 2.5}}"
    options = space(text).search.scheduler
    assert options.model_dump() == {
        "name": "pareto_asha",
        "first_rung": 2,
        "reduction_factor": 2.5,
    }


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("pareto", "search.scheduler: no such scheduler: 'pareto'; did you mean 'pareto_asha'?"),
        ("asha", "search.scheduler: no such scheduler: 'asha'; known: fifo, median, pareto_asha"),
        ("hyperband", "search.scheduler: no such scheduler: 'hyperband'; known: fifo, median,"),
        (3, "search.scheduler: must be a mapping, but got 3"),
        ("{first_rung: 2}", "search.scheduler: must be a name, or a mapping with a `name`, but"),
        ("{name: median, grace: 2}", "search.scheduler.grace: unknown key; did you mean 'grace_ep"),
        ("{name: fifo, first_rung: 2}", "search.scheduler.first_rung: unknown key; known: name"),
        (
            "{name: pareto_asha, reduction_factor: 1}",
            "search.scheduler.reduction_factor: must be greater than 1, but got 1",
        ),
        (
            "{name: pareto_asha, first_rung: 0}",
            "search.scheduler.first_rung: must be at least 1, but got 0",
        ),
        (
            "{choice: [fifo, median]}",
            "search.scheduler: takes no domain: data and teacher are prepared once per sweep",
        ),
    ],
)
def test_a_wrong_scheduler_is_told_with_its_key_and_the_way_out(
    scheduler: Any, message: str
) -> None:
    found = told(f"search: {{scheduler: {scheduler}}}")
    assert len(found) == 1
    assert message in found[0]


@pytest.mark.parametrize("epochs", [3, {"choice": [1, 3]}, {"randint": [1, 4]}])
def test_a_first_rung_below_the_most_epochs_is_right(epochs: Any) -> None:
    assert problems({"name": "pareto_asha", "first_rung": 2}, epochs) == []
    assert problems({"name": "median", "grace_epochs": 2}, epochs) == []


@pytest.mark.parametrize("epochs", [2, {"choice": [1, 2]}, {"randint": [1, 3]}])
def test_a_first_rung_that_no_trial_passes_is_told(epochs: Any) -> None:
    for name, key in (("pareto_asha", "first_rung"), ("median", "grace_epochs")):
        assert problems({"name": name, key: 2}, epochs) == [
            f"search.scheduler.{key}: must be below training.epochs, at most 2, or no trial is "
            "ever stopped, but got 2; give the trials more epochs, or take `scheduler: fifo`"
        ]
    assert problems("fifo", epochs) == []


def test_epochs_that_are_left_out_are_the_default_also_inside_a_choice() -> None:
    search = Search.model_validate({"scheduler": {"name": "pareto_asha", "first_rung": 3}})
    for training in ({}, {"choice": [{"epochs": 1}, {"batch_size": 8}]}):
        tree = parse_tree({"training": training})
        assert scheduler_problems(tree, search, QUALITY_AND_SIZE) == []


def test_epochs_that_are_wrong_are_told_once_and_by_others() -> None:
    found = told("training: {epochs: many}\nsearch: {scheduler: median}")
    assert len(found) == 1
    assert "training.epochs" in found[0]


def test_objectives_that_no_epoch_reports_leave_nothing_to_compare() -> None:
    timed = {"latency_ms": "minimize", "speedup": "maximize"}
    for name in ("median", "pareto_asha"):
        assert problems(name, 4, timed) == [
            f"search.scheduler: {name} compares trials while they train, but no objective is "
            "measured before the end (latency_ms, speedup); add another, or take `scheduler: fifo`"
        ]
        assert problems(name, 4, timed | {"macro_f1": "maximize"}) == []
    assert problems("fifo", 4, timed) == []


def test_everything_wrong_is_told_at_once() -> None:
    found = told(
        "objectives: {latency_ms: minimize}\ntraining: {epochs: 1}\nsearch: {scheduler: median}"
    )
    assert len(found) == 2
