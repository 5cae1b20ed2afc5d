"""What a model is loaded from: safetensors only, and none of its own code unless asked for."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdray.errors import ConfigError, Problem

CONFIG, TOKENIZER = "config.json", "tokenizer_config.json"
OWN_CODE = "auto_map"
# Formats that hold pickles, or that transformers does not read any more.
_OTHER_WEIGHTS = (
    "pytorch_model*.bin",
    "*.pt",
    "*.pth",
    "*.ckpt",
    "*.pkl",
    "tf_model.h5",
    "*.msgpack",
)


def check_source(model: str, key: str, trusted: bool | None) -> None:
    """Checks what a model is loaded from; nothing in it is run or unpickled here.

    Args:
        model: Folder or hub id.
        key: The dotted key that named it.
        trusted: As in `code_problem`.

    Raises:
        ConfigError: If it has no safetensors, or code of its own that is not trusted.
        OSError: If there is no such model.
    """
    from transformers import PreTrainedConfig
    from transformers.models.auto.tokenization_auto import get_tokenizer_config

    if Path(model).is_dir():
        message = folder_problem(Path(model), trusted)
    else:
        config = PreTrainedConfig.get_config_dict(model)[0]
        message = code_problem(model, config, get_tokenizer_config(model), trusted)
    if message:
        raise ConfigError([Problem(key, message)])


def folder_problem(folder: Path, trusted: bool | None) -> str:
    """Returns why a model folder is not loaded, or nothing.

    Args:
        folder: The folder; nothing in it is run or unpickled here.
        trusted: As in `code_problem`.
    """
    if not any(folder.glob("*.safetensors")):
        other = sorted(path.name for pattern in _OTHER_WEIGHTS for path in folder.glob(pattern))
        if other:
            return (
                f"{str(folder)!r} has its weights in {other[0]}, and only safetensors are read, "
                "because a pickle can run any code; if you trust it, load it once with transformers"
                " and write it again with save_pretrained"
            )
    config, tokenizer = (_settings(folder / name) for name in (CONFIG, TOKENIZER))
    return code_problem(str(folder), config, tokenizer, trusted)


def code_problem(
    model: str, config: Mapping[str, Any], tokenizer: Mapping[str, Any], trusted: bool | None
) -> str:
    """Returns why a model that brings code of its own is not loaded, or nothing.

    Args:
        model: Its folder or hub id.
        config: What its `config.json` holds.
        tokenizer: What its `tokenizer_config.json` holds.
        trusted: Whether the user asked to run its code; None where that cannot be asked for.
    """
    if tokenizer.get(OWN_CODE):
        return (
            f"{model!r} has a tokenizer with Python code of its own ({OWN_CODE}), which cannot be "
            "sent to trials in other processes; store it as one that transformers knows"
        )
    if trusted or not config.get(OWN_CODE):
        return ""
    way_out = (
        "a student starts from the teacher's layers, or from a family that transformers knows"
        if trusted is None
        else "read that code first; if you trust it, set teacher.trust_remote_code: true"
    )
    return f"{model!r} brings Python code of its own ({OWN_CODE}), which is not run; {way_out}"


def model_settings(model: str) -> Mapping[str, Any]:
    """Returns what the `config.json` of a folder or of a hub id holds; nothing if it is not there.

    Only that file is read, or fetched.
    """
    if Path(model).is_dir():
        return _settings(Path(model) / CONFIG)
    from transformers import PreTrainedConfig

    try:
        with _without_retries_told():
            found: Mapping[str, Any] = PreTrainedConfig.get_config_dict(model)[0]
    except (OSError, ValueError):
        return {}
    return found


@contextmanager
def _without_retries_told() -> Iterator[None]:
    """Keeps the hub's client from telling each try: that nothing came of it is told once."""
    log = logging.getLogger("huggingface_hub")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def layers_of(settings: Mapping[str, Any]) -> int | None:
    """Returns how many layers a `config.json` tells of, or None."""
    found = (settings.get(key) for key in ("num_hidden_layers", "n_layers", "n_layer"))
    return next((layers for layers in found if isinstance(layers, int)), None)


def classes_of(settings: Mapping[str, Any]) -> list[str]:
    """Returns what the classifier of a `config.json` predicts, in order; nothing if it is none."""
    if not any("SequenceClassification" in str(a) for a in settings.get("architectures") or ()):
        return []
    # transformers writes no names where there are two labels without any.
    names = settings.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    return [str(names[key]) for key in sorted(names, key=int)]


def _settings(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
