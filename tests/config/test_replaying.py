from typing import Any

import pytest

from kdray.config.domains import Choice, Domain, parse_tree, samples
from kdray.config.replaying import replay
from kdray.schema import options_taken
from tests.spaces import space

SPACE: dict[str, Any] = {
    "student": {"layers": {"choice": [1, 2]}, "weights": "float32"},
    "pruning": {"method": {"choice": ["none", "magnitude"]}, "ratio": {"uniform": [0.2, 0.8]}},
    "training": {"epochs": 4, "batch_size": {"randint": [8, 33]}},
}
SECTIONS: dict[str, Any] = {
    "student": {"layers": 2, "weights": "float32"},
    "pruning": {"method": "magnitude", "ratio": 0.5},
    "training": {"epochs": 4, "batch_size": 32},
}


def takes(section: str, method: Any) -> frozenset[str] | None:
    options = {"none": {"method"}, "magnitude": {"method", "ratio"}, "random": {"method", "ratio"}}
    return frozenset(options[method]) if section == "pruning" else None


def again(space: dict[str, Any], sections: dict[str, Any]) -> tuple[Any, dict[str, str]]:
    return replay(parse_tree(space), sections, takes)


def test_what_a_space_could_have_drawn_is_drawn_again() -> None:
    drawn, differing = again(SPACE, SECTIONS)
    assert differing == {}
    assert drawn.sections == SECTIONS
    assert drawn.choices == {
        "student.layers": 2,
        "pruning.method": "magnitude",
        "pruning.ratio": 0.5,
        "training.batch_size": 32,
    }


def test_an_option_that_the_method_does_not_take_is_not_drawn_again() -> None:
    drawn, differing = again(SPACE, SECTIONS | {"pruning": {"method": "none"}})
    assert differing == {}
    assert "pruning.ratio" not in drawn.choices


@pytest.mark.parametrize(
    ("section", "changes", "differing"),
    [
        (
            "pruning",
            {"ratio": 0.9},
            {"pruning.ratio": "0.9 there, a number from 0.2 to 0.8 here"},
        ),
        ("student", {"layers": 3}, {"student.layers": "3 there, one of 1, 2 here"}),
        ("training", {"epochs": 2}, {"training.epochs": "2 there, 4 here"}),
        ("training", {"warmup": 0.1}, {"training.warmup": "0.1 there, not given here"}),
        ("training", {"batch_size": True}, None),
        ("pruning", {"method": "random"}, None),
    ],
)
def test_what_a_space_could_not_have_drawn_is_told_by_its_key(
    section: str, changes: dict[str, Any], differing: dict[str, str] | None
) -> None:
    found = again(SPACE, SECTIONS | {section: SECTIONS[section] | changes})[1]
    assert found == differing if differing else found


def test_what_was_fixed_there_may_be_drawn_here() -> None:
    wider = SPACE | {"training": {"epochs": {"randint": [1, 9]}, "batch_size": 32}}
    drawn, differing = again(wider, SECTIONS)
    assert differing == {}
    assert drawn.choices["training.epochs"] == 4


def test_an_option_that_is_a_mapping_is_found_by_what_it_holds() -> None:
    options = [{"method": "none"}, {"method": "magnitude", "ratio": {"uniform": [0.2, 0.8]}}]
    drawn, differing = again(SPACE | {"pruning": {"choice": options}}, SECTIONS)
    assert differing == {}
    assert drawn.choices["pruning"] == "magnitude"
    assert drawn.choices["pruning[magnitude].ratio"] == 0.5


def test_a_list_is_drawn_again_place_by_place() -> None:
    options = [{"method": "random", "ratio": {"choice": [0.1, 0.2]}}]
    sections = SECTIONS | {"pruning": [{"method": "random", "ratio": 0.2}]}
    drawn, differing = again(SPACE | {"pruning": options}, sections)
    assert differing == {}
    assert drawn.choices["pruning.0.ratio"] == 0.2
    assert again(SPACE | {"pruning": {"choice": ["x", options]}}, sections)[1] == {}


def test_every_draw_of_a_real_space_can_be_replayed() -> None:
    config = space(
        """\
        student:
          choice:
            - {layers: {choice: [1, 2]}}
            - initial: scratch
              architecture: {layers: 1, hidden_size: {choice: [32, 64]}}
        pruning: {method: {choice: [none, magnitude]}, ratio: {quniform: [0.1, 0.7, 0.2]}}
        distillation: {method: logit, label_alpha: {spam: {uniform: [0.1, 0.9]}}}
        """
    )
    for place in range(4):

        def choose(name: str, path: str, domain: Domain, place: int = place) -> Any:
            values = domain.labels if isinstance(domain, Choice) else samples(domain)
            return values[place % len(values)]

        first = config.draw(choose)
        assert replay(config.space, first.sections, options_taken) == (first, {})
