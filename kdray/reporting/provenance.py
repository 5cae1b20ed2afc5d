"""What makes a report again: commands, seed, versions and the search space."""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml


def provenance(name: str, sweep: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a sweep was run with: `command`, `seed`, `commit`, `versions` and `space`.

    Args:
        name: What the report calls the sweep.
        sweep: What is in `sweep.yaml`.
    """
    space = yaml.safe_dump(sweep["config"], sort_keys=False, allow_unicode=True)
    return {
        "name": name,
        "space": _without_passwords(space),
        "seed": str(sweep["config"].get("seed", "not recorded")),
        "commit": sweep.get("git_commit") or "not recorded",
        "versions": {"kdray": sweep.get("kdray", "?"), **sweep.get("versions", {})},
        "command": _without_passwords(str(sweep.get("command") or "not recorded")),
    }


def report_command(names: Sequence[str]) -> str:
    """Returns the command that makes a report again."""
    return " ".join(["kdray report", *(shlex.quote(f"runs/{name}") for name in names)])


def _without_passwords(text: str) -> str:
    # Reports are published, and a tracking URI may be https://user:password@host.
    return re.sub(r"://[^/@\s]+@", "://***@", text)
