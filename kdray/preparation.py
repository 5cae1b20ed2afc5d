"""What is done once per sweep: splits tokenised, teacher made and verified, its outputs computed.

Trials share the result. They never reload, retokenise or re-run the teacher.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kdray.data.base import Examples, Labels
from kdray.data.checks import to_examples
from kdray.data.dataset import Dataset
from kdray.data.splits import complete_splits
from kdray.data.tokenizing import encode
from kdray.distillation.base import Shape
from kdray.errors import ConfigError, Problem
from kdray.evaluation.efficiency import paired_latency
from kdray.evaluation.measure import measure_quality, measure_size, probe_inputs
from kdray.metric_checks import class_metric_problems
from kdray.models.building import ModelState, freeze, load_classifier
from kdray.models.outputs import Needs, best_device
from kdray.models.student import Student, stored_mb
from kdray.schema import SweepConfig, checked_sections
from kdray.space_checks import sample_sections, shape_problems, student_shape, weight_problems
from kdray.teacher.cache import content_key, data_digest
from kdray.teacher.keeping import HERE, Asked, Place, keep_outputs
from kdray.teacher.making import fine_tune, located, untrained_teacher
from kdray.teacher.outputs import TeacherOutputs
from kdray.teacher.storage import load_verified, note_outputs, written_teacher
from kdray.teacher.verify import Verified, verify

Say = Callable[[str], None]


@dataclass(frozen=True)
class PreparedSweep:
    """Everything that trials share; read-only, without a model object in it.

    Attributes:
        labels: What is predicted.
        max_length: Tokens a text.
        splits: train, validation and test, encoded.
        teacher: The verified teacher.
        tokenizer: Its tokenizer.
        verified: What verification found, with the teacher's metrics.
        outputs: What the teacher says of the training set.
    """

    labels: Labels
    max_length: int
    splits: Mapping[str, Dataset]
    teacher: ModelState
    tokenizer: Any
    verified: Verified
    outputs: TeacherOutputs


@dataclass(frozen=True)
class Data:
    """Checked data before tokenising.

    Attributes:
        labels: What is predicted.
        examples: By split.
    """

    labels: Labels
    examples: Mapping[str, Examples]

    def encoded(self, tokenizer: Any, max_length: int) -> dict[str, Dataset]:
        """Returns the splits as token ids."""
        return {name: encode(tokenizer, part, max_length) for name, part in self.examples.items()}


def prepare(
    config: SweepConfig, say: Say = lambda line: None, place: Place = HERE
) -> PreparedSweep:
    """Prepares a sweep.

    Args:
        config: The sweep.
        say: Takes a line about what is being done.
        place: Where `teacher/` is written, from which `rebuild` makes the same again.

    Raises:
        ConfigError: If data, teacher and space do not fit each other.
        TeacherError: If the teacher is not good enough.
    """
    data = read_data(config)
    model, tokenizer = begin_teacher(config, data)
    needs = teacher_needs(config, data.labels, model.config)
    splits = data.encoded(tokenizer, config.data.max_length)
    say("data: " + ", ".join(f"{len(part):,} {name}" for name, part in splits.items()))
    if config.teacher.training is not None:
        model = fine_tune(model, config.teacher, data.labels, splits, _progress(say))
    teacher = Student(model, tokenizer, data.labels, config.data.max_length)
    prepared = assemble(config, teacher, splits, needs, place)
    metrics, metric = prepared.verified.metrics, config.teacher.verify.metric
    say(
        f"teacher: {metric} {metrics.get(metric, math.nan):.3f} on validation, "
        f"{metrics['size_mb']:.2f} MB; "
        f"outputs on the training set: {describe(prepared.outputs)}"
    )
    return prepared


def begin_teacher(config: SweepConfig, data: Data) -> tuple[Any, Any]:
    """Returns the teacher's model and tokenizer before any fine-tuning.

    Raises:
        ConfigError: If `teacher.model` cannot be loaded or does not fit the data.
    """
    teacher = located(config.teacher, config.base)
    train = data.examples["train"]
    return untrained_teacher(teacher, data.labels, train, config.data.max_length, config.seed)


def assemble(
    config: SweepConfig,
    teacher: Student,
    splits: Mapping[str, Dataset],
    needs: Needs,
    place: Place = HERE,
) -> PreparedSweep:
    """Verifies a trained teacher, freezes it, and runs it over the training set once.

    Args:
        config: The sweep.
        teacher: The trained teacher, with all that is needed to use it.
        splits: train, validation and test, encoded.
        needs: What trials read of the teacher besides its logits.
        place: Where the teacher is written, once it is good enough, and its outputs are kept.

    Raises:
        ConfigError: If an objective cannot be measured on these data.
        TeacherError: If the teacher is not good enough.
    """
    model, labels = teacher.model.to(best_device()), teacher.labels
    measured = measure_quality(model, splits, labels, config.evaluation)
    metrics = {**measured.metrics, "size_mb": stored_mb(teacher), **_costs(model, splits["train"])}
    state = freeze(model)
    verified = verify(
        config.teacher.verify,
        replace(measured, metrics=metrics),
        splits["validation"],
        labels,
        teacher_digest(state),
    )
    verified = replace(verified, data_digest=data_digest(splits))
    _check_measurable(config, metrics)
    key = content_key(verified.digest, state.config, teacher.tokenizer, splits["train"])
    asked, cache = Asked(model, splits["train"], needs, key), config.teacher.cache
    if place.folder is None:
        outputs = keep_outputs(asked, cache, place)
    else:
        with written_teacher(place.folder, model, teacher.tokenizer, verified) as staging:
            outputs = keep_outputs(asked, cache, replace(place, staging=staging))
        note_outputs(place.folder, outputs)
    return PreparedSweep(
        labels, teacher.max_length, splits, state, teacher.tokenizer, verified, outputs
    )


def rebuild(config: SweepConfig, place: Place) -> PreparedSweep:
    """Returns what `prepare` returned, from the sweep's folder.

    The teacher is run again only for outputs that are not there any more.

    Args:
        config: The sweep.
        place: Its folder, what is free in Ray's object store, and whether it may be written to.

    Raises:
        ConfigError: If the data are not those of before.
    """
    folder = place.folder
    assert folder is not None, "a sweep is rebuilt from its folder"
    data = read_data(config)
    trusted, where = config.teacher.trust_remote_code, str(folder.teacher)
    model, tokenizer = load_classifier(where, "teacher", data.labels, False, trusted)
    splits = data.encoded(tokenizer, config.data.max_length)
    needs = teacher_needs(config, data.labels, model.config)
    state, verified = freeze(model), load_verified(folder)
    if verified.data_digest not in ("", data_digest(splits)):
        message = f"are not those that {folder.root} began with; put them back, or sweep anew"
        raise ConfigError([Problem("data", message)])
    key = content_key(verified.digest, state.config, tokenizer, splits["train"])
    asked = Asked(model, splits["train"], needs, key)
    outputs = keep_outputs(asked, config.teacher.cache, place)
    if not place.read_only:
        note_outputs(folder, outputs)
    return PreparedSweep(
        data.labels, config.data.max_length, splits, state, tokenizer, verified, outputs
    )


def read_data(config: SweepConfig) -> Data:
    """Reads, completes and checks the data.

    Raises:
        ConfigError: With every problem of the data.
    """
    frames = config.data.read(config.base, config.seed)
    labels, examples = to_examples(config.data, complete_splits(config.data, frames, config.seed))
    training = config.teacher.training
    weights = training.class_weights if training else "none"
    problems = weight_problems("teacher.training", weights, len(labels.names))
    problems += class_metric_problems(config.objectives, config.constraints, config.teacher, labels)
    if problems:
        raise ConfigError(problems)
    return Data(labels, examples)


def teacher_needs(config: SweepConfig, labels: Labels, teacher: Any) -> Needs:
    """Returns what any trial that can be drawn reads of the teacher.

    Args:
        config: The sweep.
        labels: What is predicted.
        teacher: The teacher's transformers configuration.

    Raises:
        ConfigError: If something that can be drawn does not fit the teacher's shape.
    """
    shape = Shape(teacher.num_hidden_layers, teacher.hidden_size)
    needs, problems = Needs(), list[Problem]()
    for sections in sample_sections(config.space):
        found, _ = checked_sections(sections)
        wrong = shape_problems(found["student"], found["distillation"], shape)
        weights = found["distillation"].class_weights
        wrong += weight_problems("distillation", weights, len(labels.names))
        problems += wrong
        if not wrong:
            match = found["distillation"].match(student_shape(found["student"], shape), shape)
            needs |= found["distillation"].needs(frozenset(match.pairs.values()))
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return needs


def teacher_digest(state: ModelState) -> str:
    """Returns a digest of every weight: the same before and after a sweep."""
    digest = hashlib.sha256()
    for name in sorted(state.weights):
        digest.update(name.encode())
        digest.update(state.weights[name].tobytes())
    return digest.hexdigest()


def describe(outputs: TeacherOutputs) -> str:
    """Returns where the outputs are: "12 MB in memory, 30 MB on disk, hidden.1 in the loop"."""
    plan = outputs.plan
    parts = [
        f"{outputs.size_mb(names):.0f} MB {where}"
        for names, where in ((plan.memory, "in memory"), (plan.disk, "on disk"))
        if names
    ]
    parts += [f"{', '.join(plan.in_loop)} in the loop (teacher.cache)"] if plan.in_loop else []
    parts += ["taken from an earlier sweep"] if outputs.reused else []
    return ", ".join(parts)


def _costs(model: Any, train: Dataset) -> dict[str, float]:
    probe = probe_inputs(train, best_device())
    latency = paired_latency(model, model, probe)
    return measure_size(model, probe) | {"latency_ms": latency["latency_ms"]}


def _check_measurable(config: SweepConfig, metrics: Mapping[str, float]) -> None:
    """Refuses a metric that cannot be measured, as AUROC where a class does not occur."""
    known = {*metrics, "speedup", "retention"}
    problems = [
        Problem(f"{section}.{name}", "cannot be measured: not every class is in validation")
        for section, names in (
            ("objectives", config.objectives),
            ("constraints", config.constraints),
        )
        for name in names
        if name not in known
    ]
    if problems:
        raise ConfigError(problems)


def _progress(say: Say) -> Callable[[int, int, Mapping[str, float]], None]:
    return lambda epoch, epochs, metrics: say(
        f"teacher: epoch {epoch} of {epochs}, macro_f1 {metrics['macro_f1']:.3f} on validation"
    )
