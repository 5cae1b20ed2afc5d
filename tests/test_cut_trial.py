"""A whole trial with each method that cuts units."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdray.config.sections import Evaluation
from kdray.models.student import PACKED, PLAIN, load_student, save_student
from kdray.preparation import PreparedSweep, prepare
from kdray.schema import trial_config
from kdray.teachers import teacher_digest
from kdray.trial import Finished, run_trial
from tests.tiny_sweep import tiny_config

SECTIONS: dict[str, Any] = {
    "student": {"layers": 2},
    "distillation": {"method": "multi_level"},
    "training": {"epochs": 1, "precision": "float32"},
}
METHODS: dict[str, Any] = {
    "width": {"method": "width", "ratio": 0.5, "importance": "gradient"},
    "heads": {"method": "heads", "ratio": 0.5},
    "ffn": {"method": "ffn", "ratio": 0.75},
    "layers": {"method": "layers", "ratio": 0.5, "keep": "importance"},
    "all": [
        {"method": "layers", "ratio": 0.5},
        {"method": "width", "ratio": 0.5},
        {"method": "ffn", "ratio": 0.75},
        {"method": "magnitude", "ratio": 0.5},
    ],
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    return prepare(tiny_config(tmp_path_factory.mktemp("space")))


def run(sweep: PreparedSweep, pruning: Any) -> Finished:
    return run_trial(trial_config(SECTIONS | {"pruning": pruning}, Evaluation(), "macro_f1"), sweep)


@pytest.fixture(scope="module")
def whole(sweep: PreparedSweep) -> Finished:
    """A trial that prunes nothing."""
    return run(sweep, {"method": "none"})


@pytest.mark.parametrize("name", METHODS)
def test_a_student_that_is_cut_learns_and_is_stored_as_measured(
    sweep: PreparedSweep, whole: Finished, tmp_path: Path, name: str
) -> None:
    finished = run(sweep, METHODS[name])
    for metric in ("size_mb", "num_parameters", "macs"):
        assert finished.metrics[metric] < whole.metrics[metric]
    assert finished.epochs[0].training["loss_share_hidden"] > 0
    assert finished.epochs[0].training["loss_share_attention"] > 0
    assert save_student(finished.student, tmp_path / "s") == finished.metrics["size_mb"]
    assert (tmp_path / "s" / (PACKED if name == "heads" else PLAIN)).exists()
    texts = ["you are a clown", "what a day"]
    again = load_student(tmp_path / "s").probabilities(texts)
    assert np.abs(again - finished.student.probabilities(texts)).max() < 1e-5
    assert teacher_digest(sweep.teacher) == sweep.verified.digest


def test_the_same_configuration_cuts_the_same_student(sweep: PreparedSweep) -> None:
    first, second = (run(sweep, METHODS["width"]) for _ in range(2))
    state = second.student.model.state_dict()
    for name, tensor in first.student.model.state_dict().items():
        assert torch.equal(tensor, state[name])
    assert np.array_equal(first.logits["test"], second.logits["test"])
