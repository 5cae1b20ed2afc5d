import pytest
import torch

from kdray.models.first_position import first_position_only
from kdray.pruning.calibration import calibration_batches
from kdray.pruning.masking import prunable_weights
from kdray.pruning.wanda import Wanda, row_counts
from tests import tiny
from tests.pruning.by_hand import mask_of, student, texts

WEIGHTS = [[1.0, -4.0], [-2.0, 3.0]]
# The norms of the two inputs over the three tokens are 5 and 1: the scores are [[5, 4], [10, 3]].
TRAIN = [[(3.0, 0.0), (0.0, 1.0)], [(4.0, 0.0)]]
INTERMEDIATE = "bert.encoder.layer.1.intermediate.dense.weight"


def importances(pruned, include=(), **options):
    weights = prunable_weights(pruned.model, [], include)
    return Wanda(**options).importances(pruned, weights, torch.Generator())


def pruned_at(model, ratio, **options):
    method = Wanda(ratio=ratio, **options)
    return method.prune(tiny.prunable(model), torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("ratio", "kept"),
    [
        # A quarter is half a weight of each row: one of the second.
        (0.25, [[1, 1], [1, 0]]),
        (0.5, [[1, 0], [1, 0]]),
        (0.75, [[1, 0], [0, 0]]),
    ],
)
def test_masks_of_four_weights_by_hand(ratio, kept):
    assert mask_of(Wanda(ratio=ratio), student(WEIGHTS, texts(TRAIN))) == kept


def test_the_importance_is_the_weight_times_the_norm_of_its_input_without_padding():
    scores = importances(student(WEIGHTS, texts(TRAIN)))["layer.weight"]
    assert torch.allclose(scores, torch.tensor([[5.0, 4.0], [10.0, 3.0]]))


def test_as_many_texts_are_taken_as_are_asked_for():
    # Of 40 texts alike, n have a norm of √n.
    train = texts([[(1.0, 2.0)]] * 40)
    for count, taken in ((1, 1), (20, 20), (128, 40)):
        scores = importances(student(WEIGHTS, train), texts=count)["layer.weight"]
        expected = torch.tensor(WEIGHTS).abs() * torch.tensor([1.0, 2.0]) * taken**0.5
        assert torch.allclose(scores, expected)


def test_the_share_of_every_row_is_the_same_but_for_one_weight_by_hand():
    # 0.3 of 5 weights are 1.5: one of two rows, two of the two others.
    assert row_counts(0.3, rows=4, columns=5).tolist() == [1, 1, 2, 2]
    assert row_counts(0.5, rows=3, columns=4).tolist() == [2, 2, 2]
    assert row_counts(0.99, rows=2, columns=16).tolist() == [16, 16]
    assert row_counts(0.0, rows=2, columns=16).tolist() == [0, 0]


@pytest.mark.parametrize("ratio", [0.03, 0.1, 1 / 3, 0.5, 0.7, 0.95, 0.99])
def test_the_ratio_is_reached_in_every_matrix_and_row(ratio):
    for mask in pruned_at(tiny.model(), ratio).masks.values():
        zeros = (mask == 0).sum(1)
        assert abs(int(zeros.sum()) - ratio * mask.numel()) <= 0.5
        assert all(abs(int(count) - ratio * mask.shape[1]) <= 1 for count in zeros)


def test_no_count_falls_as_the_share_rises():
    shares = torch.linspace(0, 0.999, 200).tolist()
    counts = torch.stack([row_counts(share, rows=7, columns=11) for share in shares])
    assert (counts.diff(dim=0) >= 0).all()


def test_every_token_loses_the_same_share_of_its_embedding_the_smallest_first():
    model = tiny.model()
    before = model.get_input_embeddings().weight.detach().clone().abs()
    masks = pruned_at(model, 0.5, include=["*word_embeddings"]).masks
    mask = masks["bert.embeddings.word_embeddings.weight"]
    assert (mask.sum(1) == 8).all()
    smallest = before.masked_fill(mask == 0, torch.inf).amin(1)
    assert (before.masked_fill(mask == 1, 0).amax(1) <= smallest).all()


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize("family", [*tiny.FAMILIES, "albert"])
def test_every_linear_layer_of_every_family_has_an_input_norm(family, kind):
    pruned = tiny.prunable(family=family, labels=tiny.KINDS[kind])
    weights = prunable_weights(pruned.model, [])
    for name, score in importances(pruned).items():
        assert not torch.equal(score, weights[name].abs())
        # One norm for each column.
        norms = score / weights[name].abs()
        assert torch.allclose(norms, norms[:1].expand_as(norms), rtol=1e-4)


def test_a_layer_that_computes_the_first_position_alone_is_measured_there():
    pruned = tiny.prunable()
    (batch,) = calibration_batches(pruned, 128)
    states = []
    layer = pruned.model.get_submodule(INTERMEDIATE.removesuffix(".weight"))
    hook = layer.register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))
    with torch.no_grad():
        pruned.model(**batch.inputs)
    hook.remove()
    weight = pruned.model.get_parameter(INTERMEDIATE).detach().abs()
    with first_position_only(pruned.model, batch.inputs) as cut:
        assert cut
        score = importances(pruned)[INTERMEDIATE]
    assert torch.allclose(score, weight * states[0][:, 0].norm(dim=0), rtol=1e-4)
    real = states[0][batch.inputs["attention_mask"].bool()]
    assert torch.allclose(importances(pruned)[INTERMEDIATE], weight * real.norm(dim=0), rtol=1e-4)


def test_no_hook_is_left_behind():
    pruned = tiny.prunable()
    importances(pruned)
    assert not any(module._forward_pre_hooks for module in pruned.model.modules())
