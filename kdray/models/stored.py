"""Loading classifiers that are stored: in a folder, by transformers or by kdray, or on the hub."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kdray.data.base import Labels
from kdray.errors import ConfigError, Problem
from kdray.models.building import freeze, label_settings
from kdray.models.sources import check_source
from kdray.models.starts import Start
from kdray.waiting import during

# What else than other labels helps, by whether the model is in kdray's own format.
_OTHERWISE = {
    False: "fine-tune it (teacher.training)",
    True: "take one with a model.safetensors: a student in kdray's own format gets no new head",
}


def load_classifier(
    model: str, key: str, labels: Labels, new_head: bool, trusted: bool | None = None
) -> tuple[Any, Any]:
    """Loads a sequence classifier and its tokenizer from a folder or the hub, in float32.

    A student in kdray's own format keeps the way in which it classifies, and its head.

    Args:
        model: Folder or hub id; a stored student too.
        key: The dotted key that named it, for messages.
        labels: What it must predict.
        new_head: Whether a classifier of another size or other labels gets a new head.
        trusted: Whether the user asked to run its own code; None where that cannot be asked for.

    Raises:
        ConfigError: If it cannot be loaded, has code of its own that is not trusted, or has other
            labels than the data and gets no new head.
    """
    found, tokenizer, _ = _loaded(model, key, labels, new_head, trusted)
    return found, tokenizer


def load_start(model: str, key: str, labels: Labels) -> tuple[Start, Any]:
    """Returns what a student may start from, frozen, and its tokenizer; see `load_classifier`."""
    loaded, tokenizer, missing = _loaded(model, key, labels, True, None)
    return Start(freeze(loaded), missing), tokenizer


def _loaded(
    model: str, key: str, labels: Labels, new_head: bool, trusted: bool | None
) -> tuple[Any, Any, tuple[str, ...]]:
    from transformers.utils import logging

    from kdray.models.student import PACKED  # a student is made of what is here

    logging.disable_progress_bar()
    own_format = (Path(model) / PACKED).exists()
    settings = label_settings(labels) if new_head else {}
    try:
        check_source(model, key, trusted)
        with during(f"loading {Path(model).name}"):
            if own_format:
                loaded, tokenizer, missing = _read_student(model, bool(trusted))
            else:
                loaded, tokenizer, missing = _read_plain(model, bool(trusted), settings)
    except ConfigError:
        raise
    except Exception as error:  # a damaged folder makes transformers raise many kinds
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ConfigError([Problem(key, f"{model!r} cannot be loaded: {reason}")]) from error
    _check_vocabulary(loaded, tokenizer, key, model)
    if own_format or not new_head:
        _check_labels(loaded.config, labels, f"{model!r}", key, _OTHERWISE[own_format])
        loaded.config.update(label_settings(labels))
    return loaded.eval(), tokenizer, missing


def _read_student(model: str, trusted: bool) -> tuple[Any, Any, tuple[str, ...]]:
    from kdray.models.student import load_student

    student = load_student(model, trusted)
    return student.model, student.tokenizer, ()


def _read_plain(
    model: str, trusted: bool, settings: Mapping[str, Any]
) -> tuple[Any, Any, tuple[str, ...]]:
    """Returns a model that transformers knows; with settings, of labels, its head may be new.

    The last that is returned are the parameters that were drawn, because its weights lack them.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=trusted)
    loaded, told = AutoModelForSequenceClassification.from_pretrained(
        model,
        dtype=torch.float32,
        ignore_mismatched_sizes=bool(settings),
        use_safetensors=True,
        trust_remote_code=trusted,
        output_loading_info=True,
        **settings,
    )
    missing = {*told["missing_keys"], *(name for name, *_ in told["mismatched_keys"])}
    return loaded, tokenizer, tuple(sorted(missing))


def _check_vocabulary(loaded: Any, tokenizer: Any, key: str, model: str) -> None:
    rows = loaded.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        message = f"{model!r}: its tokenizer has {len(tokenizer)} tokens, but it embeds only {rows}"
        raise ConfigError([Problem(key, message)])


def _check_labels(config: Any, labels: Labels, name: str, key: str, otherwise: str) -> None:
    found = [str(config.id2label[index]) for index in sorted(config.id2label)]
    unnamed = found == [f"LABEL_{index}" for index in range(len(found))]
    if len(found) != len(labels.names) or not (unnamed or found == list(labels.names)):
        message = (
            f"{name} predicts {found}, but the data have {list(labels.names)}, in this order; "
            f"put data.labels in the model's order, or {otherwise}"
        )
        raise ConfigError([Problem(key, message)])
