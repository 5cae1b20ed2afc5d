"""Which columns of a table hold the texts and the labels, as far as one can see that.

What is found is proposed to a person, who knows better.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kdray.data.cells import truths, words

PAIRS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"))
TEXTS = ("text", "sentence", "comment", "content", "review", "message", "question", "title")
CLASSES = ("label", "class", "category", "target", "intent", "topic", "sentiment")
MOST_CLASSES = 50
# Tokens a word, and letters a token where words are not spaced, of texts in many languages.
TOKENS_A_WORD, LETTERS_A_TOKEN, COVERED = 1.5, 4, 0.95


def proposed_text(frame: pd.DataFrame) -> str | list[str] | None:
    """Returns the column of texts, or two for pairs; None if no column holds words.

    A usual name decides, and else which texts are longest.
    """
    named = {str(name).lower(): str(name) for name in frame.columns}
    for pair in PAIRS:
        if all(name in named for name in pair):
            return [named[name] for name in pair]
    known = [named[name] for name in TEXTS if name in named]
    if known:
        return known[0]
    lengths = {str(name): _mean_length(frame[name]) for name in frame.columns}
    longest = max(lengths, key=lambda name: lengths[name], default="")
    return longest if lengths.get(longest, 0.0) > 0 else None


def proposed_labels(frame: pd.DataFrame, text: Sequence[str]) -> str | list[str] | None:
    """Returns the label columns: a list of 0/1 columns, or the name of a column of classes.

    Columns with 0 or with 1 in each row are no labels: nothing can be learnt of them.

    Args:
        frame: The table.
        text: Its columns of texts.

    Returns:
        None if nothing looks like labels, or several columns look like classes.
    """
    rest = [str(name) for name in frame.columns if name not in text]
    binary = [name for name in rest if _is_binary(frame[name])]
    if len(binary) > 1:
        return binary
    classes = [name for name in rest if 1 < words(frame[name]).nunique() <= MOST_CLASSES]
    named = [name for name in classes if name.lower().rstrip("s") in CLASSES]
    found = named or classes
    return found[0] if len(found) == 1 or named else None


def usual_tokens(frame: pd.DataFrame, text: Sequence[str]) -> int:
    """Returns about how many tokens 95 % of the texts have at most, pairs together."""
    rows = map(" ".join, zip(*(words(frame[name]) for name in text), strict=True))
    counts = [max(TOKENS_A_WORD * len(row.split()), len(row) / LETTERS_A_TOKEN) for row in rows]
    return int(np.quantile(counts, COVERED)) + 1


def _mean_length(column: pd.Series) -> float:
    """Returns the mean length of what is no number, 0 for numbers."""
    cells = words(column)
    is_number = pd.to_numeric(cells, errors="coerce").notna()
    return 0.0 if is_number.any() else float(cells.str.len().mean())


def _is_binary(column: pd.Series) -> bool:
    found = truths(column)
    return not np.isnan(found).any() and 0 < found.sum() < len(found)
