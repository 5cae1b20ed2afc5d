"""A sweep whose data can be learnt in seconds: the class of an example is its second token."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch

from kdray.config.sections import Evaluation, Training
from kdray.data.batches import Batch
from kdray.models.outputs import Needs, forward
from kdray.models.student import Student
from kdray.preparation import PreparedSweep, assemble
from kdray.schema import TrialConfig, trial_config
from kdray.teachers import Candidate
from kdray.training.loop import train
from kdray.training.losses import hard_loss
from kdray.training.stepper import Learner
from tests import tiny
from tests.tiny_sweep import merged, tiny_config

SECTIONS: dict[str, Any] = {
    "student": {
        "initial": "scratch",
        "architecture": {"layers": 1, "hidden_size": 16, "heads": 2, "intermediate_size": 32},
    },
    "pruning": {"method": "none"},
    "distillation": {"method": "logit"},
    "training": {"epochs": 2, "batch_size": 8, "learning_rate": 1e-2, "precision": "float32"},
}


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> PreparedSweep:
    splits = {
        "train": tiny.separable(tiny.SINGLE, 192),
        "validation": tiny.separable(tiny.SINGLE, 60),
        "test": tiny.separable(tiny.SINGLE, 63),
    }
    model = tiny.model(tiny.SINGLE, layers=3)

    def terms(batch: Batch, progress: float) -> Mapping[str, torch.Tensor]:
        logits = forward(model, batch.inputs).logits
        return {"hard": hard_loss(logits, batch.targets, False)}

    options = Training(epochs=6, batch_size=8, learning_rate=3e-3, precision="float32")
    train(Learner(model), splits["train"], terms, options, lambda epoch: None)
    config = tiny_config(tmp_path_factory.mktemp("space"))
    teacher = Student(model.eval(), tiny.tokenizer(), tiny.SINGLE, tiny.LENGTH)
    return assemble(config, [Candidate(teacher, splits)], Needs())


@pytest.fixture(scope="session")
def trial() -> Callable[..., TrialConfig]:
    def made(**changes: Any) -> TrialConfig:
        return trial_config(merged(SECTIONS, changes), Evaluation(), "macro_f1")

    return made
