"""Vocabularies of real data, and in whole trials."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from kdray.config.sections import Evaluation
from kdray.data.tokenizing import train_tokenizer
from kdray.preparation import prepare, rebuild
from kdray.results.folder import SweepFolder
from kdray.schema import trial_config
from kdray.teacher.keeping import Place
from kdray.teachers import teacher_digest
from kdray.trial import run_trial
from tests import tiny
from tests.pruning.vocabularies import LENGTH, ids, logits, prune, student
from tests.tiny_sweep import tiny_config

BANGLA = Path(__file__).parents[3] / "shared" / "data" / "bangla_cyberbully"


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
