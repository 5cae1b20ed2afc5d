"""The baseline that every front is compared with: the same student from labels only."""

from typing import Literal

from kdray.distillation.base import DistillationMethod


class NoTeacher(DistillationMethod):
    """Learn from the labels alone (alpha = 0)."""

    method: Literal["none"] = "none"
