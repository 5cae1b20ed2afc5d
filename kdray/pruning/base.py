"""What every pruning method has.

A new one is one file with one subclass, and one line in `table.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field
from torch import Generator, Tensor

from kdray.config.validation import Section
from kdray.data.base import Labels
from kdray.data.dataset import Dataset
from kdray.data.texts import Texts
from kdray.pruning.schedule import Schedule, Stages, staged_share


@dataclass(frozen=True)
class Prunable:
    """A student on its way through the pruning methods.

    Attributes:
        model: The model, its shapes changed where whole units were removed.
        tokenizer: Its tokenizer.
        labels: What it predicts.
        splits: Its examples, encoded by its tokenizer, `train` among them.
        original: The model's configuration before any pruning: shares are shares of that.
        masks: By parameter name, 1 where a weight stays and 0 where it is pruned; in place of the
            weight, on its device.
        texts: The texts of its splits, if something that can be drawn reads them.
        max_length: Tokens a text.
    """

    model: Any
    tokenizer: Any
    labels: Labels
    splits: Mapping[str, Dataset]
    original: Any
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    texts: Mapping[str, Texts] | None = None
    max_length: int = 128


class PruningMethod(Section):
    """A way to remove weights.

    Attributes:
        cuts: Whether whole units go, and shapes change with them.
        masks_weights: Whether single weights go, and masks keep them at 0.
        reads_texts: Whether it reads the texts themselves, and not only their tokens.
    """

    cuts: ClassVar[bool] = False
    masks_weights: ClassVar[bool] = False
    reads_texts: ClassVar[bool] = False
    method: str

    @property
    def retokenizes(self) -> bool:
        """Whether the student may read training texts as other tokens than its teacher."""
        return False

    @property
    def stages(self) -> int:
        """In how many stages it prunes, with training between them."""
        return 1

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Returns the student with more of it removed.

        Args:
            student: The student; the method may change its model in place.
            generator: Source of everything random.
            share: Share of the original to have removed afterwards; None: all that is asked for.

        Raises:
            ValueError: If the asked share cannot be removed.
        """
        raise NotImplementedError

    def stage_share(self, stage: int) -> float | None:
        """Returns the share to have removed by a stage, from 1; None: all that is asked for."""
        return None

    def layers_left(self, layers: int) -> int:
        """Returns how many of a student's layers are left in the end."""
        return layers

    def heads_left(self, original: Any) -> frozenset[int]:
        """Returns how many heads the last layer may have, while the student trains and in the end.

        Args:
            original: The student's transformers configuration before any pruning.
        """
        return frozenset({original.num_attention_heads})

    def check(self, original: Any) -> None:
        """Checks that what is asked for can be removed of a model.

        Args:
            original: Its transformers configuration before any pruning.

        Raises:
            ValueError: If it cannot.
        """

    def check_built(self, model: Any) -> None:
        """Checks that a model is built so that this can cut it.

        Raises:
            ValueError: If its family is built otherwise.
        """

    @classmethod
    def reachable(cls, original: Any) -> str:
        """Returns in words which sizes a model can be cut to; nothing where any ratio can be had.

        Args:
            original: Its transformers configuration.
        """
        return ""


class RatioPruning(PruningMethod):
    """A method that removes a share, at once or little by little."""

    ratio: float = Field(0.5, ge=0, lt=1, description="Share to remove.")
    schedule: Schedule = Field(
        "one_shot",
        description="one_shot, or {stages: n}: in n stages with training between them.",
    )
    importance_threshold: float | None = Field(
        None, description="What scores above it stays, whatever the ratio."
    )

    @property
    def stages(self) -> int:
        """In how many stages it prunes, with training between them."""
        return self.schedule.stages if isinstance(self.schedule, Stages) else 1

    def stage_share(self, stage: int) -> float:
        """Returns the share to have removed by a stage, from 1."""
        return staged_share(self.ratio, stage, self.stages)
