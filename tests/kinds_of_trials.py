"""Trials of every kind that keeps something while it trains, and must find it again."""

from typing import Any

EPOCHS = 3
SECTIONS: dict[str, Any] = {
    "student": {"layers": 1},
    "pruning": {"method": "none"},
    "distillation": {"method": "logit"},
    "training": {"epochs": EPOCHS, "precision": "float32"},
}
NARROW = {"layers": 1, "hidden_size": 8, "heads": 2, "intermediate_size": 16}
KINDS: dict[str, dict[str, Any]] = {
    "masks": {"pruning": {"method": "magnitude", "ratio": 0.6}},
    "masks in bfloat16": {
        "pruning": {"method": "random", "ratio": 0.6},
        "distillation": {"method": "multi_level"},
        "training": {"precision": "bfloat16"},
    },
    "projections": {
        "student": {"initial": "scratch", "layers": None, "architecture": NARROW},
        "distillation": {"method": "hidden"},
    },
    "projections in stages": {
        "student": {"initial": "scratch", "layers": None, "architecture": NARROW},
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": {"stages": 2}},
        "distillation": {"method": "hidden"},
    },
    "projections in stages, side by side": {
        "student": {"initial": "scratch", "layers": None, "architecture": NARROW},
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": {"stages": 2}},
        "distillation": {"method": "contrastive", "negatives": 0},
        "regime": {"name": "mutual"},
    },
    "frozen embeddings": {
        "student": {"embeddings": "frozen"},
        "distillation": {"method": "attention"},
        "training": {"precision": "bfloat16"},
    },
    "rising masks": {
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": "cubic"},
        "training": {"precision": "bfloat16"},
    },
    "masks in stages": {
        "student": {"embeddings": "frozen"},
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": {"stages": 2}},
        "distillation": {"method": "multi_level"},
    },
    "width in stages": {
        "student": {"layers": 2, "embeddings": "frozen"},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "multi_level"},
    },
    "feed-forward units in stages": {
        "student": {"layers": 2},
        "pruning": {"method": "ffn", "ratio": 0.5, "schedule": {"stages": 2}},
    },
    "width in stages, by the first position": {
        "student": {"layers": 2},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
    },
    "heads in stages": {
        "student": {"layers": 2},
        "pruning": {
            "method": "heads",
            "ratio": 0.5,
            "importance": "gradient",
            "schedule": {"stages": 2},
        },
        "distillation": {"method": "multi_level"},
        "training": {"precision": "bfloat16"},
    },
    "layers in stages": {
        "student": {"layers": 2},
        "pruning": {"method": "layers", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "hidden"},
    },
    "half precision": {"training": {"precision": "float16"}},
    "several batches a step": {
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": "cubic"},
        "training": {"gradient_accumulation": 3, "batch_size": 16},
    },
    "layers computed again": {
        "student": {"embeddings": "frozen"},
        "distillation": {"method": "multi_level"},
        "training": {"gradient_checkpointing": True, "precision": "bfloat16"},
    },
    "deterministic algorithms": {"training": {"deterministic": True, "precision": "bfloat16"}},
    "the mean and two layers": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "pruning": {"method": "magnitude", "ratio": 0.6},
        "distillation": {"method": "hidden"},
        "training": {"precision": "bfloat16"},
    },
    "the mean and two layers, cut in stages": {
        "student": {"layers": 2, "pooling": "mean", "head": {"hidden_size": 6}},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "rkd"},
    },
    "vocabulary": {
        "student": {"embeddings": "frozen"},
        "pruning": {"method": "vocabulary", "ratio": 0.4},
    },
}
LATER: dict[str, dict[str, Any]] = {
    "progressive": {
        "pruning": {"method": "magnitude", "ratio": 0.6},
        "regime": {"name": "progressive", "assistants": [{"layers": 1}]},
    },
    "born again": {
        "pruning": {"method": "heads", "ratio": 0.5},
        "distillation": {"method": "multi_level"},
        "regime": {"name": "born_again", "generations": 2},
        "training": {"precision": "bfloat16"},
    },
    "born again in stages": {
        "student": {"layers": 2, "embeddings": "frozen"},
        "pruning": {"method": "width", "ratio": 0.3, "schedule": {"stages": 2}},
        "distillation": {"method": "hidden"},
        "regime": {"name": "born_again", "generations": 2},
    },
    "born again with the mean and two layers": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "distillation": {"method": "hidden"},
        "regime": {"name": "born_again", "generations": 2},
        "training": {"gradient_accumulation": 3, "batch_size": 16},
    },
    "born again from new words": {
        "pruning": {"method": "vocabulary", "ratio": 0.4},
        "distillation": {"method": "rkd"},
        "regime": {"name": "born_again", "generations": 2},
    },
}
KINDS |= LATER | {
    "mutual": {
        "student": {"initial": "scratch", "layers": None, "architecture": NARROW},
        "distillation": {"method": "hidden"},
        "regime": {"name": "mutual", "students": 3},
    },
    "mutual with rising masks": {
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": "cubic"},
        "regime": {"name": "mutual"},
        "training": {"precision": "bfloat16"},
    },
    "mutual with masks in stages": {
        "student": {"embeddings": "frozen"},
        "pruning": {"method": "magnitude", "ratio": 0.6, "schedule": {"stages": 2}},
        "distillation": {"method": "attention"},
        "regime": {"name": "mutual"},
    },
    "online": {
        "distillation": {"method": "multi_level"},
        "regime": {"name": "online"},
        "training": {"precision": "bfloat16"},
    },
    "mutual, several batches a step": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "regime": {"name": "mutual"},
        "training": {"gradient_accumulation": 3, "batch_size": 16, "precision": "bfloat16"},
    },
    "mutual, layers computed again": {
        "distillation": {"method": "attention"},
        "regime": {"name": "mutual"},
        "training": {"gradient_checkpointing": True, "deterministic": True},
    },
    "online, layers computed again": {
        "student": {"pooling": "mean", "head": {"hidden_size": 6}},
        "distillation": {"method": "multi_level"},
        "regime": {"name": "online"},
        "training": {"gradient_checkpointing": True, "gradient_accumulation": 2},
    },
    "online in stages": {
        "student": {"layers": 2},
        "pruning": {"method": "layers", "ratio": 0.3, "schedule": {"stages": 2}},
        "regime": {"name": "online", "momentum": 0.9},
    },
}
