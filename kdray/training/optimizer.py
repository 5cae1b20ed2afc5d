"""AdamW with linear warm-up and linear decay."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from kdray.config.sections import Training


def decays(parameter: nn.Parameter) -> bool:
    """Returns whether a parameter decays: matrices do, norms and biases do not."""
    return parameter.dim() > 1


def make_optimizer(
    vectors: Sequence[tuple[nn.Parameter, bool]], options: Training
) -> torch.optim.AdamW:
    """Returns a fused AdamW.

    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.
    https://arxiv.org/abs/1711.05101

    Args:
        vectors: Parameters, each with whether it decays.
        options: Learning rate and weight decay.
    """
    groups = [
        {"params": [vector], "weight_decay": options.weight_decay if decaying else 0.0}
        for vector, decaying in vectors
    ]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
    for vector, _ in vectors:
        optimizer.state[vector] = _first_state(vector)
    return optimizer


def _first_state(vector: nn.Parameter) -> dict[str, Tensor]:
    """Returns what AdamW makes at its first step, so that a state on disk has its places."""
    return {
        "step": torch.zeros((), device=vector.device),
        "exp_avg": torch.zeros_like(vector),
        "exp_avg_sq": torch.zeros_like(vector),
    }


def make_schedule(
    optimizer: torch.optim.Optimizer, warmup_ratio: float, steps: int, done: int = 0
) -> LambdaLR:
    """Returns the schedule: 0 to the peak over the warm-up, then down to 0 at the last step.

    Args:
        optimizer: What takes the steps.
        warmup_ratio: Share of the steps that warm up.
        steps: Of the whole training.
        done: Steps of it that another optimizer has taken.
    """
    warmup = round(warmup_ratio * steps)
    return LambdaLR(optimizer, lambda step: rate_factor(step + done, warmup, steps))


def rate_factor(step: int, warmup: int, steps: int) -> float:
    """Returns the share of the peak learning rate at a step, counted from 0."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(0.0, (steps - step) / max(1, steps - warmup))
