import base64
import gzip
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from kdray.errors import ConfigError
from kdray.reporting.report import write_report

from .conftest import MakeSweep, Reports, completed, failed, stopped, verification, written

# Of a header, and of the row of the headline's student.
HEADS = ("trial", "**0001**")


def rows(markdown: str) -> list[list[str]]:
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_report_leaves_its_files(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 2))
    _, markdown = written(folder)

    assert (folder.root / "report.html").stat().st_size < 2_500_000
    shown = re.findall(r"!\[.*\]\((.*)\)", markdown)
    assert shown == ["figures/front.png", "figures/hypervolume_trials.png"]
    for name in ("pareto.png", *shown):
        assert (folder.root / name).read_bytes().startswith(b"\x89PNG")


def test_html_loads_nothing(reports: Reports):
    html, _ = reports(completed("0001", 0.7, 2), failed("0002", "see https://example.org"))

    loaded = re.findall(r"""(?:src|href|srcset|data)=["']?([^"'\s>]{,30})""", html)
    assert {re.sub("(data:image/png;base64,|#).*", r"\1", source) for source in loaded} == {
        "data:image/png;base64,",
        "#",
    }
    assert "url(" not in html
    assert "@import" not in html


def test_plotly_is_inside_once_and_unpacks_to_itself(reports: Reports):
    from plotly.offline import get_plotlyjs

    html, _ = reports(completed("0001", 0.7, 2))

    [packed] = re.findall(r'<script type="text/plain" id="plotly">(.*)</script>', html)
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()


def test_error_text_is_escaped(reports: Reports):
    error = "<script>alert(1)</script> | `x`"

    html, markdown = reports(failed("0001", error))

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html + markdown
    assert r"&lt;script>alert(1)&lt;/script> \| \`x\`" in markdown


def test_drawn_names_and_the_search_space_are_escaped(reports: Reports):
    trial = completed("0001", 0.7, 2)
    trial.parameters["pruning.method"] = "<b>|"  # type: ignore[index]

    html, markdown = reports(trial, note="</pre><b>x", student={"layers": "```"})

    assert "<b>" not in html
    assert r"| &lt;b>\| |" in markdown
    assert "````yaml" in markdown


def test_headline_speaks_of_test_and_of_the_best_small_student(reports: Reports):
    for text in reports(completed("0001", 0.74, 2), completed("0002", 0.76, 7)):
        plain = text.replace("\u00a0", " ")
        assert "0.730 macro-F1 on test at 2.0 MB: 96.1 % of the teacher at 25 % of" in plain
        assert "Trial 0001, the best of at most half the teacher" in plain
        assert "then measured once on test. The knee of the front is trial 0002." in plain


def test_table_of_the_front_has_the_teacher_and_the_drawn_values(reports: Reports):
    _, markdown = reports(completed("0001", 0.74, 2))

    table = rows(markdown)
    (header, made), (reached, drawn) = ([row for row in table if row[0] == it] for it in HEADS)
    teacher = dict(zip(header, next(row for row in table if row[0] == "teacher"), strict=True))
    assert teacher["size (MB)"] == "8.0"
    assert dict(zip(header, reached, strict=True)) == {
        "trial": "**0001**",
        "macro-F1, test": "0.730",
        "macro-F1, validation": "0.740",
        "size (MB)": "2.0",
        "of teacher's size": "25 %",
        "retention": "96.1 %",
        "speed-up": "2.4×",
        "stored as": "float32",
    }
    assert dict(zip(made, drawn, strict=True)) == {
        "trial": "**0001**",
        "layers": "2",
        "pruning": "magnitude",
        "ratio": "0.413",
        "distillation": "logit",
        "alpha": "0.7",
        "temperature": "4",
        "learning rate": "0.0004",
    }


def test_table_of_the_front_tells_of_noise_and_other_domains(make_sweep: MakeSweep):
    elsewhere = {"test_noise_5_macro_f1": 0.61, "noise_5_macro_f1": 0.62, "ood_macro_f1": 0.33}
    folder = make_sweep(completed("0001", 0.74, 2, **elsewhere))
    metrics = verification()["metrics"] | dict.fromkeys(elsewhere, 0.7)
    folder.verification_json.write_text(json.dumps(verification(metrics=metrics)), encoding="utf-8")

    header, _, teacher, student = [row for row in rows(written(folder)[1]) if len(row) > 7][:4]

    names = ("macro-F1 at 5 % typing noise, test", "macro-F1 out of domain")
    places = [header.index(name) for name in names]
    assert [teacher[place] for place in places] == ["0.700", "0.700"]
    assert [student[place] for place in places] == ["0.610", "0.330"]
    assert not [name for name in header if "noise" in name and "validation" in name]


def test_value_that_the_file_fixes_is_not_given_to_a_method_that_does_nothing(reports: Reports):
    nothing = {"method": "none", "temperature": 4}

    _, markdown = reports(completed("0001", 0.74, 2), distillation=nothing)

    assert "temperature" not in rows(markdown)[4]


@pytest.mark.parametrize(
    ("regime", "drawn", "shown"),
    [
        ({"name": "single"}, {}, False),
        ({"name": "mutual"}, {}, True),
        ({"name": {"choice": ["single", "mutual"]}}, {"regime.name": "single"}, True),
    ],
)
def test_regime_is_shown_where_it_was_searched_or_is_not_the_usual(
    reports: Reports, regime: Any, drawn: dict[str, str], shown: bool
):
    trial = completed("0001", 0.74, 2)
    trial = replace(trial, parameters={**trial.parameters, **drawn})
    _, markdown = reports(trial, regime=regime)
    _, head = [row for row in rows(markdown) if row[0] == "trial"]
    assert ("regime" in head) == shown


def test_html_and_markdown_tell_the_same_numbers(reports: Reports):
    html, markdown = reports(completed("0001", 0.74, 2), completed("0002", 0.76, 7))

    table = next(n for n, row in enumerate(rows(markdown)) if row[0] == "teacher")
    for row in rows(markdown)[table : table + 3]:
        for cell in row:
            assert f">{cell.strip('*')}</td>" in html


def test_counts_command_seed_and_commit_are_told(reports: Reports):
    for text in reports(completed("0001", 0.7, 2), stopped("0002", 0.5, 1), failed("0003")):
        for needed in (
            "kdray sweep search_spaces/demo.yaml\nkdray report runs/demo",
            "kdray best runs/demo --max-size-mb 2 --output student",
            *("0123abc", "2.13.0", "macro-F1 0.310, size 8.0 MB", "loguniform", "3,000"),
        ):
            assert needed in text


def test_sweep_without_completed_trials_says_so(reports: Reports):
    for text in reports(failed("0001"), stopped("0002", 0.5, 2)):
        assert "No trial completed: 1 stopped early, 1 failed" in text
        assert "kdray best" not in text


def test_constraints_are_told_and_what_is_outside_them_is_listed(reports: Reports):
    trials = [completed("0001", 0.74, 3), completed("0002", 0.7, 1), failed("0003")]
    bounds = {"size_mb": {"maximum": 2.0}, "latency_ms": {"maximum": 9.0}}

    html, markdown = reports(*trials, constraints=bounds)

    for text in (html, markdown):
        assert "Constraints: latency at most 9.0 ms, size at most 2.0 MB; only" in text
        assert "No other feasible trial is at least as good" in text
        assert "Outside the constraints" in text
    listed = [row for row in rows(markdown) if row[0] == "0001"]
    assert listed == [["0001", "2.0", "3.0", "0.740"]]


def test_report_without_constraints_does_not_speak_of_them(reports: Reports):
    for text in reports(completed("0001", 0.74, 3), constraints={}):
        assert "onstraints" not in text.split("Search space")[0]


def test_sweep_without_a_feasible_trial_names_the_nearest_and_what_it_misses(reports: Reports):
    trial = completed("0001", 0.74, 3.14)
    bounds = {"size_mb": {"maximum": 2.0}, "macro_f1": {"minimum": 0.6}, "auroc": {"minimum": 0.9}}

    for text in reports(trial, failed("0002"), constraints=bounds):
        plain = text.replace("\u00a0", " ")
        assert (
            "No trial meets the constraints; nearest: trial 0001 with no AUROC (at least 0.900) "
            "and size 3.1 MB (at most 2.0 MB)"
        ) in plain
        assert "kdray best" not in text


def test_sweep_that_has_no_trial_at_all_has_a_report(reports: Reports):
    assert "No trial completed" in reports()[0]


def test_report_without_latency_leaves_the_speed_out(make_sweep: MakeSweep):
    trial = completed("0001", 0.7, 2)
    del trial.metrics["latency_ms"], trial.metrics["speedup"]  # type: ignore[attr-defined]
    folder = make_sweep(trial)
    metrics = verification()["metrics"]
    slow = {name: value for name, value in metrics.items() if name != "latency_ms"}
    folder.verification_json.write_text(json.dumps(verification(metrics=slow)), encoding="utf-8")

    for text in written(folder):
        assert "faster" not in text
        assert "speed" not in text.replace("speed‑up", "speed-up").split("The front")[1]


def test_report_of_one_objective_shows_its_best_trial(reports: Reports):
    objectives = {"macro_f1": "maximize"}

    html, _ = reports(completed("0001", 0.7, 6), completed("0002", 0.6, 1), objectives=objectives)

    assert "Trial 0001, the only one on the front" in html
    assert "The knee of the front is" not in html


def test_teacher_that_did_not_pass_marks_the_report(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 2))
    bad = verification(passed=False, problems=["macro_f1 0.38 is under the minimum 0.4"])
    folder.verification_json.write_text(json.dumps(bad), encoding="utf-8")

    for text in written(folder):
        assert "The teacher did not pass verification" in text
        assert "0.38" in text


def test_password_in_a_tracking_uri_is_not_published(reports: Reports):
    for text in reports(tracking={"uri": "https://me:secret@mlflow.example.org"}):
        assert "secret" not in text
        assert "mlflow.example.org" in text


def test_report_can_be_made_again_without_the_teacher(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 2))
    first = written(folder)
    folder.verification_json.unlink()
    write_report(folder)

    assert (folder.root / "report.html").read_text(encoding="utf-8") == first[0]


def test_folder_without_tables_is_told_by_the_missing_file(make_sweep: MakeSweep):
    with pytest.raises(ConfigError, match=r"summary.json: no such file"):
        write_report(make_sweep())


THREE = {"macro_f1": "maximize", "size_mb": "minimize", "latency_ms": "minimize"}


def test_report_of_three_objectives_says_which_has_no_axis(reports: Reports):
    for text in reports(completed("0001", 0.74, 2), completed("0002", 0.76, 7), objectives=THREE):
        assert "for what has no axis here: size." in text
        assert "latency (ms)" in text


@pytest.mark.parametrize(
    "objectives",
    [
        {"size_mb": "minimize", "latency_ms": "minimize", "num_parameters": "minimize"},
        {"size_mb": "minimize"},
    ],
)
def test_report_without_an_objective_of_quality_still_tells_of_it(
    reports: Reports, objectives: Any
):
    for text in reports(completed("0001", 0.74, 2), objectives=objectives):
        plain = text.replace("\u2011", "-").replace("\u00a0", " ")
        assert "0.730 macro-F1 on test at 2.0 MB" in plain
        assert "macro-F1, test" in plain
