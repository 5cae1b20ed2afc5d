"""What is done once per sweep: splits tokenised, teacher made and verified, its outputs computed.

Trials share the result. They never reload, retokenise or re-run the teacher.
"""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kdray.data.base import OUT_OF_DOMAIN, SPLITS, Examples, Labels
from kdray.data.checks import to_examples
from kdray.data.dataset import Dataset
from kdray.data.files import with_out_of_domain
from kdray.data.splits import complete_splits
from kdray.data.texts import Texts, compact_splits
from kdray.data.tokenizing import encode
from kdray.distillation.base import Shape
from kdray.errors import ConfigError, Problem
from kdray.evaluation.measure import measure_alone, measure_quality
from kdray.evaluation.noise import with_noise
from kdray.family_checks import check_family
from kdray.metric_checks import check_measurable, class_metric_problems
from kdray.models.building import ModelState, freeze, load_classifier
from kdray.models.outputs import Needs, best_device
from kdray.models.student import Student, stored_mb
from kdray.pruning_checks import cautions, drawable_needs, reach_problems
from kdray.regime_checks import regime_problems
from kdray.schema import SweepConfig, checked_sections
from kdray.space_checks import reads_texts, sample_sections, shape_problems, weight_problems
from kdray.teacher.cache import content_key, data_digest
from kdray.teacher.keeping import HERE, Asked, Place, keep_outputs
from kdray.teacher.making import fine_tune, located, untrained_teacher
from kdray.teacher.outputs import TeacherOutputs
from kdray.teacher.storage import (
    load_verified,
    note_outputs,
    write_predictions,
    write_texts,
    written_teacher,
)
from kdray.teacher.verify import Verified, verify

Say = Callable[[str], None]


@dataclass(frozen=True)
class PreparedSweep:
    """Everything that trials share; read-only, without a model object in it.

    Attributes:
        labels: What is predicted.
        max_length: Tokens a text.
        splits: train, validation and test, encoded, and what else is measured on: noisy copies
            (`test_noise_5`) and `out_of_domain`.
        teacher: The verified teacher.
        tokenizer: Its tokenizer.
        verified: What verification found, with the teacher's metrics.
        outputs: What the teacher says of the training set.
        texts: The texts of the splits, if something that can be drawn reads them.
    """

    labels: Labels
    max_length: int
    splits: Mapping[str, Dataset]
    teacher: ModelState
    tokenizer: Any
    verified: Verified
    outputs: TeacherOutputs
    texts: Mapping[str, Texts] | None = None


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

    def texts(self, space: Mapping[str, Any]) -> dict[str, Texts] | None:
        """Returns the texts of the splits, if something that can be drawn reads them."""
        return compact_splits(self.examples) if reads_texts(space) else None


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
    for caution in cautions(config.space):
        say(caution)
    clean = [name for name in splits if name in (*SPLITS, OUT_OF_DOMAIN)]
    say("data: " + ", ".join(f"{len(splits[name]):,} {name}" for name in clean))
    if config.teacher.training is not None:
        model = fine_tune(model, config.teacher, data.labels, splits, _progress(say))
    teacher = Student(model, tokenizer, data.labels, config.data.max_length)
    prepared = assemble(config, teacher, splits, needs, place)
    if place.folder is not None and config.data.shows_texts:
        write_texts(place.folder, data.examples["test"])
    metrics, metric = prepared.verified.metrics, config.teacher.verify.metric
    say(
        f"teacher: {metric} {metrics.get(metric, math.nan):.3f} on validation, "
        f"{metrics['size_mb']:.2f} MB; "
        f"outputs on the training set: {describe(prepared.outputs)}"
    )
    return replace(prepared, texts=data.texts(config.space))


def begin_teacher(config: SweepConfig, data: Data) -> tuple[Any, Any]:
    """Returns the teacher's model and tokenizer before any fine-tuning.

    Raises:
        ConfigError: If `teacher.model` cannot be loaded, does not fit the data, or is of a family
            that has no way to do what is asked.
    """
    teacher, length = located(config.teacher, config.base), config.data.max_length
    train = data.examples["train"]
    made = untrained_teacher(teacher, data.labels, train, length, config.seed)
    check_family(config, made[0])
    return made


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
    metrics = {
        **measured.metrics,
        "size_mb": stored_mb(teacher),
        **measure_alone(model, splits["train"]),
    }
    state = freeze(model)
    verified = verify(
        config.teacher.verify,
        replace(measured, metrics=metrics),
        splits["validation"],
        labels,
        teacher_digest(state),
    )
    verified = replace(verified, data_digest=data_digest(splits))
    check_measurable(config.objectives, config.constraints, metrics)
    key = content_key(verified.digest, state.config, teacher.tokenizer, splits["train"])
    asked, cache = Asked(model, splits["train"], needs, key), config.teacher.cache
    if place.folder is None:
        outputs = keep_outputs(asked, cache, place)
    else:
        with written_teacher(place.folder, model, teacher.tokenizer, verified) as staging:
            write_predictions(staging, measured, splits, labels)
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
    length, texts = config.data.max_length, data.texts(config.space)
    return PreparedSweep(data.labels, length, splits, state, tokenizer, verified, outputs, texts)


def read_data(config: SweepConfig) -> Data:
    """Reads, completes and checks the data.

    Raises:
        ConfigError: With every problem of the data.
    """
    frames = complete_splits(config.data, config.data.read(config.base, config.seed), config.seed)
    frames = with_out_of_domain(frames, config.evaluation.out_of_domain, config.base)
    labels, examples = to_examples(config.data, frames)
    training = config.teacher.training
    weights = training.class_weights if training else "none"
    problems = weight_problems("teacher.training", weights, len(labels.names))
    problems += class_metric_problems(config.objectives, config.constraints, config.teacher, labels)
    if problems:
        raise ConfigError(problems)
    return Data(labels, with_noise(examples, config.evaluation, config.seed))


def teacher_needs(config: SweepConfig, labels: Labels, teacher: Any) -> Needs:
    """Returns what any trial that can be drawn reads of the teacher.

    Args:
        config: The sweep.
        labels: What is predicted.
        teacher: The teacher's transformers configuration.

    Raises:
        ConfigError: If something that can be drawn does not fit the teacher's shape.
    """
    shape = Shape.of(teacher)
    problems: list[Problem] = []
    for sections in sample_sections(config.space):
        found, _ = checked_sections(sections)
        problems += shape_problems(found["student"], found["distillation"], shape)
        weights = found["distillation"].class_weights
        problems += weight_problems("distillation", weights, len(labels.names))
    problems += reach_problems(config.space, teacher)
    problems = list(dict.fromkeys(problems)) or regime_problems(config.space, shape)
    if problems:
        raise ConfigError(problems)
    return drawable_needs(config.space, shape)


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


def _progress(say: Say) -> Callable[[int, int, Mapping[str, float]], None]:
    return lambda epoch, epochs, metrics: say(
        f"teacher: epoch {epoch} of {epochs}, macro_f1 {metrics['macro_f1']:.3f} on validation"
    )
