"""The state of a training on disk: written now and then, so that a trial goes on where it was.

Tensors are safetensors, the rest is JSON in the header of the same file: nothing that is read can
run code. The state stands in a folder that is written whole; with its digest beside it, damage is
seen before anything of it is used.
"""

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from kdray.models.building import ModelState
from kdray.results.folder import written_whole
from kdray.results.records import EpochReport
from kdray.training.course import Checkpoints, Course
from kdray.training.randomness import random_state, set_random_state
from kdray.training.stepper import Stepper

MASK = "mask."
FILE, DIGEST = "training.safetensors", "training.sha256"


@dataclass(frozen=True)
class _Stored:
    state: Mapping[str, Any]
    epochs: list[EpochReport]
    tensors: Mapping[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """Returns the tensors of one owner by their own names."""
        prefix = f"{name}/"
        found = self.tensors.items()
        return {key.removeprefix(prefix): t for key, t in found if key.startswith(prefix)}


class StepperState:
    """The state of a training beside another's, with its masks; see `course.Beside`."""

    def __init__(self, stepper: Stepper) -> None:
        self._stepper = stepper

    def tensors(self) -> dict[str, Tensor]:
        """Returns the tensors that steps change, and the masks."""
        masks = self._stepper.masks.items()
        return self._stepper.tensors() | {f"{MASK}{name}": mask.bool() for name, mask in masks}

    def numbers(self) -> dict[str, Any]:
        """Returns what steps change besides, for JSON."""
        return self._stepper.numbers()

    def restore(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Goes back to what `tensors` and `numbers` returned."""
        masks = {name: tensor for name, tensor in tensors.items() if name.startswith(MASK)}
        self._stepper.mask({name.removeprefix(MASK): mask for name, mask in masks.items()})
        self._stepper.restore(tensors, numbers)


def keep(stepper: Stepper, course: Course) -> None:
    """Writes the state of a training after an epoch, if that is due; a full disk ends no trial.

    An epoch that is in it has been told of, so that none is lost with the process in between;
    `keep_for_telling` is for those that must be in it when they are.
    """
    place = course.checkpoints
    if place is not None and course.duration_s - course.kept_s >= place.interval_s:
        _keep(place, stepper, course)


def keep_for_telling(stepper: Stepper, course: Course) -> None:
    """Writes the state before an epoch is told of after which the trial may be made to wait."""
    place = course.checkpoints
    if place is not None and place.may_wait(course.epochs[-1]):
        _keep(place, stepper, course)


def _keep(checkpoints: Checkpoints, stepper: Stepper, course: Course) -> None:
    try:
        with written_whole(checkpoints.folder) as staging:
            _write(staging / FILE, stepper, course)
            (staging / DIGEST).write_text(_digest(staging / FILE), encoding="utf-8")
    except (OSError, SafetensorError) as error:
        message = f"no checkpoint could be written to {checkpoints.folder}: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    course.kept_s = course.duration_s


def go_on(stepper: Stepper, course: Course) -> None:
    """Brings a training that has not begun to where the last write left it.

    Without a whole state of the same trial nothing happens, and the training is begun.

    Args:
        stepper: As it is before the first step.
        course: That of a trial without an epoch.
    """
    stored = _read(course.checkpoints.folder) if course.checkpoints else None
    if stored is None or not _fits(stored, stepper, course):
        return
    stepper.mask(stored.part("masks"))
    stepper.restore(stored.part("stepper"), stored.state["stepper"])
    course.epochs = stored.epochs
    course.earlier_s = stored.state["duration_s"]
    course.kept_s = course.duration_s
    for name, other in course.beside.items():
        other.restore(stored.part(f"beside.{name}"), stored.state["beside"][name])
    course.best.epoch, course.best.value = stored.state["best"]
    course.chosen = stored.state["chosen"]
    present = stepper.model.state_dict() | stored.part("best")
    course.best.weights = {name: tensor.detach().clone() for name, tensor in present.items()}
    set_random_state(stored.part("random"), stored.state["random"])


def kept_epochs(checkpoints: Checkpoints) -> list[EpochReport]:
    """Returns the reports of the epochs that a trial need not do again; none without a state."""
    return kept_work(checkpoints)[0]


def kept_work(checkpoints: Checkpoints) -> tuple[list[EpochReport], float]:
    """Returns the reports of the epochs that a trial need not do again, and its seconds of work."""
    stored = _read(checkpoints.folder, with_tensors=False)
    return (stored.epochs, stored.state["duration_s"]) if stored else ([], 0.0)


def kept_shape(course: Course) -> tuple[int, dict[str, Any], dict[str, Tensor]] | None:
    """Returns the shape of the model that was kept, or None without a state of the same trial.

    Returns:
        The epochs done, the model's configuration, and its frozen weights: those of a model that
        was cut during the training.
    """
    stored = _own(course)
    if stored is None:
        return None
    return len(stored.epochs), stored.state["config"], stored.part("frozen")


def kept_generation(course: Course) -> tuple[int, int, ModelState | None]:
    """Returns where a trial was cut off that trains several students one after another.

    Returns:
        Its generation, the epochs of those before, and the former student who taught it; without a
        state of the same trial those of the first generation.
    """
    stored = _own(course)
    if stored is None:
        return 0, 0, None
    generation, before = stored.state["generation"]
    shape = stored.state["teacher"]
    weights = {name: tensor.numpy() for name, tensor in stored.part("teacher").items()}
    return generation, before, ModelState(weights=weights, **shape) if shape else None


def _own(course: Course) -> _Stored | None:
    stored = _read(course.checkpoints.folder) if course.checkpoints else None
    same = stored is not None and stored.state.get("identity") == course.identity
    return stored if same else None


def _write(file: Path, stepper: Stepper, course: Course) -> None:
    generators, random = random_state()
    config: Any = stepper.model.config
    parts = {
        "stepper": stepper.tensors(),
        "best": _best(stepper, course),
        "random": generators,
        "masks": {name: mask.bool() for name, mask in stepper.masks.items()},
        "frozen": _frozen(stepper.model) if course.reshaped else {},
        "teacher": _weights(course.teacher),
    }
    parts |= {f"beside.{name}": other.tensors() for name, other in course.beside.items()}
    tensors = {f"{part}/{name}": t for part, found in parts.items() for name, t in found.items()}
    state = {
        "identity": course.identity,
        "duration_s": course.duration_s,
        "best": [course.best.epoch, course.best.value],
        "stepper": stepper.numbers(),
        "random": random,
        "config": config.to_dict(),
        "chosen": course.chosen,
        "generation": [course.generation, course.before],
        "teacher": _shape(course.teacher),
        "beside": {name: other.numbers() for name, other in course.beside.items()},
    }
    epochs = "\n".join(report.to_json() for report in course.epochs)
    save_file(tensors, file, {"state": json.dumps(state), "epochs": epochs})


def _weights(teacher: ModelState | None) -> dict[str, Tensor]:
    return {name: torch.tensor(array) for name, array in teacher.weights.items()} if teacher else {}


def _shape(teacher: ModelState | None) -> dict[str, Any] | None:
    return {"config": dict(teacher.config), "own_code": teacher.own_code} if teacher else None


def _best(stepper: Stepper, course: Course) -> dict[str, Tensor]:
    """Returns the weights of the best epoch that are neither frozen nor those of the present.

    All of them, if they are those of a student beside.
    """
    if course.chosen:
        return course.best.weights
    if course.best.epoch == len(course.epochs):
        return {}
    frozen = _frozen(stepper.model)
    return {name: t for name, t in course.best.weights.items() if name not in frozen}


def _frozen(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}


def _read(folder: Path, with_tensors: bool = True) -> _Stored | None:
    """Returns the state in a folder, or None if there is none or it is damaged."""
    try:
        if _digest(folder / FILE) != (folder / DIGEST).read_text(encoding="utf-8"):
            return None
        with safe_open(folder / FILE, "pt") as file:
            header = file.metadata()
            names = file.offset_keys() if with_tensors else []
            tensors = {name: file.get_tensor(name) for name in names}
        epochs = [EpochReport.from_json(line) for line in header["epochs"].split("\n")]
        return _Stored(json.loads(header["state"]), epochs, tensors)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError):
        return None


def _fits(stored: _Stored, stepper: Stepper, course: Course) -> bool:
    if stored.state.get("identity") != course.identity:
        return False
    places, found = stepper.tensors(), stored.part("stepper")
    shapes = {name: place.shape for name, place in places.items()}
    return shapes == {name: tensor.shape for name, tensor in found.items()}


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
