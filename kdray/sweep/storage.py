"""A sweep in an object store: every machine has a folder of it, and the store has the truth.

An object store has no rename. A trial is whole when its `result.json` is there, which is written
last.
"""

import fcntl
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from kdray.errors import ConfigError, Problem, SweepError
from kdray.results.folder import KINDS, SweepFolder, write_text
from kdray.results.records import TrialResult
from kdray.sweep.copying import ITSELF, at, delete, pull, push, there
from kdray.sweep.object_store import (
    Place,
    check,
    child,
    insisting,
    mirror_root,
    place,
    reason,
)

# Large, and wanted by those alone who ask for one of them by name.
_LARGE = ("students", "checkpoints", "teacher/outputs")
_SETTLED: set[str] = set()


@dataclass(frozen=True)
class Mirror(SweepFolder):
    """A sweep's folder on this machine, and its place in an object store.

    What a process writes to the folder, the other machines have once `share` was told of it.

    Attributes:
        uri: The place, `s3://bucket/runs/NAME?region=…`.
    """

    uri: str

    @property
    def address(self) -> str:
        """What a command calls the sweep."""
        return self.uri

    def exists(self) -> bool:
        """Returns whether there is something of this name, also if it is being prepared here."""
        being_prepared = self.root.exists() and not self._origin.exists()
        return being_prepared or bool(there(place(self.uri)))

    def share(self, *paths: Path) -> None:
        """Gives the other machines what is new in files or folders of the sweep.

        The folder of a trial, a student or the teacher is then there exactly as it is here. Of the
        sweep's own folder that is not the checkpoints: each is shared by who wrote it, and this
        machine's may be older.

        Raises:
            SweepError: If the store stays away.
        """
        for path in filter(Path.exists, paths):
            exactly = path.is_dir() and path != self.root
            left_out = ("checkpoints",) if path == self.root else ()
            self._insist(partial(push, path, self._place(path), exactly, left_out), claim=True)

    def fetch(self, *paths: Path) -> None:
        """Takes what is newer in the store, of files or folders of the sweep.

        Of the sweep's own folder that is not what is large: students, checkpoints, the teacher's
        outputs. A trial that is not whole is left there.

        Raises:
            SweepError: If the store stays away.
        """
        for path in paths:
            self._insist(partial(self._pull, path))

    def remove(self, path: Path) -> None:
        """Deletes a folder of the sweep, here and in the store.

        Raises:
            SweepError: If the store stays away.
        """
        shutil.rmtree(path, ignore_errors=True)
        self._insist(lambda: delete(self._place(path), there(self._place(path))))

    def release(self, path: Path) -> None:
        """Deletes a folder of the sweep here; the store keeps it."""
        shutil.rmtree(path, ignore_errors=True)

    def result(self, trial_id: str) -> TrialResult | None:
        """Returns the result of a trial, whichever machine did it; None if it has not finished."""
        if super().result(trial_id) is None:
            self.fetch(self.trial(trial_id))
        return super().result(trial_id)

    def students(self) -> list[str]:
        """Returns the trials whose students are kept, here or in the store."""
        folder = self.root / "students"
        kept = {PurePosixPath(name).parts[0] for name in there(self._place(folder))}
        return sorted(kept.union(path.name for path in folder.glob("[!.]*")))

    @property
    def _origin(self) -> Path:
        return self.root / ".origin"

    def _place(self, path: Path) -> Place:
        return at(place(self.uri), path.relative_to(self.root).as_posix())

    def _insist(self, action: Callable[[], object], claim: bool = False) -> None:
        def act() -> None:
            self._settle(claim)
            action()

        try:
            insisting(act)
        except OSError as error:
            raise SweepError(
                f"{self.uri}: {reason(error)}\n  what was done on this machine is in {self.root}; "
                f"go on with `kdray resume '{self.uri}'`"
            ) from error

    def _settle(self, claim: bool) -> None:
        """Sees to it, once a process, that folder and place are of the same sweep.

        A sweep of this name may have been deleted in the store, and another begun. A place where
        there is none is claimed by the first that has something to share.
        """
        if self.uri in _SETTLED and self._origin.exists():
            return
        target = self._place(self._origin)
        with _alone(self.root):
            if there(target):
                self._forget_another(target)
            elif claim:
                if not self._origin.exists():
                    write_text(self._origin, uuid.uuid4().hex)
                push(self._origin, target, exactly=False)
            else:
                return
        _SETTLED.add(self.uri)

    def _forget_another(self, target: Place) -> None:
        with target.system.open_input_stream(target.path) as stream:
            origin = stream.read().decode()
        if not self._origin.exists() or self._origin.read_text(encoding="utf-8") != origin:
            shutil.rmtree(self.root, ignore_errors=True)
            write_text(self._origin, origin)

    def _pull(self, path: Path) -> None:
        source = self._place(path)
        files = there(source)
        if path == self.root:
            files = {name: info for name, info in files.items() if not _is_large(name)}
        files = {n: info for n, info in files.items() if self._is_whole(path / n, path, files)}
        with _alone(self.root):
            pull(source, path, files)

    def _is_whole(self, file: Path, asked: Path, files: Mapping[str, Any]) -> bool:
        """Returns whether a file is of no trial, or of one that is whole in the store."""
        if file.parent.parent not in [self.root / kind for kind in KINDS]:
            return True
        return (file.parent / "result.json").relative_to(asked).as_posix() in files


def new_sweep(output: str, name: str) -> Mirror:
    """Returns the folder of a new sweep in an object store that takes what is written to it.

    What an earlier sweep of the place has left on this machine is deleted, unless `exists`.

    Args:
        output: URI of the folder of sweeps.
        name: Name of the sweep.

    Raises:
        ConfigError: If the store cannot be written to.
    """
    check(output, writable=True)
    folder = _mirror(child(output, name))
    if not folder.exists():
        shutil.rmtree(folder.root, ignore_errors=True)
    return folder


def begun_sweep(uri: str, writable: bool = False) -> Mirror:
    """Returns the folder of a sweep in an object store, with all but what is large fetched.

    Args:
        uri: The sweep's place.
        writable: Whether the sweep is to go on.

    Raises:
        ConfigError: If the store cannot be reached, or has no such sweep.
    """
    check(uri, writable)
    folder = _mirror(uri)
    if ITSELF not in there(folder._place(folder.sweep_yaml)):
        raise ConfigError([Problem(uri, "is no sweep: it has no sweep.yaml")])
    folder.fetch(folder.root)
    return folder


def _mirror(uri: str) -> Mirror:
    return Mirror(mirror_root(uri), uri)


def _is_large(name: str) -> bool:
    return name.startswith(tuple(f"{folder}/" for folder in _LARGE))


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Keeps other processes of this machine from copying the same sweep inside the block."""
    root.parent.mkdir(parents=True, exist_ok=True)
    with (root.parent / f".{root.name}.lock").open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
