"""Texts to token ids, once a sweep; and a WordPiece tokenizer of one's own.

A BERT tokenizer that lower-cases also strips accents, which deletes the vowel signs of Bangla and
other Indic scripts. Tokenizers made here never strip them.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kdray.data.base import Examples
from kdray.data.dataset import Dataset, ragged
from kdray.waiting import during, each

LONGEST_WORD = 100  # characters; WordPiece takes a longer one for unknown
AT_ONCE = 10_000  # texts between two looks at the clock
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(texts: Iterable[str], vocabulary_size: int, max_length: int) -> Any:
    """Returns a fast WordPiece tokenizer learnt from texts, with BERT's special tokens.

    Words are split at white space and punctuation; letters are lower-cased, vowel signs kept. The
    same texts give the same tokenizer.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(strip_accents=False, lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    vocabulary = _learn_vocabulary(tokenizer, texts, vocabulary_size)
    tokenizer.model = models.WordPiece(vocabulary, unk_token="[UNK]")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS},
    )


def _learn_vocabulary(tokenizer: Any, texts: Iterable[str], size: int) -> dict[str, int]:
    """Returns the vocabulary that WordPiece training finds, the same for the same texts.

    The trainer numbers continuing letters (`##a`) in the order of a randomly seeded hash table and
    breaks ties by number. Given as special tokens they are numbered in our order.
    """
    from tokenizers import trainers

    continuing: set[str] = set()
    learnt: list[str] = []
    for text in texts:
        normal = tokenizer.normalizer.normalize_str(text)
        words = [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]
        short = [word for word in words if len(word) <= LONGEST_WORD]
        # A word without an end takes the trainer as long as the square of its length.
        learnt.append(text if short == words else " ".join(short))
        for word in short:
            continuing.update(word[1:])
    letters = [f"##{letter}" for letter in sorted(continuing)]
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=[*SPECIAL_TOKENS, *letters], show_progress=False
    )
    learner = type(tokenizer).from_str(tokenizer.to_str())
    with during("learning a tokenizer"):
        learner.train_from_iterator(learnt, trainer)
    vocabulary: dict[str, int] = learner.get_vocab()
    return vocabulary


def encode(tokenizer: Any, examples: Examples, max_length: int) -> Dataset:
    """Returns the examples as token ids, cut to `max_length`."""
    found: dict[str, list[list[int]]] = {"input_ids": []}
    for start in each("tokenising", range(0, len(examples.texts), AT_ONCE)):
        columns = list(zip(*examples.texts[start : start + AT_ONCE], strict=True))
        encoded = tokenizer(
            *[list(column) for column in columns],
            truncation=True,
            max_length=max_length,
            padding=False,
            return_attention_mask=False,
        )
        for name in ("input_ids", "token_type_ids"):
            if name in encoded and (name == "input_ids" or len(columns) > 1):
                found.setdefault(name, []).extend(encoded[name])
    pads = {"input_ids": tokenizer.pad_token_id or 0}
    inputs = {name: ragged(rows, pads.get(name, 0)) for name, rows in found.items()}
    lengths = np.diff(inputs["input_ids"].offsets)
    return Dataset(inputs, lengths, examples.targets, mask="attention_mask")
