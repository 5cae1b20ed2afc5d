"""Checking the searchable sections: whatever can be drawn must be valid."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from kdray.config.domains import (
    Choice,
    Domain,
    contains,
    describe,
    domains_in,
    grid_values,
    samples,
)
from kdray.config.drawing import draw, flatten
from kdray.config.sections import Search, Student, Teacher
from kdray.config.validation import dotted, nearest
from kdray.data.base import DataSource
from kdray.distillation.base import DistillationMethod, Shape, Teaching
from kdray.errors import Problem
from kdray.schema import FAMILIES, checked_sections, options_taken


def sample_sections(space: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields plain sections that together touch every method, option and bound of a space.

    The first has the first sample of every section; each other one differs in one section, and
    every student meets every way to teach it, because layers are matched between the two.
    """
    columns = {section: _section_samples(section, node) for section, node in space.items()}
    first = {section: column[0] for section, column in columns.items()}
    for student, method in product(columns["student"], columns["distillation"]):
        yield first | {"student": student, "distillation": method}
    for section in columns.keys() - {"student", "distillation"}:
        for other in columns[section][1:]:
            yield first | {section: other}


def space_problems(
    space: Mapping[str, Any], data: DataSource | None, teacher: Teacher | None
) -> list[Problem]:
    """Returns what is wrong with anything that can be drawn.

    Args:
        space: The searchable sections, their domains parsed.
        data: The data source, if it is valid.
        teacher: The teacher's section, if it is valid.
    """
    problems = [problem for section in space for problem in _form_problems(section, space[section])]
    if problems:
        return problems
    problems = [p for family in FAMILIES for p in _untaken(family, space[family], family)]
    shape = None
    if teacher is not None and teacher.model is None:
        shape = Shape(teacher.architecture.layers, teacher.architecture.hidden_size)
    for sections in sample_sections(space):
        found, wrong = checked_sections(sections)
        problems += wrong
        if "distillation" in found:
            problems += label_problems(found["distillation"], data)
            if "student" in found:
                problems += shape_problems(found["student"], found["distillation"], shape)
    return problems


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
    student: Student, method: DistillationMethod, teacher: Shape | None
) -> list[Problem]:
    """Returns what does not fit the teacher's shape, once it is known."""
    if teacher is None:
        return []
    shape = student_shape(student, teacher)
    if student.initial == "teacher_layers" and shape.layers > teacher.layers:
        message = f"must be at most the teacher's {teacher.layers}, but got {shape.layers}"
        return [Problem("student.layers", message)]
    try:
        method.match(shape, teacher)
    except ValueError as error:
        return [Problem("distillation", str(error))]
    return []


def student_shape(student: Student, teacher: Shape) -> Shape:
    """Returns the shape of a student that is copied from its teacher or built from scratch."""
    if student.architecture is not None:
        return Shape(student.architecture.layers, student.architecture.hidden_size)
    return Shape(student.layers or teacher.layers, teacher.width)


def search_problems(space: Mapping[str, Any], search: Search | None) -> list[Problem]:
    """Returns what is wrong with grid and points."""
    if search is None:
        return []
    problems = []
    if search.sampler.name == "grid":
        problems += [
            Problem(path, "is continuous, which `sampler: grid` cannot enumerate; use choice")
            for path, domain in domains_in(space)
            if grid_values(domain) is None
        ]
    for index, point in enumerate(search.points):
        problems += point_problems(space, point, index, search.sampler.name == "none")
    return problems


def point_problems(
    space: Mapping[str, Any], point: Mapping[str, Any], index: int, whole: bool
) -> list[Problem]:
    """Returns what is wrong with one of `search.points`.

    Args:
        space: The searchable sections, their domains parsed.
        point: Values by dotted name, or nested.
        index: Its place in the list.
        whole: Whether it must give every value, because nothing else draws.
    """
    where = f"search.points.{index}"
    values = flatten(dict(point))
    problems: list[Problem] = []
    used: set[str] = set()

    def choose(name: str, path: str, domain: Domain) -> Any:
        first = grid_values(domain) or [samples(domain)[0]]
        if path not in values:
            if whole:
                rule = "is left open, and with `sampler: none` nothing else draws it"
                problems.append(Problem(dotted(where, path), rule))
            return first[0]
        used.add(path)
        if not contains(domain, values[path]):
            rule = f"must be {describe(domain)}, but got {values[path]!r}"
            problems.append(Problem(dotted(where, path), rule))
            return first[0]
        return values[path]

    try:
        draw(space, choose, options_taken)
    except (TypeError, AttributeError):
        return []
    names = [path for path, _ in domains_in(space)]
    return problems + [
        Problem(dotted(where, path), f"is not drawn in this configuration{nearest(path, names)}")
        for path in values
        if path not in used
    ]


def _form_problems(section: str, node: Any) -> list[Problem]:
    if isinstance(node, Choice):
        return [problem for option in node.options for problem in _form_problems(section, option)]
    if isinstance(node, list) and section == "pruning":
        return [problem for item in node for problem in _form_problems(section, item)]
    if isinstance(node, Mapping):
        return []
    return [Problem(section, f"must be a mapping, but got {node!r}")]


def _section_samples(section: str, node: Any) -> list[Any]:
    if isinstance(node, Choice):
        return [sample for option in node.options for sample in _section_samples(section, option)]
    if isinstance(node, list):
        columns = [_section_samples(section, item) for item in node]
        first = [column[0] for column in columns]
        return [first] + [
            [*first[:i], other, *first[i + 1 :]]
            for i, column in enumerate(columns)
            for other in column[1:]
        ]
    if section not in FAMILIES:
        return samples(node)
    rows: list[Any] = []
    for method in _methods(node):
        taken = options_taken(section, method)
        own = {k: v for k, v in node.items() if k != "method" and (taken is None or k in taken)}
        rows += [{"method": method, **row} for row in samples(own)]
    return rows


def _methods(node: Mapping[str, Any]) -> list[Any]:
    return samples(node["method"]) if "method" in node else [None]


def _untaken(family: str, node: Any, path: str) -> list[Problem]:
    """Returns a problem for every option that no choosable method takes."""
    if isinstance(node, Choice):
        return [p for option in node.options for p in _untaken(family, option, path)]
    if isinstance(node, list):
        return [p for i, item in enumerate(node) for p in _untaken(family, item, f"{path}.{i}")]
    methods = _methods(node)
    if not all(method in FAMILIES[family] for method in methods):
        return []
    taken = {key for method in methods for key in FAMILIES[family][method].model_fields}
    return [
        Problem(
            dotted(path, key),
            f"unknown key: {' and '.join(methods)} {'takes' if len(methods) == 1 else 'take'} no "
            f"such option{nearest(str(key), taken | {'method'})}",
        )
        for key in node
        if key not in taken
    ]
