"""What is done once per sweep: splits tokenised, teacher made and verified, its outputs computed.

Trials share the result. They never reload, retokenise or re-run the teacher.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kdray.config.teachers import Cache
from kdray.data.base import LEARNT, OUT_OF_DOMAIN, SPLITS, UNLABELED, Labels
from kdray.data.dataset import Dataset, learnt_rows
from kdray.data.texts import Texts
from kdray.distillation.base import Shape
from kdray.errors import ConfigError, Problem
from kdray.evaluation.measure import Measured
from kdray.head_checks import head_problems
from kdray.metric_checks import check_measurable
from kdray.models.building import ModelState, freeze
from kdray.models.outputs import Needs
from kdray.models.starts import Start, write_starts
from kdray.models.student import Student
from kdray.pruning_checks import cautions, drawable_needs, reach_problems
from kdray.reading import read_data
from kdray.regime_checks import regime_problems
from kdray.schema import SweepConfig, checked_sections
from kdray.space_checks import sample_sections, shape_problems, weight_problems
from kdray.starts import FOLDER, configs_of, encoded_by_own, load_starts, stored_starts
from kdray.teacher.cache import data_digest
from kdray.teacher.keeping import HERE, Place, keep_all
from kdray.teacher.outputs import TeacherOutputs, describe
from kdray.teacher.storage import (
    load_verified,
    note_outputs,
    write_predictions,
    write_texts,
    written_teacher,
)
from kdray.teacher.verify import Verified
from kdray.teachers import (
    Candidate,
    Member,
    all_asked,
    begin_teachers,
    describe_teachers,
    examined,
    load_teachers,
    trained,
    with_splits,
)

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
        others: The further members of an ensemble, whose first is `teacher`.
        weights: Of each member; their sum is 1.
        starts: What students start from besides the teacher, by folder or hub id.
        cache: How the outputs are kept; those of a trial's own teachers alike.
        own_splits: The splits as those of them have them that have a tokenizer of their own.
    """

    labels: Labels
    max_length: int
    splits: Mapping[str, Dataset]
    teacher: ModelState
    tokenizer: Any
    verified: Verified
    outputs: TeacherOutputs
    texts: Mapping[str, Texts] | None = None
    others: tuple[Member, ...] = ()
    weights: tuple[float, ...] = (1.0,)
    starts: Mapping[str, Start] = field(default_factory=dict)
    cache: Cache = field(default_factory=Cache)
    own_splits: Mapping[str, Mapping[str, Dataset]] = field(default_factory=dict)

    def read_by(self, initial: str) -> tuple[Any, Mapping[str, Dataset]]:
        """Returns the tokenizer of a student that starts so, and the splits as that has them."""
        if initial not in self.own_splits:
            return self.tokenizer, self.splits
        return self.starts[initial].tokenizer, self.own_splits[initial]

    @property
    def teachers(self) -> tuple[ModelState, ...]:
        """The teacher, or every member of an ensemble."""
        return (self.teacher, *(one.teacher for one in self.others))

    @property
    def trains(self) -> tuple[Dataset, ...]:
        """The labelled training set as the tokenizer of each teacher has it."""
        return (self.splits["train"], *(one.splits["train"] for one in self.others))

    @property
    def all_outputs(self) -> tuple[TeacherOutputs, ...]:
        """What each teacher says of the training set."""
        return (self.outputs, *(one.outputs for one in self.others))


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
    teachers = begin_teachers(config, data)
    starts = load_starts(config, data.labels, teachers[0].tokenizer)
    needs = teacher_needs(config, data.labels, teachers[0].model.config, configs_of(starts))
    candidates = [with_splits(teacher, data) for teacher in teachers]
    for line in (*cautions(config.space), *data.notes):
        say(line)
    splits = candidates[0].splits
    clean = [name for name in splits if name in (*SPLITS, OUT_OF_DOMAIN, UNLABELED)]
    say("data: " + ", ".join(f"{len(splits[name]):,} {name}" for name in clean))
    prepared = assemble(config, trained(candidates, config, say), needs, place, starts)
    if place.folder is not None and config.data.shows_texts:
        write_texts(place.folder, data.examples["test"])
    said = describe_teachers(prepared.verified, config.teacher.verify.metric)
    say(f"teacher: {said}; outputs on the training set: {describe(*prepared.all_outputs)}")
    own_splits = encoded_by_own(starts, data, config.data.max_length)
    return replace(prepared, texts=data.texts(config.space), own_splits=own_splits)


def assemble(
    config: SweepConfig,
    candidates: Sequence[Candidate],
    needs: Needs,
    place: Place = HERE,
    starts: Mapping[str, Start] | None = None,
) -> PreparedSweep:
    """Verifies trained teachers, freezes them, and runs each over the training set once.

    Args:
        config: The sweep.
        candidates: The trained teacher, or the members of an ensemble.
        needs: What trials read of the first besides its logits.
        place: Where they are written, once they are good enough, and their outputs are kept.
        starts: What students start from besides the teacher, written beside it.

    Raises:
        ConfigError: If an objective cannot be measured on these data.
        TeacherError: If a teacher is not good enough.
    """
    states = [freeze(one.teacher.model) for one in candidates]
    measured, verified = examined(candidates, config, states)
    splits, teachers = candidates[0].splits, [one.teacher for one in candidates]
    share = len(splits["train"]) / learnt_rows(splits)
    verified = replace(verified, data_digest=data_digest(splits), labelled_share=share)
    check_measurable(config.objectives, config.constraints, verified.metrics)
    learnt = [_learnt(one.splits) for one in candidates]
    stored = _with_thresholds(teachers, measured)
    pairs = [(teacher.model, teacher.tokenizer) for teacher in teachers]
    asked, cache = all_asked(pairs, learnt, verified, needs), config.teacher.cache
    if place.folder is None:
        outputs = keep_all(asked, cache, place)
    else:
        with written_teacher(place.folder, stored, verified) as staging:
            write_predictions(staging, measured, splits, teachers[0].labels)
            write_starts(staging / FOLDER, starts or {})
            outputs = keep_all(asked, cache, replace(place, staging=staging))
        note_outputs(place.folder, *outputs)
    return PreparedSweep(
        labels=teachers[0].labels,
        max_length=teachers[0].max_length,
        splits=splits,
        teacher=states[0],
        tokenizer=teachers[0].tokenizer,
        verified=verified,
        outputs=outputs[0],
        others=tuple(map(Member, states[1:], learnt[1:], outputs[1:])),
        weights=config.teacher.shares,
        starts=starts or {},
        cache=config.teacher.cache,
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
    pairs = load_teachers(config, folder, data.labels)
    (model, tokenizer), length = pairs[0], config.data.max_length
    splits = data.encoded(tokenizer, length)
    starts, verified = stored_starts(config, folder, data.labels, tokenizer), load_verified(folder)
    needs = teacher_needs(config, data.labels, model.config, configs_of(starts))
    if verified.data_digest not in ("", data_digest(splits)):
        message = f"are not those that {folder.root} began with; put them back, or sweep anew"
        raise ConfigError([Problem("data", message)])
    examples = {name: data.examples[name] for name in LEARNT if name in data.examples}
    read = replace(data, examples=examples)
    learnt = [_learnt(splits), *(read.encoded(words, length) for _, words in pairs[1:])]
    states = [freeze(model) for model, _ in pairs]
    asked = all_asked(pairs, learnt, verified, needs)
    outputs = keep_all(asked, config.teacher.cache, place)
    if not place.read_only:
        note_outputs(folder, *outputs)
    return PreparedSweep(
        labels=data.labels,
        max_length=length,
        splits=splits,
        teacher=states[0],
        tokenizer=tokenizer,
        verified=verified,
        outputs=outputs[0],
        texts=data.texts(config.space),
        starts=starts,
        own_splits=encoded_by_own(starts, data, length),
        others=tuple(map(Member, states[1:], learnt[1:], outputs[1:])),
        weights=config.teacher.shares,
        cache=config.teacher.cache,
    )


def _with_thresholds(teachers: Sequence[Student], measured: Measured) -> list[Student]:
    """Returns the teachers as they are stored: those of one are its own, an ensemble's are not."""
    alone = len(teachers) == 1
    return [replace(one, thresholds=measured.thresholds if alone else ()) for one in teachers]


def _learnt(splits: Mapping[str, Dataset]) -> dict[str, Dataset]:
    return {name: splits[name] for name in LEARNT if name in splits}


def teacher_needs(
    config: SweepConfig, labels: Labels, teacher: Any, starts: Mapping[str, Any] | None = None
) -> Needs:
    """Returns what any trial that can be drawn reads of the teacher.

    Args:
        config: The sweep.
        labels: What is predicted.
        teacher: The teacher's transformers configuration.
        starts: Those of what students start from besides it, by folder or hub id.

    Raises:
        ConfigError: If something that can be drawn does not fit the shapes of these.
    """
    shape, starts, problems = Shape.of(teacher), starts or {}, list[Problem]()
    shapes = {name: Shape.of(its) for name, its in starts.items()}
    for sections in sample_sections(config.space):
        found, _ = checked_sections(sections)
        problems += shape_problems(found["student"], found["distillation"], shape, shapes)
        weights = found["distillation"].class_weights
        problems += weight_problems("distillation", weights, len(labels.names))
    problems += reach_problems(config.space, teacher, starts)
    problems = list(dict.fromkeys(problems)) or regime_problems(config.space, shape, shapes)
    problems = problems or head_problems(config.space, teacher, starts)
    if problems:
        raise ConfigError(problems)
    return drawable_needs(config.space, shape, shapes)
