"""Vocabulary pruning."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field
from torch import Generator, nn

from kdray.data.dataset import Dataset, Ragged, learnt_from
from kdray.data.rereading import cut_and_reread
from kdray.data.vocabulary import backend_of, fixed_ids, token_lengths, with_parts
from kdray.pruning.base import Prunable, PruningMethod

Places = npt.NDArray[np.int64]


class Vocabulary(PruningMethod):
    """Remove the embeddings of tokens that no training text uses, and of the rarest that some do.

    The tokenizer is cut with them: words of a token that is gone fall back to smaller pieces.
    What stays whatever the ratio: special and added tokens, the single characters of the used
    tokens and what cannot be spelled with them, bytes, and the parts that a kept token of BPE is
    merged from. `ratio` is a share of the used tokens without those. At 0 every training text has
    the same tokens as before, under new numbers. Texts of `data.unlabeled` are training texts too.

    Reference: Yang et al., "TextPruner: A Model Pruning Toolkit for Pre-Trained Language Models",
    2022. https://arxiv.org/abs/2203.15996
    """

    cuts: ClassVar[bool] = True
    reads_texts: ClassVar[bool] = True

    method: Literal["vocabulary"] = "vocabulary"
    ratio: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of the used tokens to remove beside all unused ones, rarest first.",
    )
    importance_threshold: float | None = Field(
        None, description="Tokens that occur more often than this stay, whatever the ratio."
    )

    @property
    def retokenizes(self) -> bool:
        """Whether training texts may be read as other tokens than the teacher's."""
        return self.ratio > 0

    def prune(
        self, student: Prunable, generator: Generator, share: float | None = None
    ) -> Prunable:
        """Returns the student with fewer embeddings, a cut tokenizer, and its splits read by that.

        Raises:
            ValueError: If no token may go though some should, the embedding has a mask, or the
                tokenizer cannot be cut.
        """
        _check_masks(student)
        learnt = learnt_from(student.splits)
        counts = _counts(learnt, student.model)
        kept = self.kept_ids(student.tokenizer, counts, self.ratio if share is None else share)
        ids = _in_place(kept | _named(student.model.config), student.tokenizer.pad_token_id)
        tokenizer, splits = _reread(student, ids)
        if kept.issuperset(np.flatnonzero(counts).tolist()):
            _check_same(learnt, learnt_from(splits), ids)
        cut_embedding(student.model, ids)
        return replace(student, tokenizer=tokenizer, splits=splits)

    def kept_ids(self, tokenizer: Any, counts: Places, ratio: float) -> set[int]:
        """Returns the ids of the tokens that stay.

        Args:
            tokenizer: The student's.
            counts: How often the training texts use each token, by its id.
            ratio: Share of the used tokens to remove as well.

        Raises:
            ValueError: If none of them may go.
        """
        backend = backend_of(tokenizer)
        needed = with_parts(backend, counts)
        used = set(np.flatnonzero(needed).tolist())
        fixed = fixed_ids(backend, used) | set(tokenizer.all_special_ids)
        lengths = token_lengths(backend)
        # Of equals the longest goes first, so that no part goes before what is merged from it.
        order = sorted(used - fixed, key=lambda token: (needed[token], -lengths[token], -token))
        if ratio and not order:
            raise ValueError(f"pruning.ratio is {ratio:g}, but every used token must stay")
        limit = np.inf if self.importance_threshold is None else self.importance_threshold
        gone = [token for token in order[: round(ratio * len(order))] if needed[token] <= limit]
        return (used | fixed) - set(gone)


def cut_embedding(model: Any, kept: Sequence[int]) -> None:
    """Cuts a model's word embedding to some rows, in place, and its configuration with it.

    Args:
        model: The model.
        kept: The rows to keep, each at its new place.
    """
    embedding = model.get_input_embeddings()
    places = {old: new for new, old in enumerate(kept)}
    weight = embedding.weight
    rows = weight.detach()[list(kept)]
    embedding.weight = nn.Parameter(rows, requires_grad=weight.requires_grad)
    embedding.num_embeddings = len(rows)
    embedding.padding_idx = places.get(embedding.padding_idx)
    for name, token in _token_settings(model.config).items():
        setattr(model.config, name, places.get(token))
    model.config.vocab_size = len(rows)


def _check_masks(student: Prunable) -> None:
    weight = student.model.get_input_embeddings().weight
    for name in student.masks:
        if student.model.get_parameter(name) is weight:
            raise ValueError(f"vocabulary cannot cut {name}, which has a mask; it must come before")


def _counts(train: Dataset, model: Any) -> Places:
    ids = train.columns["input_ids"]
    assert isinstance(ids, Ragged), "texts are ragged"
    return np.bincount(ids.values, minlength=model.get_input_embeddings().num_embeddings)


def _reread(student: Prunable, kept: Sequence[int]) -> tuple[Any, dict[str, Dataset]]:
    if student.texts is None:
        raise ValueError("vocabulary needs the texts of the splits")
    splits, texts = student.splits, student.texts
    return cut_and_reread(student.tokenizer, kept, splits, texts, student.max_length)


def _in_place(kept: set[int], pad: int | None) -> list[int]:
    """Returns the ids in order, but padding where it was: RoBERTa counts positions from its id."""
    order = sorted(kept)
    if pad is not None and pad < len(order):
        order.remove(pad)
        order.insert(pad, pad)
    return order


def _check_same(before: Dataset, after: Dataset, kept: Sequence[int]) -> None:
    """Checks that the training texts have the tokens that they had, under new numbers.

    Raises:
        ValueError: If not, which a tokenizer with ways of its own might do.
    """
    old, new = before.columns["input_ids"], after.columns["input_ids"]
    assert isinstance(old, Ragged)
    assert isinstance(new, Ragged)
    if not np.array_equal(old.values, np.asarray(kept)[new.values]):
        message = "reads training texts differently without the tokens that they do not use"
        raise ValueError(f"the tokenizer {message}; leave vocabulary out")


def _token_settings(config: Any) -> Mapping[str, int]:
    """Returns the ids of tokens that a configuration names."""
    named = ((name, value) for name, value in config.to_dict().items())
    return {n: value for n, value in named if n.endswith("_token_id") and isinstance(value, int)}


def _named(config: Any) -> set[int]:
    """Returns the ids that a configuration names and that have an embedding."""
    return {token for token in _token_settings(config).values() if token < config.vocab_size}
