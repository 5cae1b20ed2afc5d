"""Match predictions, hidden states and attention at once."""

from typing import Literal

from kdray.distillation.attention import Attention
from kdray.distillation.hidden import Hidden


class MultiLevel(Hidden, Attention):
    """Match predictions, hidden states and attention: the terms of `hidden` and of `attention`.

    Reference: Jiao et al., "TinyBERT: Distilling BERT for Natural Language Understanding", 2020.
    https://arxiv.org/abs/1909.10351
    """

    method: Literal["multi_level"] = "multi_level"  # type: ignore[assignment]  # narrowed anew
