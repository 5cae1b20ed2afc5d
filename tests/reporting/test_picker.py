from kdray.reporting.picker import picker, take
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
    assert take(front_of([read(folder)])[0]) == (
        "kdray best runs/demo --max-size-mb 2.01 --output student"
    )


def test_there_is_nothing_to_pick_by_without_sizes_or_students(make_sweep: MakeSweep):
    trial = completed("0001", 0.7, 2)
    del trial.metrics["size_mb"]
    folder = make_sweep(trial, objectives={"macro_f1": "maximize"})
    write_tables(folder, duration_s=1, busy_s=1)
    front = front_of([read(folder)])

    assert picker(front, chosen_of(front)) is None
    assert picker([], None) is None
