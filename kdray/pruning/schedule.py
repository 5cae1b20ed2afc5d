"""When the weights go: at once, in stages, or along a cubic."""

from typing import Literal

from pydantic import Field

from kdray.config.validation import Section


class Stages(Section):
    """Prune in stages, with training between them."""

    stages: int = Field(ge=2, description="How many; the epochs are divided among them.")


Schedule = Literal["one_shot", "cubic"] | Stages
CutSchedule = Literal["one_shot"] | Stages


def staged_share(ratio: float, stage: int, stages: int) -> float:
    """Returns the share that is removed by stage k of n: s_k = 1 − (1 − r)^(k/n).

    Each stage removes the same share of what is left.

    Args:
        ratio: r, the share to remove in the end, in [0, 1).
        stage: k, from 1.
        stages: n.
    """
    return ratio if stage == stages else float(1 - (1 - ratio) ** (stage / stages))


def cubic_share(ratio: float, progress: float) -> float:
    """Returns the share that is removed on the way: s_t = s_f + (s_i − s_f)(1 − p)³, s_i = 0.

    It rises fast while there is much to spare, and slowly at the end.

    Reference: Zhu and Gupta, "To prune, or not to prune: exploring the efficacy of pruning for
    model compression", 2017. https://arxiv.org/abs/1710.01878

    Args:
        ratio: s_f, the share to remove in the end, in [0, 1).
        progress: p = (t − t₀) / (n·Δt), how far the rise is; 1 or more is its end.
    """
    return float(ratio * (1 - (1 - min(progress, 1.0)) ** 3))
