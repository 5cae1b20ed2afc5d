"""An attention that can be read: as a family's own `eager` one, but told before dropout.

The `eager` attention of transformers returns what is left of the weights after dropout. Compared
with a teacher's, that is mostly noise: a student that is its own teacher would have a loss.
"""

import sys
from typing import Any

from torch import Tensor, nn

READABLE = "kdray_readable"


def register() -> None:
    """Makes the attention known to transformers under its name; again does nothing."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(READABLE, _attend)
    AttentionMaskInterface.register(READABLE, eager_mask)


def _attend(
    module: nn.Module, *inputs: Tensor | None, dropout: float = 0.0, **settings: Any
) -> tuple[Tensor, Tensor]:
    """Returns the output, with dropout while training, and the weights without."""
    eager = sys.modules[type(module).__module__].eager_attention_forward
    output, weights = eager(module, *inputs, dropout=0.0, **settings)
    if dropout and module.training:
        output, _ = eager(module, *inputs, dropout=dropout, **settings)
    return output, weights
