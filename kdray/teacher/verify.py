"""Whether the teacher is good enough to teach, checked before anything else is paid for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kdray.config.teachers import Verification
from kdray.errors import TeacherError
from kdray.evaluation.measure import Measured


@dataclass(frozen=True)
class Verified:
    """What verification found.

    Attributes:
        passed: Whether there was nothing to complain about.
        problems: What there was.
        metrics: The teacher's, on validation, on test (prefix `test_`), and what it costs.
        constant: What the best constant answer reaches on validation, by quality metric.
        digest: Of the verified weights.
        metric: The metric that was asked for.
        minimum: Its least value that is good enough.
        data_digest: Of the data; empty for a sweep of before it was kept.
        labelled_share: Of the texts that are learnt from, those with labels, in (0, 1].
        members: Of each member of an ensemble its `model`, `weight` and `metrics`; empty for one
            teacher. The other metrics are then those of their mean probability, and the sum of what
            they cost.
    """

    passed: bool
    problems: tuple[str, ...]
    metrics: Mapping[str, float]
    constant: Mapping[str, float]
    digest: str
    metric: str
    minimum: float
    data_digest: str = ""
    labelled_share: float = 1.0
    members: tuple[Mapping[str, Any], ...] = ()


def verify(
    options: Verification,
    measured: Measured,
    constant: Mapping[str, float],
    digest: str,
    members: Mapping[str, Measured],
) -> Verified:
    """Checks a teacher on validation.

    Args:
        options: The least quality, and what to do below it.
        measured: The teacher's metrics, those of its costs included, and its logits.
        constant: What the best constant answer reaches on validation.
        digest: Of the teacher's weights.
        members: The same as `measured` of each member of an ensemble, by its key in the file: each
            has to be good enough. Empty for one teacher.

    Raises:
        TeacherError: If something is wrong and `on_failure` is `stop`.
    """
    problems = _problems(options, measured)
    for name, one in members.items():
        problems += [f"{name}: {problem}" for problem in _problems(options, one)]
    if problems and options.on_failure == "stop":
        raise TeacherError(
            "The teacher is not good enough to teach:\n"
            + "".join(f"  {problem}\n" for problem in problems)
            + "Train it longer (teacher.training), give a better one (teacher.model), or go on all "
            "the same with teacher.verify.on_failure: warn."
        )
    return Verified(
        passed=not problems,
        problems=tuple(problems),
        metrics=dict(measured.metrics),
        constant=dict(constant),
        digest=digest,
        metric=options.metric,
        minimum=options.minimum,
    )


def _problems(options: Verification, measured: Measured) -> list[str]:
    problems = []
    if not np.isfinite(measured.logits["validation"]).all():
        problems.append("its logits are not all finite")
    value = measured.metrics.get(options.metric)
    if value is None:
        problems.append(
            f"{options.metric} (teacher.verify.metric) cannot be measured on validation, where a "
            "label never or always occurs"
        )
    elif not value >= options.minimum:
        problems.append(
            f"{options.metric} on validation must be at least {options.minimum} "
            f"(teacher.verify.minimum), but got {value:.3f}"
        )
    return problems
