"""What students start from besides their teacher: read once, as plain values for all trials."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdray.models.building import ModelState, thaw
from kdray.results.folder import write_json

WEIGHTS, TOKENIZER, CARDS = "{}.safetensors", "tokenizer-{}", "starts.json"


@dataclass(frozen=True)
class Start:
    """A model from a folder or the hub.

    Attributes:
        state: The model.
        missing: Parameters that were not among its weights, as those of a new head.
        tokenizer: Its tokenizer, where that is another than the teacher's.
    """

    state: ModelState
    missing: tuple[str, ...] = ()
    tokenizer: Any = None


def thaw_start(start: Start) -> Any:
    """Returns a new model as `thaw` does; what its weights lack is drawn anew."""
    model = thaw(start.state)
    for module in {name.rpartition(".")[0]: None for name in start.missing}:
        model._init_weights(model.get_submodule(module))
    return model


def write_starts(folder: Path, starts: Mapping[str, Start]) -> None:
    """Writes starts into a folder, by what named them.

    Args:
        folder: It is made if there is something to write.
        starts: By folder or hub id.
    """
    from safetensors.numpy import save_file

    if not starts:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for number, start in enumerate(starts.values()):
        save_file(dict(start.state.weights), folder / WEIGHTS.format(number))
        if start.tokenizer is not None:
            start.tokenizer.save_pretrained(folder / TOKENIZER.format(number))
    cards = [
        {"initial": name, "config": start.state.config, "missing": start.missing}
        for name, start in starts.items()
    ]
    write_json(folder / CARDS, {"starts": cards})


def read_starts(folder: Path) -> dict[str, Start]:
    """Returns what `write_starts` wrote, read-only; nothing if it wrote nothing."""
    from safetensors.numpy import load_file

    if not (folder / CARDS).exists():
        return {}
    found, cards = {}, json.loads((folder / CARDS).read_text(encoding="utf-8"))["starts"]
    for number, card in enumerate(cards):
        weights = load_file(folder / WEIGHTS.format(number))
        for array in weights.values():
            array.flags.writeable = False
        state = ModelState(card["config"], weights)
        words = _read_tokenizer(folder / TOKENIZER.format(number))
        found[card["initial"]] = Start(state, tuple(card["missing"]), words)
    return found


def _read_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder) if folder.is_dir() else None
