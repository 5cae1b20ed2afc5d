import io

import pytest
from PIL import Image

from kdray.reporting.charts.base import Chart, Series
from kdray.reporting.charts.png import matplotlib_figure, png

BARS = [
    Series("a", ["x", "y"], [1, 2], kind="bars", error=[0.1, 0.1]),
    Series("b", ["y", "z"], [3, 4], kind="bars"),
]


def chart(*series: Series, **more: object) -> Chart:
    return Chart("name", "title", "says", "x axis", "y axis", series, **more)


def test_it_is_a_small_png():
    drawn = png(chart(Series("line", [1, 2], [1, 2], kind="line"), lines={"teacher": 1.5}))

    image = Image.open(io.BytesIO(drawn))
    assert image.size == (1440, 880)
    assert image.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    assert len(drawn) < 25_000


def test_bars_of_several_series_stand_side_by_side_over_one_axis():
    axes = matplotlib_figure(chart(*BARS)).axes[0]

    assert [label.get_text() for label in axes.get_xticklabels()] == ["x", "y", "z"]
    left = [[round(bar.get_x(), 3) for bar in bars.patches] for bars in axes.containers[-1:]]
    assert left == [[1.0, 2.0]]
    assert axes.get_legend_handles_labels()[1] == ["a", "b"]


def test_a_series_without_a_name_is_not_in_the_legend():
    axes = matplotlib_figure(chart(Series("", [1, 2], [1, 2], kind="steps"))).axes[0]

    assert axes.get_legend_handles_labels()[1] == []
    assert axes.lines[0].get_drawstyle() == "steps-post"


def test_trials_of_the_front_are_named():
    front = Series("front", [1, 2], [1, 2], role="front", ids=["0001", "0002"])

    axes = matplotlib_figure(chart(front, log_x=True)).axes[0]

    assert sorted(text.get_text() for text in axes.texts) == ["0001", "0002"]
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize("kind", ["points", "line", "steps"])
def test_intervals_have_caps(kind: str):
    one = Series("one", [1, 2], [1, 2], kind=kind, error=[0.5, 0.5])

    axes = matplotlib_figure(chart(one)).axes[0]

    assert len(axes.containers) == 1


def test_long_words_are_read_beside_bars_that_lie():
    words = [f"section.option_{n}" for n in range(5)]

    axes = matplotlib_figure(chart(Series("", words, [5, 4, 3, 2, 1], kind="bars"))).axes[0]

    assert [label.get_text() for label in axes.get_yticklabels()] == words
    assert axes.yaxis_inverted()
    assert axes.get_xlabel() == "y axis"
