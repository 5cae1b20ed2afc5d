"""Sweeps whose objectives are any metrics, in any number, with noise and texts of elsewhere."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from kdray.data.corpus import LABELS, make_corpus
from kdray.reporting.reading import read_summary, read_trials
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from kdray.sweep.opening import Launch
from kdray.sweep.run import run_sweep
from kdray.sweep.search import open_study
from tests.tiny_sweep import tiny_config

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]

PREDICTED = ("macro_f1", "micro_f1", "accuracy", "auroc", "hamming", "ece", "brier")


def swept(output: Path, name: str, **changes: Any) -> tuple[SweepConfig, SweepFolder]:
    config = tiny_config(output, name=name, **changes)
    folder = SweepFolder(output / name)
    run_sweep(config, folder, Launch(""), Console(file=io.StringIO()))
    return config, folder


@pytest.fixture(scope="module")
def three(output: Path) -> tuple[SweepConfig, SweepFolder]:
    make_corpus(60, seed=99).to_csv(output / "elsewhere.csv", index=False)
    robustness = {"noise": [0.05, 0.1]}
    return swept(
        output,
        "three",
        objectives={"noise_10_macro_f1": "maximize", "ece": "minimize", "throughput": "maximize"},
        constraints={"noise_5_accuracy": {"minimum": 0.0}, "latency_p95_ms": {"maximum": 1e6}},
        evaluation={
            "thresholds": "tuned",
            "robustness": robustness,
            "out_of_domain": "elsewhere.csv",
        },
        search={"trials": 2},
    )


def test_noise_and_texts_of_elsewhere_are_measured_of_teacher_and_students(
    three: tuple[SweepConfig, SweepFolder],
) -> None:
    _, folder = three
    teacher, trials = read_summary(folder)["teacher"], read_trials(folder)
    prefixes = ("", "test_", "noise_5_", "noise_10_", "test_noise_5_", "test_noise_10_", "ood_")
    for name in (prefix + metric for prefix in prefixes for metric in PREDICTED):
        assert 0 <= teacher[name] <= 1
        assert trials[name].between(0, 1).all()
    assert not [name for name in trials if "noise" in name and "f1_bully" in name]
    with np.load(folder.trial("0000") / "predictions.npz") as predictions:
        assert predictions["test_noise_5"].shape == (80, 5)
        assert predictions["out_of_domain"].shape == (60, 5)
        assert not np.array_equal(predictions["test_noise_5"], predictions["test"])


def test_any_three_metrics_are_objectives_of_the_search_the_front_and_the_report(
    three: tuple[SweepConfig, SweepFolder],
) -> None:
    config, folder = three
    summary, trials = read_summary(folder), read_trials(folder)
    points = [trial.values for trial in open_study(config, folder, 0).get_trials()]
    assert points == trials[list(config.objectives)].to_numpy().tolist()
    assert list(summary["reference_point"]) == list(config.objectives)
    assert summary["reference_point"]["throughput"] == summary["teacher"]["throughput"] > 0
    assert set(summary["front"]) <= set(summary["feasible"]) == {"0000", "0001"}
    markdown = (folder.root / "report.md").read_text(encoding="utf-8")
    assert "macro-F1 at 10 % typing noise" in markdown
    assert "what has no axis here: throughput" in markdown


def test_a_sweep_tells_where_its_students_and_its_teacher_are_wrong(
    three: tuple[SweepConfig, SweepFolder],
) -> None:
    _, folder = three
    summary, trials = read_summary(folder), read_trials(folder).set_index("trial_id")
    errors = json.loads(folder.errors_json.read_text(encoding="utf-8"))
    assert (errors["examples"], tuple(errors["labels"])) == (80, LABELS)
    assert list(errors["models"]) == ["teacher", *summary["front"]]
    accuracies = {"teacher": summary["teacher"]["test_accuracy"], **trials["test_accuracy"]}
    for name, model in errors["models"].items():
        assert 1 - model["wrong"] / 80 == pytest.approx(accuracies[name])
    corpus = make_corpus(360, seed=0)[280:].reset_index(drop=True)
    assert errors["texts"] == {row: corpus["text"][int(row)] for row in errors["texts"]} != {}
    for label, cases in errors["models"][summary["front"][0]]["most_confident"].items():
        for case in cases:
            assert (label in case["truth"]) != (label in case["given"])
            assert case["truth"] == [name for name in LABELS if corpus[name][case["row"]]]


@pytest.mark.slow
def test_a_sweep_that_minimises_all_and_asks_for_no_quality(output: Path) -> None:
    objectives = {"size_mb": "minimize", "latency_ms": "minimize", "brier": "minimize"}
    _, folder = swept(output, "minimised", objectives=objectives, search={"trials": 2})
    summary = read_summary(folder)
    teacher = summary["teacher"]
    assert summary["front"]
    assert summary["reference_point"] == {name: teacher[name] for name in objectives}
    for name in ("report.html", "report.md"):
        assert "macro-F1 on test" in (folder.root / name).read_text(encoding="utf-8")
