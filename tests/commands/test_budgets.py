import pytest

from kdray.commands.budgets import Budget, parsed_budget
from kdray.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("", Budget(24)),
        ("40", Budget(40)),
        ("40 trials", Budget(40)),
        ("1 Trial", Budget(1)),
        ("2h", Budget(24, 7200)),
        ("1h30m", Budget(24, 5400)),
        ("90 min", Budget(24, 5400)),
        ("1.5 hours", Budget(24, 5400)),
        ("1d", Budget(24, 86400)),
    ],
)
def test_a_budget_is_a_time_or_a_number_of_trials(text: str, budget: Budget) -> None:
    assert parsed_budget(text, 24) == budget


@pytest.mark.parametrize("text", ["much", "0", "0h", "2 weeks", "2h and a bit", "-3"])
def test_anything_else_is_answered_with_examples(text: str) -> None:
    with pytest.raises(ConfigError, match="--budget: must be a time or a number of trials, such"):
        parsed_budget(text, 24)
