"""Several models that answer together: by the weighted mean of their probabilities."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Votes:
    """What each member of an ensemble says of a batch.

    Attributes:
        logits: z_i, (members, batch, labels).
        weights: w_i, one a member; positive, their sum is 1.
    """

    logits: Tensor
    weights: tuple[float, ...]


def blended(votes: Votes, temperature: float, multi_label: bool) -> Tensor:
    """Returns logits z whose probabilities at temperature T are the members' mean, (batch, labels).

    Single-label: z = T · log Σ_i w_i softmax(z_i / T), so that softmax(z / T) is that mean.
    Multi-label: z = T · logit(Σ_i w_i σ(z_i / T)), so that σ(z / T) is. Both are computed from
    logarithms and stay finite where a probability is 0 or 1 in float32.

    Reference: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, where
    an ensemble teaches. https://arxiv.org/abs/1503.02531

    Args:
        votes: What each member says.
        temperature: T > 0; the mean depends on it.
        multi_label: Which of the two.
    """
    scaled = votes.logits.float() / temperature
    shares = _weights(votes).log()
    if not multi_label:
        return temperature * torch.logsumexp(F.log_softmax(scaled, -1) + shares, 0)
    given = torch.logsumexp(F.logsigmoid(scaled) + shares, 0)
    not_given = torch.logsumexp(F.logsigmoid(-scaled) + shares, 0)
    return temperature * (given - not_given)


def mean_logits(votes: Votes) -> Tensor:
    """Returns Σ_i w_i z_i, (batch, labels)."""
    return (votes.logits.float() * _weights(votes)).sum(0)


def _weights(votes: Votes) -> Tensor:
    return votes.logits.new_tensor(votes.weights, dtype=torch.float32)[:, None, None]
