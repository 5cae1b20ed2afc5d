"""The teachers of a sweep: one, or the members of an ensemble; made, measured and verified.

An ensemble teaches by the mean probability of its members. Each of them reads the texts with its
own tokenizer. Students have tokenizer and layers, and whatever else of a teacher they are compared
with, from the first.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from kdray.data.base import Labels
from kdray.data.dataset import Dataset, learnt_from
from kdray.errors import ConfigError, Problem
from kdray.evaluation.measure import (
    Measured,
    costs_together,
    judged_together,
    measure_alone,
    measure_quality,
)
from kdray.evaluation.quality import best_constant
from kdray.family_checks import check_family
from kdray.models.building import ModelState
from kdray.models.outputs import NOTHING, Needs, best_device
from kdray.models.stored import load_classifier
from kdray.models.student import Student, stored_mb
from kdray.reading import Data
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.teacher.cache import content_key
from kdray.teacher.keeping import Asked
from kdray.teacher.making import fine_tune, located, members, untrained_teacher
from kdray.teacher.outputs import TeacherOutputs
from kdray.teacher.storage import member_folders
from kdray.teacher.verify import Verified, verify

Say = Callable[[str], None]


@dataclass(frozen=True)
class Candidate:
    """A teacher that is yet to be verified.

    Attributes:
        teacher: The teacher, with all that is needed to use it.
        splits: train, validation, test and what else is measured on, as its tokenizer has them.
    """

    teacher: Student
    splits: Mapping[str, Dataset]


@dataclass(frozen=True)
class Member:
    """A member of an ensemble, as trials share it.

    Attributes:
        teacher: The model.
        splits: What is learnt from, as its tokenizer has it: `train`, and `unlabeled` if there is.
        outputs: What it says of that.
    """

    teacher: ModelState
    splits: Mapping[str, Dataset]
    outputs: TeacherOutputs


def begin_teachers(config: SweepConfig, data: Data) -> list[Student]:
    """Returns every teacher before any fine-tuning.

    Raises:
        ConfigError: If one cannot be loaded, does not fit the data, or is of a family that has no
            way to do what is asked.
    """
    length, problems = config.data.max_length, list[Problem]()
    labels, train = data.labels, data.examples["train"]
    made: list[tuple[Any, Any]] = []
    for number, one in enumerate(members(located(config.teacher, config.base))):
        try:
            made.append(untrained_teacher(one, labels, train, length, config.seed + number))
        except ConfigError as error:
            several = isinstance(config.teacher.model, list)
            key = f"teacher.model.{number}" if several else "teacher.model"
            problems += [replace(problem, where=key) for problem in error.problems]
    if problems:
        raise ConfigError(problems)
    check_family(config, *(model for model, _ in made))
    return [Student(model, tokenizer, labels, length) for model, tokenizer in made]


def with_splits(teacher: Student, data: Data) -> Candidate:
    """Returns a teacher with the splits as its tokenizer has them."""
    return Candidate(teacher, data.encoded(teacher.tokenizer, teacher.max_length))


def trained(candidates: Sequence[Candidate], config: SweepConfig, say: Say) -> list[Candidate]:
    """Returns the teachers fine-tuned on the labels, if that is asked for, one after another."""
    if config.teacher.training is None:
        return list(candidates)
    done = []
    for number, (section, one) in enumerate(
        zip(members(config.teacher), candidates, strict=True), start=1
    ):
        name = f"teacher {number} of {len(candidates)}" if len(candidates) > 1 else "teacher"
        teacher, heard = one.teacher, partial(_tell, say, name)
        model = fine_tune(teacher.model, section, teacher.labels, one.splits, heard)
        done.append(replace(one, teacher=replace(teacher, model=model)))
    return done


def _tell(say: Say, name: str, epoch: int, epochs: int, metrics: Mapping[str, float]) -> None:
    say(f"{name}: epoch {epoch} of {epochs}, macro_f1 {metrics['macro_f1']:.3f} on validation")


def load_teachers(
    config: SweepConfig, folder: SweepFolder, labels: Labels
) -> list[tuple[Any, Any]]:
    """Returns model and tokenizer of every teacher that a sweep's folder holds.

    Raises:
        ConfigError: If one cannot be loaded.
    """
    trusted = config.teacher.trust_remote_code
    places = member_folders(folder.teacher, len(config.teacher.shares))
    return [load_classifier(str(place), "teacher", labels, False, trusted) for place in places]


def examined(
    candidates: Sequence[Candidate], config: SweepConfig, states: Sequence[ModelState]
) -> tuple[Measured, Verified]:
    """Measures every teacher once, and an ensemble as a whole, and verifies them.

    Args:
        candidates: The trained teachers, on their device.
        config: The sweep.
        states: The same teachers, frozen.

    Raises:
        TeacherError: If one of them is not good enough.
    """
    measured, each = _measured(candidates, config)
    first, models = candidates[0], config.teacher.model
    constant = best_constant(first.splits["validation"].targets, first.teacher.labels)
    named = {f"teacher.model.{number}": one for number, one in enumerate(each)}
    verified = verify(config.teacher.verify, measured, constant, teacher_digest(*states), named)
    if not isinstance(models, list):
        return measured, verified
    parts = zip(models, config.teacher.shares, map(teacher_digest, states), each, strict=True)
    found = [
        {"model": model, "weight": weight, "digest": digest, "metrics": dict(one.metrics)}
        for model, weight, digest, one in parts
    ]
    return measured, replace(verified, members=tuple(found))


def _measured(
    candidates: Sequence[Candidate], config: SweepConfig
) -> tuple[Measured, list[Measured]]:
    """Returns quality and costs of the teacher, and of each member of an ensemble."""
    qualities, costs = [], list[dict[str, float]]()
    for one in candidates:
        model, labels = one.teacher.model.to(best_device()), one.teacher.labels
        qualities.append(measure_quality(model, one.splits, labels, config.evaluation))
        alone = measure_alone(model, one.splits["train"])
        costs.append({"size_mb": stored_mb(one.teacher), **alone})
    each = [_with(*both) for both in zip(qualities, costs, strict=True)]
    if len(each) == 1:
        return each[0], []
    first, weights = candidates[0], config.teacher.shares
    labels, options = first.teacher.labels, config.evaluation
    whole = judged_together(qualities, weights, first.splits, labels, options)
    return _with(whole, costs_together(costs)), each


def _with(quality: Measured, costs: Mapping[str, float]) -> Measured:
    return replace(quality, metrics={**quality.metrics, **costs})


def all_asked(
    teachers: Sequence[tuple[Any, Any]],
    splits: Sequence[Mapping[str, Dataset]],
    verified: Verified,
    needs: Needs,
) -> list[Asked]:
    """Returns what every teacher is asked of the training set: all but the first for logits alone.

    Args:
        teachers: Model and tokenizer of each.
        splits: What is learnt from, as each tokenizer has it.
        verified: With the digest of each.
        needs: What trials read of the first besides its logits.
    """
    asked: list[Asked] = []
    learnt = map(learnt_from, splits)
    for digest, (model, tokenizer), train in zip(_digests(verified), teachers, learnt, strict=True):
        key = content_key(digest, model.config.to_dict(), tokenizer, train)
        asked.append(Asked(model, train, NOTHING if asked else needs, key))
    return asked


def _digests(verified: Verified) -> list[str]:
    """Returns the digest of each teacher that was verified."""
    return [str(one["digest"]) for one in verified.members] or [verified.digest]


def teacher_digest(*states: ModelState) -> str:
    """Returns a digest of every weight of all teachers: the same before and after a sweep."""
    if len(states) > 1:
        joined = "".join(teacher_digest(state) for state in states)
        return hashlib.sha256(joined.encode()).hexdigest()
    (state,) = states
    digest = hashlib.sha256()
    for name in sorted(state.weights):
        digest.update(name.encode())
        digest.update(state.weights[name].tobytes())
    return digest.hexdigest()


def describe_teachers(verified: Verified, metric: str) -> str:
    """Returns how good the teachers are: "macro_f1 0.713 on validation, 2.10 MB"."""

    def value(metrics: Mapping[str, float]) -> str:
        return f"{metrics.get(metric, math.nan):.3f}"

    size = f"{verified.metrics['size_mb']:.2f} MB"
    whole = f"{metric} {value(verified.metrics)} on validation, {size}"
    if not verified.members:
        return whole
    alone = ", ".join(value(one["metrics"]) for one in verified.members)
    return f"an ensemble of {len(verified.members)}, {whole} together ({metric} {alone} alone)"
