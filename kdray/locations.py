"""Where sweeps are: folders of this machine, or places in an object store."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kdray.config.loading import Document, read_document, with_overrides
from kdray.errors import ConfigError, Problem
from kdray.loading import parse_sweep_config
from kdray.profile import profile_output
from kdray.results.folder import SweepFolder
from kdray.results.sweep_file import read_sweep_file
from kdray.results.writable import folder_problems
from kdray.schema import SweepConfig


def output_folder(profile: Path | None) -> str:
    """Returns the folder or URI of sweeps that a profile names, or `runs`.

    Raises:
        ConfigError: If the profile is wrong.
    """
    named = profile_output(read_document(profile)) if profile is not None else None
    return named or "runs"


def sweep_folder(target: str, writable: bool = False) -> SweepFolder:
    """Returns the folder of a sweep that was begun, from its path or its URI in an object store.

    Args:
        target: The path or URI.
        writable: Whether the sweep is to go on.

    Raises:
        ConfigError: If an object store cannot be reached, or has no such sweep, or the folder is
            that of several, or cannot be written to though it is to go on.
    """
    if "://" not in target:
        _check_is_one(target)
        folder = _typed(target)
        if writable:
            check_writable(folder, target)
        return folder
    from kdray.sweep.storage import begun_sweep

    return begun_sweep(target, writable)


def _check_is_one(target: str) -> None:
    """Refuses a folder of sweeps, and names them."""
    found = sorted(file.parent for file in Path(target).glob("*/sweep.yaml"))
    if found and not (Path(target) / "sweep.yaml").exists():
        named = ", ".join(str(one) for one in found[:8]) + (", …" if found[8:] else "")
        raise ConfigError([Problem(target, f"is a folder of sweeps; name one of them: {named}")])


def new_folder(output: str, name: str, asked: bool) -> SweepFolder:
    """Returns a folder that is not there yet: NAME, else NAME-2, NAME-3 and so on.

    Args:
        output: Folder or URI of sweeps.
        name: The sweep's name.
        asked: Whether it has to be this one.

    Raises:
        ConfigError: If a name that the user asked for is there, or an object store cannot be used.
    """
    folder, number = _folder(output, name), 2
    if asked and folder.exists():
        there = folder.address
        message = f"{there} is there already; take another name, or `kdray resume {there}`"
        raise ConfigError([Problem("--name", message)])
    while folder.exists():
        folder = _folder(output, f"{name}-{number}")
        number += 1
    return folder


def check_writable(folder: SweepFolder, where: str = "--output") -> None:
    """Checks that a sweep can be written to its folder, made or not; it tries.

    Args:
        folder: The folder.
        where: What named it.

    Raises:
        ConfigError: If it cannot.
    """
    problems = [] if "://" in folder.address else folder_problems(where, folder.root)
    if problems:
        raise ConfigError(problems)


def _folder(output: str, name: str) -> SweepFolder:
    if "://" not in output:
        return _typed(str(Path(output) / name))
    from kdray.sweep.storage import new_sweep

    return new_sweep(output, name)


def _typed(path: str) -> SweepFolder:
    """Returns a folder that is called as it was typed, an absolute path from here if it is here."""
    root, here = Path(path).resolve(), Path.cwd()
    inside = Path(path).is_absolute() and root.is_relative_to(here)
    return SweepFolder(root, typed=str(root.relative_to(here) if inside else Path(path)))


def published(folder: SweepFolder) -> SweepFolder:
    """Returns a sweep's folder as what is published calls it.

    An absolute path is its owner's alone, unless the command that ran the sweep names it too.

    Raises:
        ConfigError: If the folder holds no sweep.
    """
    place = Path(folder.typed)
    if not place.is_absolute() or str(place.parent) in str(read_sweep_file(folder).get("command")):
        return folder
    return replace(folder, typed="/".join(folder.root.parts[-2:]))


def past_config(folder: SweepFolder, assignments: Sequence[str] = ()) -> SweepConfig:
    """Returns the configuration that a sweep was run with.

    Raises:
        ConfigError: If the folder holds no sweep, or its file is damaged.
    """
    return parse_sweep_config(with_overrides(past_document(folder), assignments), begun=True)


def past_document(folder: SweepFolder) -> Document:
    """Returns what a sweep wrote down of its configuration; see `past_config`."""
    written = read_sweep_file(folder, "base")
    return Document(written["config"], {}, str(folder.sweep_yaml), Path(written["base"]))
