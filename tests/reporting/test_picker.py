import shlex

import pytest

from kdray.reporting.best import Constraints, best_student
from kdray.reporting.picker import limits, picker, take
from kdray.reporting.report import read
from kdray.reporting.students import chosen_of, front_of
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder

from .conftest import MakeSweep, completed


def told(folder: SweepFolder) -> dict[str, object]:
    write_tables(folder, duration_s=1, busy_s=1)
    front = front_of([read(folder)])
    found = picker(front, chosen_of(front))
    assert found is not None
    return found


def test_every_stop_of_a_slider_lets_its_student_pass(make_sweep: MakeSweep):
    found = told(make_sweep(completed("0001", 0.61239, 1.23456), completed("0002", 0.7, 2)))

    size, quality = found["bounds"]
    assert size["stops"] == ["1.24", "2"]
    assert quality["stops"] == ["0.612", "0.7"]
    assert (size["title"], size["unit"], size["side"]) == ("Largest size", "MB", "max")
    assert (quality["title"], quality["side"]) == ("Least macro-F1", "min")


def test_options_are_those_of_the_command_line(make_sweep: MakeSweep):
    objectives = {"accuracy": "maximize", "latency_ms": "minimize", "throughput": "maximize"}
    trial = completed("0001", 0.7, 2, accuracy=0.6, throughput=512.0)
    folder = make_sweep(trial, objectives=objectives, constraints={})
    verification = folder.verification_json.read_text(encoding="utf-8")
    changed = verification.replace('"latency_ms": 4.0', '"latency_ms": 4.0, "throughput": 100.0')
    folder.verification_json.write_text(changed, encoding="utf-8")

    found = told(folder)

    assert [(bound["option"], bound["costs"]) for bound in found["bounds"]] == [
        ("--max-size-mb ", True),
        ("--min accuracy=", False),
        ("--max latency_ms=", True),
        ("--min throughput=", True),
    ]
    assert found["quality"] == "accuracy"


def test_a_student_is_told_beside_its_teacher_and_taken_by_its_size(make_sweep: MakeSweep):
    folder = make_sweep(completed("0001", 0.7, 2.0004))

    [student] = told(folder)["students"]

    assert student["says"] == (
        "0.700 macro-F1 on validation (0.690 on test) at 2.0 MB: 90.8 % of the teacher at 25 % of "
        "its size, 2.4× its speed"
    )
    front = front_of([read(folder)])
    assert take(front, front[0]) == ("kdray best runs/demo --max-size-mb 2.01 --output student")


def test_there_is_nothing_to_pick_by_without_sizes_or_students(make_sweep: MakeSweep):
    trial = completed("0001", 0.7, 2)
    del trial.metrics["size_mb"]
    folder = make_sweep(trial, objectives={"macro_f1": "maximize"})
    write_tables(folder, duration_s=1, busy_s=1)
    front = front_of([read(folder)])

    assert picker(front, chosen_of(front)) is None
    assert picker([], None) is None


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_the_command_takes_the_student_that_it_stands_beside(make_sweep: MakeSweep, place: int):
    # By its size alone 0001 would be taken for 0000; 0002 is the knee, and larger than 0001.
    trials = [
        completed("0000", 0.60, 2.0, latency_ms=1.0),
        completed("0001", 0.70, 2.0, latency_ms=9.0),
        completed("0002", 0.69, 2.1, latency_ms=1.1),
        completed("0003", 0.71, 7.0, latency_ms=8.0),
    ]
    objectives = {"macro_f1": "maximize", "size_mb": "minimize", "latency_ms": "minimize"}
    folder = make_sweep(*trials, objectives=objectives)
    told(folder)
    front = front_of([read(folder)])
    (student,) = [it for it in front if it.id == trials[place].trial_id]

    given = limits(front, student)

    sides = {"macro_f1": "minimum", "size_mb": "maximum", "latency_ms": "maximum"}
    bounds = {name: {sides[name]: float(text)} for name, text in given.items()}
    assert best_student(folder, Constraints(bounds=bounds))["trial_id"] == student.id
    assert (
        list(given) == [["size_mb", "macro_f1", "latency_ms"], ["size_mb"], [], ["size_mb"]][place]
    )
    assert len(take(front, student).split(" --m")) == 1 + len(given)


def test_a_label_in_an_option_is_one_word_of_a_shell(make_sweep: MakeSweep):
    label = "f1_not 'ok; rm"
    folder = make_sweep(
        completed("0001", 0.7, 2, **{label: 0.5}),
        objectives={"macro_f1": "maximize", label: "maximize"},
    )
    verification = folder.verification_json.read_text(encoding="utf-8")
    changed = verification.replace('"f1_spam"', f'"{label}"')
    folder.verification_json.write_text(changed, encoding="utf-8")

    (bound,) = [one for one in told(folder)["bounds"] if one["metric"] == label]
    command = f"kdray best runs/demo {bound['option']}0.4{bound['end']} --output student"
    assert shlex.split(command)[3:5] == ["--min", f"{label}=0.4"]
