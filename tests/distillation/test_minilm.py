from dataclasses import replace

import numpy as np
import pytest
import torch

from kdray.distillation.base import Shape
from kdray.distillation.minilm import MiniLM, relation_loss
from kdray.errors import ConfigError
from kdray.models.building import layer_list
from kdray.models.heads import note_heads, resize_heads
from kdray.models.outputs import Needs, forward
from tests import tiny
from tests.distillation.lesson import batch, matched, terms
from tests.distillation.slope import check_gradient
from tests.tiny_sweep import tiny_config

LENGTHS = (4, 2)


def relations_by_numpy(x, heads):
    """Equations 3 to 5 of the paper for one text: a distribution a head and position."""
    size = x.shape[1] // heads
    found = []
    for head in range(heads):
        part = x[:, head * size : (head + 1) * size]
        scores = np.exp(part @ part.T / np.sqrt(size))
        found.append(scores / scores.sum(1, keepdims=True))
    return np.array(found)


def by_numpy(student, teacher, heads, lengths):
    """Equation 6 of the paper, with a mean over all positions of the batch."""
    total = 0.0
    for s, t, n in zip(student, teacher, lengths, strict=True):
        own, its = (relations_by_numpy(x[:n].astype(np.float64), heads) for x in (s, t))
        total += (its * np.log(its / own)).sum() / heads
    return total / sum(lengths)


def random_states(width=8, seed=0):
    return torch.randn(2, 4, width, generator=torch.Generator().manual_seed(seed))


def mask():
    return torch.tensor([[1] * n + [0] * (4 - n) for n in LENGTHS])


def test_the_loss_by_hand():
    # One relation head of width 1, two positions. Student 0, 0: every row is (½, ½). Teacher 1, 0:
    # row 1 is softmax(1, 0) = (p, 1 − p), row 2 is (½, ½). So the mean is half the first row's KL.
    student, teacher = torch.zeros(1, 2, 1), torch.tensor([[[1.0], [0.0]]])
    p = np.e / (np.e + 1)
    expected = (p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))) / 2
    assert relation_loss(student, teacher, 1, None).item() == pytest.approx(expected, rel=1e-5)


def test_the_scores_are_divided_by_the_root_of_a_heads_width():
    # Width 4 and one head: 2 · 2 / √4 = 2 where width 1 would have 4.
    student, teacher = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    teacher[0, 0, 0] = 2.0
    p = np.exp(2) / (np.exp(2) + 1)
    expected = (p * np.log(2 * p) + (1 - p) * np.log(2 * (1 - p))) / 2
    assert relation_loss(student, teacher, 1, None).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("width", [8, 12])
def test_the_loss_agrees_with_numpy_also_where_widths_differ(heads, width):
    student, teacher = random_states(), random_states(width, seed=1)
    expected = by_numpy(student.numpy(), teacher.numpy(), heads, LENGTHS)
    found = relation_loss(student, teacher, heads, mask()).item()
    assert found == pytest.approx(expected, rel=1e-4)
    whole = by_numpy(student.numpy(), teacher.numpy(), heads, (4, 4))
    assert relation_loss(student, teacher, heads, None).item() == pytest.approx(whole, rel=1e-4)


def test_padding_is_neither_attended_to_nor_counted():
    student, teacher = random_states(), random_states(seed=1)
    expected = relation_loss(student, teacher, 2, mask())
    for states in (student, teacher):
        states[1, 2:] = 1e3
    student.requires_grad_()
    found = relation_loss(student, teacher, 2, mask())
    found.backward()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert not student.grad[1, 2:].any()
    assert student.grad[1, :2].any()


def test_the_gradient_is_that_of_finite_differences():
    teacher = random_states(12, seed=1)
    check_gradient(lambda states: relation_loss(states, teacher, 2, mask()), random_states())


def test_no_gradient_flows_into_the_teacher():
    teacher = random_states(seed=1).requires_grad_()
    student = random_states().requires_grad_()
    relation_loss(student, teacher, 2, mask()).backward()
    assert teacher.grad is None


@pytest.mark.parametrize("layer", ["last", 2])
@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
def test_the_term_is_the_mean_over_queries_keys_and_values_of_one_layer(family, layer):
    student = tiny.model(family=family)
    teacher = tiny.model(family=family, layers=4, width=24, heads=3, seed=1)
    method = MiniLM(teacher_layer=layer, relation_heads=4)
    found = terms(method, tiny.MULTI, (student, teacher))["relations"].item()
    own, its = (
        forward(model, batch(tiny.MULTI).inputs, Needs(queries_keys_values=frozenset({number})))
        .queries_keys_values[number]
        .detach()
        .numpy()
        for model, number in ((student, 2), (teacher, 4 if layer == "last" else layer))
    )
    losses = [by_numpy(own[:, :, x], its[:, :, x], 4, (3, 7, 2, 5)) for x in range(3)]
    assert found == pytest.approx(np.mean(losses), rel=1e-3)


def test_nothing_but_queries_keys_and_values_is_read():
    needs = MiniLM().needs(frozenset({4}))
    assert needs == Needs(queries_keys_values=frozenset({4}))
    assert MiniLM().reads_positions


@pytest.mark.parametrize(
    ("student", "teacher", "heads"),
    [
        (Shape(6, 384, 12), Shape(12, 768, 12), 12),
        (Shape(6, 384, 12), Shape(12, 768, 16), 12),
        (Shape(2, 64, 2), Shape(4, 128, 4), 4),
        (Shape(2, 64, 2), Shape(4, 512, 4, attention_widths=(128,) * 4), 4),
        (Shape(2, 64, 2, attention_widths=(64, 48)), Shape(4, 120, 8), 12),
        (Shape(2, 16, 2), Shape(4, 24, 3), 8),
    ],
    ids=str,
)
def test_there_are_12_relation_heads_or_as_many_as_the_teacher_has(student, teacher, heads):
    match = MiniLM().match(student, teacher)
    assert match.relation_heads == heads
    assert match.pairs == {student.layers: teacher.layers}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"relation_heads": 5},
            "relation_heads must divide both widths, 16 of the student and 24 of the teacher, but "
            "got 5; it could be 1, 2, 4, 8",
        ),
        ({"teacher_layer": 5}, "teacher_layer must be at most the teacher's 4, but got 5"),
    ],
    ids=str,
)
def test_what_cannot_be_split_or_is_not_there_is_refused_with_what_could_be(options, message):
    with pytest.raises(ValueError, match=message):
        MiniLM(**options).match(Shape(2, 16, 2), Shape(4, 24, 3))


def test_relation_heads_that_do_not_divide_are_refused_before_any_work(tmp_path):
    options = {"method": "minilm", "relation_heads": {"choice": [2, 5]}, "alpha": None}
    with pytest.raises(ConfigError, match=r"distillation\.method: relation_heads must divide both"):
        tiny_config(tmp_path, distillation=options)


def test_a_student_whose_heads_were_pruned_is_split_as_it_is_left():
    student = tiny.model(heads=4)
    student.config.heads_kept = [4, 3]
    assert [Shape.of(student.config).attention_width(layer) for layer in (1, 2)] == [16, 12]
    assert matched(MiniLM(), student, tiny.model(width=24, heads=3)).relation_heads == 12


@pytest.mark.parametrize(("layer", "heads"), [(1, 4), (2, 12), ("last", 12)])
def test_a_teacher_whose_layers_kept_unequal_heads_is_split_as_the_layer_that_teaches(layer, heads):
    teacher = tiny.model(heads=4, seed=1)
    resize_heads(layer_list(teacher)[1], 16, [1, 3])
    note_heads(teacher.config, [1, 3])
    models = (tiny.model(width=24, heads=3), teacher)
    method = MiniLM(teacher_layer=layer)
    assert matched(method, *models).relation_heads == heads
    assert terms(method, tiny.MULTI, models)["relations"] > 0


def test_a_shape_of_fewer_layers_has_the_widths_of_evenly_spaced_ones():
    whole = Shape(4, 16, 4, attention_widths=(4, 8, 12, 16))
    half = replace(whole, layers=2)
    assert [half.attention_width(layer) for layer in (1, 2)] == [8, 16]
    assert Shape(2, 16).attention_width(2) == 16
