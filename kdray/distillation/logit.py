"""Knowledge distillation as first told."""

from typing import Literal

from kdray.distillation.base import SoftTeaching


class Logit(SoftTeaching):
    """Match the teacher's softened predictions.

    Single-label: :math:`T^2 KL(softmax(z_t / T) || softmax(z_s / T))`, averaged over the batch.
    Multi-label: :math:`T^2` times the mean binary cross-entropy between the sigmoids.

    Reference: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015.
    https://arxiv.org/abs/1503.02531
    """

    method: Literal["logit"] = "logit"
