from pathlib import Path

from kdray.commands.limits import Assignments, read_bounds
from kdray.results.folder import SweepFolder, write_trial
from kdray.results.records import TrialResult

METRICS = {
    "macro_f1": 0.7,
    "f1_spam": 0.6,
    "latency_ms": 3.0,
    "speedup": 2.0,
    "teacher_size_mb": 4.0,
    "test_macro_f1": 0.69,
    "ood_macro_f1": 0.5,
    "gradient_share_hard": 0.4,
}


def sweep(root: Path) -> SweepFolder:
    folder = SweepFolder(root / "demo")
    write_trial(folder, TrialResult("0000", "completed", {}, METRICS))
    write_trial(folder, TrialResult("0001", "stopped_early", {}, {"brier": 0.1}))
    return folder


def problems(root: Path, *maximum: str, minimum: tuple[str, ...] = ()) -> list[str]:
    return [str(p) for p in read_bounds(sweep(root), Assignments(maximum, minimum))[1]]


def test_bounds_are_read_by_metric_and_side(tmp_path: Path):
    given = Assignments(["latency_ms=3"], ["f1_spam=0.5", "speedup=1.5"])
    assert read_bounds(sweep(tmp_path), given) == (
        {
            "latency_ms": {"maximum": 3.0},
            "f1_spam": {"minimum": 0.5},
            "speedup": {"minimum": 1.5},
        },
        [],
    )
    assert read_bounds(SweepFolder(tmp_path / "nothing"), Assignments()) == ({}, [])


def test_every_wrong_bound_is_told_at_once(tmp_path: Path):
    found = problems(tmp_path, "latncy_ms=3", "latency_ms", "latency_ms=nan", "=3")
    assert "no such metric; did you mean 'latency_ms'? there are f1_spam, latency_ms" in found[0]
    assert [p.endswith("must be METRIC=VALUE, such as latency_ms=3") for p in found[1:]] == [
        True,
        True,
        True,
    ]


def test_a_metric_that_no_completed_trial_has_cannot_be_bounded(tmp_path: Path):
    found = problems(tmp_path, "brier=1", "teacher_size_mb=1", "gradient_share_hard=1")
    assert all("no such metric" in problem for problem in found)


def test_test_and_another_domain_decide_nothing(tmp_path: Path):
    found = problems(tmp_path, minimum=("test_macro_f1=0.6", "ood_macro_f1=0.4"))
    assert "measured on test, which decides nothing" in found[0]
    assert "measured out of domain" in found[1]
    assert all("take 'macro_f1' instead" in problem for problem in found)


def test_a_bound_on_the_wrong_side_is_a_mistake(tmp_path: Path):
    found = problems(tmp_path, "macro_f1=0.6", minimum=("latency_ms=3",))
    assert "larger is better; did you mean --min macro_f1=0.6?" in found[0]
    assert "smaller is better; did you mean --max latency_ms=3?" in found[1]


def test_a_metric_is_bounded_once(tmp_path: Path):
    assert problems(tmp_path, "latency_ms=3", "latency_ms=4") == [
        "--max latency_ms=4: is bounded twice"
    ]
