"""One batch of a tiny student beside a tiny teacher, put together as a trial does it."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from kdray.data.base import Labels
from kdray.data.batches import Batch, make_batch
from kdray.distillation.base import DistillationMethod, Match, Shape
from kdray.distillation.objective import distillation_terms
from kdray.models.outputs import Needs, forward, with_attentions
from kdray.training.losses import Truth
from tests import tiny

CPU = torch.device("cpu")
LENGTHS = (3, 7, 2, 5)


def batch(labels: Labels, extra: int = 0) -> Batch:
    """The whole data set, with `extra` further positions of padding that hold any token."""
    found = make_batch(tiny.dataset(labels, LENGTHS), np.arange(len(LENGTHS)), CPU)
    inputs = dict(found.inputs)
    if extra:
        columns = torch.full((len(LENGTHS), extra), 9)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], columns], 1)
        inputs["attention_mask"] = torch.cat([inputs["attention_mask"], 0 * columns], 1)
    return Batch(inputs, found.targets, found.rows)


def matched(method: DistillationMethod, student: Any, teacher: Any) -> Match:
    torch.manual_seed(0)
    return method.match(Shape.of(student.config), Shape.of(teacher.config))


def terms(
    method: DistillationMethod,
    labels: Labels,
    models: tuple[Any, Any],
    match: Match | None = None,
    **moment: Any,
) -> dict[str, torch.Tensor]:
    """The named terms of one batch of a student and its teacher.

    `moment` may hold `extra` positions of padding, the `progress`, and a list `taught`, to which
    what the teacher says is appended. Without a progress it is the middle of the training.
    """
    student, teacher = models
    match = match or matched(method, student, teacher)
    needs = method.teacher_needs(frozenset(match.pairs.values()))
    with_attentions(student, True)
    with_attentions(teacher, True)

    def teach(part: Batch, length: int) -> Any:
        assert length == part.inputs["input_ids"].shape[1]
        with torch.no_grad():
            output = forward(teacher, part.inputs, needs)
            if needs.bank:
                output = replace(output, bank=other_features(teacher, part))
        moment.get("taught", []).append(output)
        return output

    truth = Truth(labels, torch.from_numpy(tiny.dataset(labels, LENGTHS).targets))
    compute = distillation_terms(method, student, match, teach, truth)
    return dict(compute(batch(labels, moment.get("extra", 0)), moment.get("progress", 0.5)))


def other_features(teacher: Any, part: Batch) -> torch.Tensor | None:
    """Pooled features of as many other examples."""
    ids = (part.inputs["input_ids"] + 1) % tiny.VOCABULARY
    return forward(teacher, {**part.inputs, "input_ids": ids}, Needs(features=True)).features


def gradient(term: torch.Tensor, model: Any) -> torch.Tensor:
    """All gradients of a term end to end, 0 where a parameter has no part in it."""
    parameters = list(model.parameters())
    found = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])
