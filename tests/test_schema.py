from typing import Any

import pytest

from kdray.config.sections import Evaluation
from kdray.errors import ConfigError
from kdray.schema import FAMILIES, NAMING, options_taken, trial_config
from tests.spaces import space

SECTIONS: dict[str, Any] = {
    "student": {"layers": 2},
    "pruning": {"method": "magnitude", "ratio": 0.3},
    "distillation": {"method": "logit", "alpha": 0.5},
    "training": {"epochs": 1},
}


def test_drawn_sections_become_a_typed_configuration() -> None:
    config = trial_config(SECTIONS, Evaluation(), "micro_f1")
    assert config.student.layers == 2
    assert [one.model_dump()["ratio"] for one in config.pruning] == [0.3]
    assert config.distillation.model_dump()["alpha"] == 0.5
    assert config.training.epochs == 1
    assert config.selection_metric == "micro_f1"


def test_a_list_of_pruning_methods_keeps_its_order() -> None:
    pruning = [{"method": "random", "ratio": 0.1}, {"method": "magnitude", "ratio": 0.2}]
    config = trial_config(SECTIONS | {"pruning": pruning}, Evaluation(), "macro_f1")
    assert [one.method for one in config.pruning] == ["random", "magnitude"]


def test_a_configuration_tells_all_its_problems() -> None:
    wrong = {"student": {"layers": 0}, "pruning": [{"method": "x"}], "training": {"epochs": 0}}
    with pytest.raises(ConfigError) as caught:
        trial_config(SECTIONS | wrong, Evaluation(), "macro_f1")
    assert [problem.where for problem in caught.value.problems] == [
        "student.layers",
        "training.epochs",
        "pruning.0.method",
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_options_of_every_method_are_its_fields(family: str) -> None:
    for method, section in FAMILIES[family].items():
        assert options_taken(family, method) == frozenset(section.model_fields)
        assert section.model_fields[NAMING[family]].default == method


@pytest.mark.parametrize(("section", "method"), [("training", "x"), ("pruning", ["none"])])
def test_what_has_no_method_has_no_options_of_a_method(section: str, method: Any) -> None:
    assert options_taken(section, method) is None


def test_a_space_draws_a_configuration_that_becomes_typed() -> None:
    config = space("pruning: {method: {choice: [none, random]}, ratio: {uniform: [0.1, 0.9]}}")
    drawn = config.draw(lambda name, path, domain: "random" if "method" in path else 0.25)
    assert drawn.parameters == {"pruning.method": "random", "pruning.ratio": 0.25}
    typed = trial_config(drawn.sections, config.evaluation, "macro_f1")
    assert typed.pruning[0].model_dump()["ratio"] == 0.25
