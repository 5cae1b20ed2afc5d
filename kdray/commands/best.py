"""`kdray best`: the student to take away."""

import shutil
from pathlib import Path

from rich.console import Console

from kdray.commands.fronts import print_metrics
from kdray.errors import ConfigError, Problem
from kdray.locations import sweep_folder
from kdray.results.folder import written_whole


def take_best(
    folder: str,
    max_size_mb: float | None,
    min_macro_f1: float | None,
    within: float | None,
    output: Path | None,
) -> None:
    """Names the best student under constraints, and copies it out."""
    from kdray.reporting.best import Constraints, best_student

    target = sweep_folder(folder)
    row = best_student(target, Constraints(max_size_mb, min_macro_f1, within))
    console = Console()
    console.print(f"trial {row['trial_id']}", style="bold")
    result = target.result(row["trial_id"])
    assert result is not None, "a trial on the front has a result"
    for name, value in result.parameters.items():
        console.print(f"{name}: {value}", highlight=False)
    print_metrics(result.metrics, console)
    student = target.student(row["trial_id"])
    target.fetch(student)
    if not student.is_dir():
        again = f"kdray trial {folder} {row['trial_id']} --output DIR"
        message = f"has no weights of it (search.keep); make it again with `{again}`"
        raise ConfigError([Problem(folder, message)])
    if output is not None:
        student = copy_student(student, output)
    console.print(f"student: {student}", soft_wrap=True, highlight=False)
    console.print(
        f"    import kdray\n    student = kdray.load_student({str(student)!r})\n"
        "    student.predict(['a text'])",
        highlight=False,
        soft_wrap=True,
    )


def copy_student(student: Path, output: Path) -> Path:
    """Copies a student to a new folder, or in place of another student.

    Raises:
        ConfigError: If the folder holds something else.
    """
    from kdray.models.student import CARD

    if output.exists() and any(output.iterdir()) and not (output / CARD).exists():
        message = f"{output} holds something else; take a new folder"
        raise ConfigError([Problem("--output", message)])
    with written_whole(output.resolve()) as staging:
        shutil.copytree(student, staging, dirs_exist_ok=True)
    return output
