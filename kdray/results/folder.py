"""The folder of one sweep: the only owner of its paths, and how they are written.

Everything is written beside its place and renamed, so that a reader or a crash never sees half.
"""

import glob
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from kdray.errors import ConfigError, Problem
from kdray.results.records import EpochReport, TrialResult

OLD = ".old"
# Of the teacher, and of every trial: logits by split, and thresholds.
PREDICTIONS = "predictions.npz"
# Of the teacher: targets by split, and labels; texts of test, if a report may show them.
TRUTH, TEXTS = "truth.npz", "texts.json"
KINDS = ("trials", "baselines", "confirmations")
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class SweepFolder:
    """Paths of `runs/NAME`.

    Attributes:
        root: The sweep's folder.
        kind: Where what is run has its folders, one of KINDS.
        member: Of the members of an ensemble, the one whose folder `teacher` is; empty: of all.
        typed: What the user calls it.
    """

    root: Path
    kind: str = field(default="trials", kw_only=True)
    member: str = field(default="", kw_only=True)
    typed: str = field(default="", kw_only=True, compare=False)

    @property
    def name(self) -> str:
        """Name of the sweep."""
        return self.root.name

    @property
    def sweep_yaml(self) -> Path:
        """The resolved configuration, versions, git commit and seed."""
        return self.root / "sweep.yaml"

    @property
    def trials_csv(self) -> Path:
        """One row a trial."""
        return self.root / "trials.csv"

    @property
    def summary_json(self) -> Path:
        """Counts, front, hypervolume and the teacher's metrics."""
        return self.root / "summary.json"

    @property
    def errors_json(self) -> Path:
        """Where the teacher and the students of the front are wrong on test."""
        return self.root / "errors.json"

    @property
    def importance_json(self) -> Path:
        """Importance of each drawn parameter for each objective."""
        return self.root / "importance.json"

    @property
    def confirmation_json(self) -> Path:
        """What the students of the front reach with other seeds."""
        return self.root / "confirmation.json"

    @property
    def optuna_log(self) -> Path:
        """The journal of the Optuna study."""
        return self.root / "optuna.log"

    @property
    def tracking_json(self) -> Path:
        """Where MLflow records the sweep."""
        return self.root / "tracking.json"

    @property
    def teacher(self) -> Path:
        """The prepared teacher, stored as a student is; an ensemble: of each member.

        `kdray.load_student` loads it; `from_pretrained` too where it classifies by its family's
        way (`teacher.pooling: cls`).
        """
        return self.root / "teacher" / self.member

    @property
    def verification_json(self) -> Path:
        """The teacher's metrics, the reference values and what verification found."""
        return self.teacher / "verification.json"

    @property
    def teacher_outputs(self) -> Path:
        """The teacher's outputs on the training set, computed once; of a member: `outputs/0`."""
        return self.root / "teacher" / "outputs" / self.member

    def of_member(self, number: int) -> Self:
        """Returns the same folder for one member of an ensemble, from 0: `teacher/0`."""
        return replace(self, member=str(number))

    @property
    def baselines(self) -> Self:
        """The same folder for what is run beside the front: each under the id of its trial."""
        return replace(self, kind="baselines")

    @property
    def confirmations(self) -> Self:
        """The same folder for the front's students with other seeds: `0007-seed-1` and so on."""
        return replace(self, kind="confirmations")

    def trial(self, trial_id: str) -> Path:
        """Returns the folder of one trial.

        Raises:
            ConfigError: If the id, which may come from a file or a command line, is no safe name.
        """
        return self.root / self.kind / self._safe(trial_id)

    def student(self, trial_id: str) -> Path:
        """Returns the folder of one trial's student; see `trial`. That of a baseline is its own."""
        kept = "students" if self.kind == "trials" else f"{self.kind}_students"
        return self.root / kept / self._safe(trial_id)

    def checkpoint(self, trial_id: str) -> Path:
        """Returns the folder of one trial's state, while it has no result."""
        return self.root / "checkpoints" / self._safe(trial_id)

    def _safe(self, trial_id: str) -> str:
        if not SAFE_NAME.fullmatch(trial_id):
            message = f"{trial_id!r} cannot be a trial's id; an id is a number such as 0007"
            raise ConfigError([Problem(str(self.root), message)])
        return trial_id

    @property
    def address(self) -> str:
        """What a command calls the sweep."""
        return str(self.root)

    def exists(self) -> bool:
        """Returns whether there is something of this name."""
        return self.root.exists()

    def share(self, *paths: Path) -> None:
        """Gives other machines what is new in files or folders; a plain folder they see anyway."""

    def fetch(self, *paths: Path) -> None:
        """Takes what other machines have shared; in a plain folder it is there already."""

    def remove(self, path: Path) -> None:
        """Deletes a folder of the sweep."""
        shutil.rmtree(path, ignore_errors=True)

    def release(self, path: Path) -> None:
        """Frees what a shared folder takes here, where that is a copy; `fetch` brings it back."""

    def students(self) -> list[str]:
        """Returns the trials whose students are kept."""
        return sorted(path.name for path in (self.root / "students").glob("[!.]*"))

    def result(self, trial_id: str) -> TrialResult | None:
        """Returns the result of a trial, or None if it has not finished."""
        file = self.trial(trial_id) / "result.json"
        return TrialResult.from_json(file.read_text(encoding="utf-8")) if file.exists() else None

    def results(self) -> list[TrialResult]:
        """Returns the results of all finished trials, in the order of their ids."""
        files = list((self.root / self.kind).glob("[!.]*/result.json"))
        files.sort(key=lambda file: (len(file.parent.name), file.parent.name))
        return [TrialResult.from_json(file.read_text(encoding="utf-8")) for file in files]

    def epochs(self, trial_id: str) -> list[EpochReport]:
        """Returns the reports of a finished trial, epoch by epoch."""
        file = self.trial(trial_id) / "epochs.jsonl"
        lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else []
        return [EpochReport.from_json(line) for line in lines if line]


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Gives an empty folder that takes the place of `target` when the block ends well.

    A folder that is there already stays until the new one is whole, and is put back if that
    cannot take its place. What a killed process left of the same folder is removed.

    Args:
        target: The folder to make or replace; its files are on disk when it appears.
    """
    _tidy(target)
    staging = target.with_name(f".{target.name}.{os.getpid()}")
    staging.mkdir(parents=True)
    try:
        yield staging
        for path in (*staging.rglob("*"), staging):
            _sync(path)
        _take_place(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_file(target: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` make a file beside `target`, then renames it into place.

    The extension is kept, because figure libraries choose the format by it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        write(staging)
        _sync(staging)
        staging.replace(target)
        _sync(target.parent)
    finally:
        staging.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Writes a text file whole."""
    write_file(target, lambda path: path.write_text(text, encoding="utf-8"))


def write_json(target: Path, value: Mapping[str, Any]) -> None:
    """Writes a JSON file whole, indented for people."""
    write_text(target, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_trial(
    folder: SweepFolder,
    result: TrialResult,
    epochs: Sequence[EpochReport] = (),
    files: Mapping[str, Callable[[Path], object]] | None = None,
) -> None:
    """Puts a finished trial on disk in one piece.

    Args:
        folder: The sweep's folder.
        result: How the trial ended.
        epochs: Its reports, one a line in `epochs.jsonl`.
        files: More files by name, each with the function that writes it.
    """
    with written_whole(folder.trial(result.trial_id)) as staging:
        for name, write in (files or {}).items():
            write(staging / name)
        lines = "".join(report.to_json() + "\n" for report in epochs)
        (staging / "epochs.jsonl").write_text(lines, encoding="utf-8")
        (staging / "result.json").write_text(result.to_json() + "\n", encoding="utf-8")
    share_trial(folder, result.trial_id)


def share_trial(folder: SweepFolder, trial_id: str) -> None:
    """Gives other machines a finished trial and its student, which this one then needs no more."""
    student = folder.student(trial_id)
    folder.share(student, folder.trial(trial_id))
    folder.release(student)


def _tidy(target: Path) -> None:
    """Puts back or removes what a process left that was killed while it wrote `target`."""
    for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
        if left.suffix == OLD and not target.exists():
            left.rename(target)
        else:
            # Whose process was only dying may still write there.
            shutil.rmtree(left, ignore_errors=True)


def _take_place(new: Path, target: Path) -> None:
    old = new.with_name(new.name + OLD)
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
