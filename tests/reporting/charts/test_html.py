from kdray.reporting.charts.base import Chart, Series
from kdray.reporting.charts.colours import DARK, FRONT, TEACHER
from kdray.reporting.charts.html import plotly_figure

LINE = Series("one", [1, 2], [0.1, 0.2], kind="line")


def chart(*series: Series, **more: object) -> Chart:
    return Chart("name", "title", "says", "x axis", "y axis", series, **more)


def test_names_and_hover_are_shown_as_they_are():
    series = Series("<b>", ["<i>", "b"], [1, 2], hover=["a <b>\nb & c", "d"])

    [trace] = plotly_figure(chart(series))["data"]

    assert trace["name"] == "&lt;b&gt;"
    assert trace["x"] == ["&lt;i&gt;", "b"]
    assert trace["hovertext"] == ["<b>a &lt;b&gt;</b><br>b &amp; c", "d"]


def test_roles_have_their_colours_and_others_take_turns():
    series = [Series(role, [1], [1], role=role) for role in ("front", "teacher")]
    traces = plotly_figure(chart(*series, LINE, LINE))["data"]

    colours = [trace["marker"]["color"] for trace in traces]
    assert colours[:2] == [FRONT, TEACHER]
    assert len(set(colours)) == 4
    [alone] = plotly_figure(chart(LINE))["data"]
    assert alone["line"]["color"] == FRONT


def test_every_colour_has_a_twin_of_its_own_for_dark_pages():
    series = [Series(role, [1], [1], role=role) for role in ("front", "other", "baseline")]
    text = str(plotly_figure(chart(*series, LINE, lines={"teacher": 0.5, "chance": 0.1})))

    used = {word.strip("',}]") for word in text.split() if word.startswith("'#")}
    assert used
    assert used <= set(DARK)
    assert len(set(DARK.values())) == len(DARK)


def test_words_that_look_like_numbers_are_categories():
    bars = Series("", ["1", "2"], [0.5, 0.6], kind="bars", error=[0.1, 0.2])

    figure = plotly_figure(chart(bars))

    assert figure["layout"]["xaxis"]["type"] == "category"
    assert figure["data"][0]["type"] == "bar"
    assert figure["data"][0]["error_y"]["array"] == [0.1, 0.2]


def test_lines_steps_and_trials_are_what_plotly_calls_them():
    front = Series("front", [1, 2], [1, 2], kind="steps", role="front", ids=["0001", "0002"])

    figure = plotly_figure(chart(front, LINE, log_x=True, lines={"teacher": 0.5}))

    steps, line = figure["data"]
    assert (steps["mode"], steps["line"]["shape"]) == ("lines+markers", "hv")
    assert steps["customdata"] == ["0001", "0002"]
    assert line["mode"] == "lines"
    assert figure["layout"]["xaxis"]["type"] == "log"
    [shape] = figure["layout"]["shapes"]
    assert (shape["y0"], shape["name"], shape["line"]["color"]) == (0.5, "teacher", TEACHER)


def test_what_is_no_number_is_a_gap():
    series = Series("", [1, 2], [float("nan"), 1.0], kind="line")

    assert plotly_figure(chart(series))["data"][0]["y"] == [None, 1.0]


def test_long_words_are_read_beside_bars_that_lie():
    words = [f"section.option_{n}" for n in range(5)]
    bars = Series("", words, [5, 4, 3, 2, 1], kind="bars", error=[1, 1, 1, 1, 1])

    figure = plotly_figure(chart(bars, lines={"teacher": 2.0}))

    [trace], layout = figure["data"], figure["layout"]
    assert (trace["orientation"], trace["y"], trace["x"][0]) == ("h", words, 5)
    assert trace["error_x"]["array"] == [1, 1, 1, 1, 1]
    assert trace["hovertemplate"].startswith("%{y}<br>y axis %{x")
    assert layout["yaxis"]["autorange"] == "reversed"
    assert layout["xaxis"]["title"]["text"] == "y axis"
    [shape] = layout["shapes"]
    assert (shape["x0"], shape["x1"], shape["yref"]) == (2.0, 2.0, "paper")


def test_few_whole_numbers_have_a_tick_each():
    epochs = Series("", [1, 2, 3, 4], [1, 2, 3, 4], kind="line")

    assert plotly_figure(chart(epochs))["layout"]["xaxis"]["dtick"] == 1
