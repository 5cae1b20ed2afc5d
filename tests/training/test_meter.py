"""What each term contributes: the norms of the terms' gradients, and on which examples."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kdray.config.sections import Training
from kdray.models.outputs import forward
from kdray.training.loop import new_stepper, train, train_epochs
from kdray.training.losses import hard_loss
from kdray.training.meter import gradient_norms, shares
from kdray.training.stepper import Learner
from tests import tiny

OPTIONS = Training(epochs=6, batch_size=4, learning_rate=1e-3, precision="float32")


def test_the_norm_of_a_terms_gradient_by_hand():
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    unused = torch.nn.Parameter(torch.tensor([1.0]))
    # ∂/∂w of 3·w₀ + 4·w₁ is [3, 4], norm 5; the other term does not depend on w.
    terms = {"line": 3 * w[0] + 4 * w[1], "other": torch.tensor(7.0)}
    assert gradient_norms(terms, [w, unused]) == {"line": 5.0, "other": 0.0}


@pytest.mark.parametrize("scale", [2.0**16, 2.0**24])
def test_in_half_precision_small_gradients_are_scaled_and_large_ones_do_not_overflow(scale):
    w = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    halves = w.half()
    # 3e-8 and 4e-8 in float16 are multiples of 6e-8; 3e4 and 4e4 times the scale are more than
    # float16 can hold.
    terms = {
        "small": 1e-8 * (3 * halves[0] + 4 * halves[1]).float(),
        "large": 1e4 * (3 * halves[0] + 4 * halves[1]).float(),
    }
    norms = gradient_norms(terms, [w], scale)
    assert norms == {"small": pytest.approx(5e-8, rel=0.01), "large": pytest.approx(5e4, rel=0.01)}


def test_a_gradient_that_is_no_number_at_any_scale_is_told_as_it_is():
    w = torch.nn.Parameter(torch.tensor([1.0]))
    assert np.isnan(gradient_norms({"a": w.sum() * torch.nan}, [w], 4.0)["a"])


def test_shares_of_nothing_are_0():
    assert shares({"a": 0.0, "b": 0.0}) == {"a": 0.0, "b": 0.0}
    assert shares({"a": 1.0, "b": 3.0}) == {"a": 0.25, "b": 0.75}


def pairs_of(model):
    """Terms of which one has three times the gradient of the other in a batch of four."""

    def terms(batch, progress):
        logits = forward(model, batch.inputs).logits
        hard = hard_loss(logits, batch.targets, True)
        return {"hard": hard, "pairs": (len(batch.rows) - 1) * hard}

    return terms


def test_the_shares_are_those_of_a_full_batch():
    model, epochs, data = tiny.model(), [], tiny.dataset(lengths=(3, 5, 2, 4, 6, 2, 3, 4, 5))
    train(Learner(model), data, pairs_of(model), OPTIONS, epochs.append)
    # Of nine examples one is left over, and has no pair; in some epochs its batch comes last.
    assert [epoch.gradient_share["pairs"] for epoch in epochs] == pytest.approx([0.75] * 6)


def test_the_shares_of_a_batch_in_parts_are_those_of_a_full_part():
    model, epochs, data = tiny.model(), [], tiny.dataset(lengths=(3, 5, 2, 4, 6, 2, 3, 4))
    stepper = new_stepper(Learner(model), data, OPTIONS)
    stepper.micro_batch_size = 3
    train_epochs(stepper, data, pairs_of(model), epochs.append)
    assert [epoch.gradient_share["pairs"] for epoch in epochs] == pytest.approx([2 / 3] * 6)


def test_the_shares_are_those_of_a_batch_with_labels_if_there_is_one():
    model, epochs = tiny.model(), []
    data = replace(tiny.dataset(lengths=(3, 5, 2, 4, 6, 2, 3, 4)), labelled=1)

    def terms(batch, progress):
        soft = forward(model, batch.inputs).logits.pow(2).mean()
        return {"hard": soft * float((batch.rows < 1).any()), "soft": soft}

    train(Learner(model), data, terms, OPTIONS, epochs.append)
    assert [epoch.gradient_share["hard"] for epoch in epochs] == pytest.approx([0.5] * 6)


def test_the_norm_of_a_sparse_gradient_counts_a_row_that_is_used_twice_once():
    layer = torch.nn.Embedding(9, 1, sparse=True)
    term = layer(torch.tensor([2, 2, 5])).sum()
    assert gradient_norms({"one": term}, [layer.weight]) == {"one": pytest.approx(5**0.5)}
