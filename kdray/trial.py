"""One trial, straight down: verify the teacher, prune, distil, evaluate. READ THIS FIRST.

It runs without Ray, Optuna and MLflow: a sweep calls it in its workers, `kdray trial` in process.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from operator import is_
from time import monotonic
from typing import Any

from kdray.distil_stage import begin_course
from kdray.errors import KdrayError
from kdray.evaluation.efficiency import paired_latency, throughput
from kdray.evaluation.measure import Measured, measure_quality, measure_size, probe_inputs
from kdray.models.building import borrow
from kdray.models.first_position import first_position_only
from kdray.models.outputs import best_device
from kdray.models.packing import from_format, to_format
from kdray.models.student import Student, stored_mb
from kdray.preparation import PreparedSweep
from kdray.prune_stage import build_student, prune, unpruned
from kdray.pruning.base import Prunable
from kdray.pupils import as_student
from kdray.regimes.table import teach
from kdray.results.records import EpochReport, Stage
from kdray.schema import TrialConfig
from kdray.staff import Setting
from kdray.teachers import teacher_digest
from kdray.training.course import Checkpoints, OnEpoch, ignore
from kdray.training.randomness import deterministic_algorithms, seed_everything

# A process waits so many times as long as it took to read the teacher through, and does it again.
SELDOM = 100.0
# By the teacher's digest and number format: a worker's trials have one teacher.
_TEACHER_MB: dict[tuple[str, str], float] = {}


class TrialError(KdrayError):
    """A trial failed: in which stage, and why."""

    def __init__(self, stage: Stage, reason: str) -> None:
        self.stage: Stage = stage
        self.reason = reason
        super().__init__(f"{stage}: {reason}")

    def __reduce__(self) -> tuple[type["TrialError"], tuple[Stage, str]]:
        return type(self), (self.stage, self.reason)


@dataclass(frozen=True)
class Finished:
    """A trial that came to its end.

    Attributes:
        metrics: Validation metrics of the selected epoch, with what each term of the loss
            contributed in it (`gradient_share_hard`), `test_…` metrics, sizes and speed,
            `retention` and `test_retention` (student / teacher in the selection metric), and
            `teacher_size_mb`: the teacher's size in the number format of the student
            (`size_share`: student / teacher); `teacher_latency_ms`: its latency in turn with it.
        epochs: The report of every epoch.
        selected_epoch: The epoch whose weights were kept.
        student: The student, in evaluation mode on the CPU.
        logits: Its logits on every split that it is measured on.
        duration_s: Seconds from start to end; of a trial that was cut off, those before its last
            checkpoint too.
        stage_s: Seconds that each stage took in this process.
    """

    metrics: Mapping[str, float]
    epochs: tuple[EpochReport, ...]
    selected_epoch: int
    student: Student
    logits: Mapping[str, Any]
    duration_s: float
    stage_s: Mapping[str, float] = field(default_factory=dict)


def run_trial(
    config: TrialConfig,
    sweep: PreparedSweep,
    on_epoch: OnEpoch = ignore,
    checkpoints: Checkpoints | None = None,
) -> Finished:
    """Runs one trial, or goes on with one that was cut off.

    Args:
        config: The drawn configuration.
        sweep: What all trials share; it is not changed.
        on_epoch: Takes the report of each epoch; what it raises ends the trial.
        checkpoints: Where the state is kept; None for nowhere. If one of the same trial is there,
            the trial goes on from it, on the CPU to the same end, bit for bit. `on_epoch` then
            hears only of the epochs after it; those that were told of but not yet kept are done
            and told of again. A damaged state, or one of another trial, is passed over.

    Returns:
        The student and everything measured of it. Validation selects the epoch; test is measured
        once, at the end.

    Raises:
        TrialError: If a stage fails.
    """
    stage_s: dict[str, float] = {}
    course = begin_course(config, sweep, checkpoints, on_epoch)
    seed_everything(config.training.seed)
    with _stage("verify", stage_s):
        _WATCH.check(sweep)
    # What is timed afterwards runs as it would elsewhere.
    with deterministic_algorithms(config.training.deterministic):
        with _stage("prune", stage_s):
            pruned = prune(unpruned(build_student(config, sweep), sweep), config)
        with _stage("distil", stage_s):
            distilled = teach(pruned, Setting(config, sweep, course))
    with _stage("evaluate", stage_s):
        student, measured, metrics = evaluate(distilled, config, sweep)
    selected = next(report for report in course.epochs if report.epoch == course.best.epoch)
    return Finished(
        metrics | selected.shares,
        tuple(course.epochs),
        course.best.epoch,
        student,
        measured.logits,
        course.duration_s,
        stage_s,
    )


def check_teacher(sweep: PreparedSweep) -> None:
    """Checks that the shared teacher still is the one that was verified.

    Raises:
        RuntimeError: If a weight has changed since.
    """
    if teacher_digest(*sweep.teachers) != sweep.verified.digest:
        raise RuntimeError("the teacher's weights are not those that were verified")


def evaluate(
    distilled: Prunable, config: TrialConfig, sweep: PreparedSweep
) -> tuple[Student, Measured, dict[str, float]]:
    """Measures the student as it will be stored, rounded to its number format."""
    device, model, splits = best_device(), distilled.model, distilled.splits
    rounded = to_format(model.state_dict(), config.student.weights)
    model.load_state_dict(from_format(rounded))
    probe = probe_inputs(splits["train"], device)
    with first_position_only(model, probe):
        measured = measure_quality(model, splits, sweep.labels, config.evaluation)
    metrics = dict(measured.metrics) | measure_size(model, probe)
    teachers = [borrow(state).to(device) for state in sweep.teachers]
    probes = [probe_inputs(train, device) for train in sweep.trains]
    (teacher, its_probe), *others = zip(teachers, probes, strict=True)
    metrics |= paired_latency(model, teacher, probe, its_probe, others)
    metrics |= throughput(model, splits["train"])
    metrics |= retention(metrics, sweep.verified.metrics, config.selection_metric)
    model.cpu()
    student = as_student(distilled, config, sweep, measured.thresholds)
    return student, measured, metrics | sizes(student, sweep)


def sizes(student: Student, sweep: PreparedSweep) -> dict[str, float]:
    """Returns `size_mb`, `teacher_size_mb` in the student's number format, and their ratio.

    `size_share` compares like with like, so a halved number format does not count as smaller.
    """
    key = sweep.verified.digest, student.number_format
    if key not in _TEACHER_MB:
        teachers = [replace(student, model=borrow(state)) for state in sweep.teachers]
        _TEACHER_MB[key] = sum(map(stored_mb, teachers))
    mine, its = stored_mb(student), _TEACHER_MB[key]
    return {"size_mb": mine, "teacher_size_mb": its, "size_share": mine / its}


def retention(
    student: Mapping[str, float], teacher: Mapping[str, float], metric: str
) -> dict[str, float]:
    """Returns `retention` and `test_retention`, student / teacher; left out where that is none."""
    return {
        f"{prefix}retention": student[prefix + metric] / teacher[prefix + metric]
        for prefix in ("", "test_")
        if prefix + metric in student and teacher.get(prefix + metric)
    }


class TeacherWatch:
    """Checks the teacher at a process's first trial with it, and then in 1 % of the time.

    To read all weights of a large one through takes longer than the rest of verifying.
    """

    def __init__(self) -> None:
        self._known: list[Any] = []
        self._next = 0.0

    def check(self, sweep: PreparedSweep) -> None:
        """Checks a sweep's teacher if it is another one than before, or it is time again.

        Raises:
            RuntimeError: If a weight has changed since it was verified.
        """
        weights = [array for state in sweep.teachers for array in state.weights.values()]
        seen, begun = [sweep.verified.digest, *weights], monotonic()
        is_known = len(seen) == len(self._known) and all(map(is_, seen, self._known))
        if is_known and begun < self._next:
            return
        self._known = []
        check_teacher(sweep)
        end = monotonic()
        self._known, self._next = seen, end + SELDOM * (end - begun)


_WATCH = TeacherWatch()


@contextmanager
def _stage(name: Stage, seconds: dict[str, float]) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
        seconds[name] = time.perf_counter() - start
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise TrialError(name, reason[0] if reason else type(error).__name__) from error
