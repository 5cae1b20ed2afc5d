import numpy as np
import pytest
import torch

from kdray.config.teachers import Teacher
from kdray.errors import ConfigError
from kdray.evaluation.quality import quality
from kdray.models.inference import predict_logits
from kdray.teacher import making
from kdray.teacher.making import fine_tune, located, untrained_teacher
from tests import tiny

SHAPE = {
    "layers": 1,
    "hidden_size": 16,
    "heads": 2,
    "intermediate_size": 16,
    "vocabulary_size": 100,
}


def teacher(**training):
    options = {"epochs": 4, "batch_size": 16, "learning_rate": 1e-2, "precision": "float32"}
    return Teacher(architecture=SHAPE, training=options | training)


def untrained(section, labels=tiny.MULTI, seed=0):
    return untrained_teacher(section, labels, tiny.examples(labels), 24, seed)


def splits(labels):
    return {"train": tiny.separable(labels), "validation": tiny.separable(labels, 30)}


def saved(folder, labels=tiny.MULTI):
    tiny.model(labels).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def test_a_teacher_from_scratch_has_the_shape_asked_for_and_a_tokenizer_of_the_texts():
    model, tokenizer = untrained(teacher())
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (1, 16)
    assert model.config.vocab_size == len(tokenizer) <= 100
    assert tokenizer.unk_token_id not in tokenizer(list(tiny.TEXTS[:1]))["input_ids"][0]


def test_the_seed_decides_the_random_weights():
    first, second, other = (untrained(teacher(), seed=seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.classifier.weight, second.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_a_model_folder_is_found_relative_to_the_file(tmp_path):
    saved(tmp_path / "mine")
    section = Teacher(model="mine", training=None)
    assert located(section, tmp_path).model == str(tmp_path / "mine")
    model, _ = untrained(located(section, tmp_path))
    assert torch.equal(model.classifier.weight, tiny.model().classifier.weight)


@pytest.mark.parametrize("model", [None, "hub-user/some-model"])
def test_what_is_no_folder_is_left_as_it_is(model, tmp_path):
    section = Teacher(model=model)
    assert located(section, tmp_path) is section


def test_a_teacher_that_is_trained_may_get_a_new_head_in_the_seed(tmp_path):
    section = Teacher(model=str(saved(tmp_path, tiny.Labels(("a", "b"), "multi_label"))))
    first, second, other = (untrained(section, seed=seed)[0] for seed in (0, 0, 1))
    assert first.classifier.weight.shape == (3, 16)
    assert torch.equal(first.classifier.weight, second.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


def test_a_teacher_that_is_not_trained_keeps_its_labels_or_is_refused(tmp_path):
    section = Teacher(
        model=str(saved(tmp_path, tiny.Labels(("a", "b"), "multi_label"))), training=None
    )
    with pytest.raises(ConfigError, match=r"teacher\.model"):
        untrained(section)


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_fine_tuning_teaches_the_labels_and_reports_each_epoch(labels):
    section, reports = teacher(epochs=12), []
    parts = splits(labels)
    model = fine_tune(
        tiny.model(labels, hidden_dropout_prob=0.0),
        section,
        labels,
        parts,
        lambda *report: reports.append(report),
    )
    assert [(epoch, epochs) for epoch, epochs, _ in reports] == [(n, 12) for n in range(1, 13)]
    found = quality(predict_logits(model, parts["validation"]), parts["validation"].targets, labels)
    assert found["macro_f1"] == max(metrics["macro_f1"] for _, _, metrics in reports) > 0.8
    assert not model.training


def test_fine_tuning_keeps_the_best_epoch(monkeypatch):
    kept, values = [], iter([0.2, 0.9, 0.5, 0.9])
    monkeypatch.setattr(making, "quality", lambda *_: {"macro_f1": next(values)})
    model = tiny.model()

    def on_epoch(epoch, epochs, metrics):
        kept.append(model.classifier.weight.detach().clone())

    tuned = fine_tune(model, teacher(), tiny.MULTI, splits(tiny.MULTI), on_epoch)
    assert torch.equal(tuned.classifier.weight, kept[1])
    assert not torch.equal(kept[1], kept[3])


def test_fine_tuning_ends_when_no_epoch_was_better_for_long_enough(monkeypatch):
    reports, values = [], iter([0.2, 0.9, 0.5, 0.9])
    monkeypatch.setattr(making, "quality", lambda *_: {"macro_f1": next(values)})
    section = teacher(epochs=9, early_stopping={"patience": 2})
    parts = splits(tiny.MULTI)
    fine_tune(tiny.model(), section, tiny.MULTI, parts, lambda *report: reports.append(report[:2]))
    assert reports == [(1, 9), (2, 9), (3, 9), (4, 9)]


def test_fine_tuning_with_deterministic_algorithms_learns_the_same_on_a_cpu():
    during = []

    def watch(*_):
        during.append(torch.are_deterministic_algorithms_enabled())

    tuned = []
    for wanted in (False, True):
        model = tiny.model()
        model.classifier.register_full_backward_hook(watch)
        section = teacher(epochs=1, deterministic=wanted)
        fine_tune(model, section, tiny.MULTI, splits(tiny.MULTI), lambda *_: None)
        tuned.append(predict_logits(model, tiny.dataset()))
    steps = len(during) // 2
    assert during == [False] * steps + [True] * steps
    assert not torch.are_deterministic_algorithms_enabled()
    assert np.array_equal(*tuned)


def test_fine_tuning_is_decided_by_its_seed():
    tuned = [
        fine_tune(tiny.model(), teacher(seed=seed), tiny.MULTI, splits(tiny.MULTI), lambda *_: None)
        for seed in (0, 0, 1)
    ]
    first, second, other = (predict_logits(m, tiny.dataset()) for m in tuned)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_fine_tuning_weighs_the_labels(monkeypatch):
    seen = []

    def watched(logits, targets, multi_label, weights):
        seen.append(weights)
        return logits.mean()

    monkeypatch.setattr(making, "hard_loss", watched)
    section = teacher(epochs=1, class_weights="balanced")
    fine_tune(tiny.model(), section, tiny.MULTI, splits(tiny.MULTI), lambda *_: None)
    assert seen[0].tolist() == [2.0, 2.0, 2.0]


def test_a_teacher_without_training_is_not_fine_tuned():
    section = Teacher(model="somewhere", training=None)
    with pytest.raises(ValueError, match="training: null"):
        fine_tune(tiny.model(), section, tiny.MULTI, splits(tiny.MULTI), lambda *_: None)
