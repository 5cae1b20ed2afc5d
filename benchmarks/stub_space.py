"""The search space of benchmarks whose trials do nothing: four drawn parameters, two objectives."""

from typing import Any

SPACE: dict[str, Any] = {
    "name": "stubs",
    "data": {"source": "synthetic", "train_rows": 200, "validation_rows": 80, "test_rows": 80},
    "teacher": {
        "architecture": {
            "layers": 1,
            "hidden_size": 16,
            "heads": 2,
            "intermediate_size": 32,
            "vocabulary_size": 400,
        },
        "training": {"epochs": 1},
        "verify": {"minimum": 0.0},
    },
    "student": {"layers": 1},
    "pruning": {"method": "magnitude", "ratio": {"uniform": [0.2, 0.8]}},
    "distillation": {
        "method": "logit",
        "alpha": {"uniform": [0.1, 0.9]},
        "temperature": {"uniform": [1, 8]},
    },
    "evaluation": {"baselines": False},
    "training": {"epochs": 1, "learning_rate": {"loguniform": [1e-4, 2e-3]}},
}
