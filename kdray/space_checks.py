"""Checking the searchable sections: whatever can be drawn must be valid."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from kdray.config.domains import Choice, Range, combined, describe, samples
from kdray.config.sections import Student, Training
from kdray.config.teachers import Teacher
from kdray.config.validation import dotted, nearest, shown
from kdray.data.base import DataSource
from kdray.distillation.base import DistillationMethod, Match, Shape, Teaching
from kdray.distillation.regimes import Regime
from kdray.errors import Problem
from kdray.schema import (
    DEFAULTS,
    FAMILIES,
    NAMING,
    checked_sections,
    options_taken,
    pruning_list,
)

STUDENTS = 200
COPIED = "teacher_layers"
# The shapes of what students start from besides the teacher, by folder or hub id.
Shapes = Mapping[str, Shape]
UNKNOWN: Shapes = {}


def sample_sections(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields plain sections that together touch every method, option and bound of a space.

    The first has the first sample of every section; each other one differs in one section, and
    every student meets every way to teach it, because layers are matched between the two.
    """
    columns = {section: _section_samples(section, node) for section, node in space.items()}
    first = {section: column[0] for section, column in columns.items()}
    for student, method in product(columns["student"], columns["distillation"]):
        yield first | {"student": student, "distillation": method}
    for section in [name for name in columns if name not in {"student", "distillation"}]:
        for other in columns[section][1:]:
            yield first | {section: other}


def drawable_trainings(space: Mapping[str, Any]) -> list[Training]:
    """Returns the `training` sections that together touch every bound, each with its defaults."""
    return [Training(**sections["training"]) for sections in sample_sections(space)]


def drawable_regimes(space: Mapping[str, Any]) -> list[Regime]:
    """Returns the regimes that together touch every bound, each with its defaults."""
    return [checked_sections(sections)[0]["regime"] for sections in sample_sections(space)]


def reads_texts(space: Mapping[str, Any]) -> bool:
    """Returns whether something that can be drawn reads the texts, and not only their tokens.

    Args:
        space: The searchable sections, their domains parsed and without problems.
    """
    drawable = (checked_sections(sections)[0] for sections in sample_sections(space))
    return any(method.reads_texts for sections in drawable for method in sections["pruning"])


def alignment_problems(space: Mapping[str, Any]) -> list[Problem]:
    """Returns a problem if a student may read other tokens than a teacher it is compared with.

    Pruning, distillation and regime are drawn independently, so whatever can be drawn can meet.
    """
    sampled = [(sections, checked_sections(sections)[0]) for sections in sample_sections(space)]
    names = " and ".join(comparing([found for _, found in sampled]))
    return [
        Problem(
            "distillation.method",
            f"{names} cannot be drawn together with {key} of {method} above 0: its students have "
            f"other tokens than the teacher, and {names} would compare token with token; set {key} "
            f"of {method} to 0 (a `choice` of mappings gives each method a ratio of its own) or "
            "choose logit",
        )
        for key, method in _retokenizing(sampled).items()
        if names
    ]


def comparing(valid: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the methods that may compare a student token by token with a teacher of the sweep.

    None do where students teach each other or themselves: these have the same tokens.

    Args:
        valid: Checked sections, without those that have problems.
    """
    if all(found["regime"].side_by_side for found in valid if "regime" in found):
        return []
    methods = [found["distillation"] for found in valid if "distillation" in found]
    return sorted({method.method for method in methods if method.reads_positions})


def _retokenizing(sampled: Sequence[tuple[Any, Mapping[str, Any]]]) -> dict[str, str]:
    """Returns each pruning method that gives a student other tokens, by the key of its ratio."""
    keys = {}
    for sections, found in sampled:
        paths = [path for path, _ in pruning_list(sections["pruning"])]
        for path, method in zip(paths, found.get("pruning", ()), strict=False):
            if method.retokenizes:
                keys[dotted(path, "ratio")] = method.method
    return keys


def space_problems(
    space: Mapping[str, Any], data: DataSource | None, teacher: Teacher | None
) -> list[Problem]:
    """Returns what is wrong with anything that can be drawn.

    Args:
        space: The searchable sections, their domains parsed.
        data: The data source, if it is valid.
        teacher: The teacher's section, if it is valid.
    """
    problems: list[Problem] = []
    for section, node in space.items():
        wrong = _form_problems(section, node, section)
        space = {**space, section: _formed(section, node)} if wrong else space
        problems += wrong
    problems += [p for family in FAMILIES for p in _untaken(family, space[family], family)]
    shape = architecture_shape(teacher)
    for sections in sample_sections(space):
        found, wrong = checked_sections(sections)
        problems += wrong
        if "distillation" in found:
            problems += label_problems(found["distillation"], data)
            if "student" in found:
                problems += shape_problems(found["student"], found["distillation"], shape)
    return problems + alignment_problems(space)


def label_problems(method: DistillationMethod, data: DataSource | None) -> list[Problem]:
    """Returns what in a method's options does not fit the labels of the data."""
    if data is None:
        return []
    problems = []
    if not isinstance(data.labels, str):
        problems = weight_problems("distillation", method.class_weights, len(data.labels))
    if not isinstance(method, Teaching) or not method.label_alpha:
        return problems
    where = "distillation.label_alpha"
    if isinstance(data.labels, str):
        return [Problem(where, "is for multi-label data, but the data are single-label")]
    return problems + [
        Problem(dotted(where, name), f"no such label{nearest(name, data.labels)}")
        for name in method.label_alpha
        if name not in data.labels
    ]


def weight_problems(section: str, weights: object, classes: int) -> list[Problem]:
    """Returns the problem of a list of class weights that has another length than the labels."""
    if not isinstance(weights, list) or len(weights) == classes:
        return []
    message = f"must have {classes} weights, one a label, but got {len(weights)}"
    return [Problem(dotted(section, "class_weights"), message)]


def shape_problems(
    student: Student, method: DistillationMethod, teacher: Shape | None, starts: Shapes = UNKNOWN
) -> list[Problem]:
    """Returns what does not fit the shapes of the teacher and of what students start from.

    Nothing is said of what is not known yet.
    """
    shape = teacher and student_shape(student, teacher, starts)
    if teacher is None or shape is None:
        return []
    its = teacher if student.initial == COPIED else starts.get(student.initial, shape)
    if shape.layers > its.layers:
        most = f"the teacher's {its.layers}"
        if its is not teacher:
            most = f"{its.layers}, which {student.initial!r} has"
        message = f"must be at most {most}, but got {shape.layers}"
        return [Problem("student.layers", message)]
    try:
        matched(method, shape, teacher)
    except ValueError as error:
        key = "layer_mapping" if "layer_mapping" in type(method).model_fields else "method"
        return [Problem(dotted("distillation", key), str(error).removeprefix("layer_mapping "))]
    return []


def matched(method: DistillationMethod, student: Shape, teacher: Shape) -> Match:
    """Returns what a method matches, with projections that take no memory and no random numbers.

    Raises:
        ValueError: If the method cannot match these two.
    """
    with torch.device("meta"):
        return method.match(student, teacher)


def architecture_shape(teacher: Teacher | None) -> Shape | None:
    """Returns the shape of a teacher that is built from scratch; None for any other."""
    if teacher is None or teacher.model is not None:
        return None
    made = teacher.architecture
    return Shape(made.layers, made.hidden_size, made.heads)


def student_shape(student: Student, teacher: Shape, starts: Shapes = UNKNOWN) -> Shape | None:
    """Returns the shape of a student before any pruning; None where it is not known yet."""
    if student.architecture is not None:
        made = student.architecture
        return Shape(made.layers, made.hidden_size, made.heads)
    its = teacher if student.initial == COPIED else starts.get(student.initial)
    return its and replace(its, layers=student.layers or its.layers)


def _form_problems(section: str, node: Any, path: str) -> list[Problem]:
    """Returns a problem for whatever stands where only a mapping can."""
    if isinstance(node, Choice):
        return [p for option in node.options for p in _form_problems(section, option, path)]
    if isinstance(node, list) and section == "pruning":
        items = [(dotted(path, index), item) for index, item in enumerate(node)]
        return [p for where, item in items for p in _form_problems(section, item, where)]
    if isinstance(node, Mapping):
        return []
    found = describe(node) if isinstance(node, Range) else shown(node)
    return [Problem(path, f"must be a mapping, but got {found}")]


def _formed(section: str, node: Any) -> Any:
    """Returns a section with its default in place of whatever has a form problem."""
    if isinstance(node, Choice):
        return Choice(tuple(_formed(section, option) for option in node.options))
    if isinstance(node, list) and section == "pruning":
        return [_formed(section, item) for item in node]
    return node if isinstance(node, Mapping) else DEFAULTS[section]


def _section_samples(section: str, node: Any) -> list[Any]:
    if isinstance(node, Choice):
        return [sample for option in node.options for sample in _section_samples(section, option)]
    if isinstance(node, list):
        return combined([_section_samples(section, item) for item in node])
    if section == "student":
        return samples(node, together=STUDENTS)
    if section not in FAMILIES:
        return samples(node)
    rows: list[Any] = []
    key = NAMING[section]
    for named in _methods(section, node):
        method = _meant(section, named)
        if method is not named:
            rows.append({key: named})
        taken = options_taken(section, method)
        own = {k: v for k, v in node.items() if k != key and (taken is None or k in taken)}
        rows += [{key: method, **row} for row in samples(own)]
    return rows


def _methods(family: str, node: Mapping[str, Any]) -> list[Any]:
    key = NAMING[family]
    return samples(node[key]) if key in node else [None]


def _meant(family: str, method: Any) -> Any:
    """Returns the method that a misspelt one means, so that its options are checked as well."""
    if not isinstance(method, str) or method in FAMILIES[family]:
        return method
    close = difflib.get_close_matches(method, FAMILIES[family], n=1)
    return close[0] if close else method


def _untaken(family: str, node: Any, path: str) -> list[Problem]:
    """Returns a problem for every option that no choosable method takes."""
    if isinstance(node, Choice):
        return [p for option in node.options for p in _untaken(family, option, path)]
    if isinstance(node, list):
        return [p for i, item in enumerate(node) for p in _untaken(family, item, dotted(path, i))]
    methods = [_meant(family, method) for method in _methods(family, node)]
    options = [options_taken(family, method) for method in methods]
    taken = {key for option in options for key in option or ()}
    if None in options:
        return []
    takes = "takes" if len(methods) == 1 else "take"
    rule = f"unknown key: {' and '.join(methods)} {takes} no such option"
    return [
        Problem(dotted(path, key), rule + nearest(key, taken)) for key in node if key not in taken
    ]
