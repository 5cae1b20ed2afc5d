"""Loading a search-space file: every problem at once, before any work.

`schema` says what a file holds; here it is checked.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdray.config.domains import DOMAIN_NAMES, parse_tree
from kdray.config.loading import Document, read_document, with_overrides
from kdray.config.sections import Teacher
from kdray.config.validation import Section, checked, nearest
from kdray.data.base import DataSource
from kdray.errors import ConfigError, Problem
from kdray.evaluation.metrics import known_metrics
from kdray.profile import with_profile
from kdray.schema import DEFAULTS, PLAIN, SEARCHABLE, TOP_LEVEL, SweepConfig, checked_data
from kdray.space_checks import search_problems, space_problems, weight_problems

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def load_sweep_config(
    path: str | Path, overrides: Sequence[str] = (), profile: str | Path | None = None
) -> SweepConfig:
    """Loads a search-space file.

    Args:
        path: The YAML file.
        overrides: `key=value` assignments; they win over the profile.
        profile: A YAML file that says where and how the sweep runs; it wins over the space.

    Raises:
        ConfigError: With every problem of the files, each with its line or dotted key.
    """
    document = read_document(Path(path))
    if profile is not None:
        document = with_profile(document, read_document(Path(profile)))
    return parse_sweep_config(with_overrides(document, overrides))


def parse_sweep_config(document: Document) -> SweepConfig:
    """Returns the configuration that a document holds; see `load_sweep_config`."""
    problems = [
        Problem(key, f"unknown section{nearest(key, TOP_LEVEL)}")
        for key in document.content
        if key not in TOP_LEVEL
    ]
    given = {key: value for key, value in document.content.items() if value is not None}
    content = {"name": Path(document.source).stem, **DEFAULTS, **given}
    misplaced = _misplaced_domains(content)
    problems += _name_problems(content) + misplaced
    data, more = checked_data(content["data"])
    problems += more + _file_problems(content["data"], document.base)
    sections: dict[str, Any] = {}
    for name, section in PLAIN.items():
        sections[name], more = checked(section, content[name], name)
        problems += [p for p in more if p.where not in {m.where for m in misplaced}]
    space = {key: parse_tree(content[key], key, problems) for key in SEARCHABLE}
    problems += space_problems(space, data, sections["teacher"])
    problems += search_problems(space, sections["search"])
    problems += _objective_problems(content["objectives"], data)
    problems += _teacher_problems(sections["teacher"], data)
    if problems:
        raise ConfigError(_with_lines(document, problems), document.source)
    content["data"] = dict(content["data"])
    assert data is not None
    return SweepConfig(
        name=content["name"],
        seed=content["seed"],
        data=data,
        space=space,
        objectives=dict(content["objectives"]),
        base=document.base,
        content=content,
        **sections,
    )


def _with_lines(document: Document, problems: Sequence[Problem]) -> list[Problem]:
    found = [document.problem(p.where, p.message) for p in dict.fromkeys(problems)]
    return sorted(found, key=lambda problem: problem.line or 0)


def _name_problems(content: Mapping[str, Any]) -> list[Problem]:
    problems = []
    name, seed = content["name"], content["seed"]
    if not isinstance(name, str) or not _SAFE_NAME.fullmatch(name):
        rule = "must be letters, digits, '.', '_' and '-', and start with a letter or digit"
        problems.append(Problem("name", f"{rule}, but got {name!r}"))
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        problems.append(Problem("seed", f"must be an integer of at least 0, but got {seed!r}"))
    return problems


def _misplaced_domains(content: Mapping[str, Any]) -> list[Problem]:
    reason = (
        "takes no domain: data and teacher are prepared once per sweep; domains may stand in "
        + ", ".join(SEARCHABLE)
    )
    outside = {key: value for key, value in content.items() if key not in SEARCHABLE}
    return [Problem(path, reason) for path in _domain_paths(outside, "")]


def _domain_paths(value: Any, path: str) -> list[str]:
    if not isinstance(value, Mapping):
        return []
    if len(value) == 1 and next(iter(value)) in DOMAIN_NAMES:
        return [path]
    return [
        found
        for key, item in value.items()
        for found in _domain_paths(item, f"{path}.{key}" if path else str(key))
    ]


def _file_problems(data: Any, base: Path) -> list[Problem]:
    if not isinstance(data, Mapping):
        return []
    paths = {f"data.{key}": data.get(key) for key in ("train", "validation", "test")}
    return [
        Problem(
            key,
            f"no such file: {base / path}; the head of the search-space file says where its data "
            f"come from, and --set {key}=PATH points at a file of your own",
        )
        for key, path in paths.items()
        if isinstance(path, str) and not (base / path).is_file()
    ]


def _teacher_problems(teacher: Teacher | None, data: DataSource | None) -> list[Problem]:
    if teacher is None:
        return []
    known = [name for name, direction in known_metrics(data).items() if direction == "maximize"]
    problems = []
    if teacher.verify.metric not in known:
        message = f"no such metric: {teacher.verify.metric!r}"
        problems.append(
            Problem("teacher.verify.metric", message + nearest(teacher.verify.metric, known))
        )
    if teacher.training is not None and data is not None and not isinstance(data.labels, str):
        weights = teacher.training.class_weights
        problems += weight_problems("teacher.training", weights, len(data.labels))
    return problems


def _objective_problems(objectives: Any, data: DataSource | None) -> list[Problem]:
    if not isinstance(objectives, Mapping) or not objectives:
        rule = "must map metrics to maximize or minimize, such as {macro_f1: maximize}"
        return [Problem("objectives", f"{rule}, but got {objectives!r}")]
    known = known_metrics(data)
    problems = []
    for name, direction in objectives.items():
        if name not in known:
            problems.append(
                Problem(f"objectives.{name}", f"no such metric{nearest(str(name), known)}")
            )
        elif direction != known[name]:
            problems.append(
                Problem(f"objectives.{name}", f"must be {known[name]!r}, but got {direction!r}")
            )
    return problems
