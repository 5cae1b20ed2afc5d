"""The report in a real browser, without network."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from kdray.errors import ConfigError
from kdray.reporting.best import Constraints, best_student
from kdray.reporting.report import report_context, write_report
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_json, write_trial

from .conftest import MakeSweep, completed, failed, stopped

PHONE, DESK = {"width": 375, "height": 812}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "Chromium is not installed; .ci/run does it"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def folder(make_sweep: MakeSweep) -> SweepFolder:
    trials = [
        completed("0000", 0.62, 1.0004),
        completed("0001", 0.70, 1.9),
        completed("0002", 0.74, 3.1),
        completed("0003", 0.755, 5.25),
        completed("0004", 0.65, 4.0),
        stopped("0005", 0.5, 1.2),
        failed("0006", "<script>alert(1)</script>"),
    ]
    made = make_sweep(*trials, evaluation={"baselines": True})
    # Some of them lie on the marks of the front.
    for number, value in enumerate((0.55, 0.699, 0.739, 0.756)):
        write_trial(made.baselines, replace(trials[number], metrics={"macro_f1": value}))
    write_tables(made, duration_s=75.0, busy_s=90.0)
    runs = {
        f"000{trial}": [{"seed": n, "metrics": {"macro_f1": mean + n / 200}} for n in (-1, 0, 1)]
        for trial, mean in enumerate((0.6, 0.7, 0.741, 0.754))
    }
    write_json(made.confirmation_json, {"seeds": [1, 2, 3], "trials": runs})
    write_report(made)
    return made


class Opened:
    """A page, and what it complained of or asked for from elsewhere."""

    def __init__(self, browser: Browser, file: Path, **options: Any) -> None:
        self.complaints: list[str] = []
        self.context = browser.new_context(offline=True, **{"viewport": DESK, **options})
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self._judge(request.url))
        self.page.goto(file.as_uri())

    def _judge(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(url)

    def drawn(self) -> Page:
        self.page.wait_for_selector("html[data-figures]", timeout=60_000)
        assert self.page.get_attribute("html", "data-figures") == "drawn"
        assert self.complaints == []
        return self.page


@pytest.fixture
def open_report(browser: Browser, folder: SweepFolder) -> Iterator[Any]:
    opened: list[Opened] = []

    def show(**options: Any) -> Opened:
        opened.append(Opened(browser, folder.root / "report.html", **options))
        return opened[-1]

    yield show
    for one in opened:
        one.context.close()


def test_every_figure_is_drawn_without_network_or_complaint(open_report: Any, tmp_path: Path):
    page = open_report().drawn()

    names = page.eval_on_selector_all(".chart", "found => found.map(one => one.id)")
    drawn = page.eval_on_selector_all(
        ".chart", "all => all.filter(one => one.querySelector('svg .trace')).map(one => one.id)"
    )
    assert names == ["chart-front", "chart-hypervolume_trials"]
    assert drawn == names
    assert not page.is_visible("#chart-front .still")
    page.screenshot(path=tmp_path / "desk.png", full_page=True)


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


BOUNDS = [
    (None, None),
    ("3.1", None),
    ("1.9", None),
    ("2", "0.5"),
    (None, "0.7"),
    (None, "0.701"),
    ("9", "0.745"),
    ("0.5", None),
    (None, "0.99"),
]


def test_the_picker_picks_what_kdray_best_picks(open_report: Any, folder: SweepFolder):
    page = open_report().drawn()

    for size, quality in BOUNDS:
        page.fill("#bound-0", size or "")
        page.fill("#bound-1", quality or "")
        limits = Constraints(float(size) if size else None, float(quality) if quality else None)
        try:
            best = best_student(folder, limits)["trial_id"]
        except ConfigError:
            assert "No student on the front fits" in page.inner_text("#picked")
            assert not page.is_visible("#command")
            continue
        assert page.inner_text("#picked").startswith(f"Trial {best}:")
        given = f" --max-size-mb {size}" if size else ""
        given += f" --min-macro-f1 {quality}" if quality else ""
        command = f"kdray best runs/demo{given} --output student"
        assert page.inner_text("#command") == command
        ring = page.evaluate("document.querySelector('#chart-front .plot').data.at(-1)")
        assert ring["y"] == [best_student(folder, limits)["macro_f1"]]


def test_sliders_set_limits_and_lift_them(open_report: Any):
    page = open_report().drawn()
    sliders = page.locator(".bound [type=range]")

    assert page.input_value("#bound-0") == "3.1"
    sliders.nth(0).fill("0")
    assert page.input_value("#bound-0") == "1.01"
    assert page.inner_text("#picked").startswith("Trial 0000")
    sliders.nth(0).fill("4")
    assert page.input_value("#bound-0") == ""
    sliders.nth(1).fill("4")
    assert page.input_value("#bound-1") == "0.755"
    assert page.inner_text("#picked").startswith("Trial 0003")
    page.fill("#bound-1", "0.7")
    assert sliders.nth(1).input_value() == "2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_does_not_scroll_sideways(open_report: Any, tmp_path: Path, scheme: str):
    page = open_report(viewport=PHONE, color_scheme=scheme, has_touch=True).drawn()

    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    table = page.locator("#front .scroll").first
    assert table.evaluate("one => one.scrollWidth > one.clientWidth")
    page.screenshot(path=tmp_path / f"phone-{scheme}.png", full_page=True)


def test_dark_pages_have_dark_figures_at_once_and_when_asked(open_report: Any, tmp_path: Path):
    opened = open_report(color_scheme="dark")
    page = opened.drawn()

    def ink() -> str:
        return str(page.evaluate("document.querySelector('#chart-front .plot').layout.font.color"))

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(18, 22, 28)"
    assert ink() == "#e6eaf0"
    page.screenshot(path=tmp_path / "dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.wait_for_function(
        "document.querySelector('#chart-front .plot').layout.font.color === '#1c2430'"
    )
    assert opened.complaints == []


def test_it_prints_in_black_on_white(open_report: Any, tmp_path: Path):
    page = open_report(color_scheme="dark").drawn()

    pdf = page.pdf(path=tmp_path / "report.pdf", format="A4")

    assert pdf.startswith(b"%PDF")
    assert 1 < len(re.findall(rb"/Type\s*/Page\b", pdf)) < 12
    page.emulate_media(media="print")
    assert page.is_visible("#chart-front .still")
    assert not page.is_visible("#chart-front .plot")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    page.screenshot(path=tmp_path / "print.png", full_page=True)


def test_printing_opens_folds_and_closes_those_that_were_closed(open_report: Any):
    page = open_report().drawn()
    page.locator("details").first.evaluate("fold => { fold.open = true; }")
    folds = page.locator("details").count()

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details[open]").count() == folds > 1
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 1


def test_without_scripts_it_is_a_page_of_pictures(open_report: Any, tmp_path: Path):
    page = open_report(java_script_enabled=False).page

    assert page.is_visible("#chart-front .still")
    assert not page.is_visible(".bounds")
    assert "--max-size-mb 3.1" in page.inner_text("#command")
    page.screenshot(path=tmp_path / "plain.png", full_page=True)


def test_a_browser_that_cannot_unpack_keeps_the_pictures(browser: Browser, folder: SweepFolder):
    opened = Opened(browser, folder.root / "report.html")
    opened.page.add_init_script("delete window.DecompressionStream")
    opened.page.reload()

    opened.page.wait_for_selector("html.unplotted")

    assert opened.page.is_visible("#chart-front .still")
    opened.page.fill("#bound-0", "2")
    assert opened.page.inner_text("#picked").startswith("Trial 0001")
    opened.context.close()


def test_a_page_with_three_objectives_opens_with_the_headlines_student_and_its_command(
    browser: Browser, make_sweep: MakeSweep
):
    label = "f1_not ok; rm"
    folder = make_sweep(
        completed("0000", 0.50, 5.0, **{label: 0.72}),
        completed("0001", 0.70, 5.0, **{label: 0.70}),
        completed("0002", 0.10, 4.9, **{label: 0.60}),
        objectives={"macro_f1": "maximize", "size_mb": "minimize", label: "maximize"},
    )
    written = folder.verification_json.read_text(encoding="utf-8")
    folder.verification_json.write_text(written.replace("f1_spam", label), encoding="utf-8")
    write_tables(folder, duration_s=1.0, busy_s=1.0)
    write_report(folder)
    context = report_context(folder)
    opened = Opened(browser, folder.root / "report.html")

    page = opened.drawn()

    # The knee: by its size 0000 would be taken.
    assert context["picked"]["id"] == "0001"
    assert page.inner_text("#picked").startswith("Trial 0001:")
    assert page.inner_text("#command") == context["take"]
    assert context["take"] == "kdray best runs/demo --output student"
    assert context["take"] in (folder.root / "report.md").read_text(encoding="utf-8")
    page.fill(
        f"#bound-{[one['metric'] for one in context['picker']['bounds']].index(label)}", "0.7"
    )
    assert f" --min '{label}=0.7' --output student" in page.inner_text("#command")
    opened.context.close()
