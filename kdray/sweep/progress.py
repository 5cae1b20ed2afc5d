"""Live progress: a panel in a terminal, plain lines everywhere else."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kdray.config.sections import Direction
from kdray.results.feasibility import Bounds, is_feasible
from kdray.results.records import TrialResult


class Progress:
    """What a sweep shows while it runs.

    Args:
        console: Where it is shown.
        objectives: Metrics and what is better of each.
        trials: Trials in all.
        done: Trials that were done before, when a sweep is resumed.
        constraints: What a feasible trial keeps to; only such a one can be the best.
    """

    def __init__(
        self,
        console: Console,
        objectives: Mapping[str, Direction],
        trials: int,
        done: Sequence[TrialResult] = (),
        constraints: Bounds | None = None,
    ) -> None:
        self._console = console
        self._objectives = objectives
        self._constraints = constraints or {}
        self._trials = trials
        self._before = len(done)
        self._results = list(done)
        self._running: dict[str, str] = {}
        self._waiting = set[str]()
        self._epochs = 0
        self._hypervolume = 0.0
        self._start = time.monotonic()
        self._live = Live(console=console, get_renderable=self._panel, refresh_per_second=4)

    def __enter__(self) -> "Progress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def started(self, trial_id: str, parameters: Mapping[str, Any]) -> None:
        """Shows a trial that begins."""
        self._waiting.discard(trial_id)
        self._running[trial_id] = "starting"

    def epoch(self, trial_id: str, epoch: int, epochs: int) -> None:
        """Shows that an epoch of a trial is done."""
        self._epochs += 1
        self._running[trial_id] = f"epoch {epoch} of {epochs}"

    def waits(self, trial_id: str) -> None:
        """Shows that a trial waits for others before it goes on or is stopped."""
        self._running.pop(trial_id, None)
        self._waiting.add(trial_id)

    def cut_off(self, trial_id: str) -> None:
        """Shows that a trial was stopped, and a resume goes on with it."""
        self._running.pop(trial_id, None)

    def finished(self, result: TrialResult, hypervolume: float) -> None:
        """Shows how a trial ended."""
        self._running.pop(result.trial_id, None)
        self._waiting.discard(result.trial_id)
        self._results.append(result)
        self._hypervolume = hypervolume
        if not self._console.is_terminal:
            self._console.print(self._line(result), highlight=False, soft_wrap=True)

    def _line(self, result: TrialResult) -> str:
        values = [f"{m} {result.metrics[m]:.3f}" for m in self._objectives if m in result.metrics]
        reason = [f"({result.stage}: {result.error})"] if result.error else []
        ended = result.status.replace("_", " ")
        ended += ", infeasible" * self._is_infeasible(result)
        if result.status == "stopped_early":
            ended += f" after epoch {result.epochs}"
        head = f"[{len(self._results)}/{self._trials}] trial {result.trial_id} {ended}"
        return "  ".join([" ".join([head, *reason]), *values, self._state()]).replace("[", "\\[")

    def _is_infeasible(self, result: TrialResult) -> bool:
        return result.status == "completed" and not is_feasible(result.metrics, self._constraints)

    def _state(self) -> str:
        left = self._time_left()
        parts = [f"hypervolume {self._hypervolume:.3f}", f"{self._rate():.1f} epochs/s"]
        return ", ".join(parts + ([f"{_clock(left)} left"] if left is not None else []))

    def _rate(self) -> float:
        return self._epochs / max(1e-9, time.monotonic() - self._start)

    def _time_left(self) -> float | None:
        done = len(self._results) - self._before
        if not done:
            return None
        elapsed = time.monotonic() - self._start
        return elapsed / done * max(0, self._trials - len(self._results))

    def _panel(self) -> Group:
        counts = Counter(result.status for result in self._results)
        waiting = f"{len(self._waiting)} waiting, " if self._waiting else ""
        head = Text(
            f"trials {len(self._results)} of {self._trials} done: {counts['completed']} completed, "
            f"{len(self._running)} running, {waiting}{counts['stopped_early']} stopped early, "
            f"{counts['failed']} failed"
        )
        return Group(head, Text(self._state()), self._best_table(), self._running_table())

    def _best_table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for title in ("objective", "best", "trial"):
            table.add_column(title)
        completed = [result for result in self._results if result.status == "completed"]
        feasible = [result for result in completed if not self._is_infeasible(result)]
        for name, direction in self._objectives.items():
            if feasible:
                choose = max if direction == "maximize" else min
                best = choose(feasible, key=lambda result: result.metrics[name])
                table.add_row(name, f"{best.metrics[name]:.3f}", best.trial_id)
        return table

    def _running_table(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        for trial_id, state in self._running.items():
            table.add_row(trial_id, state)
        return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
