"""From a method to the named terms of the loss that the training loop minimises."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from kdray.data.base import Labels
from kdray.data.batches import Batch
from kdray.distillation.base import DistillationMethod, Match, Teaching
from kdray.models.outputs import Outputs, forward
from kdray.training.losses import class_weights, hard_loss
from kdray.training.loop import ComputeTerms

Teach = Callable[[Batch, int], Outputs]


def distillation_terms(
    method: DistillationMethod,
    student: nn.Module,
    match: Match,
    teach: Teach,
    labels: Labels,
    targets: Tensor,
) -> ComputeTerms:
    """Returns the function from a batch to its terms: `hard`, `soft`, and the method's own.

    hard is (1 − alpha) times the loss against the labels, soft is alpha times the loss against the
    teacher. Multi-label: each label may have its own alpha.

    Args:
        method: The method with its options.
        student: The model that is trained.
        match: What `method.match` returned; its projections on the student's device.
        teach: The teacher's outputs for a batch of the training set, padded to a length.
        labels: What is predicted.
        targets: All targets of the training set, for balanced class weights.
    """
    multi_label = labels.kind == "multi_label"
    device = next(student.parameters()).device
    shares = torch.tensor(method.label_shares(labels.names), device=device)
    hard_shares, soft_shares = (1 - shares, shares) if multi_label else (None, None)
    alpha = 1.0 if multi_label else float(shares[0])
    weights = class_weights(method.class_weights, targets, labels, device)
    needs = method.needs(frozenset(match.pairs))

    def compute(batch: Batch, progress: float) -> dict[str, Tensor]:
        output = forward(student, batch.inputs, needs)
        hard = hard_loss(output.logits, batch.targets, multi_label, weights, hard_shares)
        if not isinstance(method, Teaching):
            return {"hard": hard}
        teacher = teach(batch, _positions(batch))
        soft = method.soft_term(output.logits, teacher.logits, progress, multi_label, soft_shares)
        own = method.extra_terms(output, teacher, match)
        return {"hard": hard if multi_label else (1 - alpha) * hard, "soft": alpha * soft, **own}

    return compute


def _positions(batch: Batch) -> int:
    first = next(iter(batch.inputs.values()))
    return int(first.shape[1])
