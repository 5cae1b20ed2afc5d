import math

import numpy as np
import pytest
import torch

from kdray.config.sections import Training
from kdray.errors import DivergedError
from kdray.evaluation.quality import quality
from kdray.models.inference import predict_logits
from kdray.models.outputs import forward
from kdray.training.loop import (
    Lane,
    new_stepper,
    steps_an_epoch,
    train,
    train_side_by_side,
)
from kdray.training.losses import hard_loss
from kdray.training.meter import CHECK_INTERVAL
from kdray.training.stepper import Learner
from tests import tiny

OPTIONS = Training(epochs=3, batch_size=4, learning_rate=1e-2, precision="float32")


def label_terms(model, labels):
    def terms(batch, progress):
        logits = forward(model, batch.inputs).logits
        return {"hard": hard_loss(logits, batch.targets, labels.kind == "multi_label")}

    return terms


def trained(labels=tiny.MULTI, options=OPTIONS, dataset=None, dropout=0.1):
    torch.manual_seed(options.seed)
    model = tiny.model(labels, hidden_dropout_prob=dropout)
    torch.manual_seed(options.seed)
    epochs = []
    data = dataset or tiny.dataset(labels)
    train(Learner(model), data, label_terms(model, labels), options, epochs.append)
    return model, epochs


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
def test_a_tiny_model_learns_a_separable_problem(labels):
    options = OPTIONS.model_copy(update={"epochs": 25, "batch_size": 16})
    data = tiny.separable(labels)
    model, epochs = trained(labels, options, data)
    assert epochs[-1].loss < epochs[0].loss / 2
    assert quality(predict_logits(model, data), data.targets, labels)["macro_f1"] > 0.95


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_a_tiny_model_learns_in_half_precision(precision):
    options = OPTIONS.model_copy(update={"epochs": 25, "batch_size": 16, "precision": precision})
    model, epochs = trained(tiny.MULTI, options, tiny.separable(tiny.MULTI))
    assert epochs[-1].loss < epochs[0].loss / 2
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_same_seed_gives_the_same_weights():
    (first, _), (second, _) = trained(), trained()
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_another_seed_gives_other_weights():
    (first, _), (second, _) = trained(), trained(options=OPTIONS.model_copy(update={"seed": 1}))
    assert not torch.equal(first.classifier.weight, second.classifier.weight)


def test_every_example_is_seen_once_an_epoch_and_progress_grows():
    model, seen = tiny.model(), []
    terms = label_terms(model, tiny.MULTI)

    def watched(batch, progress):
        seen.append((batch.rows.tolist(), progress))
        return terms(batch, progress)

    data = tiny.dataset(lengths=(3, 5, 2, 4, 6, 2, 3, 4, 5, 9))
    epochs = []
    train(Learner(model), data, watched, OPTIONS, epochs.append)
    # 10 examples in batches of 4: 3 steps an epoch, 9 in all.
    assert [progress for _, progress in seen] == pytest.approx([step / 9 for step in range(9)])
    for epoch in range(3):
        rows = [row for part, _ in seen[3 * epoch : 3 * epoch + 3] for row in part]
        assert sorted(rows) == list(range(10))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert [epoch.duration_s > 0 for epoch in epochs] == [True] * 3


def test_the_last_rate_is_0_and_the_one_before_is_on_the_line():
    # 2 steps an epoch, 6 in all, 1 of warm-up (round(0.6)): after 4 steps (6 − 4) / (6 − 1).
    _, epochs = trained()
    assert [epoch.learning_rate for epoch in epochs] == pytest.approx(
        [1e-2 * 4 / 5, 1e-2 * 2 / 5, 0.0]
    )


def test_the_loss_of_an_epoch_is_the_mean_of_its_steps():
    model, values = tiny.model(), []

    def constant(batch, progress):
        values.append(float(len(values)))
        return {"a": 0 * model.classifier.bias.sum() + values[-1], "b": torch.tensor(1.0)}

    epochs = []
    train(Learner(model), tiny.dataset(), constant, OPTIONS, epochs.append)
    # Steps 0 and 1, 2 and 3, 4 and 5: means 0.5, 2.5, 4.5, and 1 for the other term.
    assert [epoch.loss for epoch in epochs] == pytest.approx([1.5, 3.5, 5.5])
    assert epochs[0].loss_share == pytest.approx({"a": 0.5 / 1.5, "b": 1 / 1.5})


def test_the_shares_of_the_terms_sum_to_1_and_a_term_that_does_nothing_shows_0():
    model = tiny.model()
    plain = label_terms(model, tiny.MULTI)

    def terms(batch, progress):
        (hard,) = plain(batch, progress).values()
        constant = torch.tensor(0.5)
        return {"hard": hard, "double": 2 * hard, "nothing": 0 * hard, "constant": constant}

    epochs = []
    train(Learner(model.eval()), tiny.dataset(), terms, OPTIONS, epochs.append)
    for epoch in epochs:
        assert sum(epoch.loss_share.values()) == pytest.approx(1)
        assert sum(epoch.gradient_share.values()) == pytest.approx(1)
        assert epoch.loss_share["double"] == pytest.approx(2 * epoch.loss_share["hard"])
        assert epoch.loss_share["nothing"] == epoch.gradient_share["nothing"] == 0
        assert epoch.loss_share["constant"] > 0
        assert epoch.gradient_share["constant"] == 0
        assert epoch.gradient_share["double"] == pytest.approx(2 / 3, abs=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 7, 60])
def test_a_loss_that_is_no_number_ends_the_training_within_the_check_interval(value, at):
    layer = torch.nn.Linear(1, 1)
    steps = []

    def terms(batch, progress):
        steps.append(progress)
        broken = torch.tensor(value if len(steps) > at else 1.0)
        return {"fine": layer.weight.sum() ** 2, "broken": broken}

    data = tiny.dataset(lengths=(2,) * 300)
    options = Training(epochs=2, batch_size=1, precision="float32")
    reports = []
    with pytest.raises(DivergedError, match="term broken"):
        train(Learner(layer), data, terms, options, reports.append)
    assert at < len(steps) <= at + CHECK_INTERVAL
    assert not reports


def test_a_short_epoch_is_checked_at_its_end():
    layer, reports = torch.nn.Linear(1, 1), []

    def terms(batch, progress):
        return {"hard": layer.weight.sum() * math.nan}

    with pytest.raises(DivergedError):
        train(Learner(layer), tiny.dataset(), terms, OPTIONS, reports.append)
    assert not reports


def test_what_is_raised_after_an_epoch_ends_the_training():
    def stop(epoch):
        raise StopIteration(epoch.epoch)

    model = tiny.model()
    with pytest.raises(StopIteration, match="1"):
        train(Learner(model), tiny.dataset(), label_terms(model, tiny.MULTI), OPTIONS, stop)


def test_dropout_is_on_again_after_an_evaluation():
    model, modes = tiny.model(), []
    terms = label_terms(model, tiny.MULTI)

    def watched(batch, progress):
        modes.append(model.training)
        return terms(batch, progress)

    train(Learner(model), tiny.dataset(), watched, OPTIONS, lambda epoch: model.eval())
    assert all(modes)


def test_extra_modules_are_trained_along():
    model, extra = tiny.model(), torch.nn.Linear(3, 3)
    before = extra.weight.detach().clone()

    def terms(batch, progress):
        logits = extra(forward(model, batch.inputs).logits)
        return {"hard": hard_loss(logits, batch.targets, True)}

    train(Learner(model, [extra]), tiny.dataset(), terms, OPTIONS, lambda epoch: None)
    assert not torch.equal(extra.weight, before)
    assert np.isfinite(predict_logits(model, tiny.dataset())).all()


def test_steps_of_several_batches_are_fewer_and_the_rate_falls_by_them():
    model, seen = tiny.model(), []
    terms = label_terms(model, tiny.MULTI)

    def watched(batch, progress):
        seen.append((len(batch.rows), progress))
        return terms(batch, progress)

    data, epochs = tiny.dataset(lengths=(3, 5, 2, 4, 6, 2, 3, 4, 5, 9)), []
    options = OPTIONS.model_copy(update={"batch_size": 2, "gradient_accumulation": 2})
    train(Learner(model), data, watched, options, epochs.append)
    # 5 batches of 2 are steps of 2, 2 and 1 batches: 9 steps in all, 1 of warm-up.
    assert seen == [
        (2, pytest.approx(step / 9)) for step in range(9) for _ in range(1 + (step % 3 < 2))
    ]
    rates = [epoch.learning_rate for epoch in epochs]
    assert rates == pytest.approx([1e-2 * 6 / 8, 1e-2 * 3 / 8, 0.0])
    assert [epoch.micro_batch_size for epoch in epochs] == [2] * 3
    assert steps_an_epoch(10, options) == 3
    assert steps_an_epoch(10, OPTIONS) == 3


def test_steps_of_several_batches_learn_as_those_of_one_batch_as_large():
    found = []
    for batch_size, together in ((6, 1), (2, 3)):
        changes = {"batch_size": batch_size, "gradient_accumulation": together}
        model, data = tiny.model(), tiny.dataset()
        model.train = lambda mode=True, model=model: model  # dropout stays off
        terms = label_terms(model, tiny.MULTI)
        train(Learner(model), data, terms, OPTIONS.model_copy(update=changes), lambda epoch: None)
        found.append(predict_logits(model, data))
    assert np.allclose(*found, atol=1e-4)
    assert not np.allclose(found[0], predict_logits(tiny.model(), tiny.dataset()), atol=1e-2)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_layers_that_are_computed_again_learn_the_same(precision):
    weights = []
    for again in (False, True):
        options = OPTIONS.model_copy(
            update={"precision": precision, "gradient_checkpointing": again}
        )
        model, _ = trained(options=options)
        assert not model.is_activation_checkpointing
        weights.append([*model.parameters()])
    for one, other in zip(*weights, strict=True):
        assert torch.equal(one, other)


def test_a_training_ends_when_it_is_told_so():
    model, epochs = tiny.model(), []

    def after_epoch(epoch):
        epochs.append(epoch)
        return epoch.epoch == 2

    train(Learner(model), tiny.dataset(), label_terms(model, tiny.MULTI), OPTIONS, after_epoch)
    # The rate falls as if all three were done.
    assert [epoch.learning_rate for epoch in epochs] == pytest.approx([8e-3, 4e-3])
    vector = next(model.parameters())
    assert vector.untyped_storage().nbytes() == vector.numel() * 4


def test_models_side_by_side_take_each_step_of_several_batches_in_turn():
    seen, lanes = [], []
    changes = {"batch_size": 2, "gradient_accumulation": 2, "gradient_checkpointing": True}
    options = OPTIONS.model_copy(update=changes)
    data = tiny.dataset(lengths=(3, 5, 2, 4, 6, 2, 3, 4, 5, 9))
    for name in "ab":
        model = tiny.model()
        terms = label_terms(model, tiny.MULTI)

        def watched(batch, progress, name=name, model=model, terms=terms):
            assert model.is_activation_checkpointing
            seen.append((name, batch.rows.tolist()))
            return terms(batch, progress)

        lanes.append(Lane(new_stepper(Learner(model), data, options), data, watched))
    train_side_by_side(lanes, lambda trained: trained[0].epoch == 2, range(options.epochs))
    # 5 batches of 2 are steps of 2, 2 and 1 batches; the second epoch is the last.
    assert "".join(name for name, _ in seen) == 2 * "aabbaabbab"
    rows = [[rows for name, rows in seen if name == which] for which in "ab"]
    assert rows[0] == rows[1]
    assert not any(lane.stepper.model.is_activation_checkpointing for lane in lanes)
