import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import models

from kdray.config.sections import Evaluation
from kdray.data.base import Examples
from kdray.data.batches import make_batch
from kdray.data.texts import compact
from kdray.data.tokenizing import encode, train_tokenizer
from kdray.data.vocabulary import backend_of, fixed_ids, with_parts
from kdray.models.student import Student, save_student
from kdray.preparation import prepare, rebuild
from kdray.pruning.base import Prunable
from kdray.pruning.vocabulary import Vocabulary
from kdray.results.folder import SweepFolder
from kdray.schema import trial_config
from kdray.teacher.keeping import Place
from kdray.teachers import teacher_digest
from kdray.trial import run_trial
from tests import tiny, tokenizers
from tests.tiny_sweep import tiny_config

KINDS = list(tokenizers.ALL)
FAMILIES = ["bert", "electra", "distilbert", "roberta", "albert"]
LENGTH = 32
BANGLA = Path(__file__).parents[3] / "shared" / "data" / "bangla_cyberbully"

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
    return Vocabulary(**options).prune(pruned, torch.Generator())


def ids(dataset):
    return dataset.columns["input_ids"]


def logits(model, dataset):
    batch = make_batch(dataset, np.arange(len(dataset)), torch.device("cpu"))
    with torch.no_grad():
        return model.eval()(**batch.inputs).logits


def hand_made():
    """a 4, b 1, ab 3, abb 1, ##b 2 times; cab, c and ##z never."""
    names = ("[PAD]", "[UNK]", "c", "a", "b", "##a", "##b", "##z", "cab", "ab", "abb", "aab")
    words = tokenizers.by_hand(models.WordPiece(tokenizers.numbered(*names), unk_token="[UNK]"))
    return student(words=words, texts=("a a a a ab ab ab", "b abb abbb", "aab aab"))


def left(pruned):
    return set(pruned.tokenizer.get_vocab())


def test_tokens_that_no_training_text_uses_go_by_hand():
    pruned = prune(hand_made())
    used = {"a", "b", "##a", "##b", "ab", "abb", "aab"}
    assert left(pruned) == {"[PAD]", "[UNK]"} | used


@pytest.mark.parametrize(
    ("ratio", "gone"),
    [
        (0.1, set()),
        (0.4, {"aab"}),  # abb and aab are used twice: the later one of equal length goes first
        (0.6, {"aab", "abb"}),
        (0.9, {"aab", "abb", "ab"}),
    ],
)
def test_the_rarest_go_first_and_letters_stay_by_hand(ratio, gone):
    # Three may go: ab, abb and aab. Of those round(3 · ratio) do.
    whole = prune(hand_made())
    assert left(prune(hand_made(), ratio=ratio)) == left(whole) - gone


def test_words_of_rare_tokens_fall_back_to_smaller_pieces_by_hand():
    pruned = prune(hand_made(), ratio=0.6)
    assert pruned.tokenizer.tokenize("abb aab") == ["ab", "##b", "a", "##a", "##b"]
    row = ids(pruned.splits["train"]).padded(np.array([1]), 6)[0]
    assert pruned.tokenizer.convert_ids_to_tokens(row) == ["b", "ab", "##b", "ab", "##b", "##b"]


def test_what_occurs_often_enough_stays_whatever_the_ratio_by_hand():
    pruned = prune(hand_made(), ratio=0.9, importance_threshold=2)
    assert left(prune(hand_made())) - left(pruned) == {"aab", "abb"}


def test_a_ratio_is_refused_where_every_used_token_must_stay():
    words = tokenizers.by_hand(
        models.WordPiece(tokenizers.numbered("[PAD]", "[UNK]", "a"), unk_token="[UNK]")
    )
    made = student(words=words, texts=("a a", "a"), more=("a",))
    with pytest.raises(ValueError, match=r"pruning\.ratio is 0\.5, but every used token must stay"):
        prune(made, ratio=0.5)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_is_reached_within_one(kind, ratio):
    made = student(kind)
    backend = backend_of(made.tokenizer)
    counts = np.bincount(ids(made.splits["train"]).values, minlength=len(made.tokenizer))
    used = set(np.flatnonzero(with_parts(backend, counts)).tolist())
    may_go = used - fixed_ids(backend, used)
    assert len(may_go) > 40
    kept = Vocabulary().kept_ids(made.tokenizer, counts, ratio)
    assert abs(len(may_go - kept) - ratio * len(may_go)) <= 1
    assert (used - may_go) <= kept


@pytest.mark.parametrize("kind", KINDS)
def test_special_and_added_tokens_stay(kind):
    made = student(kind)
    pruned = prune(made, ratio=0.9)
    assert {*made.tokenizer.all_special_tokens, *made.tokenizer.get_added_vocab()} <= left(pruned)
    assert pruned.tokenizer.special_tokens_map == made.tokenizer.special_tokens_map


@pytest.mark.parametrize("ratio", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_no_training_text_gets_an_unknown_token(kind, ratio):
    made = student(kind)
    pruned = prune(made, ratio=ratio)
    before, after = ids(made.splits["train"]).values, ids(pruned.splits["train"]).values
    assert (after == pruned.tokenizer.unk_token_id).sum() == 0
    assert (before == made.tokenizer.unk_token_id).sum() == 0
    assert len(after) > len(before)


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_ratio_training_texts_have_the_same_tokens_under_new_numbers(kind):
    made = student(kind)
    pruned = prune(made)
    assert len(pruned.tokenizer) < len(made.tokenizer)
    before, after = made.splits["train"], pruned.splits["train"]
    assert np.array_equal(ids(before).offsets, ids(after).offsets)
    assert np.array_equal(after.targets, before.targets)
    assert made.tokenizer.convert_ids_to_tokens(
        ids(before).values.tolist()
    ) == pruned.tokenizer.convert_ids_to_tokens(ids(after).values.tolist())


@pytest.mark.parametrize("ratio", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_the_other_splits_are_tokenised_again(kind, ratio):
    pruned = prune(student(kind), ratio=ratio)
    texts = [text for (text,) in pruned.texts["validation"].rows()]
    expected = pruned.tokenizer(texts, truncation=True, max_length=LENGTH)["input_ids"]
    for name in ("validation", "test"):
        part = pruned.splits[name]
        found = part.arrays(np.arange(len(part)))["input_ids"]
        assert [row[:n].tolist() for row, n in zip(found, part.lengths, strict=True)] == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_the_logits_on_training_texts_are_the_same_without_a_ratio(family):
    made = student(family)
    expected = logits(made.model, made.splits["train"])
    pruned = prune(made)
    assert torch.allclose(logits(pruned.model, pruned.splits["train"]), expected, 0, 1e-6)


def test_pairs_of_texts_are_read_as_pairs():
    texts = tuple(zip(tokenizers.FEW[:20], tokenizers.FEW[20:40], strict=True))
    made = student(texts=texts, more=texts[:3])
    expected = logits(made.model, made.splits["train"])
    pruned = prune(made)
    assert torch.allclose(logits(pruned.model, pruned.splits["train"]), expected, 0, 1e-6)
    assert pruned.splits["test"].columns.keys() == {"input_ids", "token_type_ids"}
    assert prune(pruned, ratio=0.5).texts["train"].rows() == texts


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


def test_a_student_without_texts_is_refused():
    with pytest.raises(ValueError, match="needs the texts of the splits"):
        prune(replace(student(), texts=None))


def test_training_texts_that_would_be_read_differently_are_refused():
    made = student()
    texts = {**made.texts, "train": made.texts["validation"]}
    with pytest.raises(ValueError, match="reads training texts differently"):
        prune(
            replace(made, texts=texts, splits={**made.splits, "validation": made.splits["train"]})
        )


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


def test_every_training_text_of_real_data_has_the_same_tokens():
    if not BANGLA.is_dir():
        pytest.skip(f"needs the data set in {BANGLA}; it is not part of kdray")
    train, other = (
        tuple(pd.read_csv(BANGLA / f"{n}.csv")["text"]) for n in ("train", "validation")
    )
    words = train_tokenizer([*train, *other], 8000, LENGTH)
    made = student(words=words, texts=train[:4000], more=other[:500])
    expected = logits(made.model, made.splits["train"])
    pruned = prune(made)
    assert len(pruned.tokenizer) < 0.9 * len(words)
    assert torch.allclose(logits(pruned.model, pruned.splits["train"]), expected, 0, 1e-6)
    unknown = (ids(pruned.splits["test"]).values == pruned.tokenizer.unk_token_id).mean()
    assert unknown < 0.001


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    folder = SweepFolder(tmp_path_factory.mktemp("space") / "s")
    config = tiny_config(folder.root.parent, pruning={"method": "vocabulary", "ratio": None})
    return config, prepare(config, place=Place(folder)), folder


def trial(sweep, distillation, **options):
    sections = {
        "student": {"layers": 1},
        "pruning": {"method": "vocabulary", **options},
        "distillation": {"method": distillation},
        "training": {"epochs": 1},
    }
    return run_trial(trial_config(sections, Evaluation(), "macro_f1"), sweep[1])


@pytest.mark.parametrize(
    ("distillation", "ratio"), [("multi_level", 0.0), ("logit", 0.0), ("logit", 0.7)]
)
def test_a_whole_trial_ends_with_a_smaller_student(sweep, distillation, ratio):
    before = teacher_digest(sweep[1].teacher)
    finished = trial(sweep, distillation, ratio=ratio)
    model, words = finished.student.model, finished.student.tokenizer
    assert model.config.vocab_size == len(words) < len(sweep[1].tokenizer)
    assert finished.student.predict([tiny.TEXTS[0]]) is not None
    assert teacher_digest(sweep[1].teacher) == before
    assert finished.metrics["size_mb"] < finished.metrics["teacher_size_mb"]
    assert finished.logits["test"].shape == (80, 5)


def test_texts_are_kept_where_they_can_be_read(sweep, tmp_path):
    config, prepared, folder = sweep
    again = rebuild(config, Place(folder))
    for name, dataset in prepared.splits.items():
        rows = prepared.texts[name].rows()
        assert len(rows) == len(dataset)
        assert again.texts[name].rows() == rows
    assert prepare(tiny_config(tmp_path)).texts is None
