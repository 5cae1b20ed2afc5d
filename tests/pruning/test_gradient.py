import pytest
import torch
from torch import nn

from kdray.config.sections import Training
from kdray.data.batches import make_batch
from kdray.models.outputs import forward
from kdray.pruning.calibration import calibration_batches
from kdray.pruning.gradient import Gradient
from kdray.pruning.masking import prunable_weights
from kdray.training.losses import hard_loss
from kdray.training.stepper import Learner, Stepper
from tests import tiny
from tests.pruning.by_hand import mask_of, one_each, student

# x = (4, 1) gives the logits (10, 10), so the probabilities are ½, and of class 0 the gradient is
# [[-2, -½], [2, ½]]; |w · g| is [[2, 3], [4, 1]].
WEIGHTS = [[1.0, 6.0], [2.0, 2.0]]
X = (4.0, 1.0)


def importances(pruned, **options):
    weights = prunable_weights(pruned.model, [])
    return Gradient(**options).importances(pruned, weights, torch.Generator())


@pytest.mark.parametrize(
    ("ratio", "kept"),
    [
        (0.25, [[1, 1], [1, 0]]),
        (0.5, [[0, 1], [1, 0]]),
        (0.75, [[0, 0], [1, 0]]),
    ],
)
def test_masks_of_four_weights_by_hand(ratio, kept):
    one = student(WEIGHTS, one_each([X], [0]))
    assert mask_of(Gradient(ratio=ratio), one) == kept


def test_the_importance_is_summed_over_batches_that_would_cancel():
    # Sixteen texts of class 0 make the first batch, as many of class 1 the second.
    lengths = [1] * 16 + [2] * 16
    train = one_each([X] * 32, [0] * 16 + [1] * 16, lengths)
    scores = importances(student(WEIGHTS, train))["layer.weight"]
    assert torch.allclose(scores, torch.tensor([[4.0, 6.0], [8.0, 2.0]]))
    together = one_each([X] * 16, [0] * 8 + [1] * 8)
    scores = importances(student(WEIGHTS, together))["layer.weight"]
    assert torch.allclose(scores, torch.zeros(2, 2), atol=1e-5)


def test_as_many_batches_are_taken_as_are_asked_for():
    train = one_each([X] * 64, [0] * 64)
    expected = torch.tensor([[2.0, 3.0], [4.0, 1.0]])
    for batches, times in ((1, 1), (3, 3), (8, 4)):
        scores = importances(student(WEIGHTS, train), batches=batches)["layer.weight"]
        assert torch.allclose(scores, times * expected)


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize("family", [*tiny.FAMILIES, "albert"])
def test_the_importance_is_that_of_a_backward_pass(family, kind):
    labels = tiny.KINDS[kind]
    pruned = tiny.prunable(labels=labels, family=family)
    scores = importances(pruned)
    (batch,) = calibration_batches(pruned, 128)
    logits = forward(pruned.model, batch.inputs).logits
    hard_loss(logits, batch.targets, kind == "multi").backward()
    for name, score in scores.items():
        weight = pruned.model.get_parameter(name)
        assert torch.allclose(score, (weight * weight.grad).abs(), atol=1e-6)
        assert (score > 0).any()


def test_dropout_has_no_part_in_it():
    pruned = tiny.prunable(hidden_dropout_prob=0.5)
    once = importances(pruned)
    pruned.model.train()
    for name, score in importances(pruned).items():
        assert torch.equal(score, once[name])


def test_a_frozen_weight_has_an_importance_and_stays_frozen():
    pruned = tiny.prunable()
    embeddings = pruned.model.get_input_embeddings().requires_grad_(False)
    weights = prunable_weights(pruned.model, ["*"], ["*word_embeddings"])
    (score,) = Gradient().importances(pruned, weights, torch.Generator()).values()
    assert (score > 0).any()
    assert not embeddings.weight.requires_grad
    assert embeddings.weight.grad is None


def test_a_weight_that_the_loss_does_not_depend_on_goes_first():
    pruned = student(WEIGHTS, one_each([X], [0]))
    pruned.model.unused = nn.Linear(2, 2)
    assert importances(pruned)["unused.weight"].tolist() == [[0, 0], [0, 0]]
    masks = Gradient(ratio=0.5).prune(pruned, torch.Generator()).masks
    assert masks["unused.weight"].tolist() == [[0, 0], [0, 0]]
    assert masks["layer.weight"].tolist() == [[1, 1], [1, 1]]


def test_within_a_layer_the_least_important_of_each_matrix_go():
    pruned = student(WEIGHTS, one_each([X], [0]))
    pruned.model.unused = nn.Linear(2, 2)
    masks = Gradient(ratio=0.5, scope="layer").prune(pruned, torch.Generator()).masks
    assert masks["layer.weight"].tolist() == [[0, 1], [1, 0]]
    assert masks["unused.weight"].tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_within_a_training_the_importance_is_that_of_the_whole_weights(precision):
    pruned = tiny.prunable()
    options = Training(precision=precision, learning_rate=0.01)
    stepper = Stepper(Learner(pruned.model), options, steps=10)
    batch = make_batch(pruned.splits["train"], torch.arange(6).numpy(), stepper.device)
    with stepper.computing():
        with stepper.cast():
            loss = hard_loss(forward(pruned.model, batch.inputs).logits, batch.targets, True)
        stepper.backward(loss)
        stepper.step()
        with stepper.reading_whole():
            within = importances(pruned)
    stepper.release()
    assert loss.grad_fn is not None  # its graph, in the other format, was there all the time
    for name, score in importances(pruned).items():
        assert torch.equal(within[name], score)
