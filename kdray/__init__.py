"""kdray finds the smallest model that is still good enough.

The public names are imported when they are first used, so that `kdray --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdray.loading import load_sweep_config
    from kdray.models.student import load_student
    from kdray.trial import run_trial

__version__ = "0.1.0"

__all__ = ["__version__", "load_student", "load_sweep_config", "run_trial"]

_HOMES = {
    "load_student": "kdray.models.student",
    "load_sweep_config": "kdray.loading",
    "run_trial": "kdray.trial",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kdray' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
