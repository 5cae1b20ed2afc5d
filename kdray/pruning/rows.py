"""Weights that are compared within their own row only."""

import math

import torch
from torch import Tensor


def lowest_of_rows(scores: Tensor, counts: Tensor) -> Tensor:
    """Returns a mask with a 0 at as many places of each row as are asked for, the lowest scores.

    Places with a score of ∞ stay, even if fewer go then.

    Args:
        scores: (rows, columns). Ties fall in order of place.
        counts: How many go of each row, (rows,), or (1,) for the same of each.
    """
    places = torch.arange(scores.shape[1], device=scores.device)
    stays = (places >= counts.to(scores.device)[:, None]).expand_as(scores)
    keep = torch.empty_like(scores).scatter_(1, scores.argsort(dim=1, stable=True), stays.float())
    return keep.masked_fill_(scores == math.inf, 1.0)
