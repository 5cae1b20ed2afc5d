"""The card of a student that is taken away: README.md beside its weights.

It says what the student is, how it was made and how good it is, and shows no text of the data.
"""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kdray.reporting.card_tables import cost_table, quality_table
from kdray.reporting.formats import drawn
from kdray.reporting.headline import quality_metric, sentence
from kdray.reporting.objectives import objective
from kdray.reporting.reading import read_summary, read_sweep, read_verification
from kdray.reporting.report import render, report_context
from kdray.reporting.stored import WEIGHTS, stored_as
from kdray.reporting.usage import usage
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult

_HUB_METRICS = {"macro_f1": "f1", "micro_f1": "f1", "accuracy": "accuracy", "auroc": "roc_auc"}
_SOURCES = {
    "synthetic": "kdray's synthetic corpus, made by a program: the student is of use as an example",
    "files": "tables of the sweep's owner",
}


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


def student_card(taken: Taken) -> str:
    """Returns the card, Markdown under the front matter that model hubs read."""
    sweep, summary = read_sweep(taken.folder), read_summary(taken.folder)
    config, teacher, metrics = sweep["config"], summary["teacher"], taken.result.metrics
    row = {**metrics, **taken.result.parameters}
    row[WEIGHTS] = stored_as(row, config)
    twin = taken.folder.baselines.result(taken.result.trial_id)
    alone = twin.metrics if twin is not None and twin.status == "completed" else {}
    report, own = (
        report_context(taken.folder),
        {"inference": "", **_read(taken.student / "kdray.json")},
    )
    context = {
        "matter": yaml.safe_dump(_matter(taken, config), sort_keys=False, allow_unicode=True),
        "title": f"{summary['name']}, trial {taken.result.trial_id}",
        "headline": sentence(row, teacher, quality_metric(config["objectives"], teacher)),
        "model": _model(taken.student),
        "own": own,
        "thresholds": dict(zip(own["labels"], own["thresholds"], strict=False)),
        "usage": _usage(taken, config),
        "onnx": taken.exported,
        "quality": quality_table(metrics, teacher, alone),
        "costs": cost_table(metrics, teacher),
        "packed": (taken.student / "packed.safetensors").exists(),
        "teacher": _teacher(config),
        "parameters": {name: drawn(value) for name, value in taken.result.parameters.items()},
        "sections": _sections(taken),
        "data": _data(config["data"]),
        "digest": _digest(taken.folder),
        "trials": summary["trials"]["completed"],
        "out_of_domain": any(name.startswith("ood_") for name in metrics),
        "seeds": _seeds(config, taken),
        "commit": report["commit"],
        "versions": report["versions"],
        "commands": "\n".join([report["command"], *_commands(taken)]),
        "confirm": f"kdray confirm {_sweep_name(taken)} --seeds 3",
    }
    return render("card.md.jinja", context)


def _read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _sweep_name(taken: Taken) -> str:
    return shlex.quote(f"runs/{taken.folder.name}")


def _commands(taken: Taken) -> list[str]:
    again = f"kdray trial {_sweep_name(taken)} {taken.result.trial_id} --output student"
    return [taken.command, again] if taken.command else [again]


def _matter(taken: Taken, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a hub reads: the licence is the owner's to choose, and left out."""
    plain = (taken.student / "model.safetensors").exists()
    test = _hub_values(taken)
    results = [_result(config["data"], test)] if test else []
    return {
        "library_name": "onnx" if taken.exported else "transformers" if plain else "kdray",
        "pipeline_tag": "text-classification",
        "tags": ["text-classification", "knowledge-distillation", "pruning", "kdray"],
        "metrics": list(dict.fromkeys(_HUB_METRICS.values())),
        "model-index": [{"name": taken.name, "results": results}],
    }


def _hub_values(taken: Taken) -> dict[str, float]:
    """The student's metrics on test in the format it is in; nothing if int8 was not measured."""
    measured = {
        f"test_{name}": values[0] for name, values in taken.exported.get("test", {}).items()
    }
    rounded = taken.exported.get("format") == "onnx-int8"
    metrics = measured if rounded else taken.result.metrics
    return {n: float(metrics[f"test_{n}"]) for n in _HUB_METRICS if f"test_{n}" in metrics}


def _result(data: Mapping[str, Any], test: Mapping[str, float]) -> dict[str, Any]:
    name = data.get("name") or data["source"]
    return {
        "task": {"type": "text-classification"},
        "dataset": {"name": name, "type": name, "split": "test"},
        "metrics": [
            {"type": _HUB_METRICS[metric], "name": objective(metric).label, "value": value}
            for metric, value in test.items()
        ],
    }


def _model(student: Path) -> str:
    """The student in words: "a bert classifier of 2 layers, 128 wide"."""
    config = _read(student / "config.json")
    layers = config.get("num_hidden_layers") or config.get("n_layers")
    width = config.get("hidden_size") or config.get("dim")
    shape = [f"of {layers} layer{'s' * (layers != 1)}"] if layers else []
    shape += [f"{width} wide"] if width else []
    return f"A {config['model_type']} classifier {', '.join(shape)}".strip()


def _usage(taken: Taken, config: Mapping[str, Any]) -> str:
    form, inputs = taken.exported.get("format", "safetensors"), taken.exported.get("inputs", [])
    return usage(taken.name, form, inputs, isinstance(config["data"]["text"], list))


def _teacher(config: Mapping[str, Any]) -> str:
    """The teacher in words; a folder is called by its last name alone."""
    teacher = config["teacher"]
    if not teacher.get("model"):
        shape = teacher["architecture"]
        return f"a BERT of {shape['layers']} layers, {shape['hidden_size']} wide, from scratch"
    models = teacher["model"] if isinstance(teacher["model"], list) else [teacher["model"]]
    names = [Path(name).name if name.startswith((".", "/")) else name for name in models]
    how = "fine-tuned before" if teacher.get("training") is None else "fine-tuned in the sweep"
    return f"{', '.join(names)}, {how}"


def _sections(taken: Taken) -> str:
    file = taken.folder.trial(taken.result.trial_id) / "config.yaml"
    sections = yaml.safe_load(file.read_text(encoding="utf-8"))["sections"]
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True)


def _data(data: Mapping[str, Any]) -> str:
    """Where the data come from; of files not even the names, which are the owner's."""
    if data["source"] in _SOURCES:
        return _SOURCES[data["source"]]
    parts = [str(data["name"]), *([str(data["config"])] if data.get("config") else [])]
    revision = data.get("revision") or "not pinned"
    return f"{' / '.join(parts)} of the Hugging Face hub, revision {revision}"


def _digest(folder: SweepFolder) -> str:
    there = folder.verification_json.exists()
    return str((read_verification(folder) if there else {}).get("data_digest") or "")


def _seeds(config: Mapping[str, Any], taken: Taken) -> str:
    own = yaml.safe_load(_sections(taken)).get("training", {}).get("seed", 0)
    return f"{config.get('seed', 0)} of the sweep (data, search), {own} of the training"
