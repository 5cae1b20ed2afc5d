"""What does not fit into memory is computed in parts that come to the same."""

import numpy as np
import pytest
import torch

from kdray.config.sections import Training
from kdray.data.batches import make_batch
from kdray.models.inference import predict_logits
from kdray.models.outputs import forward
from kdray.training.loop import train
from kdray.training.losses import hard_loss
from kdray.training.micro_batches import compute_gradient
from kdray.training.stepper import Learner, Stepper
from tests import tiny

OPTIONS = Training(epochs=2, batch_size=6, learning_rate=1e-2, precision="float32")
ROWS = np.arange(6)


class Trial:
    """A model on a device that holds a few examples at once.

    Memory runs out in the backward pass, when the classifier has its gradient already.
    """

    def __init__(self, room, labels=tiny.MULTI, options=OPTIONS):
        self.room, self.labels, self.attempts = room, labels, []
        self.model = tiny.model(labels).eval()  # dropout off: parts draw other numbers
        self.data = tiny.dataset(labels)
        self.stepper = Stepper(Learner(self.model), options, steps=10)
        self.model.bert.pooler.register_forward_hook(self.watch)

    def watch(self, module, inputs, output):
        if output.requires_grad:
            output.register_hook(self.check)

    def check(self, gradient):
        if len(gradient) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def terms(self, batch, progress=0.0):
        self.attempts.append(len(batch.rows))
        logits = forward(self.model, batch.inputs).logits
        hard = hard_loss(logits, batch.targets, self.labels.kind == "multi_label")
        return {"hard": 0.75 * hard, "soft": 0.25 * logits.float().pow(2).mean()}

    def gradient(self, rows=ROWS, batches=()):
        def compute(part):
            return self.terms(make_batch(self.data, part, torch.device("cpu")))

        with self.stepper.computing():
            terms = compute_gradient(self.stepper, batches or [rows], compute)
        return [flat.vector.grad.clone() for flat in self.stepper.flats], terms


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
@pytest.mark.parametrize("room", [4, 2, 1])
def test_the_gradient_in_parts_is_that_of_the_whole_batch(labels, room):
    # Five examples go into parts of 3 and 2, then of 2, 2 and 1, then of 1.
    whole, terms = Trial(5, labels).gradient(np.arange(5))
    parts, their_terms = Trial(room, labels).gradient(np.arange(5))
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)
    for name, term in terms.items():
        assert their_terms[name].item() == pytest.approx(term.item(), abs=1e-6)


def test_the_size_is_halved_until_the_parts_fit_and_stays_there():
    trial = Trial(2)
    trial.gradient()
    assert trial.attempts == [6, 3, 2, 2, 2]
    assert trial.stepper.micro_batch_size == 2
    trial.attempts.clear()
    trial.gradient(np.arange(5))
    assert trial.attempts == [2, 2, 1]


def test_what_failed_in_the_second_part_is_not_counted_twice():
    trial = Trial(6)
    whole, _ = trial.gradient()
    trial.stepper.micro_batch_size, plain = 3, trial.terms

    def terms(batch, progress=0.0):
        # The first part of three goes well, the second runs out of memory behind its forward pass.
        trial.room = 2 if trial.attempts[-1:] == [3] else 3
        return plain(batch)

    trial.attempts.clear()
    trial.terms = terms
    parts, _ = trial.gradient()
    assert trial.attempts == [3, 3, 2, 2, 2]
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)


def test_a_small_batch_that_does_not_fit_is_halved_too():
    trial = Trial(2)
    trial.gradient(np.arange(3))
    assert trial.attempts == [3, 2, 1]


def test_memory_that_does_not_hold_one_example_ends_the_training():
    trial = Trial(0)
    with pytest.raises(torch.OutOfMemoryError):
        trial.gradient()
    assert trial.attempts == [6, 3, 2, 1]


def test_a_failed_attempt_leaves_weights_moments_and_schedule_alone():
    trial = Trial(0)
    before = {name: tensor.clone() for name, tensor in trial.stepper.tensors().items()}
    numbers = trial.stepper.numbers() | {"micro_batch_size": 1}
    with pytest.raises(torch.OutOfMemoryError):
        trial.gradient()
    assert all(torch.equal(before[n], tensor) for n, tensor in trial.stepper.tensors().items())
    assert trial.stepper.numbers() == numbers


def test_bfloat16_gradients_are_added_in_float32():
    # 256 + 1 is 256 in bfloat16.
    layer = torch.nn.Linear(1, 1, bias=False)
    options = OPTIONS.model_copy(update={"precision": "bfloat16"})
    stepper = Stepper(Learner(layer), options, steps=10)
    with stepper.computing():
        stepper.backward(256 * layer.weight.float().sum())
        stepper.backward(layer.weight.float().sum(), add=True)
    assert stepper.flats[0].vector.grad.tolist() == [257.0]


def test_a_training_that_runs_out_of_memory_learns_the_same_and_says_so():
    reports = {}
    for room in (6, 2):
        trial, epochs = Trial(room), []
        trial.model.train = lambda mode=True, model=trial.model: model  # dropout stays off
        train(Learner(trial.model), trial.data, trial.terms, OPTIONS, epochs.append)
        reports[room] = epochs, predict_logits(trial.model, trial.data)
    assert [epoch.micro_batch_size for epoch in reports[6][0]] == [6, 6]
    assert [epoch.micro_batch_size for epoch in reports[2][0]] == [2, 2]
    assert reports[2][0][-1].loss == pytest.approx(reports[6][0][-1].loss, abs=1e-5)
    assert np.allclose(reports[6][1], reports[2][1], atol=1e-4)


@pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
@pytest.mark.parametrize(("room", "seen"), [(6, [3, 2, 1]), (2, [3, 2, 1, 2, 1])])
def test_the_gradient_of_several_batches_is_that_of_one_with_all_their_examples(labels, room, seen):
    whole, terms = Trial(6, labels).gradient()
    trial = Trial(room, labels)
    parts, their_terms = trial.gradient(batches=[ROWS[:3], ROWS[3:5], ROWS[5:]])
    assert trial.attempts == seen
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)
    for name, term in terms.items():
        assert their_terms[name].item() == pytest.approx(term.item(), abs=1e-6)


def test_memory_that_runs_out_in_the_second_batch_lets_the_step_begin_again():
    whole, _ = Trial(6).gradient()
    trial = Trial(3)
    parts, _ = trial.gradient(batches=[ROWS[:2], ROWS[2:]])
    assert trial.attempts == [2, 4, 2, 2, 2]
    assert trial.stepper.micro_batch_size == 2
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("size", "batches"), [(4, [4]), (2, [4]), (1, [4]), (4, [3, 1])])
def test_labels_that_lie_unevenly_count_alike_in_a_whole_batch_and_in_its_parts(size, batches):
    # Rows 0 to 2 have labels, and their losses are 3, 6 and 12 times the weight w = 2; the soft
    # loss of every row is w. The batch is 0, 1, 2, 9: hard is 7 w and soft is w, in any parts.
    layer = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(layer.weight, 2.0)
    stepper = Stepper(Learner(layer), OPTIONS, steps=10)
    stepper.micro_batch_size = size
    factors = {0: 3.0, 1: 6.0, 2: 12.0}

    def compute(rows):
        known = [factors[row] for row in rows.tolist() if row in factors]
        hard = torch.tensor(known).sum() / max(1, len(known)) * layer.weight.sum()
        return {"hard": hard, "soft": layer.weight.sum()}

    rows = np.split(np.array([0, 1, 2, 9]), np.cumsum(batches)[:-1])
    with stepper.computing():
        terms = compute_gradient(stepper, rows, compute, labelled=3)
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(
        {"hard": 14.0, "soft": 2.0}
    )
    assert stepper.flats[0].vector.grad.tolist() == pytest.approx([8.0])


def test_a_step_without_any_label_has_no_hard_loss():
    layer = torch.nn.Linear(1, 1, bias=False)
    stepper = Stepper(Learner(layer), OPTIONS, steps=10)
    stepper.micro_batch_size = 1

    def compute(rows):
        return {"hard": 0 * layer.weight.sum(), "soft": layer.weight.sum()}

    with stepper.computing():
        terms = compute_gradient(stepper, [np.array([8, 9])], compute, labelled=3)
    assert terms["hard"].item() == 0
    assert stepper.flats[0].vector.grad.tolist() == [1.0]
