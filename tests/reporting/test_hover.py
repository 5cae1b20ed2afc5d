"""What the front tells of the trial that is pointed at, in a real browser."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from .browser import PHONE


def test_hover_tells_how_a_student_was_made(open_report: Any, tmp_path: Path):
    page = open_report().drawn()
    page.locator("#chart-front").scroll_into_view_if_needed()
    ring = page.locator("#chart-front .scatterlayer .trace").last.locator("path.point")
    box = ring.bounding_box()

    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#chart-front .hovertext", timeout=5_000)

    said = page.text_content("#chart-front .hoverlayer")
    assert "trial 0002" in said
    assert "pruning magnitude" in said
    assert "alpha 0.7" in said
    page.screenshot(path=tmp_path / "hover.png")


# Where the points of a series are in the window.
PLACES = """name => {
  const plot = document.querySelector("#chart-front .plot");
  const { xaxis, yaxis, _size } = plot._fullLayout;
  const { left, top } = plot.getBoundingClientRect();
  const { x, y } = plot.data.find(one => one.name === name);
  return x.map((at, n) => [left + _size.l + xaxis.d2p(at), top + _size.t + yaxis.d2p(y[n])]);
}"""


def told_at(page: Page, place: list[float], *, touch: bool) -> str:
    if touch:
        page.touchscreen.tap(*place)
    else:
        page.mouse.move(5, 5)
        page.wait_for_selector("#chart-front .hovertext", state="detached", timeout=5_000)
        page.mouse.move(*place)
    # Plotly tells of a point anew at most so often.
    page.wait_for_timeout(200)
    page.wait_for_selector("#chart-front .hovertext", timeout=5_000)
    return str(page.text_content("#chart-front .hovertext"))


@pytest.mark.parametrize("options", [{}, {"viewport": PHONE, "has_touch": True}])
def test_a_point_of_the_front_tells_of_itself_whatever_lies_about_it(
    open_report: Any, tmp_path: Path, options: dict[str, Any]
):
    page, touch = open_report(**options).drawn(), bool(options)
    page.evaluate("document.documentElement.style.scrollBehavior = 'auto'")
    page.locator("#chart-front").scroll_into_view_if_needed()

    for number, place in enumerate(page.evaluate(PLACES, "front")):
        said = told_at(page, place, touch=touch)
        assert said.startswith(f"trial 000{number}macro-F1")
        assert "alpha 0.7" in said
    said = told_at(page, page.evaluate(PLACES, "labels only")[0], touch=touch)
    assert said.startswith("trial 0000, labels only: macro-F1 0.550the trial itself:")
    assert "alpha 0.7" in said
    page.screenshot(path=tmp_path / "beside.png")
