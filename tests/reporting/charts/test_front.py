import json
from pathlib import Path

from kdray.reporting.charts.base import Chart
from kdray.reporting.charts.front import front_chart
from kdray.reporting.report import read
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_json

from ..conftest import MakeSweep, completed, failed, stopped


def chart(*folders: SweepFolder) -> Chart:
    for folder in folders:
        write_tables(folder, duration_s=1, busy_s=1)
    return front_chart([read(folder) for folder in folders])


def renamed(folder: SweepFolder, name: str) -> SweepFolder:
    return SweepFolder(folder.root.rename(folder.root.with_name(name)))


def test_trials_are_told_apart_by_what_became_of_them(make_sweep: MakeSweep):
    trials = [completed("0001", 0.7, 4), completed("0002", 0.6, 5), completed("0003", 0.75, 9)]
    stop = stopped("0004", 0.5, 3)

    found = chart(
        make_sweep(*trials, stop, failed("0005"), constraints={"size_mb": {"maximum": 8}})
    )

    told = {(one.role, tuple(one.ids or ())) for one in found.series}
    assert told == {
        ("other", ("0002",)),
        ("infeasible", ("0003",)),
        ("stopped", ("0004",)),
        ("front", ("0001",)),
        ("teacher", ()),
    }
    assert found.series[-1].role == "front"
    assert found.lines == {"97 % of the teacher": 0.97 * 0.77}


def test_hover_says_what_was_drawn_and_what_is_fixed(make_sweep: MakeSweep):
    found = chart(make_sweep(completed("0001", 0.7, 4)))

    [said] = next(one.hover for one in found.series if one.role == "front")
    assert said.splitlines() == [
        *["trial 0001", "macro-F1 0.700, test 0.690", "size 4.0 MB", "stored as float32"],
        *["layers 2", "pruning magnitude", "ratio 0.413", "distillation logit", "alpha 0.7"],
        *["temperature 4", "training.learning_rate 0.0004"],
    ]


def test_labels_only_and_other_seeds_stand_at_the_size_of_their_student(make_sweep: MakeSweep):
    evaluation = {"baselines": True}
    folder = make_sweep(completed("0001", 0.7, 4), evaluation=evaluation)
    result = {**vars(completed("0001", 0.66, 4)), "parameters": {}}
    baseline = folder.baselines.trial("0001")
    baseline.mkdir(parents=True)
    (baseline / "result.json").write_text(json.dumps(result), encoding="utf-8")
    runs = [{"seed": n, "metrics": {"macro_f1": value}} for n, value in ((1, 0.68), (2, 0.70))]
    write_json(folder.confirmation_json, {"seeds": [1, 2], "trials": {"0001": runs}})

    series = chart(folder).series
    found = {one.name: one for one in series}

    assert (list(found["labels only"].x), list(found["labels only"].y)) == ([4], [0.66])
    seeds = found["other seeds, 95 % interval"]
    assert [round(value, 4) for value in seeds.y] == [0.69]
    assert [round(value, 3) for value in seeds.error or ()] == [0.127]
    [plain], [twin], [again] = (one.hover for one in (series[-1], found["labels only"], seeds))
    assert twin.splitlines()[:2] == ["trial 0001, labels only: macro-F1 0.660", "the trial itself:"]
    assert again.startswith("trial 0001, 2 other seeds: macro-F1 0.690 ± 0.127\n")
    for said in (twin, again):
        assert said.splitlines()[2:] == plain.splitlines()[1:]


def test_several_sweeps_share_a_front(make_sweep: MakeSweep, tmp_path: Path):
    first = renamed(make_sweep(completed("0001", 0.7, 4), completed("0002", 0.6, 2)), "a")
    second = renamed(make_sweep(completed("0001", 0.72, 4), completed("0002", 0.5, 1.5)), "b")

    found = chart(first, second)

    a, b, teacher, front = found.series
    assert list(front.ids or ()) == ["b/0002", "a/0002", "b/0001"]
    assert [(one.name, one.role, list(one.ids or ())) for one in (a, b)] == [
        ("a", "nth", ["a/0001", "a/0002"]),
        ("b", "nth", ["b/0001", "b/0002"]),
    ]
    assert teacher.name == "teacher: 0.770 at 8.0 MB"


def test_a_front_with_a_third_objective_is_no_line(make_sweep: MakeSweep):
    flat = {"macro_f1": "maximize", "size_mb": "minimize"}
    folder = make_sweep(completed("0001", 0.7, 4), objectives={**flat, "latency_ms": "minimize"})

    found = chart(folder)

    assert next(one.kind for one in found.series if one.role == "front") == "points"
    assert found.says.endswith("for what has no axis here: size.")


def test_one_objective_stands_over_the_number_of_the_trial(make_sweep: MakeSweep):
    folder = make_sweep(completed("0003", 0.7, 4), objectives={"macro_f1": "maximize"})

    found = chart(folder)

    assert found.x == "number of the trial"
    assert list(found.lines) == ["97 % of the teacher", "teacher: 0.770"]
    assert next(list(one.x) for one in found.series if one.role == "front") == [3.0]
