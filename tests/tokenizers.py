"""Tokenizers of every kind that can be cut, learnt from made-up comments in milliseconds."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from kdray.data.corpus import make_corpus
from kdray.data.tokenizing import train_tokenizer

TEXTS: tuple[str, ...] = tuple(make_corpus(300, seed=5)["text"])
# These use a part of the vocabulary only.
FEW = TEXTS[:40]
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
ALBERT = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
LENGTH = 64


def kdrays() -> Any:
    """The one that kdray trains."""
    return train_tokenizer(TEXTS, 400, LENGTH)


def word_pieces(kind: str) -> Any:
    """WordPiece as in BERT's own vocabulary: unused places between its special tokens."""
    learnt = train_tokenizer(TEXTS, 400, LENGTH).get_vocab()
    words = sorted(set(learnt) - set(BERT), key=learnt.__getitem__)
    names = [BERT[0], *(f"[unused{i}]" for i in range(9)), *BERT[1:], *words]
    vocabulary = {name: place for place, name in enumerate(names)}
    return getattr(transformers, kind)(vocab=vocabulary, model_max_length=LENGTH)


def bytes_merged() -> Any:
    """Byte-level BPE as in RoBERTa, its mask at the end, and an added token behind it."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    special = list(ROBERTA[:4])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    _learn(backend, trainers.BpeTrainer, special, vocab_size=900, initial_alphabet=alphabet)
    model = _model(backend)
    vocabulary = model["vocab"] | {"<mask>": len(model["vocab"])}
    merges = [tuple(merge) for merge in model["merges"]]
    made = transformers.RobertaTokenizer(vocab=vocabulary, merges=merges, model_max_length=LENGTH)
    made.add_tokens(["@user"])
    return made


def in_a_template() -> Any:
    """WordPiece whose special tokens stand within the vocabulary, of no family's class."""
    backend = word_pieces("BertTokenizer").backend_tokenizer
    return plain(backend, *BERT)


def letters_merged() -> Any:
    """BPE of letters, words marked at their end, its special tokens last."""
    backend = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.BPEDecoder()
    _learn(backend, trainers.BpeTrainer, list(ROBERTA), vocab_size=400, end_of_word_suffix="</w>")
    described = json.loads(backend.to_str())
    places = described["model"]["vocab"]
    last = len(places) - 1
    described["model"]["vocab"] = {name: last - place for name, place in places.items()}
    described["added_tokens"] = [
        token | {"id": last - token["id"]} for token in reversed(described["added_tokens"])
    ]
    backend = Tokenizer.from_str(json.dumps(described))
    ends = processors.BertProcessing(("</s>", last - 2), ("<s>", last))
    backend.post_processor = processors.Sequence([ends, processors.ByteLevel()])
    return plain(backend, "<pad>", "<unk>", "<s>", "</s>", "<mask>")


def plain(backend: Any, *special: str) -> Any:
    """A tokenizer of no family's class; its special tokens in BERT's order."""
    names = (f"{name}_token" for name in ("pad", "unk", "cls", "sep", "mask"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=LENGTH,
        **dict(zip(names, special, strict=True)),
    )


def learnt_bytes(texts: Sequence[str], size: int) -> Any:
    """Byte-level BPE of other texts."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        special_tokens=list(ROBERTA), vocab_size=size, initial_alphabet=alphabet
    )
    backend.train_from_iterator(texts, trainer)
    return plain(backend, "<pad>", "<unk>", "<s>", "</s>", "<mask>")


def learnt_pieces(texts: Sequence[str], size: int) -> Any:
    """Unigram of other texts, as in XLM-R."""
    special = ("<s>", "<pad>", "</s>", "<unk>")
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(special_tokens=[], vocab_size=size, show_progress=False)
    backend.train_from_iterator(texts, trainer)
    scored = [(name, 0.0) for name in special]
    scored += [(name, score) for name, score in _model(backend)["vocab"] if name not in special]
    return transformers.XLMRobertaTokenizer(vocab=scored, model_max_length=LENGTH)


def pieces(kind: str, special: Sequence[str]) -> Any:
    """Unigram as in ALBERT and XLM-R."""
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    _learn(backend, trainers.UnigramTrainer, [], vocab_size=300, unk_token=None)
    scored = [(name, 0.0) for name in special]
    scored += [(name, score) for name, score in _model(backend)["vocab"] if name not in special]
    return getattr(transformers, kind)(vocab=scored, model_max_length=LENGTH)


def by_hand(model: Any) -> Any:
    """A tokenizer of words between spaces around a model."""
    backend = Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]"
    )


def numbered(*names: str) -> dict[str, int]:
    """A vocabulary."""
    return {name: place for place, name in enumerate(names)}


ALL: dict[str, Callable[[], Any]] = {
    "kdray": kdrays,
    "bert": lambda: word_pieces("BertTokenizer"),
    "electra": lambda: word_pieces("ElectraTokenizer"),
    "distilbert": lambda: word_pieces("DistilBertTokenizer"),
    "template": in_a_template,
    "roberta": bytes_merged,
    "letters": letters_merged,
    "albert": lambda: pieces("AlbertTokenizer", ALBERT),
    "xlm_roberta": lambda: pieces("XLMRobertaTokenizer", ("<s>", "<pad>", "</s>", "<unk>")),
}


def _learn(backend: Any, trainer: Any, special: Sequence[str], **options: Any) -> None:
    learner = trainer(special_tokens=list(special), show_progress=False, **options)
    backend.train_from_iterator(TEXTS, learner)


def _model(backend: Any) -> Any:
    return json.loads(backend.to_str())["model"]
