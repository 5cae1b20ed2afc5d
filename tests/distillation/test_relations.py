import pytest
import torch

from kdray.distillation.relation_graph import RelationGraph
from kdray.distillation.relations import (
    by_mean,
    differences,
    features_of,
    inner_products,
    unit,
)
from kdray.distillation.rkd import RelationalKnowledge
from kdray.distillation.similarity import Similarity
from kdray.models.outputs import Outputs
from tests import tiny
from tests.distillation.lesson import gradient, terms


def test_differences_inner_products_and_unit_vectors_by_hand():
    points = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert differences(points)[0].tolist() == [[0, 0], [3, 4]]
    assert differences(points)[1].tolist() == [[-3, -4], [0, 0]]
    assert inner_products(points).tolist() == [[25, 0], [0, 0]]
    assert unit(points).flatten().tolist() == pytest.approx([0.6, 0.8, 0, 0])


def test_values_are_divided_by_the_mean_of_those_that_count():
    assert by_mean(torch.tensor([0.0, 1.0, 3.0]), 2).tolist() == [0, 0.5, 1.5]
    assert by_mean(torch.zeros(3), 2).tolist() == [0, 0, 0]
    assert by_mean(torch.zeros(1), 0).tolist() == [0]


def test_products_are_exact_also_where_the_models_are_not():
    points = torch.tensor([[1.0, 1.0 / 3]])
    with torch.autocast("cpu", torch.bfloat16):
        assert inner_products(points).item() == pytest.approx(10 / 9, rel=1e-6)


def test_features_that_nobody_asked_for_are_not_silently_nothing():
    with pytest.raises(RuntimeError, match="pooled features were not asked for"):
        features_of(Outputs(torch.zeros(1, 3)))


@pytest.mark.parametrize("family", tiny.ALL_FAMILIES)
@pytest.mark.parametrize("method", [RelationalKnowledge, Similarity, RelationGraph])
def test_encoders_with_and_without_a_pooler_are_taught(method, family):
    student = tiny.model(family=family)
    teacher = tiny.model(family=family, layers=4, width=24, seed=1)
    found = terms(method(), tiny.MULTI, (student, teacher))
    for name in found.keys() - {"hard", "soft"}:
        assert gradient(found[name], student).norm() > 0
