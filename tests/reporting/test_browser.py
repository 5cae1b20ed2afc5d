"""The report in a real browser, without network."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from kdray.errors import ConfigError
from kdray.reporting.best import Constraints, best_student
from kdray.reporting.report import report_context, write_report
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder

from .browser import PHONE, Opened
from .conftest import MakeSweep, completed


def test_every_figure_is_drawn_without_network_or_complaint(open_report: Any, tmp_path: Path):
    page = open_report().drawn()

    names = page.eval_on_selector_all(".chart", "found => found.map(one => one.id)")
    drawn = page.eval_on_selector_all(
        ".chart", "all => all.filter(one => one.querySelector('svg .trace')).map(one => one.id)"
    )
    assert names == ["chart-front", "chart-hypervolume_trials", "chart-soft_and_hard"]
    assert drawn == names
    assert not page.is_visible("#chart-front .still")
    page.screenshot(path=tmp_path / "desk.png", full_page=True)


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
