from kdray.reporting.charts.base import Chart, Read
from kdray.reporting.charts.table import charts_of, of_first

from ..conftest import MakeSweep
from .conftest import tabled, trial


def test_figures_of_one_sweep_say_whose_they_are_beside_another(make_sweep: MakeSweep) -> None:
    sweep = tabled(make_sweep(trial(1, 0.7)))

    def draw(one: Read) -> list[Chart]:
        return [Chart(one.folder.name, "Title", "", "x", "y", [])]

    assert [chart.title for chart in of_first(draw)([sweep])] == ["Title"]
    other = Read(sweep.folder.__class__(sweep.folder.root.parent / "other"), [], {}, {})
    assert [chart.title for chart in of_first(draw)([sweep, other])] == ["Title: demo"]


def test_figures_stand_under_the_headings_that_have_any(make_sweep: MakeSweep) -> None:
    trials = [trial(1, 0.7, distillation__alpha=0.2), trial(2, 0.6, distillation__alpha=0.6)]
    found = charts_of([tabled(make_sweep(*trials))])
    assert list(found) == ["The search", "What mattered"]
    assert [chart.name for chart in found["What mattered"]] == ["alpha"]


def test_a_sweep_without_trials_has_no_figures(make_sweep: MakeSweep) -> None:
    assert charts_of([tabled(make_sweep())]) == {}
