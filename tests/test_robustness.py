"""Typing noise and texts of elsewhere in a trial and in `kdray validate`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdray.data.corpus import make_corpus
from kdray.evaluation.metrics import PREDICTED
from kdray.preparation import PreparedSweep, prepare
from kdray.reading import read_data
from kdray.schema import SweepConfig
from kdray.trial import run_trial
from kdray.validate import method_pairs, tiny_sweep, try_out
from tests.tiny_sweep import tiny_config

CHANGES: dict[str, Any] = {
    "evaluation": {"robustness": {"noise": [0.1]}, "out_of_domain": "elsewhere.csv"},
    "student": {"layers": 1},
    "pruning": {"method": {"choice": ["none", "vocabulary"]}, "ratio": 0.5},
    "distillation": {"method": "logit"},
}
MEASURED = [
    prefix + metric for prefix in ("noise_10_", "test_noise_10_", "ood_") for metric in PREDICTED
]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> SweepConfig:
    folder: Path = tmp_path_factory.mktemp("space")
    make_corpus(60, seed=99).to_csv(folder / "elsewhere.csv", index=False)
    return tiny_config(folder, **CHANGES)


@pytest.fixture(scope="module")
def prepared(config: SweepConfig) -> PreparedSweep:
    return prepare(config)


def test_a_trial_is_measured_on_the_same_noise_as_its_teacher_in_its_own_tokens(
    config: SweepConfig, prepared: PreparedSweep
) -> None:
    trials = dict(method_pairs(config))
    plain, cut = (run_trial(trials[f"{name}, logit"], prepared) for name in ("none", "vocabulary"))
    assert len(cut.student.tokenizer) < len(plain.student.tokenizer)
    for finished in (plain, cut):
        assert all(0 <= finished.metrics[name] <= 1 for name in MEASURED)
        assert finished.metrics["throughput"] > 0
        assert "noise_10_macro_f1" not in finished.epochs[-1].metrics
        assert finished.logits["test_noise_10"].shape == finished.logits["test"].shape
    assert all(0 <= prepared.verified.metrics[name] <= 1 for name in MEASURED)
    again = run_trial(trials["none, logit"], prepared)
    assert np.array_equal(again.logits["test_noise_10"], plain.logits["test_noise_10"])


def test_validating_tries_noise_and_texts_of_elsewhere_too(config: SweepConfig) -> None:
    few, sizes = tiny_sweep(config, read_data(config))
    assert sizes["test_noise_10"] == sizes["test"] == 80
    assert sizes["out_of_domain"] == 60
    for name, trial in method_pairs(config):
        assert try_out(name, trial, few).problem is None
