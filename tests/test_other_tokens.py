"""Which spaces draw students of other tokens than the teacher's, and what cannot teach them."""

from typing import Any

import pytest

from tests.test_space_checks import told

VOCABULARY = {"method": "vocabulary", "ratio": {"uniform": [0.0, 0.5]}}


def test_students_of_other_tokens_are_not_compared_with_their_teacher_token_by_token() -> None:
    choice = {"choice": ["logit", "hidden", "attention", "none"]}
    assert told(pruning=VOCABULARY, distillation={"method": choice}) == [
        "distillation.method: attention and hidden cannot be drawn together with pruning.ratio of "
        "vocabulary above 0: its students have other tokens than the teacher, and attention and "
        "hidden would compare token with token; set pruning.ratio of vocabulary to 0 (a `choice` "
        "of mappings gives each method a ratio of its own) or choose logit"
    ]


def test_the_one_of_a_list_that_gives_other_tokens_is_named() -> None:
    pruning = [{"method": "vocabulary"}, {"choice": [{"method": "none"}, VOCABULARY]}]
    (found,) = told(pruning=pruning, distillation={"method": "multi_level"})
    assert found.startswith(
        "distillation.method: multi_level cannot be drawn together with pruning.1.ratio of "
    )


@pytest.mark.parametrize(
    ("pruning", "method"),
    [
        ({"method": "vocabulary"}, "multi_level"),
        ({"method": "vocabulary", "ratio": 0.0}, "hidden"),
        (VOCABULARY, "logit"),
        (VOCABULARY, "none"),
        ({"method": "magnitude", "ratio": 0.5}, "attention"),
    ],
)
def test_students_of_the_same_tokens_may_be_compared_and_others_taught_by_logits(
    pruning: Any, method: str
) -> None:
    assert told(pruning=pruning, distillation={"method": method}) == []


@pytest.mark.parametrize("regime", ["mutual", "online"])
def test_students_of_other_tokens_may_be_compared_with_students_of_the_same(regime: str) -> None:
    assert (
        told(pruning=VOCABULARY, distillation={"method": "hidden"}, regime={"name": regime}) == []
    )


@pytest.mark.parametrize(
    "regime",
    [
        {"name": "born_again"},
        {"name": "progressive", "assistants": [{"layers": 2}]},
        {"name": {"choice": ["mutual", "single"]}},
    ],
)
def test_students_of_other_tokens_are_not_compared_with_a_teacher_of_any_regime(
    regime: Any,
) -> None:
    (found,) = told(pruning=VOCABULARY, distillation={"method": "hidden"}, regime=regime)
    assert found.startswith("distillation.method: hidden cannot be drawn together with ")


def test_a_choice_of_mappings_gives_vocabulary_a_ratio_of_its_own() -> None:
    masks = {"method": "magnitude", "ratio": {"uniform": [0.2, 0.8]}}
    pruning = {"choice": [{"method": "vocabulary", "ratio": 0}, masks]}
    assert told(pruning=pruning, distillation={"method": "hidden"}) == []
