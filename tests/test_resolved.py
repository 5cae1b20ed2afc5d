"""A whole file: what is written down of it, and that no mistake hides another."""

from kdray.config.loading import Document
from kdray.config.sections import Training
from kdray.loading import parse_sweep_config
from tests.spaces import space, told


def test_what_is_written_down_holds_every_default_and_loads_to_the_same() -> None:
    config = space("name: x\ntraining: {epochs: {choice: [1, 2]}}\nstudent: {layers: 2}")
    content = dict(config.content)
    assert content["training"] == Training().model_dump() | {"epochs": {"choice": [1, 2]}}
    assert content["teacher"]["architecture"]["vocabulary_size"] == 4000
    assert content["search"]["sampler"] == {"name": "tpe", "startup_trials": None}
    again = parse_sweep_config(Document(content, {}, "sweep.yaml", config.base))
    assert again == config


def test_the_options_of_a_misspelt_method_are_checked_as_well() -> None:
    text = "pruning: {method: {choice: [none, magnitud]}, ratio: 7, scop: layer}"
    problems = "\n".join(told(text))
    assert "pruning.method: no such method: 'magnitud'; did you mean 'magnitude'?" in problems
    assert "pruning.ratio: must be less than 1, but got 7" in problems
    assert "pruning.scop: unknown key" in problems
    assert "did you mean 'scope'?" in problems
