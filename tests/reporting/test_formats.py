from collections.abc import Callable

import pytest

from kdray.reporting import formats


@pytest.mark.parametrize(
    ("format_", "value", "text"),
    [
        (formats.quality, 0.7519, "0.752"),
        (formats.short, 0.04712, "0.0471"),
        (formats.short, 8.0, "8.0"),
        (formats.short, 9.96, "9.96"),
        (formats.short, 25.64, "25.6"),
        (formats.short, 1234567, "1,230,000"),
        (formats.short, 0, "0"),
        (formats.percent, 0.9894, "98.9 %"),
        (formats.portion, 0.2634, "26 %"),
        (formats.portion, 0.0263, "2.6 %"),
        (formats.times, 2.43, "2.4×"),
        (formats.drawn, 2.0, "2"),
        (formats.drawn, 0.41327, "0.413"),
        (formats.drawn, "magnitude", "magnitude"),
        (formats.duration, 42.2, "42 s"),
        (formats.duration, 75.2, "1 min 15 s"),
        (formats.duration, 1325, "22 min"),
        (formats.duration, 3723, "1 h 2 min"),
    ],
)
def test_value_is_written_as(format_: Callable[[float], str], value: float, text: str):
    assert format_(value) == text


@pytest.mark.parametrize("value", [None, float("nan")])
@pytest.mark.parametrize(
    "format_",
    [
        formats.quality,
        formats.short,
        formats.percent,
        formats.portion,
        formats.times,
        formats.drawn,
    ],
)
def test_missing_value_is_a_dash(format_: Callable[[object], str], value: float | None):
    assert format_(value) == formats.MISSING


@pytest.mark.parametrize("value", [0.4567, 1.2341, 2.5, 123.4, 1999.9])
def test_limit_lets_the_value_pass_and_is_close(value: float):
    assert value <= float(formats.at_least(value)) <= value * 1.01
    assert value * 0.99 <= float(formats.at_most(value)) <= value


def test_limit_that_is_short_already_is_not_rounded():
    assert formats.at_least(0.7) == formats.at_most(0.7) == "0.7"
    assert formats.at_least(0) == "0"
