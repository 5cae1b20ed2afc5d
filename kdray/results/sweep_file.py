"""What is in `sweep.yaml`: all that a user, a merge or a broken disk has left of it."""

from typing import Any

from kdray.errors import ConfigError, Problem
from kdray.results.folder import SweepFolder

_WAY_OUT = "; put the file back as it was, or begin the sweep anew under another name"
_KINDS = {"config": dict, "base": str}


def read_sweep_file(folder: SweepFolder, *needed: str) -> dict[str, Any]:
    """Returns what is in the `sweep.yaml` of a sweep.

    Args:
        folder: The sweep's folder.
        needed: What else than `config` has to be there.

    Raises:
        ConfigError: If there is none, or it is not what a sweep has written.
    """
    import yaml

    if not folder.sweep_yaml.is_file():
        raise _refused(folder, "no such file; a sweep writes it (kdray sweep, kdray resume)")
    try:
        content = yaml.safe_load(folder.sweep_yaml.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refused(folder, f"is no YAML ({' '.join(str(error).split())}){_WAY_OUT}") from None
    for key in ("config", *needed):
        if not isinstance(content, dict) or not isinstance(content.get(key), _KINDS[key]):
            raise _refused(folder, f"has no `{key}`, which a sweep writes there{_WAY_OUT}")
    found: dict[str, Any] = content
    return found


def _refused(folder: SweepFolder, message: str) -> ConfigError:
    return ConfigError([Problem("sweep.yaml", message)], str(folder.root))
