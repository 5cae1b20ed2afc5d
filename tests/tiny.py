"""Tiny models and data for tests: two layers, sixteen wide, made in milliseconds."""

import copy
import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kdray.data.base import Examples, Labels
from kdray.data.dataset import Dataset, ragged
from kdray.data.texts import compact
from kdray.data.tokenizing import encode, train_tokenizer
from kdray.models.building import label_settings
from kdray.pruning.base import Prunable

MULTI = Labels(("bully", "threat", "spam"), "multi_label")
SINGLE = Labels(("good", "bad", "ugly"), "single_label")
KINDS = {"multi": MULTI, "single": SINGLE}
VOCABULARY = 64
LENGTH = 16
TEXTS = (
    "you are lovely",
    "claim your discount now",
    "i will break your nose and your jaw",
    "the soup is silly",
)

_SHAPES = {
    "bert": lambda layers, width, heads: {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": 2 * width,
    },
    "distilbert": lambda layers, width, heads: {
        "n_layers": layers,
        "dim": width,
        "n_heads": heads,
        "hidden_dim": 2 * width,
    },
    # Its attention is half as wide as its hidden states. Without a norm, random weights as large
    # as these would let the states explode.
    "mobilebert": lambda layers, width, heads: {
        "num_hidden_layers": layers,
        "hidden_size": width,
        "num_attention_heads": heads,
        "intermediate_size": 2 * width,
        "intra_bottleneck_size": width // 2,
        "normalization_type": "layer_norm",
    },
}
_FAMILIES = {
    "bert": "Bert",
    "distilbert": "DistilBert",
    "roberta": "Roberta",
    "electra": "Electra",
    "albert": "Albert",
    "mobilebert": "MobileBert",
}
FAMILIES = ("bert", "distilbert", "roberta", "electra")
ALL_FAMILIES = tuple(_FAMILIES)


def model(labels: Labels = MULTI, *, family: str = "bert", seed: int = 0, **settings: Any) -> Any:
    """A classifier in evaluation mode; its weights are large enough for layers to differ.

    `settings` may hold `layers` (2), `width` (16) and `heads` (2), `embedding_size` (8) where a
    family has it, and what the family's own configuration takes.
    """
    layers, width, heads = (
        settings.pop(name, value) for name, value in (("layers", 2), ("width", 16), ("heads", 2))
    )
    name = _FAMILIES[family]
    transformers = importlib.import_module("transformers")
    shape = _SHAPES.get(family, _SHAPES["bert"])(layers, width, heads)
    if family in {"electra", "albert", "mobilebert"}:
        shape["embedding_size"] = settings.pop("embedding_size", 8)
    usual = {"vocab_size": VOCABULARY, "max_position_embeddings": 24, "pad_token_id": 0}
    config = getattr(transformers, f"{name}Config")(
        initializer_range=0.3, **{**usual, **shape, **label_settings(labels), **settings}
    )
    torch.manual_seed(seed)
    return getattr(transformers, f"{name}ForSequenceClassification")(config).eval()


def dataset(labels: Labels = MULTI, lengths: Sequence[int] = (3, 7, 2, 5, 4, 6)) -> Dataset:
    """Random tokens with random targets; every label and class occurs."""
    rng = np.random.default_rng(0)
    ids = ragged([rng.integers(5, VOCABULARY, length).tolist() for length in lengths], 0)
    return Dataset(
        {"input_ids": ids}, np.asarray(lengths), targets(labels, len(lengths)), "attention_mask"
    )


def targets(labels: Labels, count: int) -> np.ndarray:
    """Targets in which every label and class occurs, from three examples on."""
    classes = np.arange(count) % len(labels.names)
    if labels.kind == "single_label":
        return classes
    return np.eye(len(labels.names), dtype=np.float32)[classes]


def separable(labels: Labels, count: int = 96) -> Dataset:
    """Examples whose class is told by their second token."""
    rng = np.random.default_rng(1)
    truth = targets(labels, count)
    classes = np.arange(count) % len(labels.names)
    rows = [
        [2, 10 + int(c), *rng.integers(20, VOCABULARY, 1 + i % 3)] for i, c in enumerate(classes)
    ]
    ids = ragged([[int(token) for token in row] for row in rows], 0)
    return Dataset({"input_ids": ids}, np.diff(ids.offsets), truth, "attention_mask")


def tokenizer() -> Any:
    """A WordPiece tokenizer with the vocabulary of the tiny models."""
    return train_tokenizer(TEXTS, VOCABULARY, 24)


def examples(labels: Labels = MULTI) -> Examples:
    """The texts with targets."""
    return Examples(tuple((text,) for text in TEXTS), targets(labels, len(TEXTS)))


def prunable(classifier: Any = None, labels: Labels = MULTI, **settings: Any) -> Prunable:
    """A student before any pruning, with data that it can be trained on."""
    made = model(labels, **settings) if classifier is None else classifier
    rows = Examples(tuple((text,) for text in (*TEXTS, *TEXTS[:2])), targets(labels, 6))
    names, words = ("train", "validation", "test"), tokenizer()
    splits = {name: encode(words, rows, LENGTH) for name in names}
    texts = {name: compact(rows.texts) for name in names}
    original = copy.deepcopy(getattr(made, "config", None))
    return Prunable(made, words, labels, splits, original, {}, texts, LENGTH)
