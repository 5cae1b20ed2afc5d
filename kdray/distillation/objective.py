"""From a method to the named terms of the loss that the training loop minimises."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kdray.data.batches import Batch
from kdray.distillation.base import DistillationMethod, Match, Teaching
from kdray.models.outputs import Outputs, forward
from kdray.training.loop import ComputeTerms
from kdray.training.losses import Truth, class_weights, hard_loss

# The teacher's outputs, or those of each of several teachers.
Teach = Callable[[Batch, int], Outputs | tuple[Outputs, ...]]


def distillation_terms(
    method: DistillationMethod,
    student: nn.Module,
    match: Match,
    teach: Teach,
    truth: Truth,
) -> ComputeTerms:
    """Returns the function from a batch to its terms: `hard`, `soft`, and the method's own.

    hard is (1 − alpha) times the loss against the labels, soft is alpha times the loss against the
    teacher. Multi-label: each label may have its own alpha. Of examples without labels hard knows
    nothing: it is the mean over the others. While the method gives hints, they are all there is.

    Args:
        method: The method with its options.
        student: The model that is trained.
        match: What `method.match` returned; its projections on the student's device.
        teach: The teacher's outputs for a batch of the training set, padded to a length; of
            several teachers, whose terms are averaged, a tuple.
        truth: The labels of the training set.
    """
    device = next(student.parameters()).device
    weights = class_weights(method.class_weights, truth, device)
    shares = _Shares.of(method, truth, device)
    needs = method.needs(frozenset(match.pairs))

    def compute(batch: Batch, progress: float) -> dict[str, Tensor]:
        output = forward(student, batch.inputs, needs)
        logits, multi_label = output.logits, truth.multi_label
        own, true = _with_labels(logits, batch)
        hard = own.float().sum()  # 0 where no example of a batch has labels
        if len(true):
            hard = hard_loss(own, true, multi_label, weights, shares.hard_labels)
        if not isinstance(method, Teaching):
            return {"hard": hard}
        told = teach(batch, _positions(batch))
        teachers = told if isinstance(told, tuple) else (told,)
        if method.hinting(progress):
            return _mean([method.hint_terms(output, teacher, match) for teacher in teachers])

        def taught(teacher: Outputs) -> dict[str, Tensor]:
            soft_labels = shares.soft_labels
            its = teacher.logits
            if teacher.votes is not None:
                its = method.heard(teacher.votes, progress, multi_label)
            soft = method.soft_term(logits, its, progress, multi_label, soft_labels)
            return {"soft": shares.soft * soft, **method.extra_terms(output, teacher, match)}

        return {"hard": shares.hard * hard, **_mean([taught(teacher) for teacher in teachers])}

    return compute


def _with_labels(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Returns logits and targets of the examples of a batch that have labels."""
    if batch.labelled is None:
        return logits, batch.targets
    return logits[batch.labelled], batch.targets[batch.labelled]


def _mean(terms: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Returns the mean of each term over the teachers."""
    if len(terms) == 1:
        return terms[0]
    return {name: torch.stack([one[name] for one in terms]).mean() for name in terms[0]}


@dataclass(frozen=True)
class _Shares:
    """Alpha as factors: of the two terms (single-label), or of their labels (multi-label)."""

    hard: float = 1.0
    soft: float = 1.0
    hard_labels: Tensor | None = None
    soft_labels: Tensor | None = None

    @classmethod
    def of(cls, method: DistillationMethod, truth: Truth, device: torch.device) -> "_Shares":
        alphas = method.label_shares(truth.labels.names)
        if not truth.multi_label:
            return cls(1 - alphas[0], alphas[0])
        teacher = torch.tensor(alphas, device=device)
        return cls(hard_labels=1 - teacher, soft_labels=teacher)


def _positions(batch: Batch) -> int:
    first = next(iter(batch.inputs.values()))
    return int(first.shape[1])
