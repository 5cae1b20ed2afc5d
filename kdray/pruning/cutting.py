"""What the methods have in common that cut whole units: shapes get smaller, not only weights 0.

A unit is a row or column of several weights at once. Which ones belong together is read off the
model's own computation by Torch-Pruning's dependency graph.

Reference: Fang et al., "DepGraph: Towards Any Structural Pruning", 2023.
https://arxiv.org/abs/2301.12900
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from kdray.data.batches import make_batch
from kdray.models.building import ModelState, empty_model, has_own_code
from kdray.pruning.base import Prunable, RatioPruning
from kdray.pruning.calibration import CALIBRATION_BATCH, calibrating, calibration_batches
from kdray.pruning.schedule import CutSchedule
from kdray.training.losses import hard_loss

Root = nn.Linear | nn.Embedding
_WEIGHTED = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.Parameter)


class CutPruning(RatioPruning):
    """A method that cuts whole units."""

    cuts: ClassVar[bool] = True

    schedule: CutSchedule = Field(
        "one_shot",
        description="one_shot, or {stages: n}: in n stages with training between them.",
    )

    def wanted(self, student: Prunable, share: float | None) -> float:
        """Returns the share of the original to have removed after a call.

        Raises:
            ValueError: If the student has masks, which are in the shape of its weights.
        """
        if student.masks:
            raise ValueError(f"{self.method} cuts whole units and must stand before what masks")
        return self.ratio if share is None else share


class UnitPruning(CutPruning):
    """A method that cuts the units within layers that matter least."""

    importance: Literal["magnitude", "gradient"] = Field(
        "magnitude",
        description="magnitude: the squared weights of a unit; gradient: |w · ∂L/∂w| of its "
        "weights, L the loss of calibration batches. Relative to the mean of its layer.",
    )
    importance_threshold: float | None = Field(
        None,
        ge=0,
        description="Units this many times as important as the mean of their layer stay, whatever "
        "the ratio; where layers have equal sizes, the one that needs most decides.",
    )
    batches: int = Field(8, ge=1, description="Calibration batches, of 16 training texts each.")

    def least(self, kept: int, scores: Sequence[Tensor]) -> int:
        """Returns how many units each layer keeps: as said, or what a layer needs that stays."""
        limit = self.importance_threshold
        if limit is None:
            return kept
        return max(kept, *(int((score > limit).sum()) for score in scores))


class Coupling:
    """The units of a model, and all that must go with one of them.

    Args:
        student: Its first training texts show what depends on what.
        method: How the importance of a unit is measured.

    Attributes:
        model: The student's model.
    """

    def __init__(self, student: Prunable, method: UnitPruning) -> None:
        import torch_pruning

        self.model = student.model
        self._tp = torch_pruning
        self._graph = _dependencies(student)
        kinds = {
            "magnitude": torch_pruning.importance.GroupMagnitudeImportance,
            "gradient": torch_pruning.importance.GroupTaylorImportance,
        }
        self._importance = kinds[method.importance](normalizer=_relative)
        if method.importance == "gradient":
            _add_gradients(student, method.batches * CALIBRATION_BATCH)

    def scores(self, root: Root) -> Tensor:
        """Returns the importance of each output unit of a module, relative to their mean.

        It is the mean over the linear layers and norms that a unit goes through.

        Raises:
            ValueError: If the units cannot be cut.
        """
        found: Tensor = self._importance(self._group(root, range(_width(root))))
        return found.detach().float()

    def keep(self, root: Root, units: Sequence[int]) -> None:
        """Cuts all other output units of a module, and what goes with them, in place.

        Raises:
            ValueError: If they cannot be cut.
        """
        kept = sorted(units)
        gone = sorted(set(range(_width(root))) - set(kept))
        if not gone:
            return
        group = self._group(root, gone)
        layers = [item.dep.layer for item in group.items]
        norms = [layer for layer in layers if isinstance(layer, nn.LayerNorm)]
        weights = [(norm, name, p) for norm in norms for name, p in norm.named_parameters()]
        group.prune(record_history=False)
        # Torch-Pruning 1.6.1 takes a norm's weights in the order of a set, which is not always that
        # of their places.
        for norm, name, weight in weights:
            setattr(norm, name, nn.Parameter(weight.detach()[kept]))

    def _group(self, root: Root, units: Sequence[int]) -> Any:
        kind = "embedding" if isinstance(root, nn.Embedding) else "linear"
        group = self._graph.get_pruning_group(
            root, getattr(self._tp, f"prune_{kind}_out_channels"), list(units)
        )
        for item in group.items:
            if isinstance(item.dep.layer, _WEIGHTED) and list(item.idxs) != list(units):
                raise ValueError(f"{type(self.model).__name__} has units that cannot be cut")
        return group


@contextmanager
def coupling(student: Prunable, method: UnitPruning) -> Iterator[Coupling]:
    """Lets units be cut inside the block; then the model is as it was, but for its shape.

    Raises:
        ValueError: If Torch-Pruning cannot trace the model, or its configuration cannot say the
            shape that it has afterwards.
    """
    model = student.model
    trained = {name: p.requires_grad for name, p in model.named_parameters()}
    attention = model.config._attn_implementation
    with calibrating(model), torch.enable_grad():
        try:
            model.requires_grad_(True).set_attn_implementation("eager")
            yield Coupling(student, method)
        finally:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(trained[name]).grad = None
            model.set_attn_implementation(attention)
    check_shape(model)


def check_shape(model: Any) -> None:
    """Checks that a model can be built again from its configuration: nothing would be random.

    Raises:
        ValueError: If the configuration says other shapes.
    """
    with torch.device("meta"):
        again = empty_model(ModelState(model.config.to_dict(), {}, has_own_code(model)))
    says, has = ({n: t.shape for n, t in m.state_dict().items()} for m in (again, model))
    if says != has:
        name = sorted(dict(says.items() ^ has.items()))[0]
        kind = type(model).__name__
        raise ValueError(
            f"{kind} cannot be cut so: its configuration cannot say the shape of {name}"
        )


def left(total: int, share: float) -> int:
    """Returns how many of a number of units are left when a share is removed."""
    return total - round(share * total)


def most_important(scores: Tensor, count: int) -> list[int]:
    """Returns the places of the highest scores, in order of place; ties leave the later ones."""
    order = scores.cpu().argsort(stable=True)
    return sorted(order[len(order) - count :].tolist())


def _dependencies(student: Prunable) -> Any:
    import torch_pruning

    try:
        return torch_pruning.DependencyGraph().build_dependency(
            student.model, _probe(student), output_transform=lambda output: output.logits
        )
    except Exception as error:  # what Torch-Pruning does not know fails in many ways
        kind = type(student.model).__name__
        raise ValueError(f"{kind} cannot be cut by Torch-Pruning: {error}") from error


def _probe(student: Prunable) -> dict[str, Tensor]:
    train = student.splits["train"]
    device = next(student.model.parameters()).device
    return dict(make_batch(train, np.arange(min(2, len(train))), device).inputs)


def _relative(scores: Tensor) -> Tensor:
    return scores / scores.mean().clamp(min=torch.finfo(scores.dtype).tiny)


def _add_gradients(student: Prunable, texts: int) -> None:
    multi_label = student.labels.kind == "multi_label"
    for batch in calibration_batches(student, texts):
        logits = student.model(**batch.inputs).logits
        torch.autograd.backward(hard_loss(logits, batch.targets, multi_label))


def _width(root: Root) -> int:
    return root.embedding_dim if isinstance(root, nn.Embedding) else root.out_features
