"""Loss against labels: the hard term of both label types, in float32."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kdray.config.sections import ClassWeights
from kdray.data.base import Labels


@dataclass(frozen=True)
class Truth:
    """What is true of a training set.

    Attributes:
        labels: What is predicted.
        targets: Of all examples, as in `Batch`.
    """

    labels: Labels
    targets: Tensor

    @property
    def multi_label(self) -> bool:
        """Whether labels are independent decisions."""
        return self.labels.kind == "multi_label"


def hard_loss(
    logits: Tensor,
    targets: Tensor,
    multi_label: bool,
    class_weights: Tensor | None = None,
    label_weights: Tensor | None = None,
) -> Tensor:
    """Returns the loss of logits z_s against labels y, a scalar.

    Single-label: cross-entropy, averaged over the batch; with class weights the weighted average,
    Σ w_y · CE / Σ w_y. Multi-label: mean over B·C of a_c · BCE(σ(z_s), y), where a positive counts
    `class_weights` times.

    Args:
        logits: (B, C).
        targets: (B,) class indices, or (B, C) of 0 and 1.
        multi_label: Which of the two.
        class_weights: (C,) or None for 1.
        label_weights: a_c, (C,) or None for 1; multi-label only.
    """
    logits = logits.float()
    if not multi_label:
        return F.cross_entropy(logits, targets, weight=class_weights)
    losses = F.binary_cross_entropy_with_logits(
        logits, targets, pos_weight=class_weights, reduction="none"
    )
    return (losses if label_weights is None else losses * label_weights).mean()


def balanced_weights(targets: Tensor, multi_label: bool, classes: int) -> Tensor:
    """Returns balanced class weights of a training set, (C,).

    Multi-label: negatives / positives of each label. Single-label: N / (C · count), as in
    scikit-learn.
    """
    if multi_label:
        positive = targets.float().sum(0)
        return (len(targets) - positive) / positive.clamp(min=1)
    counts = torch.bincount(targets, minlength=classes).float()
    return len(targets) / (classes * counts.clamp(min=1))


def class_weights(option: ClassWeights, truth: Truth, device: torch.device) -> Tensor | None:
    """Returns the weight of each label, (C,), or None for equal weights."""
    if option == "none":
        return None
    if option == "balanced":
        count = len(truth.labels.names)
        return balanced_weights(truth.targets, truth.multi_label, count).to(device)
    return torch.tensor(option, device=device)
