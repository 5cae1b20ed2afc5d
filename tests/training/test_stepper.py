import pytest
import torch

from kdray.config.sections import Training
from kdray.models.outputs import forward
from kdray.training import lazy_rows
from kdray.training.losses import hard_loss
from kdray.training.stepper import Learner, Stepper, masked_parameters
from tests import tiny

PRUNED = "bert.encoder.layer.0.intermediate.dense.weight"
IDS = torch.tensor([[2, 9, 17, 3], [2, 8, 3, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": (IDS > 0).long()}
TARGETS = torch.tensor([[1.0, 0, 0], [0, 1, 1]])


def options(**changes):
    return Training(
        **{"learning_rate": 0.05, "weight_decay": 0.1, "precision": "float32"} | changes
    )


def stepper_of(model, masks=None, **changes):
    return Stepper(Learner(model, (), masks or {}), options(**changes), steps=10)


def step(stepper, loss):
    stepper.backward(loss)
    stepper.step()


def take_step(model, stepper):
    with stepper.computing():
        with stepper.cast():
            logits = forward(model, INPUTS).logits
            loss = hard_loss(logits, TARGETS, True)
        step(stepper, loss)


def moments_of(stepper, weight):
    """Adam's two moments at a weight, as parts of those of the vector that it is in."""
    flat = next(flat for flat in stepper.flats if weight in flat)
    state = stepper.optimizer.state[flat.vector]
    return [flat.part(state[name], weight) for name in ("exp_avg", "exp_avg_sq")]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_pruned_weights_and_their_moments_are_exactly_0_after_every_step(precision):
    model = tiny.model().train()
    mask = (torch.rand(32, 16, generator=torch.Generator().manual_seed(0)) > 0.6).float()
    stepper = stepper_of(model, {PRUNED: mask}, precision=precision)
    weight = model.get_parameter(PRUNED)
    moved = weight.detach().clone()
    for _ in range(6):
        take_step(model, stepper)
        assert (weight[mask == 0] == 0).all()
        for moment in moments_of(stepper, weight):
            assert (moment[mask == 0] == 0).all()
            assert (moment[mask == 1] != 0).any()
    assert (weight != moved)[mask == 1].any()


def test_masks_set_pruned_weights_to_0_before_the_first_step():
    layer = torch.nn.Linear(3, 2)
    mask = torch.tensor([[1.0, 0, 1], [0, 1, 1]])
    before = layer.weight.detach().clone()
    ((parameter, placed),) = masked_parameters(layer, {"weight": mask})
    assert parameter is layer.weight
    assert torch.equal(placed, mask)
    assert torch.equal(layer.weight.detach(), before * mask)


def test_a_mask_of_a_weight_that_is_not_there_is_refused():
    with pytest.raises(AttributeError):
        masked_parameters(torch.nn.Linear(2, 2), {"nothing.weight": torch.ones(2, 2)})


def test_the_gradient_is_clipped_without_the_share_of_pruned_weights():
    # The gradient of Σ g·w is g = [30, 40]; with the 40 masked its norm is 30, clipped to 1.
    layer = torch.nn.Linear(2, 1, bias=False)
    seen = []
    stepper = stepper_of(layer, {"weight": torch.tensor([[1.0, 0.0]])}, gradient_clip=1.0)
    vector = stepper.flats[0].vector
    stepper.optimizer.register_step_pre_hook(lambda *_: seen.append(vector.grad.clone()))
    step(stepper, (layer.weight * torch.tensor([[30.0, 40.0]])).sum())
    assert torch.allclose(seen[0], torch.tensor([1.0, 0.0]), atol=1e-5)


def test_a_step_of_adamw_by_hand():
    # First step of Adam: the update is lr · sign(g), after the weight has shrunk by lr · decay.
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(2.0)
    stepper = stepper_of(layer, warmup_ratio=0.0)
    step(stepper, 3 * layer.weight.sum())
    assert layer.weight.item() == pytest.approx(2.0 * (1 - 0.05 * 0.1) - 0.05, abs=1e-5)
    assert layer.weight.grad is None


def test_bfloat16_is_read_only_while_computing_and_steps_are_taken_in_float32():
    # A step of 2⁻¹² on a weight of 1 is less than bfloat16 can tell, but steps add up.
    layer = torch.nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0)
    rate = 2.0**-12
    changes = {"learning_rate": rate, "weight_decay": 0.0, "warmup_ratio": 0.0}
    stepper = Stepper(Learner(layer), options(precision="bfloat16", **changes), steps=10**9)
    with stepper.computing():
        assert layer.weight.dtype == torch.bfloat16
        for _ in range(3):
            step(stepper, layer.weight.float().sum())
        assert layer.weight.item() == 1.0
    assert layer.weight.dtype == torch.float32
    assert layer.weight.item() == pytest.approx(1 - 3 * rate, abs=1e-6)


def test_frozen_weights_are_read_in_the_same_format_and_come_back_untouched():
    model = tiny.model().train()
    embeddings = model.get_input_embeddings().requires_grad_(False).weight
    before = embeddings.detach().clone()
    stepper = stepper_of(model, precision="bfloat16")
    take_step(model, stepper)
    assert torch.equal(embeddings, before)
    assert not any(embeddings in flat for flat in stepper.flats)


def test_a_frozen_matrix_is_read_in_the_same_format_and_comes_back():
    model = tiny.model().train()
    weight = model.get_parameter(PRUNED).requires_grad_(False)
    before = weight.detach().clone()
    stepper = stepper_of(model, precision="bfloat16")
    with stepper.computing():
        assert weight.dtype == torch.bfloat16
    take_step(model, stepper)
    assert torch.equal(weight, before)


def test_the_gradient_of_a_frequent_token_is_summed_in_float32():
    # 4,096 times the same token: its gradient is 4,096 · 2⁻⁷, where bfloat16 stops adding at 2.
    embedding = torch.nn.Embedding(2, 1)
    stepper = stepper_of(torch.nn.Sequential(embedding), precision="bfloat16", gradient_clip=1e9)
    seen = []
    vector = stepper.flats[0].vector
    stepper.optimizer.register_step_pre_hook(lambda *_: seen.append(vector.grad.clone()))
    with stepper.computing():
        output = stepper.model(torch.ones(4096, dtype=torch.long))
        assert output.dtype == torch.bfloat16
        step(stepper, (output.float() * 2.0**-7).sum())
    assert seen[0].tolist() == [0, 32]
    assert embedding(torch.ones(1, dtype=torch.long)).dtype == torch.float32


def test_the_rate_is_that_of_the_next_step():
    layer = torch.nn.Linear(1, 1)
    stepper = stepper_of(layer, warmup_ratio=0.0)
    rates = []
    for _ in range(3):
        rates.append(stepper.learning_rate)
        step(stepper, layer.weight.sum())
    assert rates == pytest.approx([0.05, 0.045, 0.04])


def test_a_step_whose_gradient_overflows_float16_is_skipped():
    model = tiny.model()
    stepper = stepper_of(model, precision="float16")
    before = model.classifier.weight.detach().clone()
    step(stepper, model.classifier.weight.sum() * 1e38)
    assert torch.equal(model.classifier.weight, before)
    take_step(model, stepper)
    assert not torch.equal(model.classifier.weight, before)
    assert torch.isfinite(model.classifier.weight).all()


def of_many_words(precision, steps=4):
    """A model with more rows of word embeddings than `LARGE`, trained; and its gradients' kinds."""
    model = tiny.model(vocab_size=1100).train()
    stepper, kinds = stepper_of(model, precision=precision), set()
    words = model.get_input_embeddings().weight
    words.register_post_accumulate_grad_hook(lambda one: kinds.add(one.grad.is_sparse))
    torch.manual_seed(0)
    for index in range(steps):
        inputs = {**INPUTS, "input_ids": IDS + 100 * index * (IDS > 0)}
        with stepper.computing():
            step(stepper, hard_loss(forward(model, inputs).logits, TARGETS, True))
    return model, kinds


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_sparse_gradients_of_large_embeddings_take_the_same_steps(precision, monkeypatch):
    sparse, kinds = of_many_words(precision)
    assert kinds == {True}
    monkeypatch.setattr(lazy_rows, "LARGE", 10_000)
    dense, kinds = of_many_words(precision)
    assert kinds == {False}
    for (name, one), other in zip(sparse.named_parameters(), dense.parameters(), strict=True):
        # They go a way of 0.2. The keys' biases go by rounding alone: their true gradient is 0.
        close = torch.allclose(one, other, rtol=1e-5, atol=1e-5)
        assert close or name.endswith("key.bias"), name
    assert not sparse.get_input_embeddings().sparse


def test_in_float16_gradients_are_dense_for_one_that_is_no_number_would_stay():
    assert of_many_words("float16")[1] == {False}


def parts(stepper):
    return [flat.gradient for flat in stepper.flats]


def test_the_gradient_is_clipped_as_torch_clips_it():
    model = tiny.model(vocab_size=1100).train()
    stepper = stepper_of(model, gradient_clip=0.01)
    with stepper.computing():
        stepper.backward(hard_loss(forward(model, INPUTS).logits, TARGETS, True))
    vectors = [torch.nn.Parameter(part.clone()) for part in parts(stepper)]
    for vector, part in zip(vectors, parts(stepper), strict=True):
        vector.grad = part.clone()
    assert torch.nn.utils.clip_grad_norm_(vectors, 0.01) > 0.01
    stepper.step()
    for vector, part in zip(vectors, parts(stepper), strict=True):
        assert torch.allclose(vector.grad, part, rtol=1e-5, atol=0)
