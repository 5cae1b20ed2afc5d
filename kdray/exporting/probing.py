"""Texts to try a student on when its data are not at hand: words of its own vocabulary."""

import numpy as np

from kdray.data.base import Examples
from kdray.data.dataset import Dataset
from kdray.data.tokenizing import encode
from kdray.models.student import Student

_LENGTHS = (1, 3, 8, 20, 50)


def probe_dataset(student: Student, pairs: bool) -> Dataset:
    """Returns examples of several lengths, up to the longest that the student takes.

    They are the same for the same student.

    Args:
        student: Its tokenizer and length are taken.
        pairs: Whether it classifies pairs of texts.
    """
    draw = np.random.default_rng(0)
    tokenizer, columns = student.tokenizer, 2 if pairs else 1
    texts = tuple(
        tuple(
            tokenizer.decode(draw.integers(0, len(tokenizer), length), skip_special_tokens=True)
            for _ in range(columns)
        )
        for length in (*_LENGTHS, student.max_length)
    )
    return encode(tokenizer, Examples(texts, np.zeros(len(texts), np.int64)), student.max_length)
