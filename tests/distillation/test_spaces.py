"""The search spaces that are shipped to compare ways of teaching."""

from pathlib import Path

import pytest

from kdray.config.domains import domains_in
from kdray.config.drawing import enumerate_grid
from kdray.distillation.base import SoftTeaching
from kdray.distillation.regimes import REGIMES
from kdray.distillation.table import DISTILLATION
from kdray.loading import load_sweep_config
from kdray.schema import options_taken

SPACES = Path(__file__).parents[2] / "search_spaces"


def test_the_space_of_methods_draws_every_method_with_every_option_of_its_own():
    config = load_sweep_config(SPACES / "methods.yaml", [])
    domains = dict(domains_in(config.space))
    assert set(domains["distillation.method"].options) == set(DISTILLATION)
    options = {key for method in DISTILLATION.values() for key in method.model_fields}
    own = {f"distillation.{key}" for key in options - SoftTeaching.model_fields.keys()}
    assert own <= domains.keys()


@pytest.mark.parametrize(
    ("name", "key", "least", "most"),
    [
        ("temperature", "distillation.temperature", 1, 20),
        ("ablation", "distillation.alpha", 0, 1),
    ],
)
def test_a_space_crosses_its_question_with_all_else_that_is_drawn(name, key, least, most):
    config = load_sweep_config(SPACES / f"{name}.yaml", [])
    points = [point.parameters for point in enumerate_grid(config.space, options_taken)]
    assert len(points) == config.search.trials
    values = {point[key] for point in points}
    assert (min(values), max(values)) == (least, most)
    rest = [{k: v for k, v in point.items() if k != key} for point in points]
    assert all(rest.count(point) == len(values) for point in rest)
    assert all(len(point) == 2 for point in points)


def test_the_space_of_regimes_draws_every_regime_with_every_option_of_its_own():
    config = load_sweep_config(SPACES / "regimes.yaml", [])
    domains = dict(domains_in(config.space))
    assert set(domains["regime.name"].options) == set(REGIMES)
    options = {key for regime in REGIMES.values() for key in regime.model_fields}
    assert {f"regime.{key}" for key in options} <= domains.keys()
