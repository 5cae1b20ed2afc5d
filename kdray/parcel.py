"""A search space packed for another machine: with the local files that it names, and no others.

Every path in it becomes a relative one, so that it resolves wherever the folder is unpacked.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from kdray.config.loading import FILE_KEYS, FOLDER_LIST, FOLDER_OR_NAME_KEYS
from kdray.errors import ConfigError, Problem
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig

SPACE = "space.yaml"
# Ray takes no larger package.
MOST_MB = 500
_NEVER = (".git", ".venv", "__pycache__", ".gitignore", ".rayignore")
_Move = Callable[[str], str]


def pack(config: SweepConfig, target: Path) -> dict[str, str]:
    """Writes a search space, as `space.yaml`, and the local files that it names to a folder.

    Of an earlier sweep (`search.warm_start`) only what is learnt from is taken.

    Returns:
        The path here of each file or folder, by its path in the target.

    Raises:
        ConfigError: If they are more than Ray sends.
    """
    found: dict[Path, str] = {}

    def move(value: str) -> str:
        source = (config.base / value).resolve()
        if not source.exists():
            return value
        return found.setdefault(source, f"files/{len(found)}-{source.name}")

    content = moved(config.content, move)
    _check_size(found)
    # JSON is YAML in which no string can be read as a number.
    (target / SPACE).write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    for source, place in found.items():
        _copy(source, target / place, found)
    return {place: str(source) for source, place in found.items()}


def moved(value: Any, move: _Move, keys: tuple[str, ...] = ()) -> Any:
    """Returns a search space's content with every text that may be a path as `move` gives it."""
    if isinstance(value, Mapping):
        return {key: moved(item, move, (*keys, str(key))) for key, item in value.items()}
    if isinstance(value, list):
        return [moved(item, move, (*keys, str(index))) for index, item in enumerate(value)]
    return move(value) if isinstance(value, str) and _may_be_path(keys) else value


def _may_be_path(keys: tuple[str, ...]) -> bool:
    named = ".".join(key for key in keys if key != "choice" and not key.isdecimal())
    named = named.removeprefix("search.points.")
    return named in (*FILE_KEYS, *FOLDER_OR_NAME_KEYS, FOLDER_LIST.rstrip("."))


def _check_size(found: Mapping[Path, str]) -> None:
    sizes = {source: sum(file.stat().st_size for file in _files(source)) / 1e6 for source in found}
    if sum(sizes.values()) > MOST_MB:
        listed = ", ".join(f"{source} ({size:.0f} MB)" for source, size in sizes.items())
        message = (
            f"are {sum(sizes.values()):.0f} MB, but a Ray job carries at most {MOST_MB} MB: "
            f"{listed}; name a model or data set of the hub, or run `kdray sweep --address auto` "
            "on a machine of the cluster that has the files"
        )
        raise ConfigError([Problem("local files", message)])


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    files = _learnt_from(source) or list(source.rglob("*"))
    return [path for path in files if path.is_file() and not _is_never_sent(path, source)]


def _is_never_sent(path: Path, source: Path) -> bool:
    return not set(_NEVER).isdisjoint(path.relative_to(source).parts)


def _copy(source: Path, target: Path, found: Mapping[Path, str]) -> None:
    for file in _files(source):
        copied = target / file.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copied)
    if _learnt_from(source):
        _relocate(target / "sweep.yaml", found)


def _learnt_from(source: Path) -> list[Path]:
    """Returns what of a sweep's folder another one learns from; nothing of any other folder."""
    folder = SweepFolder(source)
    if not folder.sweep_yaml.is_file():
        return []
    trials = source / "trials"
    return [folder.sweep_yaml, *trials.glob("*/result.json"), *trials.glob("*/config.yaml")]


def _relocate(sweep_yaml: Path, found: Mapping[Path, str]) -> None:
    """Lets an earlier sweep name the same files as the new one: its base is the working folder."""
    written = yaml.safe_load(sweep_yaml.read_text(encoding="utf-8"))
    base = Path(written["base"])
    config = moved(written["config"], lambda value: found.get((base / value).resolve(), value))
    text = yaml.safe_dump(written | {"config": config, "base": "."}, allow_unicode=True)
    sweep_yaml.write_text(text, encoding="utf-8")
