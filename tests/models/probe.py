"""What a model of `tests.tiny` says of two texts of unequal length."""

from typing import Any

import torch

IDS = torch.tensor([[2, 9, 17, 3, 0], [2, 8, 3, 0, 0]])
MASK = (IDS > 0).long()


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(input_ids=IDS, attention_mask=MASK).logits
    return found
