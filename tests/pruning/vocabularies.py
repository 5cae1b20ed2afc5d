"""Students whose vocabulary is cut."""

import numpy as np
import torch

from kdray.data.base import Examples
from kdray.data.batches import make_batch
from kdray.data.texts import compact
from kdray.data.tokenizing import encode
from kdray.pruning.base import Prunable
from kdray.pruning.vocabulary import Vocabulary
from tests import tiny, tokenizers

FAMILIES = ["bert", "electra", "distilbert", "roberta", "albert"]
LENGTH = 32


def student(kind="bert", texts=tokenizers.FEW, more=tokenizers.TEXTS[100:130], words=None):
    """A student of a family, or of BERT with another tokenizer, on texts."""
    words = tokenizers.ALL[kind]() if words is None else words
    model = tiny.model(
        family=kind if kind in FAMILIES else "bert",
        vocab_size=len(words) + 3,
        max_position_embeddings=LENGTH + 2,
        pad_token_id=words.pad_token_id,
        bos_token_id=words.cls_token_id,
        eos_token_id=words.sep_token_id,
    )
    rows = {
        name: [t if isinstance(t, tuple) else (t,) for t in part]
        for name, part in (("train", texts), ("validation", more), ("test", more))
    }
    splits = {
        name: encode(words, Examples(tuple(part), tiny.targets(tiny.MULTI, len(part))), LENGTH)
        for name, part in rows.items()
    }
    packed = {name: compact(part) for name, part in rows.items()}
    return Prunable(model, words, tiny.MULTI, splits, None, {}, packed, LENGTH)


def prune(pruned, **options):
    """Cuts the vocabulary of a student."""
    return Vocabulary(**options).prune(pruned, torch.Generator())


def ids(dataset):
    """Its tokens."""
    return dataset.columns["input_ids"]


def logits(model, dataset):
    """What a model says of all of it."""
    batch = make_batch(dataset, np.arange(len(dataset)), torch.device("cpu"))
    with torch.no_grad():
        return model.eval()(**batch.inputs).logits
