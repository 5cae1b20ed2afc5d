import math

from kdray.reporting.idle import idle_terms_said

from .conftest import Reports, completed


def row(status: str = "completed", **shares: float) -> dict[str, object]:
    return {"status": status, **{f"gradient_share_{name}": it for name, it in shares.items()}}


def test_a_term_that_does_next_to_nothing_is_named_with_its_trials() -> None:
    rows = [
        row(hard=0.4, soft=0.5999, attention=0.0001),
        row(hard=0.3, soft=0.69, attention=0.01),
        row(hard=0.5, soft=0.5, attention=math.nan),
    ]
    assert idle_terms_said(rows) == (
        "Under 0.1 % of the terms' gradient norms, which is next to nothing: attention in 1 of 2 "
        "trials. Give such a term more weight, or leave it out."
    )


def test_all_such_terms_are_named_those_of_most_trials_first() -> None:
    rows = [row(hard=0.0, hidden=0.0), row(hard=1.0, hidden=0.0)]
    assert ": hidden in 2 of 2 trials, hard in 1 of 2 trials. Give" in idle_terms_said(rows)


def test_nothing_is_said_where_each_term_does_something_or_nothing_is_known() -> None:
    assert idle_terms_said([row(hard=0.001, soft=0.999), {"status": "completed"}]) == ""
    assert idle_terms_said([row("stopped_early", hard=0.0)]) == ""


def test_the_report_names_them(reports: Reports) -> None:
    share = {"gradient_share_attention": 2e-5}
    for text in reports(completed("0001", 0.7, 2, **share), completed("0002", 0.8, 3)):
        assert ": attention in 1 of 1 trials. Give" in text
