"""Layer pruning."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, nn

from kdray.data.batches import Batch
from kdray.models.building import choose_layers, layer_list, spaced
from kdray.pruning.base import Prunable
from kdray.pruning.calibration import CALIBRATION_BATCH, calibrating, calibration_batches
from kdray.pruning.cutting import CutPruning, check_shape, left
from kdray.training.losses import hard_loss


class Layers(CutPruning):
    """Cut whole layers.

    The student loads with plain transformers. At least one layer stays. The importance of a layer:
    the loss of calibration batches without it, minus that of the whole student.

    References: Sanh et al., "DistilBERT, a distilled version of BERT", 2019 (even).
    https://arxiv.org/abs/1910.01108 Fan et al., "Reducing Transformer Depth on Demand with
    Structured Dropout", 2020. https://arxiv.org/abs/1909.11556
    """

    method: Literal["layers"] = "layers"
    keep: Literal["even", "first", "last", "importance"] = Field(
        "even",
        description="Which layers stay: evenly spaced ones, the first, the last, or those "
        "without which the loss is highest.",
    )
    importance_threshold: float | None = Field(
        None,
        description="keep: importance: layers without which the loss rises by more than this stay, "
        "whatever the ratio.",
    )
    batches: int = Field(
        8, ge=1, description="keep: importance: calibration batches, of 16 training texts each."
    )

    @model_validator(mode="after")
    def _a_threshold_is_of_importance(self) -> "Layers":
        if self.importance_threshold is not None and self.keep != "importance":
            raise ValueError("importance_threshold is for keep: importance")
        return self

    def layers_left(self, layers: int) -> int:
        """Returns how many of a student's layers are left in the end."""
        return max(1, left(layers, self.ratio))

    def check_built(self, model: Any) -> None:
        """Checks that a model is built so that this can cut it.

        Raises:
            ValueError: If layers would go and it shares one among all.
        """
        total = model.config.num_hidden_layers
        if self.layers_left(total) < total:
            layer_list(model)

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Cuts layers; those that stay keep their order.

        Raises:
            ValueError: If the family has no layers to choose from.
        """
        total, wanted = student.original.num_hidden_layers, self.wanted(student, share)
        kept, present = max(1, left(total, wanted)), student.model.config.num_hidden_layers
        if kept < present:
            choose_layers(student.model, self._chosen(student, kept, present))
            check_shape(student.model)
        return student

    def _chosen(self, student: Prunable, kept: int, present: int) -> list[int]:
        if self.keep == "even":
            return [layer - 1 for layer in spaced(kept, present)]
        if self.keep == "first":
            return list(range(kept))
        if self.keep == "last":
            return list(range(present - kept, present))
        scores = layer_scores(student, self.batches * CALIBRATION_BATCH)
        if self.importance_threshold is not None:
            kept = max(kept, sum(score > self.importance_threshold for score in scores))
        return sorted(sorted(range(present), key=lambda layer: scores[layer])[present - kept :])


def layer_scores(student: Prunable, texts: int) -> list[float]:
    """Returns by how much the mean loss of some training texts rises without each layer.

    Raises:
        ValueError: If the model has no layers to choose from.
    """
    path, layers = layer_list(student.model)
    parent, _, name = path.rpartition(".")
    encoder, batches = student.model.get_submodule(parent), calibration_batches(student, texts)
    with calibrating(student.model), torch.no_grad():
        whole, scores = _mean_loss(student, batches), []
        try:
            for out in layers:
                setattr(encoder, name, nn.ModuleList(layer for layer in layers if layer is not out))
                scores.append(_mean_loss(student, batches) - whole)
        finally:
            setattr(encoder, name, layers)
    return scores


def _mean_loss(student: Prunable, batches: Sequence[Batch]) -> float:
    multi_label = student.labels.kind == "multi_label"
    losses = [
        len(batch.rows)
        * hard_loss(student.model(**batch.inputs).logits, batch.targets, multi_label).item()
        for batch in batches
    ]
    return sum(losses) / sum(len(batch.rows) for batch in batches)
