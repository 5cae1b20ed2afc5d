"""What every distillation method promises; a new one is tested by its line in the table."""

import pickle

import pytest
import torch

from kdray.distillation.base import DistillationMethod, Shape, SoftTeaching, Teaching
from kdray.distillation.none import NoTeacher
from kdray.distillation.table import DISTILLATION
from kdray.teacher.layout import by_name
from tests import tiny
from tests.distillation.lesson import gradient, matched, terms

TEACHING = [name for name, method in DISTILLATION.items() if issubclass(method, Teaching)]
# The options of methods.md, section 2; a new method adds its line.
DEFAULTS = {
    "none": {},
    "logit": {},
    "logit_mse": {},
    "hard": {},
    "hidden": {"hidden_weight": 0.3, "layer_mapping": "uniform"},
    "attention": {"attention_weight": 0.2, "attention_loss": "mse", "layer_mapping": "uniform"},
    "multi_level": {
        "hidden_weight": 0.3,
        "attention_weight": 0.2,
        "attention_loss": "mse",
        "layer_mapping": "uniform",
    },
    "fitnet": {"hint_epochs": 0.25},
    "pkd": {"patience_weight": 100.0, "layer_mapping": "uniform"},
    "minilm": {"relation_heads": "auto", "teacher_layer": "last"},
    "contrastive": {"contrast_temperature": 0.07, "negatives": 1024},
    "attention_transfer": {"transfer_weight": 1000.0, "power": 2.0, "layer_mapping": "uniform"},
    "rkd": {"distance_weight": 1.0, "angle_weight": 2.0},
    "similarity": {"similarity_weight": 3000.0},
    "relation_graph": {"vertex_weight": 1.0, "edge_weight": 1.0},
}
COMMON = {"alpha": 0.7, "label_alpha": {}}
SOFTENING = {
    "temperature": 4.0,
    "temperature_schedule": "constant",
    "scale_by_temperature": True,
}
# Methods that say why one of their terms teaches a student that is its teacher already.
NEVER_STILL = {"hard": "soft", "contrastive": "contrast"}
# Its hints, and so its projection, have done their part here; see test_fitnet.py.
AT_REST = {"fitnet"}
# What is projected where widths differ: the states of two mapped layers, or the features.
PROJECTED = {
    "fitnet": {"2"},
    "pkd": {"2", "4"},
    "hidden": {"2", "4"},
    "multi_level": {"2", "4"},
    "relation_graph": {"features"},
}
VARIANTS = [
    pytest.param(name, options, id="-".join([name, *map(str, options.values())]))
    for name in DISTILLATION
    for options in ({}, {"attention_loss": "kl"})
    if options.keys() <= DISTILLATION[name].model_fields.keys()
]
every_method = pytest.mark.parametrize(("name", "options"), VARIANTS)
both_labels = pytest.mark.parametrize("labels", tiny.KINDS.values(), ids=tiny.KINDS)
both_widths = pytest.mark.parametrize("width", [16, 24])


def pair(labels, width=16, teacher_seed=1):
    student = tiny.model(labels, layers=2)
    teacher = tiny.model(labels, layers=4, width=width, seed=teacher_seed)
    return with_gains(student), with_gains(teacher, teacher_seed)


def with_gains(model, seed=0):
    """LayerNorms as after a training: with gains of 1 all positions' states are of one length."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if "LayerNorm" in name:
            parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def total(found):
    return torch.stack(list(found.values())).sum()


def test_the_table_is_not_empty_and_its_defaults_are_written_down():
    assert DISTILLATION.keys() == DEFAULTS.keys()
    assert len(TEACHING) == len(DISTILLATION) - 1


@pytest.mark.parametrize("name", DISTILLATION)
def test_options_and_defaults_are_those_of_the_methods_page(name):
    method = DISTILLATION[name]()
    assert isinstance(method, DistillationMethod)
    common = COMMON if name in TEACHING else {}
    softening = SOFTENING if isinstance(method, SoftTeaching) else {}
    assert method.model_dump() == {
        "method": name,
        "class_weights": "none",
        **common,
        **softening,
        **DEFAULTS[name],
    }


@pytest.mark.parametrize("name", DISTILLATION)
def test_a_method_has_a_description_of_each_option(name):
    assert DISTILLATION[name].__doc__
    for option, field in DISTILLATION[name].model_fields.items():
        assert field.description or option == "method"


@every_method
def test_a_method_survives_pickling(name, options):
    method = DISTILLATION[name](**options)
    assert pickle.loads(pickle.dumps(method)) == method


@both_widths
@pytest.mark.parametrize("name", DISTILLATION)
def test_a_match_survives_pickling(name, width):
    match = matched(DISTILLATION[name](), *pair(tiny.MULTI, width))
    again = pickle.loads(pickle.dumps(match))
    assert again.pairs == match.pairs
    assert again.projections.state_dict().keys() == match.projections.state_dict().keys()


@both_widths
@both_labels
@every_method
def test_every_term_is_a_finite_scalar_in_float32(name, options, labels, width):
    found = terms(DISTILLATION[name](**options), labels, pair(labels, width))
    for term in found.values():
        assert term.shape == ()
        assert term.dtype == torch.float32
        assert torch.isfinite(term)
        assert term > 0


@both_widths
@both_labels
@every_method
def test_another_teacher_gives_another_gradient(name, options, labels, width):
    method = DISTILLATION[name](**options)
    student, teacher = pair(labels, width)
    other = pair(labels, width, teacher_seed=2)[1]
    match = matched(method, student, teacher)
    first = terms(method, labels, (student, teacher), match)
    second = terms(method, labels, (student, other), match)
    for term in first.keys() - {"hard"}:
        difference = gradient(first[term], student) - gradient(second[term], student)
        assert difference.norm() > 1e-3 * gradient(first[term], student).norm() > 0, term
    assert torch.equal(gradient(first["hard"], student), gradient(second["hard"], student))
    assert (name in TEACHING) == (first.keys() > {"hard"})


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@both_labels
@every_method
def test_a_student_that_is_its_teacher_has_no_gradient_but_that_of_the_labels(
    name, options, labels, dropout
):
    # Dropout of the hidden states and of the classifier is the student's own noise; that of the
    # attention must not be: in the one layer here nothing but it could differ.
    noise = {"hidden_dropout_prob": 0.0, "classifier_dropout": 0.0}
    student, teacher = (
        tiny.model(labels, layers=1, attention_probs_dropout_prob=dropout, **noise)
        for _ in range(2)
    )
    student.train()
    found = terms(DISTILLATION[name](**options), labels, (student, teacher))
    scale = gradient(found["hard"], student).norm()
    still = found.keys() - {"hard", NEVER_STILL.get(name)}
    for term in still if not dropout else found.keys() & {"attention"}:
        assert gradient(found[term], student).norm() < 1e-4 * scale, term


@both_widths
@both_labels
@every_method
def test_the_student_and_the_projections_alone_get_gradients(name, options, labels, width):
    method = DISTILLATION[name](**options)
    student, teacher = pair(labels, width)
    match = matched(method, student, teacher)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    total(terms(method, labels, (student, teacher), match)).backward()
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(torch.equal(before[key], value) for key, value in teacher.state_dict().items())
    assert all(parameter.grad is not None for parameter in student.parameters())
    for projection in () if name in AT_REST else match.projections.parameters():
        assert projection.grad.abs().max() > 0


@both_widths
@every_method
def test_what_the_teacher_says_is_not_modified(name, options, width):
    method = DISTILLATION[name](**options)
    taught = []
    found = terms(method, tiny.MULTI, pair(tiny.MULTI, width), taught=taught)
    (_, teacher), said = pair(tiny.MULTI, width), []
    terms(method, tiny.MULTI, (tiny.model(), teacher), taught=said)
    total(found).backward()
    for one, other in zip(taught, said, strict=True):
        before, after = by_name(other), by_name(one)
        assert before.keys() == after.keys()
        assert all(torch.equal(before[output], after[output]) for output in before)


@both_widths
@both_labels
@every_method
def test_padding_changes_nothing(name, options, labels, width):
    method = DISTILLATION[name](**options)
    student, teacher = pair(labels, width)
    match = matched(method, student, teacher)
    found = terms(method, labels, (student, teacher), match)
    padded = terms(method, labels, (student, teacher), match, extra=4)
    for term, value in found.items():
        assert padded[term].item() == pytest.approx(value.item(), rel=1e-4), term
        expected = gradient(value, student)
        difference = gradient(padded[term], student) - expected
        # Positions that only the longer batch has do not exist in the shorter one.
        assert difference.norm() < 1e-3 * expected.norm(), term


@both_labels
@every_method
def test_the_same_seed_gives_the_same_terms(name, options, labels):
    first, second = (
        terms(DISTILLATION[name](**options), labels, pair(labels, 24)) for _ in range(2)
    )
    assert first == second


@both_widths
@both_labels
@every_method
def test_bfloat16_gives_nearly_the_terms_of_float32(name, options, labels, width):
    method = DISTILLATION[name](**options)
    exact = terms(method, labels, pair(labels, width))
    with torch.autocast("cpu", torch.bfloat16):
        rough = terms(method, labels, pair(labels, width))
    for term, value in exact.items():
        assert rough[term].dtype == torch.float32
        assert rough[term].item() == pytest.approx(value.item(), rel=0.1), term


@both_labels
@pytest.mark.parametrize("name", TEACHING)
def test_an_alpha_of_0_leaves_the_loss_of_no_teacher(name, labels):
    student, teacher = pair(labels)
    plain = terms(NoTeacher(), labels, (student, teacher))
    found = terms(DISTILLATION[name](alpha=0.0), labels, (student, teacher))
    assert found["hard"].item() == pytest.approx(plain["hard"].item())
    assert found["soft"] == 0
    assert torch.allclose(gradient(found["hard"], student), gradient(plain["hard"], student))
    assert gradient(found["soft"], student).norm() == 0


@both_labels
@pytest.mark.parametrize("name", TEACHING)
def test_an_alpha_of_1_leaves_the_labels_out(name, labels):
    found = terms(DISTILLATION[name](alpha=1.0), labels, pair(labels))
    assert found["hard"] == 0
    assert found["soft"] > 0


@pytest.mark.parametrize("name", DISTILLATION)
def test_there_is_a_projection_for_each_comparison_of_channels_only_where_widths_differ(name):
    method = DISTILLATION[name]()
    if name == "contrastive":
        pytest.skip("it projects both to a width of its own; see test_contrastive.py")
    equal = method.match(Shape(2, 16), Shape(4, 16))
    wider = method.match(Shape(2, 16), Shape(4, 24))
    assert len(equal.projections) == 0
    assert set(wider.projections) == PROJECTED.get(name, set())
    for projection in wider.projections.values():
        assert projection.weight.shape == (24, 16)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        pytest.param(name, options, id=f"{name}-{options}")
        for name in TEACHING
        for options in (
            {"alpha": 1.1},
            {"alpha": -0.1},
            {"temperature": 0.0},
            {"label_alpha": {"spam": 2.0}},
        )
        if options.keys() <= DISTILLATION[name].model_fields.keys()
    ],
)
def test_options_outside_their_range_are_refused(name, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DISTILLATION[name](**options)
