"""The time that a sweep has: after it nothing begins, and what runs stops after its epoch."""

import time
from dataclasses import dataclass, field
from typing import Self

# What is being built or measured reports no epoch; it is waited for at least so long.
LEAST_GRACE_S = 60.0


@dataclass
class TimeBudget:
    """`search.time_budget_s` of a sweep that runs.

    Attributes:
        deadline: On the clock of `time.time`, which a cluster's machines share; None for never.
        longest_s: The longest time so far between two reports of a trial.
        cut_off: Own ids of the trials that were stopped because it is over; a resume goes on with
            them.
        ended: Whether it was found to be over while trials were run.
    """

    deadline: float | None = None
    longest_s: float = 0.0
    cut_off: set[str] = field(default_factory=set)
    ended: bool = False

    @classmethod
    def from_now(cls, seconds: float | None) -> Self:
        """Returns a budget that begins now; without seconds one that never ends."""
        return cls(None if seconds is None else time.time() + seconds)

    def is_over(self) -> bool:
        """Returns whether nothing may begin any more."""
        self.ended = self.ended or self._is_past(0.0)
        return self.ended

    def is_overdue(self) -> bool:
        """Returns whether those that still run are not waited for any longer.

        They have had the time for two epochs then; one that is stuck would never end.
        """
        return self._is_past(max(LEAST_GRACE_S, 2 * self.longest_s))

    def _is_past(self, grace_s: float) -> bool:
        return self.deadline is not None and time.time() >= self.deadline + grace_s
