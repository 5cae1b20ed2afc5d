"""Students on disk: saved whole, loaded anywhere, the size counted where it is stored.

A student without packed tensors is a plain transformers folder (`model.safetensors`), loadable
with `AutoModelForSequenceClassification.from_pretrained`. Any other (`packed.safetensors`: bit
masks, int8 with scales, unequal numbers of heads, mean pooling, a head of two layers) is loaded
with `kdray.load_student`; plain transformers refuses it, instead of filling in at random. Whatever
the stored format, a loaded student computes in float32.
"""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save, save_file

from kdray.data.base import Examples, Labels
from kdray.data.tokenizing import encode
from kdray.errors import ConfigError, Problem
from kdray.models.building import ModelState, has_own_code, thaw
from kdray.models.classifier import HEAD, POOLING
from kdray.models.heads import HEADS_KEPT
from kdray.models.inference import FloatArray, decide, predict_logits, probabilities
from kdray.models.packing import INT8, from_format, pack, to_format, unpack
from kdray.models.sources import OWN_CODE

# In a configuration, what plain transformers would build otherwise.
OWN_KEYS = (HEADS_KEPT, POOLING, HEAD)
PLAIN, PACKED, CARD = "model.safetensors", "packed.safetensors", "kdray.json"
INFERENCE = {
    "float32": "stored and computed in float32",
    "float16": "stored as float16, computed in float32",
    "int8": "stored as int8 with a float32 scale a row, computed in float32",
}


@dataclass(frozen=True)
class Student:
    """A classifier with all that is needed to use it.

    Attributes:
        model: The model.
        tokenizer: Its tokenizer.
        labels: What it predicts.
        max_length: Tokens a text.
        thresholds: Probability above which a label is given, one a label; empty: 0.5 for each
            (multi-label).
        number_format: Number format of the stored weights: float32, float16, or int8 (matrices,
            with a float32 scale a row; vectors are float32).
        card: Anything else worth keeping: metrics, parameters.
    """

    model: Any
    tokenizer: Any
    labels: Labels
    max_length: int
    thresholds: tuple[float, ...] = ()
    number_format: str = "float32"
    card: Mapping[str, Any] = field(default_factory=dict)

    def probabilities(self, texts: Sequence[str | tuple[str, str]]) -> FloatArray:
        """Returns the probability of each label for each text (or pair), (texts, labels)."""
        if not texts:
            return np.empty((0, len(self.labels.names)), np.float32)
        rows = tuple((text,) if isinstance(text, str) else tuple(text) for text in texts)
        examples = Examples(rows, np.zeros(len(rows), np.int64))
        logits = predict_logits(self.model, encode(self.tokenizer, examples, self.max_length))
        return probabilities(logits, self.labels.kind == "multi_label")

    def predict(self, texts: Sequence[str | tuple[str, str]]) -> list[list[str]]:
        """Returns the labels of each text: those over their threshold, or the likeliest class."""
        decided = decide(self.probabilities(texts), self.labels, self.thresholds)
        names = self.labels.names
        if self.labels.kind == "single_label":
            return [[names[index]] for index in decided]
        return [[names[index] for index in np.flatnonzero(row)] for row in decided]


def stored_tensors(student: Student, packed: bool = True) -> tuple[str, dict[str, torch.Tensor]]:
    """Returns the name of the weights' file and the tensors that go into it; see `save_student`."""
    state = {name: tensor.detach().cpu() for name, tensor in student.model.state_dict().items()}
    stored = to_format(state, student.number_format)
    stored = pack(stored) if packed else stored
    own = any(hasattr(student.model.config, key) for key in OWN_KEYS)
    plain = stored.keys() == state.keys() and not own
    return PLAIN if plain else PACKED, stored


def stored_mb(student: Student) -> float:
    """Returns the size of the weights' file in MB (10^6 bytes), without writing it."""
    return len(save(stored_tensors(student)[1], {"format": "pt"})) / 1e6


def save_student(student: Student, folder: Path, packed: bool = True) -> float:
    """Writes weights, configuration, tokenizer and card; the student is not changed.

    Args:
        student: What to store.
        folder: Made if it is not there.
        packed: Whether sparse matrices are stored as bit masks, which plain transformers does not
            read; a teacher's are not.

    Returns:
        The size of the weights' file in MB (10^6 bytes).
    """
    from transformers.dynamic_module_utils import custom_object_save

    folder.mkdir(parents=True, exist_ok=True)
    name, tensors = stored_tensors(student, packed)
    for stale in {PLAIN, PACKED} - {name}:
        (folder / stale).unlink(missing_ok=True)
    save_file(tensors, folder / name, {"format": "pt"})
    config = copy.deepcopy(student.model.config)
    config.architectures = [type(student.model).__name__]
    config.dtype = "float32" if student.number_format == INT8 else student.number_format
    config.save_pretrained(folder)
    if has_own_code(student.model):
        custom_object_save(student.model, folder)
    student.tokenizer.save_pretrained(folder)
    card = {
        "labels": list(student.labels.names),
        "kind": student.labels.kind,
        "max_length": student.max_length,
        "thresholds": list(student.thresholds),
        "number_format": student.number_format,
        "inference": INFERENCE[student.number_format],
        **student.card,
    }
    (folder / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False), encoding="utf-8")
    return (folder / name).stat().st_size / 1e6


def load_student(folder: str | Path, trust_remote_code: bool = False) -> Student:
    """Returns the student that `save_student` wrote, on the CPU, computing in float32.

    Args:
        folder: Its folder.
        trust_remote_code: Whether Python code in the folder may run: that of a teacher who brought
            its own (`teacher.trust_remote_code`).

    Raises:
        FileNotFoundError: If the folder holds no student.
        ConfigError: If it holds code that is not trusted.
    """
    from transformers import AutoTokenizer

    folder = Path(folder)
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    card.pop("inference", None)  # said to people; a student of before does not say it
    return Student(
        model=thaw(_stored_state(folder, trust_remote_code)),
        tokenizer=AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code),
        labels=Labels(tuple(card.pop("labels")), card.pop("kind")),
        max_length=card.pop("max_length"),
        thresholds=tuple(card.pop("thresholds")),
        number_format=card.pop("number_format"),
        card=card,
    )


def _stored_state(folder: Path, trusted: bool) -> ModelState:
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    own_code = bool(config.get(OWN_CODE))
    if own_code and not trusted:
        message = (
            f"holds Python code of its own ({OWN_CODE}), which is not run; read it first, and if "
            "you trust it, give load_student trust_remote_code=True"
        )
        raise ConfigError([Problem(str(folder), message)])
    weights = from_format(unpack(load_file(_weights_file(folder))))
    arrays = {name: tensor.numpy() for name, tensor in weights.items()}
    own = {"dtype": "float32", "_name_or_path": str(folder)}
    return ModelState(config | own, arrays, own_code)


def _weights_file(folder: Path) -> Path:
    for file in (folder / PLAIN, folder / PACKED):
        if file.exists():
            return file
    raise FileNotFoundError(
        f"{folder} holds no weights: neither {PLAIN} nor {PACKED}; other formats are not read"
    )
