"""What every pruning method promises; a new one is tested by its line in the table."""

import pickle

import pytest
import torch
from torch import nn

from kdray.models.building import freeze, thaw
from kdray.models.packing import pack
from kdray.pruning.base import PruningMethod
from kdray.pruning.masking import PRESERVED, MaskPruning, prunable_weights
from kdray.pruning.table import PRUNING
from tests import tiny

MASKING = [name for name, method in PRUNING.items() if issubclass(method, MaskPruning)]
CUTTING = [name for name, method in PRUNING.items() if method.cuts]
# What reaches the ratio in each matrix by itself.
BY_MATRIX = {"wanda"}


def prune(name, model, seed=0, **options):
    student = tiny.prunable(model)
    return PRUNING[name](**options).prune(student, torch.Generator().manual_seed(seed))


def removed(pruned):
    zeros = sum(int((mask == 0).sum()) for mask in pruned.masks.values())
    return zeros, sum(mask.numel() for mask in pruned.masks.values())


def assert_same(first, second):
    assert first.masks.keys() == second.masks.keys()
    for weight, mask in first.masks.items():
        assert torch.equal(mask, second.masks[weight])
    state = second.model.state_dict()
    for weight, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, state[weight])


def test_the_table_is_not_empty():
    assert {"none", "random", "magnitude"} <= PRUNING.keys()
    assert {"random", "magnitude"} <= set(MASKING)


@pytest.mark.parametrize("name", PRUNING)
def test_a_method_is_found_under_its_own_name(name):
    method = PRUNING[name]()
    assert isinstance(method, PruningMethod)
    assert method.method == name


@pytest.mark.parametrize("name", PRUNING)
def test_a_method_has_a_description_of_each_option(name):
    assert PRUNING[name].__doc__
    for option, field in PRUNING[name].model_fields.items():
        assert field.description or option == "method"


@pytest.mark.parametrize("name", PRUNING)
def test_a_method_survives_pickling(name):
    method = PRUNING[name]()
    assert pickle.loads(pickle.dumps(method)) == method


@pytest.mark.parametrize("name", PRUNING)
def test_the_teacher_is_not_touched(name):
    teacher = freeze(tiny.model())
    before = {weight: array.copy() for weight, array in teacher.weights.items()}
    pruned = prune(name, thaw(teacher))
    for weight, mask in pruned.masks.items():
        pruned.model.get_parameter(weight).data.mul_(mask)
    for weight, array in before.items():
        assert (teacher.weights[weight] == array).all()


@pytest.mark.parametrize("name", PRUNING)
def test_the_same_seed_gives_the_same_student(name):
    assert_same(prune(name, tiny.model()), prune(name, tiny.model()))


@pytest.mark.parametrize("name", PRUNING)
def test_torchs_global_seed_has_no_part_in_it(name):
    models = tiny.model(), tiny.model()
    torch.manual_seed(1)
    first = prune(name, models[0])
    torch.manual_seed(2)
    second = prune(name, models[1])
    assert_same(first, second)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.333, 0.5, 0.8, 0.99])
@pytest.mark.parametrize("name", MASKING)
def test_exactly_the_ratio_is_removed(name, ratio):
    pruned = prune(name, tiny.model(), ratio=ratio)
    zeros, places = removed(pruned)
    # 2 layers of 4 · 16² + 2 · 16 · 32 weights.
    assert places == 2 * (4 * 16 * 16 + 2 * 16 * 32)
    if name in BY_MATRIX:
        assert all(
            int((mask == 0).sum()) == round(ratio * mask.numel()) for mask in pruned.masks.values()
        )
    else:
        assert zeros == round(ratio * places)


@pytest.mark.parametrize("name", MASKING)
def test_a_mask_is_of_0_and_1_in_the_shape_and_place_of_its_weight(name):
    model = tiny.model()
    for weight, mask in prune(name, model).masks.items():
        parameter = model.get_parameter(weight)
        assert mask.shape == parameter.shape
        assert mask.device == parameter.device
        assert not mask.requires_grad
        assert set(mask.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("name", MASKING)
def test_only_the_layers_of_the_encoder_are_pruned_by_default(name, family):
    masks = prune(name, tiny.model(family=family), ratio=0.5).masks
    assert len(masks) == 2 * 6
    assert all(".layer." in weight and weight.endswith(".weight") for weight in masks)


@pytest.mark.parametrize("name", MASKING)
def test_modules_that_a_pattern_names_are_preserved(name):
    masks = prune(name, tiny.model(), preserve=["*LAYER.0*", "*classifier*", "*pooler*"]).masks
    assert masks.keys() == {weight for weight in masks if "layer.1" in weight}
    assert len(masks) == 6


@pytest.mark.parametrize("name", MASKING)
def test_without_patterns_every_linear_layer_is_pruned(name):
    model = tiny.model()
    linear = {f"{n}.weight" for n, module in model.named_modules() if isinstance(module, nn.Linear)}
    assert prune(name, model, preserve=[]).masks.keys() == linear
    assert {"classifier.weight", "bert.pooler.dense.weight"} < linear


@pytest.mark.parametrize("name", MASKING)
def test_a_ratio_that_cannot_be_reached_is_an_error(name):
    with pytest.raises(
        ValueError, match=r"preserve \['\*'\] leaves nothing to prune, but ratio is"
    ):
        prune(name, tiny.model(), preserve=["*"], ratio=0.1)


@pytest.mark.parametrize("name", MASKING)
def test_a_ratio_of_0_removes_nothing_even_where_everything_is_preserved(name):
    assert removed(prune(name, tiny.model(), preserve=["*"], ratio=0.0)) == (0, 0)


@pytest.mark.parametrize("name", MASKING)
def test_what_is_removed_makes_the_student_smaller_on_disk(name):
    model = tiny.model(width=32)
    before = sum(tensor.nbytes for tensor in model.state_dict().values())
    for weight, mask in prune(name, model, ratio=0.8).masks.items():
        model.get_parameter(weight).data.mul_(mask)
    assert sum(tensor.nbytes for tensor in pack(model.state_dict()).values()) < 0.6 * before


@pytest.mark.parametrize("kind", tiny.KINDS)
@pytest.mark.parametrize("name", MASKING)
def test_masks_only_grow_and_end_where_one_shot_ends(name, kind):
    student = tiny.prunable(labels=tiny.KINDS[kind])
    method, gone = PRUNING[name](ratio=0.7), {}
    for seed, share in enumerate((0.0, 0.2, 0.21, 0.55, 0.3, None)):
        generator = torch.Generator().manual_seed(seed)
        student = method.prune(student, generator, share)
        for weight, mask in student.masks.items():
            assert not (mask[gone.get(weight, mask) == 0] != 0).any()
            assert (student.model.get_parameter(weight)[mask == 0] == 0).all()
        gone = student.masks
    once = method.prune(tiny.prunable(labels=tiny.KINDS[kind]), torch.Generator().manual_seed(0))
    assert removed(student) == removed(once)


@pytest.mark.parametrize("name", MASKING)
def test_what_scores_above_the_threshold_stays_whatever_the_ratio(name):
    student = tiny.prunable()
    weights = prunable_weights(student.model, PRESERVED)
    method = PRUNING[name](ratio=0.9)
    scores = method.importances(student, weights, torch.Generator().manual_seed(0))
    limit = float(torch.cat([score.flatten() for score in scores.values()]).median())
    pruned = prune(name, tiny.model(), ratio=0.9, importance_threshold=limit)
    for weight, mask in pruned.masks.items():
        assert torch.equal(mask == 1, scores[weight] > limit)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MASKING)
def test_modes_gradients_and_what_is_frozen_are_as_before(name, training):
    model = tiny.model().train(training)
    model.bert.embeddings.eval()
    model.bert.encoder.layer[0].requires_grad_(False)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    prune(name, model)
    assert [module.training for module in model.modules()] == modes
    for weight_name, weight in model.named_parameters():
        assert weight.requires_grad == ("layer.0." not in weight_name)
        assert (weight.grad == 1).all()
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("ratio", [-0.1, 1.0, 1.5])
@pytest.mark.parametrize("name", MASKING)
def test_a_ratio_outside_its_range_is_refused(name, ratio):
    with pytest.raises(ValueError, match="ratio"):
        PRUNING[name](ratio=ratio)


def test_biases_and_norms_are_never_prunable():
    assert all(w.dim() == 2 for w in prunable_weights(tiny.model(), []).values())


@pytest.mark.parametrize("name", MASKING)
def test_embeddings_are_pruned_only_where_they_are_included(name):
    word = "bert.embeddings.word_embeddings.weight"
    assert word not in prune(name, tiny.model()).masks
    masks = prune(name, tiny.model(), include=["*word_embeddings"], ratio=0.5).masks
    assert (masks[word] == 0).any()
    assert "bert.embeddings.position_embeddings.weight" not in masks


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", CUTTING)
def test_what_is_cut_is_in_its_mode_and_as_trainable_as_before(name, training):
    model = tiny.model(layers=3).train(training)
    model.bert.embeddings.eval()
    model.get_input_embeddings().requires_grad_(False)
    random = torch.get_rng_state()
    cut = prune(name, model).model
    assert torch.equal(torch.get_rng_state(), random)
    assert cut.training == training
    assert not cut.bert.embeddings.training
    frozen = [weight for weight, p in cut.named_parameters() if not p.requires_grad]
    assert frozen == ["bert.embeddings.word_embeddings.weight"]
    assert all(p.grad is None and p.is_contiguous() for p in cut.parameters())


@pytest.mark.parametrize("family", tiny.FAMILIES)
@pytest.mark.parametrize("name", CUTTING)
def test_what_is_cut_is_built_again_from_its_configuration(name, family):
    cut = prune(name, tiny.model(family=family, heads=4, layers=4)).model
    state = thaw(freeze(cut)).state_dict()
    assert all(torch.equal(state[weight], t) for weight, t in cut.state_dict().items())
