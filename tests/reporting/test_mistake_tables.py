import json
from pathlib import Path

import pytest

from kdray.reporting.mistake_tables import mistakes
from kdray.reporting.report import write_report
from kdray.results.folder import SweepFolder

from .conftest import MakeSweep, Reports, completed, written
from .test_mistakes import left


def test_errors_are_told_with_texts_that_may_be_shown(reports: Reports):
    folder = left(reports.make(completed("0003", 0.7, 2)), texts=True)
    first = written(folder)
    folder.teacher.rename(folder.root / "gone")

    for html, markdown in (first, written_again(folder)):
        for text in (html, markdown):
            assert "On test, 3 examples" in text
            assert "Teacher right, trial 0003 wrong: the most confident" in text
            assert "Most confident wrong decisions of the teacher, by label" in text
            assert "texts are not shown" not in text
        assert "the &lt;b&gt;soup&lt;/b&gt;" in html
        assert "the &lt;b>soup&lt;/b>" in markdown
        assert "<b>" not in html + markdown


def written_again(folder: SweepFolder) -> tuple[str, str]:
    write_report(folder)
    html, markdown = (folder.root / "report.html", folder.root / "report.md")
    return html.read_text(encoding="utf-8"), markdown.read_text(encoding="utf-8")


def test_errors_in_third_party_texts_are_told_by_their_rows(reports: Reports):
    html, markdown = written(left(reports.make(completed("0003", 0.7, 2)), texts=False))

    for text in (html, markdown):
        assert "their texts are not shown" in text
        assert "soup" not in text


@pytest.mark.parametrize("texts", [True, False])
def test_a_report_to_be_published_has_the_file_that_it_names(
    make_sweep: MakeSweep, tmp_path: Path, texts: bool
):
    folder = left(make_sweep(completed("0003", 0.7, 2)), texts=texts)
    written(folder)

    write_report(folder, tmp_path / "published")

    published = tmp_path / "published"
    assert "`errors.json`" in (published / "report.md").read_text(encoding="utf-8")
    errors = (published / "errors.json").read_text(encoding="utf-8")
    assert ("soup" in errors) == texts
    assert json.loads(errors)["models"]["0003"]["lost"]["count"] == 2


def test_what_is_wrong_depends_on_how_many_labels_there_can_be():
    def counted(known: dict[str, bool]) -> str:
        found = mistakes({"split": "test", "examples": 1500, "models": {}, **known}, None)
        assert found is not None
        return str(found["counted"])

    several = "On test, 1,500 examples; an example is wrong if any of its labels is."
    assert counted({"multi_label": True}) == several
    one = "On test, 1,500 examples; each has one label, which is right or wrong."
    assert counted({"multi_label": False}) == one
    assert counted({}) == "On test, 1,500 examples."
