"""Match logits by their squared difference."""

from typing import Literal

from torch import Tensor

from kdray.distillation.base import Teaching
from kdray.models.ensemble import Votes, mean_logits


class LogitMse(Teaching):
    """Match the teacher's logits as they are: the soft term is :math:`MSE(z_s, z_t)`.

    The mean goes over examples and labels, for both label types. There is no temperature: logits
    are what softening starts from. Of an ensemble z_t is the weighted mean of its members' logits.

    Reference: Ba and Caruana, "Do Deep Nets Really Need to be Deep?", 2014.
    https://arxiv.org/abs/1312.6184
    """

    method: Literal["logit_mse"] = "logit_mse"

    def heard(self, votes: Votes, progress: float, multi_label: bool) -> Tensor:
        """Returns the weighted mean of an ensemble's logits."""
        return mean_logits(votes)

    def soft_term(
        self,
        student: Tensor,
        teacher: Tensor,
        progress: float,
        multi_label: bool,
        label_weights: Tensor | None,
    ) -> Tensor:
        """Returns `logit_mse`."""
        return logit_mse(student, teacher, label_weights)


def logit_mse(student: Tensor, teacher: Tensor, label_weights: Tensor | None = None) -> Tensor:
    """Returns the mean over B·C of a_c · (z_s − z_t)², a scalar from 0 on.

    Args:
        student: z_s, (B, C).
        teacher: z_t, (B, C); no gradient flows into it.
        label_weights: a_c, (C,) or None for 1.
    """
    squares = (student.float() - teacher.detach().float()).pow(2)
    return (squares if label_weights is None else squares * label_weights).mean()
