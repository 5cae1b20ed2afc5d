"""One search-space file put together: the families' options and the plain sections."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdray.config.domains import DOMAIN_NAMES
from kdray.config.drawing import Choose, Drawn, draw
from kdray.config.search import Search
from kdray.config.sections import Direction, Evaluation, Resources, Student, Tracking, Training
from kdray.config.teachers import Teacher
from kdray.config.validation import Section, SectionT, checked, dotted, nearest, shown
from kdray.data.base import DataSource
from kdray.data.sources import SOURCES
from kdray.distillation.base import DistillationMethod
from kdray.distillation.regimes import REGIMES, Regime
from kdray.distillation.table import DISTILLATION
from kdray.errors import ConfigError, Problem
from kdray.pruning.base import PruningMethod
from kdray.pruning.table import PRUNING
from kdray.results.feasibility import Bounds

FAMILIES: dict[str, Mapping[str, type[Section]]] = {
    "pruning": PRUNING,
    "distillation": DISTILLATION,
    "regime": REGIMES,
}
# The key by which a section of each family says which it is.
NAMING = {"pruning": "method", "distillation": "method", "regime": "name"}
SEARCHABLE = ("student", "pruning", "distillation", "regime", "training")
PLAIN: dict[str, type[Section]] = {
    "teacher": Teacher,
    "evaluation": Evaluation,
    "search": Search,
    "resources": Resources,
    "tracking": Tracking,
}
TOP_LEVEL = ("name", "seed", "data", "objectives", "constraints", *SEARCHABLE, *PLAIN)
DEFAULTS: dict[str, Any] = {
    "seed": 0,
    "data": {"source": "synthetic"},
    "student": {},
    "pruning": {"method": "none"},
    "distillation": {"method": "logit"},
    "regime": {"name": "single"},
    "training": {},
    "objectives": {"macro_f1": "maximize", "size_mb": "minimize"},
    "constraints": {},
    **{name: {} for name in PLAIN},
}


@dataclass(frozen=True)
class TrialConfig:
    """One drawn configuration, every option in its place."""

    student: Student
    pruning: tuple[PruningMethod, ...]
    distillation: DistillationMethod
    regime: Regime
    training: Training
    evaluation: Evaluation
    selection_metric: str = "macro_f1"


@dataclass(frozen=True)
class SweepConfig:
    """One search-space file.

    Attributes:
        name: Name of the sweep, a safe file name.
        seed: Of the data, the teacher's start and the sampler.
        data: The data source.
        teacher: Who teaches.
        space: The searchable sections, their domains parsed.
        evaluation: How students are measured.
        objectives: Metrics and what is better of each.
        constraints: Metrics and the bounds that a feasible trial keeps to.
        search: How the space is searched.
        resources: What one trial gets.
        tracking: Where MLflow records.
        base: The folder that relative paths start from.
        content: The file's content with defaults filled in, to be written down.
        source: What it was loaded from: `path`, `overrides` and `profile`; empty if from no file.
    """

    name: str
    seed: int
    data: DataSource
    teacher: Teacher
    space: Mapping[str, Any]
    evaluation: Evaluation
    objectives: dict[str, Direction]
    constraints: Bounds
    search: Search
    resources: Resources
    tracking: Tracking
    base: Path
    content: Mapping[str, Any]
    source: Mapping[str, Any] = field(default_factory=dict)

    def draw(self, choose: Choose) -> Drawn:
        """Returns one configuration, drawn by `choose`."""
        return draw(self.space, choose, options_taken)


def options_taken(section: str, method: Any) -> frozenset[str] | None:
    """Returns the options that a method of a family takes; None for a section without methods."""
    family = FAMILIES.get(section, {})
    if not isinstance(method, str) or method not in family:
        return None
    return frozenset(family[method].model_fields)


def named(regime: Any) -> Any:
    """Returns a `regime` section in which every name that stands alone is a mapping."""
    if isinstance(regime, str):
        return {"name": regime}
    if not isinstance(regime, Mapping) or not isinstance(regime.get("choice"), list):
        return regime
    return {**regime, "choice": [named(option) for option in regime["choice"]]}


def completed(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the sections of a trial of any age: one that is newer has its default."""
    return {"regime": DEFAULTS["regime"], **sections}


def filled(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `student` and `training` with the defaults of what they leave out.

    What a method takes by default depends on the method that is drawn; see `kdray methods`.
    """
    defaults = {"student": Student(), "training": Training()}
    return {
        name: section.model_dump(mode="json", exclude_none=name == "student") | dict(content[name])
        for name, section in defaults.items()
        if isinstance(content[name], Mapping) and not set(content[name]) & set(DOMAIN_NAMES)
    }


def trial_config(
    sections: Mapping[str, Any], evaluation: Evaluation, selection_metric: str
) -> TrialConfig:
    """Returns the typed configuration of one trial.

    Args:
        sections: Plain values of the searchable sections.
        evaluation: How the student is measured.
        selection_metric: The metric that selects the best epoch.

    Raises:
        ConfigError: With every problem of the sections.
    """
    found, problems = checked_sections(sections)
    if problems:
        raise ConfigError(problems)
    return TrialConfig(**found, evaluation=evaluation, selection_metric=selection_metric)


def checked_sections(sections: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Returns every valid searchable section by its name, and the problems of the others."""
    pruning = [
        checked_method("pruning", mapping, path)
        for path, mapping in pruning_list(sections["pruning"])
    ]
    results: dict[str, tuple[Any, list[Problem]]] = {
        "student": checked(Student, sections["student"], "student"),
        "training": checked(Training, sections["training"], "training"),
        "distillation": checked_method("distillation", sections["distillation"], "distillation"),
        "regime": checked_method("regime", completed(sections)["regime"], "regime"),
        "pruning": (
            None if any(wrong for _, wrong in pruning) else tuple(found for found, _ in pruning),
            [problem for _, wrong in pruning for problem in wrong],
        ),
    }
    found = {name: section for name, (section, _) in results.items() if section is not None}
    return found, [problem for _, wrong in results.values() for problem in wrong]


def pruning_list(value: Any) -> list[tuple[str, Any]]:
    """Returns each pruning mapping with its dotted key; one mapping is a list of one."""
    if not isinstance(value, list):
        return [("pruning", value)]
    return [(f"pruning.{index}", item) for index, item in enumerate(value)]


def checked_method(family: str, value: Any, path: str) -> tuple[Any, list[Problem]]:
    """Validates a mapping with a `method` or `name` against the options of that one."""
    return _checked_named(FAMILIES[family], NAMING[family], value, path)


def checked_data(value: Any) -> tuple[DataSource | None, list[Problem]]:
    """Validates the `data` section against its source's options."""
    return _checked_named(SOURCES, "source", value, "data")


def _checked_named(
    table: Mapping[str, type[SectionT]], key: str, value: Any, path: str
) -> tuple[SectionT | None, list[Problem]]:
    if not isinstance(value, Mapping):
        return None, [Problem(path, f"must be a mapping with a `{key}`, but got {shown(value)}")]
    name = value.get(key)
    if name is None:
        return None, [Problem(dotted(path, key), f"is required{nearest('', table)}")]
    if not isinstance(name, str) or name not in table:
        message = f"no such {key}: {shown(name)}{nearest(name, table)}"
        return None, [Problem(dotted(path, key), message)]
    return checked(table[name], value, path)
