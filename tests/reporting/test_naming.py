from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from kdray.reporting.naming import name_points


def drawn() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(4, 4), dpi=100)
    axes = figure.add_subplot()
    axes.set(xlim=(0, 10), ylim=(0, 10))
    axes.plot([5], [5], "o", ms=9)
    return figure, axes


def named(figure: Figure, axes: Axes, name: str = "0007") -> Bbox | None:
    name_points(figure, axes, [name], [(5, 5)], "black")
    return axes.texts[0].get_window_extent() if axes.texts else None


def pixel(axes: Axes, x: float, y: float) -> tuple[float, float]:
    across, up = axes.transData.transform((x, y))
    return float(across), float(up)


def test_a_name_stands_above_its_point_where_that_is_free():
    figure, axes = drawn()

    box = named(figure, axes)

    assert box is not None
    assert box.y0 > pixel(axes, 5, 5)[1]


def test_a_name_gives_way_to_an_interval_and_to_steps():
    figure, axes = drawn()
    axes.errorbar([5], [5], yerr=[3])
    axes.plot([5, 9], [5, 8], drawstyle="steps-post")

    box = named(figure, axes)

    assert box is not None
    across, up = pixel(axes, 5, 5)
    assert box.x1 < across or (box.x0 > across and not box.y0 < up < box.y1)


def test_a_name_gives_way_to_marks_of_any_kind():
    figure, axes = drawn()
    axes.scatter([5], [5.6], s=80)

    box = named(figure, axes)

    assert box is not None
    assert not box.contains(*pixel(axes, 5, 5.6))


def test_a_name_that_is_free_nowhere_is_left_out():
    figure, axes = drawn()
    axes.vlines([n / 10 for n in range(100)], 0, 10)

    assert named(figure, axes) is None


def test_a_name_does_not_leave_the_figure():
    figure, axes = drawn()

    assert named(figure, axes, "a-very-long-name-of-a-sweep-among-others/0007") is None
