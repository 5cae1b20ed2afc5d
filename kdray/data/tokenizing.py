"""Texts to token ids, once a sweep; and a WordPiece tokenizer of one's own.

A BERT tokenizer that lower-cases also strips accents, which deletes the vowel signs of Bangla and
other Indic scripts. Tokenizers made here never strip them.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from kdray.data.base import Examples
from kdray.data.dataset import Dataset, ragged

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_tokenizer(texts: Iterable[str], vocabulary_size: int, max_length: int) -> Any:
    """Returns a fast WordPiece tokenizer learnt from texts, with BERT's special tokens.

    Words are split at white space and punctuation; letters are lower-cased, vowel signs kept.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.BertNormalizer(strip_accents=False, lowercase=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocabulary_size, special_tokens=list(SPECIAL_TOKENS), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(t, tokenizer.token_to_id(t)) for t in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{f"{token.strip('[]').lower()}_token": token for token in SPECIAL_TOKENS},
    )


def encode(tokenizer: Any, examples: Examples, max_length: int) -> Dataset:
    """Returns the examples as token ids, cut to `max_length`."""
    columns = list(zip(*examples.texts, strict=True))
    encoded = tokenizer(
        *[list(column) for column in columns],
        truncation=True,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
    )
    ids = ragged(encoded["input_ids"], tokenizer.pad_token_id or 0)
    inputs = {"input_ids": ids}
    if "token_type_ids" in encoded and len(columns) > 1:
        inputs["token_type_ids"] = ragged(encoded["token_type_ids"], 0)
    return Dataset(inputs, np.diff(ids.offsets), examples.targets, mask="attention_mask")
