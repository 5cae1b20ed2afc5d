"""Computing no more of the last layer than the classifier reads: its first position.

BERT and its kin classify by the first position alone. What the last layer says of the others costs
a part of every step, and nobody reads it unless its hidden states are matched.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kdray.models.building import layer_list
from kdray.models.classifier import reads_mean
from kdray.models.outputs import NOTHING, Needs

_TOLERANCE = 1e-4


@contextmanager
def first_position_only(
    model: Any, probe: Mapping[str, Tensor], needs: Needs = NOTHING
) -> Iterator[bool]:
    """Cuts the last layer to the first position behind its attention, inside the block.

    Logits, gradients and attentions are the same as without. Families that do not classify by the
    first position are left as they are: whether one does is seen on the probe. So is a model whose
    last hidden states are needed.

    Args:
        model: A classifier.
        probe: A batch; with a single position it tells nothing, and the model is left whole.
        needs: What is read of it besides the logits.

    Yields:
        Whether the model was cut.
    """
    several = all(tensor.shape[1] > 1 for tensor in probe.values() if tensor.dim() > 1)
    cuttable = several and not reads_mean(model.config)
    output = _behind_attention(model) if cuttable else None
    if output is None or model.config.num_hidden_layers in needs.hidden:
        yield False
        return
    whole = _logits(model, probe)
    hook = output.register_forward_pre_hook(keep_first)
    try:
        same = torch.allclose(_logits(model, probe), whole, _TOLERANCE, _TOLERANCE)
        if not same:
            hook.remove()
        yield same
    finally:
        hook.remove()


def keep_first(module: nn.Module, states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Cuts what a module is given to the first position; a hook."""
    return tuple(state[:, :1] for state in states)


def _behind_attention(model: nn.Module) -> nn.Module | None:
    """Returns the part of the last layer that joins attention and input, where BERT has it."""
    try:
        last = layer_list(model)[1][-1]
        return last.get_submodule("attention.output")
    except (ValueError, AttributeError):
        return None


def _logits(model: nn.Module, probe: Mapping[str, Tensor]) -> Any:
    training = model.training
    with torch.no_grad():
        try:
            return model.eval()(**probe).logits
        except (RuntimeError, ValueError):
            return torch.tensor(torch.nan)
        finally:
            model.train(training)
