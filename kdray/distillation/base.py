"""What every distillation method has: its options, what it needs, and its terms.

A new method is one file with one subclass, and one line in `table.py`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from kdray.config.sections import ClassWeights
from kdray.config.validation import Section
from kdray.distillation.loss import Softening, soft_loss
from kdray.models.ensemble import Votes, blended
from kdray.models.heads import HEADS_KEPT
from kdray.models.outputs import Needs, Outputs


@dataclass(frozen=True)
class Shape:
    """What a method has to know of a model.

    Attributes:
        layers: Transformer layers.
        width: Width of the hidden states, and of the pooled features.
        heads: Attention heads a layer; None where that is not known.
        attention_width: Width of the queries, keys and values of the last layer; None where it is
            that of the hidden states.
    """

    layers: int
    width: int
    heads: int | None = None
    attention_width: int | None = None

    @classmethod
    def of(cls, config: Any) -> Self:
        """Returns the shape of a model with this transformers configuration."""
        heads, inner = getattr(config, "num_attention_heads", None), None
        if heads:
            left = getattr(config, HEADS_KEPT, [heads])[-1]
            # Of what MobileBERT calls its true width.
            inner = getattr(config, "true_hidden_size", config.hidden_size) // heads * left
        return cls(config.num_hidden_layers, config.hidden_size, heads, inner)


@dataclass(frozen=True)
class Match:
    """How a student's layers stand to its teacher's.

    Attributes:
        pairs: The teacher layer of each mapped student layer, both from 1.
        projections: Learned maps from student to teacher, trained along and then thrown away; those
            of layers by the teacher's layer.
        relation_heads: Into how many parts queries, keys and values are split to be compared.
    """

    pairs: Mapping[int, int] = field(default_factory=dict)
    projections: nn.ModuleDict = field(default_factory=nn.ModuleDict)
    relation_heads: int = 1

    def take_over(self, former: "Match") -> None:
        """Copies what was learnt with another shape of the student, in place, where it still fits.

        Args:
            former: How the same student and teacher stood to each other before.
        """
        learnt = former.projections.state_dict()
        with torch.no_grad():
            for name, tensor in self.projections.state_dict().items():
                if name in learnt and learnt[name].shape == tensor.shape:
                    tensor.copy_(learnt[name])


class DistillationMethod(Section):
    """A way to teach. The base class is the hard loss alone."""

    method: str
    class_weights: ClassWeights = Field(
        "none", description="Weight of each label in the hard loss; balanced: from the data."
    )

    def match(self, student: Shape, teacher: Shape) -> Match:
        """Returns how layers stand to each other, with fresh projections.

        Raises:
            ValueError: If the method cannot match these two.
        """
        return Match()

    def needs(self, layers: frozenset[int]) -> Needs:
        """Returns what is read of a model at its mapped layers, besides the logits."""
        return Needs()

    def teacher_needs(self, layers: frozenset[int]) -> Needs:
        """Returns what is read of the teacher: what is read of the student too, or more."""
        return self.needs(layers)

    @property
    def reads_positions(self) -> bool:
        """Whether it compares single positions, so that both must have the same tokens."""
        return self.needs(frozenset({1})).positions

    def hinting(self, progress: float) -> bool:
        """Returns whether hints alone are learned at a share of the training in [0, 1).

        Such a student cannot classify yet: no epoch that ends so is selected or judged.
        """
        return False

    def hint_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns the terms that are the whole loss while hints are learned; none without hints."""
        return {}

    def label_shares(self, labels: tuple[str, ...]) -> list[float]:
        """Returns the teacher's weight, alpha, for each label."""
        return [0.0] * len(labels)

    def extra_terms(self, student: Outputs, teacher: Outputs, match: Match) -> dict[str, Tensor]:
        """Returns further terms by name, weighted; both outputs hold what `needs` asked for."""
        return {}


class Teaching(DistillationMethod):
    """A method with a teacher: (1 − alpha) · hard + alpha · soft, plus extra terms."""

    alpha: float = Field(
        0.7, ge=0, le=1, description="Weight of the teacher; labels get 1 - alpha."
    )
    label_alpha: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(
        default_factory=dict, description="Multi-label: an alpha of its own for some labels."
    )

    def label_shares(self, labels: tuple[str, ...]) -> list[float]:
        """Returns `label_alpha` of each label where there is one, else alpha."""
        return [self.label_alpha.get(name, self.alpha) for name in labels]

    def heard(self, votes: Votes, progress: float, multi_label: bool) -> Tensor:
        """Returns the logits z_t of an ensemble, (B, C): those of its mean probability at T = 1."""
        return blended(votes, 1.0, multi_label)

    @abstractmethod
    def soft_term(
        self,
        student: Tensor,
        teacher: Tensor,
        progress: float,
        multi_label: bool,
        label_weights: Tensor | None,
    ) -> Tensor:
        """Returns the soft term before alpha, a scalar.

        Args:
            student: Logits z_s, (B, C).
            teacher: Logits z_t, (B, C).
            progress: Share of the training that is done, in [0, 1).
            multi_label: Which of the two losses.
            label_weights: Weight of each label in it, (C,), or None for 1; multi-label only.
        """


class SoftTeaching(Teaching):
    """A method that compares predictions softened by a temperature."""

    temperature: float = Field(
        4.0, gt=0, description="Softening of both predictions; 1 leaves them as they are."
    )
    temperature_schedule: Literal["constant", "linear"] = Field(
        "constant", description="linear: from temperature down to 1 over the training."
    )
    scale_by_temperature: bool = Field(True, description="false drops T², for ablations.")

    def temperature_at(self, progress: float) -> float:
        """Returns T at a share of the training in [0, 1)."""
        if self.temperature_schedule == "constant":
            return self.temperature
        return self.temperature + (1.0 - self.temperature) * progress

    def heard(self, votes: Votes, progress: float, multi_label: bool) -> Tensor:
        """Returns the logits of an ensemble's mean probability at the temperature of the moment."""
        return blended(votes, self.temperature_at(progress), multi_label)

    def soft_term(
        self,
        student: Tensor,
        teacher: Tensor,
        progress: float,
        multi_label: bool,
        label_weights: Tensor | None,
    ) -> Tensor:
        """Returns `soft_loss` at the temperature of the moment."""
        softening = Softening(self.temperature_at(progress), self.scale_by_temperature)
        return soft_loss(student, teacher, softening, multi_label, label_weights)
