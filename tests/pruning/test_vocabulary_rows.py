"""The rows that a student keeps, and what it says with them."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import models

from kdray.data.base import Examples
from kdray.data.tokenizing import encode
from kdray.models.student import Student, save_student
from tests import tokenizers
from tests.pruning.vocabularies import FAMILIES, LENGTH, ids, logits, prune, student

# Runs in a new process: tokens and logits of stored students, without kdray.
NEW_PROCESS = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
texts, answers = json.loads(sys.stdin.read()), {}
for folder in sys.argv[1:]:
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    words = AutoTokenizer.from_pretrained(folder)
    batch = words(texts, padding=True, truncation=True, max_length=32, return_tensors="pt")
    with torch.no_grad():
        logits = model(**{k: v for k, v in batch.items() if k != "token_type_ids"}).logits
    answers[folder] = [batch["input_ids"].tolist(), logits.tolist()]
assert "kdray" not in sys.modules
print(json.dumps(answers))
"""


@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_on_training_texts_are_the_same_without_a_ratio(family):
    made = student(family)
    expected = logits(made.model, made.splits["train"])
    pruned = prune(made)
    assert torch.allclose(logits(pruned.model, pruned.splits["train"]), expected, 0, 1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_and_configuration_are_those_of_the_tokenizer(family):
    made = student(family)
    before = dict(
        zip(
            made.tokenizer.convert_ids_to_tokens(range(len(made.tokenizer))),
            made.model.get_input_embeddings().weight.detach().clone(),
            strict=False,
        )
    )
    pruned = prune(made, ratio=0.3)
    words, embedding, config = (
        pruned.tokenizer,
        pruned.model.get_input_embeddings(),
        made.model.config,
    )
    assert embedding.weight.shape[0] == embedding.num_embeddings == len(words) == config.vocab_size
    assert embedding.padding_idx == config.pad_token_id == words.pad_token_id
    assert (config.bos_token_id, config.eos_token_id) == (words.cls_token_id, words.sep_token_id)
    for name, place in words.get_vocab().items():
        assert torch.equal(embedding.weight[place], before[name])


def test_padding_keeps_its_number_because_roberta_counts_positions_from_it():
    names = ["a", "b", "c", "d", "[PAD]", "[UNK]", "e", "f", "[CLS]", "[SEP]"]
    words = tokenizers.by_hand(models.WordPiece(tokenizers.numbered(*names), unk_token="[UNK]"))
    words.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]"})
    made = student("roberta", words=words, texts=("a a c", "e"), more=("a",))
    expected = logits(made.model, made.splits["train"])
    pruned = prune(made)
    assert pruned.tokenizer.convert_ids_to_tokens(range(7)) == [
        "a",
        "c",
        "[UNK]",
        "e",
        "[PAD]",
        "[CLS]",
        "[SEP]",
    ]
    assert torch.allclose(logits(pruned.model, pruned.splits["train"]), expected, 0, 1e-6)


def test_padding_at_the_end_moves_with_the_end():
    names = ("[UNK]", "a", "b", "c", "d", "e", "[PAD]")
    words = tokenizers.by_hand(models.WordPiece(tokenizers.numbered(*names), unk_token="[UNK]"))
    pruned = prune(student(words=words, texts=("a c a", "c"), more=("a",)))
    assert pruned.tokenizer.convert_ids_to_tokens(range(4)) == ["[UNK]", "a", "c", "[PAD]"]
    assert pruned.model.get_input_embeddings().padding_idx == 3
    assert pruned.model.config.pad_token_id == ids(pruned.splits["train"]).pad == 3


def test_frozen_embeddings_stay_frozen():
    for trained in (True, False):
        made = student()
        made.model.get_input_embeddings().requires_grad_(trained)
        assert prune(made).model.get_input_embeddings().weight.requires_grad is trained


def test_a_mask_on_the_embedding_is_refused_and_others_stay():
    name = "bert.embeddings.word_embeddings.weight"
    masked = replace(student(), masks={name: torch.ones(1)})
    with pytest.raises(
        ValueError, match=f"cannot cut {name}, which has a mask; it must come before"
    ):
        prune(masked)
    other = {"classifier.weight": torch.ones(3, 16)}
    assert prune(replace(student(), masks=other)).masks == other


def test_the_tokenizer_of_the_others_is_not_changed():
    made = student()
    before = made.tokenizer.get_vocab()
    prune(made, ratio=0.5)
    assert made.tokenizer.get_vocab() == before


def test_a_new_process_without_kdray_gives_the_same_tokens_and_logits(tmp_path):
    made = {str(tmp_path / family): prune(student(family), ratio=0.4) for family in FAMILIES}
    for folder, one in made.items():
        save_student(Student(one.model, one.tokenizer, one.labels, LENGTH), Path(folder))
    texts = list(tokenizers.TEXTS[130:150])
    done = subprocess.run(
        [sys.executable, "-c", NEW_PROCESS, *made],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for folder, (tokens, answers) in json.loads(done.stdout).items():
        one = made[folder]
        examples = Examples(tuple((text,) for text in texts), np.zeros(len(texts), np.int64))
        dataset = encode(one.tokenizer, examples, LENGTH)
        assert tokens == dataset.arrays(np.arange(len(texts)))["input_ids"].tolist()
        expected = logits(one.model, dataset)
        assert torch.allclose(torch.tensor(answers), expected, rtol=0, atol=1e-5)
