"""What Ray Tune holds in the driver and would save."""

from typing import Any


class NotPickled:
    """Saves nothing: Tune pickles its parts for a restore, kdray resumes from its own files."""

    def __getstate__(self) -> dict[str, Any]:
        return {}
