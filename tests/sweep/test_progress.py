import io

from rich.console import Console

from kdray.results.records import TrialResult
from kdray.sweep.progress import Progress

OBJECTIVES = {"macro_f1": "maximize", "size_mb": "minimize"}


def run(terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=terminal)
    with Progress(console, OBJECTIVES, 3) as progress:  # type: ignore[arg-type]
        progress.started("0000", {})
        progress.epoch("0000", 1, 2)
        result = TrialResult("0000", "completed", metrics={"macro_f1": 0.81, "size_mb": 1.5})
        progress.finished(result, 0.25)
        progress.started("0001", {})
        progress.finished(
            TrialResult("0001", "failed", stage="distil", error="[bold]out[/bold] of luck"), 0.25
        )
        progress.started("0002", {})
    return text.getvalue()


def test_a_terminal_shows_counts_best_hypervolume_and_what_runs() -> None:
    shown = run(terminal=True)
    assert "trials 2 of 3 done: 1 completed, 1 running, 0 stopped early, 1 failed" in shown
    assert "hypervolume 0.250" in shown
    assert "macro_f1" in shown
    assert "0.810" in shown
    assert "starting" in shown


def test_trials_that_wait_are_counted_until_they_go_on_or_are_stopped() -> None:
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=True)
    with Progress(console, OBJECTIVES, 3) as progress:  # type: ignore[arg-type]
        for own_id in ("0000", "0001", "0002"):
            progress.started(own_id, {})
            progress.waits(own_id)
        progress.started("0001", {})
        progress.finished(TrialResult("0002", "stopped_early", epochs=1), 0.25)
    shown = text.getvalue()
    assert "trials 1 of 3 done: 0 completed, 1 running, 1 waiting, 1 stopped early" in shown


def finished(terminal: bool) -> str:
    text = io.StringIO()
    console = Console(file=text, width=120, force_terminal=terminal)
    bounds = {"size_mb": {"maximum": 2.0}}
    with Progress(console, OBJECTIVES, 2, constraints=bounds) as progress:  # type: ignore[arg-type]
        for own_id, quality, size in (("0000", 0.6, 1.5), ("0001", 0.9, 3.0)):
            metrics = {"macro_f1": quality, "size_mb": size}
            progress.finished(TrialResult(own_id, "completed", metrics=metrics), 0.25)
    return text.getvalue()


def test_the_best_of_an_objective_is_a_feasible_trial() -> None:
    shown = finished(terminal=True)
    assert "2 completed" in shown
    assert "0.600" in shown
    assert "0.900" not in shown


def test_a_completed_trial_that_breaks_a_constraint_is_called_infeasible() -> None:
    first, second = finished(terminal=False).splitlines()
    assert first.startswith("[1/2] trial 0000 completed  macro_f1")
    assert second.startswith("[2/2] trial 0001 completed, infeasible  macro_f1")


def test_anything_else_gets_a_plain_line_a_trial() -> None:
    lines = run(terminal=False).splitlines()
    assert lines[0].startswith("[1/3] trial 0000 completed  macro_f1 0.810  size_mb 1.500")
    assert lines[1].startswith("[2/3] trial 0001 failed (distil: [bold]out[/bold] of luck)")
    assert len(lines) == 2


def test_a_trial_that_was_stopped_early_says_after_which_epoch() -> None:
    text = io.StringIO()
    with Progress(Console(file=text, width=120), OBJECTIVES, 3) as progress:  # type: ignore[arg-type]
        metrics = {"macro_f1": 0.4, "size_mb": 1.0}
        progress.finished(TrialResult("0000", "stopped_early", metrics=metrics, epochs=3), 0.0)
    assert text.getvalue().startswith("[1/3] trial 0000 stopped early after epoch 3  macro_f1 0.4")
