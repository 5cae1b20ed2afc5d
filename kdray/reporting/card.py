"""The card of a student that is taken away: README.md beside its weights.

It says what the student is, how it was made and how good it is, and shows no text of the data.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kdray.reporting.baselines import steps_said
from kdray.reporting.card_matter import front_matter
from kdray.reporting.card_origin import data_said, digest, teacher_said
from kdray.reporting.card_tables import cost_table, quality_table
from kdray.reporting.formats import drawn
from kdray.reporting.headline import was_busy
from kdray.reporting.provenance import called, provenance
from kdray.reporting.reading import read_summary, read_sweep
from kdray.reporting.rendering import render
from kdray.reporting.taken import headline_of, other_seeds_of
from kdray.reporting.usage import usage
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult


@dataclass(frozen=True)
class Taken:
    """A student on its way out.

    Attributes:
        folder: The sweep's folder.
        result: The trial that made it.
        student: Where its files are: configuration, `kdray.json`.
        name: What its new folder is called.
        exported: What is known of it in ONNX; empty for a copy.
        command: The command that took it.
    """

    folder: SweepFolder
    result: TrialResult
    student: Path
    name: str
    exported: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""

    @property
    def metrics(self) -> Mapping[str, float]:
        """What was measured of it."""
        return self.result.metrics


def student_card(taken: Taken) -> str:
    """Returns the card, Markdown under the front matter that model hubs read.

    Raises:
        ConfigError: If a file of the sweep is not there.
    """
    config = read_sweep(taken.folder)["config"]
    context = {
        "matter": _matter(taken, config),
        **_student(taken, config),
        **_measured(taken, config),
        **_made(taken, config),
    }
    return render("card.md.jinja", context)


def _matter(taken: Taken, config: Mapping[str, Any]) -> str:
    test = {
        name.removeprefix("test_"): value
        for name, value in taken.metrics.items()
        if name.startswith("test_")
    }
    if taken.exported.get("format") == "onnx-int8":  # rounded weights may say something else
        test = {name: values[0] for name, values in taken.exported["test"].items()}
    plain = (taken.student / "model.safetensors").exists()
    library = "onnx" if taken.exported else "transformers" if plain else "kdray"
    return front_matter(taken.name, library, config["data"], test)


def _student(taken: Taken, config: Mapping[str, Any]) -> dict[str, Any]:
    own = {"inference": "", **_read(taken.student / "kdray.json")}
    pairs = isinstance(config["data"]["text"], list)
    form, inputs = taken.exported.get("format", "safetensors"), taken.exported.get("inputs", [])
    return {
        "title": f"{taken.folder.name}, trial {taken.result.trial_id}",
        "model": _model(_read(taken.student / "config.json")),
        "own": own,
        "thresholds": dict(zip(own["labels"], own["thresholds"], strict=False)),
        "usage": usage(taken.name, form, inputs, pairs),
    }


def _model(config: Mapping[str, Any]) -> str:
    """The student in words: "A text classifier (bert) of 2 layers, 128 wide"."""
    layers = config.get("num_hidden_layers") or config.get("n_layers")
    width = config.get("hidden_size") or config.get("dim")
    shape = [f"of {layers} layer{'s' * (layers != 1)}"] if layers else []
    shape += [f"{width} wide"] if width else []
    return f"A text classifier ({config['model_type']}) {', '.join(shape)}".strip()


def _measured(taken: Taken, config: Mapping[str, Any]) -> dict[str, Any]:
    summary = read_summary(taken.folder)
    teacher, metrics = summary["teacher"], taken.metrics
    twin = taken.folder.baselines.result(taken.result.trial_id)
    alone = twin.metrics if twin is not None and twin.status == "completed" else {}
    return {
        "headline": headline_of(taken.folder, taken.result, taken.exported),
        "other_seeds": other_seeds_of(taken.folder, taken.result.trial_id),
        "quality": quality_table(metrics, teacher, alone),
        "alone": bool(alone),
        "fewer_steps": steps_said(summary),
        "tuned": (config.get("evaluation") or {}).get("thresholds") == "tuned",
        "costs": cost_table(metrics, teacher),
        "busy": was_busy(metrics, teacher),
        "packed": (taken.student / "packed.safetensors").exists(),
        "onnx": taken.exported,
        "trials": summary["trials"]["completed"],
        "out_of_domain": any(name.startswith("ood_") for name in metrics),
    }


def _made(taken: Taken, config: Mapping[str, Any]) -> dict[str, Any]:
    folder, sections = taken.folder, _sections(taken)
    report = provenance(folder.name, folder, read_sweep(folder))
    sweep, trial_id = called(folder), taken.result.trial_id
    again = f"kdray trial {sweep} {trial_id} --output student"
    own_seed = sections.get("training", {}).get("seed", 0)
    return {
        "teacher": teacher_said(config["teacher"]),
        "parameters": {name: drawn(value) for name, value in taken.result.parameters.items()},
        "sections": yaml.safe_dump(sections, sort_keys=False, allow_unicode=True),
        "data": data_said(config["data"]),
        "digest": digest(taken.folder),
        "seeds": f"{report['seed']} of the sweep (data, search), {own_seed} of the training",
        "commit": report["commit"],
        "versions": report["versions"],
        "commands": "\n".join(filter(None, [report["commands"], taken.command, again])),
        "confirm": f"kdray confirm {sweep} --seeds 3",
    }


def _sections(taken: Taken) -> dict[str, Any]:
    file = taken.folder.trial(taken.result.trial_id) / "config.yaml"
    sections: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["sections"]
    return sections


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
