"""The data of a sweep: read, completed, checked, and then as any tokenizer has them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdray.data.base import Examples, Labels
from kdray.data.checks import to_examples
from kdray.data.dataset import Dataset
from kdray.data.files import with_out_of_domain
from kdray.data.splits import complete_splits
from kdray.data.texts import Texts, compact_splits
from kdray.data.tokenizing import encode
from kdray.data.unlabeled import with_unlabeled
from kdray.errors import ConfigError
from kdray.evaluation.noise import with_noise
from kdray.metric_checks import class_metric_problems
from kdray.schema import SweepConfig
from kdray.space_checks import reads_texts, weight_problems


@dataclass(frozen=True)
class Data:
    """Checked data before tokenising.

    Attributes:
        labels: What is predicted.
        examples: By split.
        notes: What the user may want to know of them.
    """

    labels: Labels
    examples: Mapping[str, Examples]
    notes: Sequence[str] = ()

    def encoded(self, tokenizer: Any, max_length: int) -> dict[str, Dataset]:
        """Returns the splits as token ids."""
        return {name: encode(tokenizer, part, max_length) for name, part in self.examples.items()}

    def texts(self, space: Mapping[str, Any]) -> dict[str, Texts] | None:
        """Returns the texts of the splits, if something that can be drawn reads them."""
        return compact_splits(self.examples) if reads_texts(space) else None


def read_data(config: SweepConfig) -> Data:
    """Reads, completes and checks the data.

    Raises:
        ConfigError: With every problem of the data.
    """
    frames = complete_splits(config.data, config.data.read(config.base, config.seed), config.seed)
    frames = with_out_of_domain(frames, config.evaluation.out_of_domain, config.base)
    frames, notes = with_unlabeled(frames, config.data, config.base)
    labels, examples = to_examples(config.data, frames)
    training = config.teacher.training
    weights = training.class_weights if training else "none"
    problems = weight_problems("teacher.training", weights, len(labels.names))
    problems += class_metric_problems(config.objectives, config.constraints, config.teacher, labels)
    if problems:
        raise ConfigError(problems)
    return Data(labels, with_noise(examples, config.evaluation, config.seed), notes)
