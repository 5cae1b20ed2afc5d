"""Loading a search-space file: every problem at once, before any work.

`schema` says what a file holds; here it is checked.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdray.config.domains import DOMAIN_NAMES, Choice, parse_tree
from kdray.config.loading import Document, read_document, with_overrides
from kdray.config.teachers import Teacher
from kdray.config.validation import checked, dotted, nearest, shown, within
from kdray.data.base import DataSource
from kdray.data.files import READERS
from kdray.data.unlabeled import ENDINGS, LINES
from kdray.errors import ConfigError, Problem
from kdray.metric_checks import (
    checked_constraints,
    objective_problems,
    verification_problems,
)
from kdray.models.sources import folder_problem
from kdray.point_checks import search_problems
from kdray.profile import with_profile
from kdray.pruning_checks import pruning_problems
from kdray.regime_checks import regime_problems
from kdray.results.feasibility import Bounds
from kdray.results.folder import SAFE_NAME
from kdray.scheduler_checks import scheduler_problems
from kdray.schema import (
    DEFAULTS,
    PLAIN,
    SEARCHABLE,
    TOP_LEVEL,
    SweepConfig,
    checked_data,
    filled,
    named,
)
from kdray.space_checks import architecture_shape, space_problems, weight_problems
from kdray.warm_start import earlier_sweeps, folder_problems


def load_sweep_config(
    path: str | Path,
    overrides: Sequence[str] = (),
    profile: str | Path | None = None,
    begun: bool = False,
) -> SweepConfig:
    """Loads a search-space file.

    Args:
        path: The YAML file.
        overrides: `key=value` assignments; they win over the profile.
        profile: A YAML file that says where and how the sweep runs; it wins over the space.
        begun: See `parse_sweep_config`.

    Raises:
        ConfigError: With every problem of the files, each with its line or dotted key.
    """
    document = read_document(Path(path))
    if profile is not None:
        document = with_profile(document, read_document(Path(profile)))
    paths = {"path": str(Path(path).resolve()), "overrides": list(overrides)}
    source = paths | {"profile": str(Path(profile).resolve()) if profile is not None else None}
    config = parse_sweep_config(with_overrides(document, overrides), begun)
    return replace(config, source=source | {"cwd": str(Path.cwd())})


def parse_sweep_config(document: Document, begun: bool = False) -> SweepConfig:
    """Returns the configuration that a document holds; see `load_sweep_config`.

    Args:
        document: A search-space file, or what a sweep wrote down.
        begun: Whether the sweep has begun: what it learnt from earlier ones is known then, and
            their folders may be gone, as may those of models, which it has copies of.
    """
    given = {key: value for key, value in document.content.items() if value is not None}
    content = {"name": default_name(document.source), **DEFAULTS, **given}
    content |= filled(content) | {"regime": named(content["regime"])}
    first = [*_unknown_sections(content), *_misplaced_domains(content)]
    space = {key: parse_tree(content[key], key, first) for key in SEARCHABLE}
    data, problems = checked_data(content["data"])
    sections: dict[str, Any] = {}
    for name, section in PLAIN.items():
        sections[name], wrong = checked(section, content[name], name)
        problems += wrong
    measured = sections["evaluation"]
    constraints, wrong = checked_constraints(content["constraints"], data, measured)
    problems += [
        *_name_problems(content),
        *_file_problems(content, document.base),
        *([] if begun else _model_problems(content, document.base)),
        *objective_problems(content["objectives"], data, measured),
        *wrong,
        *_teacher_problems(sections["teacher"], data),
        *space_problems(space, data, sections["teacher"]),
    ]
    if not first and not problems:
        problems += pruning_problems(space)
        problems += regime_problems(space, architecture_shape(sections["teacher"]))
    if not first:
        problems += search_problems(space, sections["search"])
        problems += scheduler_problems(space, sections["search"], content["objectives"])
    if not begun:
        problems += folder_problems(sections["search"], document.base)
    consequences = [p for p in problems if not any(within(p.where, q.where) for q in first)]
    if first or consequences or document.problems:
        raise ConfigError(_with_lines(document, [*first, *consequences]), document.source)
    config = _config(document, content, space, {"data": data, **sections}, constraints)
    if not begun:
        _check_warm_start(config, document)
    return config


def _config(
    document: Document,
    content: Mapping[str, Any],
    space: Mapping[str, Any],
    sections: Mapping[str, Any],
    constraints: Bounds,
) -> SweepConfig:
    plain = {name: section.model_dump(mode="json") for name, section in sections.items()}
    return SweepConfig(
        name=content["name"],
        seed=content["seed"],
        space={**space, "student": _located(space["student"], document.base)},
        objectives=dict(content["objectives"]),
        constraints=constraints,
        base=document.base,
        content={**content, **plain, "constraints": constraints},
        **sections,
    )


def _check_warm_start(config: SweepConfig, document: Document) -> None:
    try:
        earlier_sweeps(config)
    except ConfigError as error:
        raise ConfigError(_with_lines(document, error.problems), document.source) from None


def _with_lines(document: Document, problems: Sequence[Problem]) -> list[Problem]:
    found = [document.problem(p.where, p.message) for p in dict.fromkeys(problems)]
    return sorted([*document.problems, *found], key=lambda problem: problem.line or 0)


def default_name(source: str) -> str:
    """Returns the file's name without what cannot stand in the name of a folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem).strip("._-")[:100] or "sweep"


def _unknown_sections(content: Mapping[Any, Any]) -> list[Problem]:
    return [
        Problem(str(key), f"unknown section{nearest(key, TOP_LEVEL)}")
        for key in content
        if key not in TOP_LEVEL
    ]


def _name_problems(content: Mapping[str, Any]) -> list[Problem]:
    problems = []
    name, seed = content["name"], content["seed"]
    if not isinstance(name, str) or not SAFE_NAME.fullmatch(name):
        rule = "must be letters, digits, '.', '_' and '-', and start with a letter or digit"
        problems.append(Problem("name", f"{rule}, but got {shown(name)}"))
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        problems.append(Problem("seed", f"must be an integer of at least 0, but got {shown(seed)}"))
    return problems


def _misplaced_domains(content: Mapping[str, Any]) -> list[Problem]:
    reason = (
        "takes no domain: data and teacher are prepared once per sweep; domains may stand in "
        + ", ".join(SEARCHABLE)
    )
    fixed = {key: value for key, value in content.items() if key not in SEARCHABLE}
    return [Problem(path, reason) for path in _domain_paths(fixed, "")]


def _domain_paths(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return
    if len(value) == 1 and next(iter(value)) in DOMAIN_NAMES:
        yield path
    else:
        for key, item in value.items():
            yield from _domain_paths(item, dotted(path, key))


def _file_problems(content: Mapping[str, Any], base: Path) -> list[Problem]:
    data = content["data"]
    paths: dict[str, Any] = {}
    if isinstance(data, Mapping) and data.get("source") == "files":
        paths = {f"data.{key}": data.get(key) for key in ("train", "validation", "test")}
    if isinstance(data, Mapping):
        paths["data.unlabeled"] = data.get("unlabeled")
    evaluation = content["evaluation"]
    if isinstance(evaluation, Mapping):
        paths["evaluation.out_of_domain"] = evaluation.get("out_of_domain")
    hint = (
        "; the head of the search-space file says where its data come from, and "
        "--set {key}=PATH points at a file of your own"
    )
    problems = [
        Problem(key, f"no such file: {base / path}{hint.format(key=key)}")
        for key, path in paths.items()
        if isinstance(path, str) and not (base / path).is_file()
    ]
    other = paths.get("evaluation.out_of_domain")
    if isinstance(other, str) and Path(other).suffix not in READERS:
        message = f"must end in {', '.join(READERS)}, but got {other!r}"
        problems.append(Problem("evaluation.out_of_domain", message))
    return problems + _unlabeled_problems(data)


def _unlabeled_problems(data: Any) -> list[Problem]:
    file = data.get("unlabeled") if isinstance(data, Mapping) else None
    if not isinstance(file, str):
        return []
    if Path(file).suffix not in ENDINGS:
        message = f"must end in {', '.join(ENDINGS)}, but got {file!r}"
        return [Problem("data.unlabeled", message)]
    if Path(file).suffix == LINES and isinstance(data.get("text"), list):
        message = f"a pair of texts stands in no line of {file!r}; give a table with both columns"
        return [Problem("data.unlabeled", message)]
    return []


def _model_problems(content: Mapping[str, Any], base: Path) -> list[Problem]:
    teacher, student = content["teacher"], content["student"]
    named: list[tuple[str, Any, bool | None]] = []
    if isinstance(teacher, Mapping):
        trusted = teacher.get("trust_remote_code") is True
        model = teacher.get("model")
        members = list(enumerate(model)) if isinstance(model, list) else []
        named += [(dotted("teacher.model", n), name, trusted) for n, name in members]
        named += [] if members else [("teacher.model", model, trusted)]
    if isinstance(student, Mapping):
        initial = student.get("initial")
        drawn = initial.get("choice") if isinstance(initial, Mapping) else None
        starts = drawn if isinstance(drawn, list) else [initial]
        named += [("student.initial", start, None) for start in starts]
    problems = []
    for key, name, trusts in named:
        folder = base / name if isinstance(name, str) else None
        if folder is not None and folder.is_dir():
            message = folder_problem(folder, trusts)
            problems += [Problem(key, message)] if message else []
        elif folder is not None and name.startswith((".", "/")):
            problems.append(Problem(key, f"no such folder: {folder}"))
    return problems


def _teacher_problems(teacher: Teacher | None, data: DataSource | None) -> list[Problem]:
    problems = verification_problems(teacher, data)
    training = None if teacher is None else teacher.training
    if training is not None and data is not None and not isinstance(data.labels, str):
        weights = training.class_weights
        problems += weight_problems("teacher.training", weights, len(data.labels))
    return problems


def _located(student: Any, base: Path) -> Any:
    """Returns the student's section with the folders that it starts from as absolute paths."""
    if isinstance(student, Choice):
        return Choice(tuple(_located(option, base) for option in student.options))
    if not isinstance(student, Mapping) or "initial" not in student:
        return student
    initial = student["initial"]
    if isinstance(initial, Choice):
        return {**student, "initial": Choice(tuple(_folder(o, base) for o in initial.options))}
    return {**student, "initial": _folder(initial, base)}


def _folder(initial: str, base: Path) -> str:
    return str(base / initial) if (base / initial).is_dir() else initial
