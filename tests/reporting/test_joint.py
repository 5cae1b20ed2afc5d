import pytest

from kdray.errors import ConfigError
from kdray.reporting.report import joint_context, write_joint_report
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult

from .conftest import MakeSweep, completed, failed


class Sweeps:
    def __init__(self, make: MakeSweep) -> None:
        self.make = make

    def __call__(self, name: str, *trials: TrialResult, **config: object) -> SweepFolder:
        made = self.make(*trials, **config)
        folder = SweepFolder(made.root.rename(made.root.with_name(name)))
        write_tables(folder, duration_s=75.0, busy_s=90.0)
        return folder


@pytest.fixture
def sweeps(make_sweep: MakeSweep) -> Sweeps:
    return Sweeps(make_sweep)


def test_front_of_several_names_the_sweep_of_each_student(sweeps: Sweeps):
    first = sweeps("a", completed("0001", 0.74, 3.9), completed("0002", 0.6, 2))
    second = sweeps("b", completed("0001", 0.75, 3.9), completed("0002", 0.5, 1.5))

    told = joint_context([first, second])

    cells = [row["cells"][0] for row in told["front"]["rows"]]
    assert cells == ["teacher", "b/0002", "a/0002", "b/0001"]
    assert told["headline"].startswith("0.740 macro-F1 on test at 3.9 MB: 97.4 % of the teacher")
    assert told["subline"].startswith("Trial b/0001, the best of at most half the teacher's size")
    assert told["take"] == "kdray best runs/b --max-size-mb 3.9 --output student"
    assert [row["cells"] for row in told["sweeps"]["rows"]] == [
        ["a", "2", "0", "0", "1 min 30 s", "0.629", "2", "1"],
        ["b", "2", "0", "0", "1 min 30 s", "0.614", "2", "2"],
    ]
    assert told["picker"]["unbounded"] is None
    assert [it["command"] for it in told["picker"]["students"]] == [
        *["kdray best runs/b", "kdray best runs/a", "kdray best runs/b"],
    ]


def test_labels_only_is_explained_where_one_sweep_has_it(sweeps: Sweeps):
    trial = completed("0001", 0.74, 3.9)
    first = sweeps("a", trial, evaluation={"baselines": True})
    write_trial(first.baselines, completed("0001", 0.7, 3.9))
    write_tables(first, duration_s=75.0, busy_s=90.0)
    second = sweeps("b", completed("0001", 0.75, 4.9))

    assert "is the same student" in joint_context([first, second])["baselines"]
    assert joint_context([second, second])["baselines"] == ""


def test_files_of_several_are_those_of_one(sweeps: Sweeps):
    first = sweeps("a", completed("0001", 0.74, 3.9))
    second = sweeps("b", completed("0001", 0.75, 3.9), failed("0002"))

    files = write_joint_report([first, second], first.root / "report-with-b")

    assert [file.name for file in files] == ["report.html", "report.md", "figures"]
    markdown = files[1].read_text(encoding="utf-8")
    assert "kdray report runs/a runs/b" in markdown
    assert "Sweeps *a + b*" in markdown
    assert "## The sweeps" in markdown
    assert not (first.root / "report.html").exists()


def test_teachers_that_differ_say_whose_they_are(sweeps: Sweeps):
    first = sweeps("a", completed("0001", 0.74, 3.9))
    second = sweeps("b", completed("0001", 0.75, 5.9))
    text = second.summary_json.read_text(encoding="utf-8")
    second.summary_json.write_text(text.replace("0.77", "0.78"), encoding="utf-8")

    rows = joint_context([first, second])["front"]["rows"]

    assert [row["cells"][0] for row in rows] == ["teacher of a", "teacher of b", "a/0001", "b/0001"]


def test_objectives_that_differ_are_refused_by_name(sweeps: Sweeps):
    first = sweeps("a", completed("0001", 0.74, 3.9))
    second = sweeps("b", completed("0001", 0.75, 3.9), objectives={"macro_f1": "maximize"})

    with pytest.raises(ConfigError) as caught:
        joint_context([first, second])

    [problem] = caught.value.problems
    assert problem.where.endswith("/b")
    assert "its objectives are maximize macro_f1, but those of" in problem.message
    assert "are maximize macro_f1, minimize size_mb" in problem.message


def test_data_that_differ_are_told(sweeps: Sweeps):
    first = sweeps("a", completed("0001", 0.74, 3.9), data={"source": "synthetic"})
    second = sweeps("b", completed("0001", 0.75, 3.9), data={"source": "hub"})

    assert "do not have the same data section" in joint_context([first, second])["problems"][0]
    assert joint_context([first, first])["problems"] == []


def test_sweeps_of_one_name_are_told_apart(sweeps: Sweeps):
    folders = []
    for parent in ("x", "y"):
        folder = sweeps("same", completed("0001", 0.74, 3.9))
        (folder.root.parent / parent).mkdir()
        moved = folder.root.rename(folder.root.parent / parent / "same")
        folders.append(SweepFolder(moved))

    assert joint_context(folders)["name"] == "x/same + y/same"


def test_sweeps_without_students_say_so(sweeps: Sweeps):
    first, second = sweeps("a", failed("0001")), sweeps("b", failed("0001"))

    told = joint_context([first, second])

    assert told["headline"] == "No trial of these sweeps completed"
    assert told["take"] is None
    write_joint_report([first, second], first.root / "together")
