"""What makes a report again: commands, seed, versions and the search space."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from kdray.results.folder import SweepFolder


def provenance(name: str, folder: SweepFolder, sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a sweep was run with: `commands`, `seed`, `commit`, `versions` and `space`.

    Args:
        name: What the report calls the sweep.
        folder: Its folder.
        sweep: What is in `sweep.yaml`.
    """
    space = yaml.safe_dump(sweep["config"], sort_keys=False, allow_unicode=True)
    return {
        "name": name,
        "space": _without_passwords(space),
        "seed": str(sweep["config"].get("seed", "not recorded")),
        "commit": sweep.get("git_commit") or "not recorded",
        "versions": {"kdray": sweep.get("kdray", "?"), **sweep.get("versions", {})},
        "commands": "\n".join([_begun(sweep), *_gone_on(folder, sweep)]),
    }


def report_command(folders: Sequence[SweepFolder]) -> str:
    """Returns the command that makes a report again."""
    return " ".join(["kdray report", *map(called, folders)])


def called(folder: SweepFolder) -> str:
    """Returns what a command line that is shown calls a sweep."""
    place = folder.address if "://" in folder.address else folder.typed or f"runs/{folder.name}"
    return shlex.quote(_without_passwords(place))


def _begun(sweep: Mapping[str, Any]) -> str:
    return _without_passwords(str(sweep.get("command") or "not recorded"))


def _gone_on(folder: SweepFolder, sweep: Mapping[str, Any]) -> list[str]:
    """What gave the sweep other trials than it began with, and its front other seeds."""
    commands = [f"kdray resume {called(folder)} --trials {n}" for n in sweep.get("resumed", [])]
    if folder.confirmation_json.is_file():
        runs = json.loads(folder.confirmation_json.read_text(encoding="utf-8"))["trials"].values()
        commands.append(f"kdray confirm {called(folder)} --seeds {max(map(len, runs), default=0)}")
    return commands


def _without_passwords(text: str) -> str:
    # Reports are published, and a tracking URI may be https://user:password@host.
    return re.sub(r"://[^/@\s]+@", "://***@", text)
