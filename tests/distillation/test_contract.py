"""What every distillation method promises; a new one is tested by its line in the table."""

import pickle

import pytest
import torch

from kdray.distillation.base import DistillationMethod, Shape, Teaching
from kdray.distillation.none import NoTeacher
from kdray.distillation.table import DISTILLATION
from tests import tiny
from tests.distillation.lesson import gradient, matched, terms

TEACHING = [name for name, method in DISTILLATION.items() if issubclass(method, Teaching)]
# The options of methods.md, section 2; a new method adds its line.
DEFAULTS = {
    "none": {},
    "logit": {},
    "hidden": {"hidden_weight": 0.3, "layer_mapping": "uniform"},
    "attention": {"attention_weight": 0.2, "attention_loss": "mse", "layer_mapping": "uniform"},
    "multi_level": {
        "hidden_weight": 0.3,
        "attention_weight": 0.2,
        "attention_loss": "mse",
        "layer_mapping": "uniform",
    },
}
COMMON = {
    "alpha": 0.7,
    "temperature": 4.0,
    "temperature_schedule": "constant",
    "label_alpha": {},
    "scale_by_temperature": True,
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
    return student, tiny.model(labels, layers=4, width=width, seed=teacher_seed)


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
    assert method.model_dump() == {
        "method": name,
        "class_weights": "none",
        **common,
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
    still = {"hidden_dropout_prob": 0.0, "classifier_dropout": 0.0}
    student, teacher = (
        tiny.model(labels, layers=1, attention_probs_dropout_prob=dropout, **still)
        for _ in range(2)
    )
    student.train()
    found = terms(DISTILLATION[name](**options), labels, (student, teacher))
    scale = gradient(found["hard"], student).norm()
    for term in found.keys() - {"hard"} if not dropout else found.keys() & {"attention"}:
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
    for projection in match.projections.parameters():
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
        assert torch.equal(one.logits, other.logits)
        for kind in ("hidden", "attentions"):
            for layer, tensor in getattr(one, kind).items():
                assert torch.equal(tensor, getattr(other, kind)[layer])


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
def test_there_is_a_projection_for_each_pair_only_where_hidden_states_differ_in_width(name):
    method = DISTILLATION[name]()
    equal = method.match(Shape(2, 16), Shape(4, 16))
    wider = method.match(Shape(2, 16), Shape(4, 24))
    assert len(equal.projections) == 0
    reads_hidden = bool(method.needs(frozenset({1})).hidden)
    assert len(wider.projections) == (len(wider.pairs) if reads_hidden else 0)
    for projection in wider.projections.values():
        assert projection.weight.shape == (24, 16)


@pytest.mark.parametrize("name", TEACHING)
@pytest.mark.parametrize(
    "options",
    [{"alpha": 1.1}, {"alpha": -0.1}, {"temperature": 0.0}, {"label_alpha": {"spam": 2.0}}],
    ids=str,
)
def test_options_outside_their_range_are_refused(name, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DISTILLATION[name](**options)
