"""The text of a first search-space file: what to search in first, and why.

What is not decided here has its default and is not written down. Options are explained in the words
of the schema.
"""

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdray.config.loading import parse_document
from kdray.config.search import Search
from kdray.config.sections import Evaluation, Student, Training
from kdray.config.teachers import Teacher, TeacherArchitecture
from kdray.config.validation import Section
from kdray.data.sources import SOURCES
from kdray.errors import ConfigError
from kdray.models.sources import layers_of
from kdray.schema import DEFAULTS, FAMILIES

# A pretrained encoder forgets at the rates that one from scratch needs: Devlin et al., 2019, took
# 2e-5 to 5e-5 and 2 to 4 epochs. https://arxiv.org/abs/1810.04805
TEACHER_TRAINING = {
    "pretrained": {"epochs": 3, "learning_rate": 5e-5},
    "scratch": {"epochs": 8, "learning_rate": 1e-3},
}
STUDENT_RATES = {"pretrained": [2e-5, 5e-4], "scratch": [1e-4, 2e-3]}
SHARES = (1 / 4, 1 / 3, 1 / 2, 3 / 4)
WIDTH = 100
# Name of a section, what it holds, why, and where its options are described.
_Told = tuple[str, Mapping[str, Any], str, type[Section] | None]


UNKNOWN = "could not be reached, so nothing is known of it"


@dataclass(frozen=True)
class Plan:
    """What a first search is about.

    Attributes:
        name: Of the sweep.
        data: The section `data`.
        found: What was found in the data, in words.
        model: The teacher's hub id, or its folder as the file names it; None: from scratch.
        settings: What the model's `config.json` holds.
        is_tuned: Whether it predicts these labels already.
        search: The section `search`.
        cost: What is known of the time that it takes, in words.
    """

    name: str
    data: Mapping[str, Any]
    found: str
    model: str | None
    settings: Mapping[str, Any]
    is_tuned: bool
    search: Mapping[str, Any]
    cost: str

    @property
    def start(self) -> str:
        """What the teacher starts from."""
        return "scratch" if self.model is None else "pretrained"

    @property
    def is_unknown(self) -> bool:
        """Whether the teacher is on the hub, which could not be reached."""
        return bool(self.model and not self.settings and not self.model.startswith((".", "/")))


def space_text(plan: Plan, file: Path) -> str:
    """Returns a search-space file about a plan, which is to stand in `file`."""
    sections: list[_Told] = [
        ("data", plan.data, plan.found, SOURCES[plan.data["source"]]),
        ("teacher", *_teacher(plan), Teacher),
        ("student", *_student(plan), Student),
        ("pruning", *_pruning(), FAMILIES["pruning"]["magnitude"]),
        ("distillation", *_distillation(), FAMILIES["distillation"]["multi_level"]),
        ("training", *_training(plan), Training),
        ("evaluation", *_evaluation(), Evaluation),
        ("objectives", *_objectives(), None),
        ("search", plan.search, plan.cost, Search),
    ]
    first = f"name: {yaml_of(plan.name)}\nseed: {yaml_of(DEFAULTS['seed'])}"
    return "\n\n".join([_head(file), first, *map(_section, sections)]) + "\n"


def yaml_of(value: Any) -> str:
    """Returns a value as it stands in one line of a YAML file."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{yaml_of(key)}: {yaml_of(v)}" for key, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(yaml_of, value)) + "]"
    if isinstance(value, str):
        return value if _means(value) else json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def fewer_layers(layers: int) -> Any:
    """Returns how many of a teacher's layers students keep: a quarter to three of them."""
    fewer = sorted({max(1, round(layers * share)) for share in SHARES} - {layers})
    return {"choice": fewer} if len(fewer) > 1 else (fewer or [layers])[0]


def _means(text: str) -> bool:
    """Returns whether a text needs no quotes, wherever it stands."""
    try:
        read = parse_document(f"x: [{text}, {{{text}: {text}}}]\ny: {text}", "", Path()).content
    except ConfigError:
        return False
    return read == {"x": [text, {text: text}], "y": text}


def _head(file: Path) -> str:
    return f"""\
# Which small student is still good enough? `kdray init` wrote this; you may know better.
#
#     kdray validate {file}   # tries every method on a tiny batch, and estimates the cost
#     kdray sweep {file}
#
# A value in student, pruning, distillation, regime and training may be a domain, which is searched,
# such as {{choice: [a, b]}}, {{uniform: [low, high]}}, {{loguniform: [low, high]}}.
# `kdray methods` lists all methods with their options. After `kdray schema --output space.json` an
# editor completes and checks a file with the line `# yaml-language-server: $schema=space.json`."""


def _section(told: _Told) -> str:
    """Returns a section with a comment above it, and each option in the words of the schema."""
    name, options, why, section = told
    lines = textwrap.wrap(why, WIDTH, initial_indent="# ", subsequent_indent="# ")
    lines.append(f"{name}:")
    for key, value in options.items():
        field = section.model_fields.get(key) if section else None
        about = f"# {field.description}" if field and field.description else ""
        option = f"  {yaml_of(key)}: {yaml_of(value)}"
        beside = f"{option}   {about}".rstrip()
        lines += [beside] if not about or len(beside) <= WIDTH else [f"  {about}", option]
    return "\n".join(lines)


def _teacher(plan: Plan) -> tuple[Mapping[str, Any], str]:
    verify = {key: option.default for key, option in _fields(Teacher().verify).items()}
    training = None if plan.is_tuned else TEACHER_TRAINING[plan.start]
    if plan.model is None:
        shape = TeacherArchitecture().model_dump()
        why = (
            "None was named, so one is trained from scratch. A pretrained model that is fine-tuned "
            "on these labels knows more: kdray init --teacher HUB_ID_OR_FOLDER."
        )
        return {"architecture": shape, "training": training, "verify": verify}, why
    if plan.is_unknown:
        why = (
            f"It {UNKNOWN}. Here it is taken for one that does not predict these labels yet and is "
            "fine-tuned on them; one that does is taken as it is with `training: null`."
        )
        return {"model": plan.model, "training": training, "verify": verify}, why
    why = (
        "It predicts these labels already and is taken as it is."
        if plan.is_tuned
        else "It does not predict these labels yet, so it is fine-tuned on them, once for all "
        "trials."
    )
    return {"model": plan.model, "training": training, "verify": verify}, why


def _student(plan: Plan) -> tuple[Mapping[str, Any], str]:
    shape = TeacherArchitecture()
    layers = shape.layers if plan.model is None else layers_of(plan.settings)
    options: dict[str, Any] = {"initial": Student().initial}
    why = "Students start as some of the teacher's layers: size and time fall with their number."
    if layers is None:
        return options, f"{why} How many it has was not to be seen; name some as `layers`."
    return options | {"layers": fewer_layers(layers)}, why


def _pruning() -> tuple[Mapping[str, Any], str]:
    options = {
        "method": {"choice": ["none", "magnitude"]},
        "ratio": {"uniform": [0.2, 0.8]},
        "include": ["*word_embeddings"],
    }
    return options, (
        "Single weights go, or none; what is left is stored packed. Word embeddings are most of a "
        "small model, so they are pruned too. `width`, `heads`, `layers` and `vocabulary` take "
        "whole units, which saves time as well."
    )


def _distillation() -> tuple[Mapping[str, Any], str]:
    options = {
        "method": {"choice": ["logit", "hidden", "attention", "multi_level"]},
        "alpha": {"uniform": [0.1, 0.9]},
        "temperature": {"uniform": [1, 8]},
    }
    return options, (
        "Which of the four teaches best differs from data to data, and so does how much of the "
        "teacher there should be in the loss."
    )


def _training(plan: Plan) -> tuple[Mapping[str, Any], str]:
    rate = {"loguniform": STUDENT_RATES[plan.start]}
    options = {"epochs": Training().epochs, "batch_size": Training().batch_size}
    return options | {"learning_rate": rate}, "Of each student. The learning rate decides most."


def _evaluation() -> tuple[Mapping[str, Any], str]:
    options = {"thresholds": Evaluation().thresholds, "baselines": Evaluation().baselines}
    return options, (
        "Validation selects epochs and steers the search; test is measured once, at the end, and "
        "decides nothing."
    )


def _objectives() -> tuple[Mapping[str, Any], str]:
    return DEFAULTS["objectives"], (
        "The sweep ends with the students of which none is better in both. `latency_ms: minimize` "
        "is another objective, and `constraints: {size_mb: {maximum: 2}}` leaves out what is of no "
        "use."
    )


def _fields(section: Section) -> Mapping[str, Any]:
    return type(section).model_fields
