"""The errors that kdray raises on purpose; everything else that escapes is a bug."""

from collections.abc import Sequence
from dataclasses import dataclass


class KdrayError(Exception):
    """Base of all errors with a message for the user.

    Attributes:
        exit_code: What the command line ends with: 2 for wrong input, 1 for a sweep that failed,
            130 for one that the user stopped.
    """

    exit_code = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with the user's input.

    Attributes:
        where: The dotted key (`pruning.ratio`) or the file.
        message: The rule, the value found and, where there is one, the way out.
        line: Line in the search-space file, if the problem has one.
    """

    where: str
    message: str
    line: int | None = None

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line else ""
        return f"{line}{self.where}: {self.message}"


class ConfigError(KdrayError):
    """The user's file, data or flags are wrong: all problems at once."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem], source: str = "") -> None:
        self.problems = tuple(problems)
        self.source = source
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        head = f"{source} has {count}:" if source else f"{count}:"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))

    def __reduce__(self) -> tuple[type["ConfigError"], tuple[tuple[Problem, ...], str]]:
        return type(self), (self.problems, self.source)


class TeacherError(KdrayError):
    """The teacher is not good enough to teach (`teacher.verify`)."""


class SweepError(KdrayError):
    """The sweep ran but has nothing to show."""


class StoppedError(KdrayError):
    """The user stopped the sweep (Ctrl-C); what is done is kept."""

    exit_code = 130


class DivergedError(KdrayError):
    """The loss is no longer a finite number."""


class ExportError(KdrayError):
    """A student cannot be written in another format as what it is."""
