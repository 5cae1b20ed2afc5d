import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kdray.errors import ConfigError
from kdray.results import folder as folder_module
from kdray.results.folder import (
    SweepFolder,
    write_file,
    write_json,
    write_text,
    write_trial,
    written_whole,
)
from kdray.results.records import EpochReport, TrialResult


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def result(trial_id: str) -> TrialResult:
    return TrialResult(trial_id, "completed", {"distillation.alpha": 0.5}, {"macro_f1": 0.5})


def report(epoch: int) -> EpochReport:
    return EpochReport(epoch, 3, {"f1_a\u2028b": 0.5}, {"loss": 1.0}, 0.1)


def write_old(target: Path) -> None:
    with written_whole(target) as staging:
        (staging / "a.txt").write_text("old")


def test_a_folder_appears_whole_when_the_block_ends(tmp_path: Path) -> None:
    with written_whole(tmp_path / "deep" / "target") as staging:
        (staging / "inner").mkdir()
        (staging / "inner" / "a.txt").write_text("a")
        assert not (tmp_path / "deep" / "target").exists()
    assert contents(tmp_path) == {"deep/target/inner/a.txt": "a"}


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    write_old(tmp_path / "target")
    with written_whole(tmp_path / "target") as staging:
        (staging / "b.txt").write_text("new")
        assert contents(tmp_path / "target") == {"a.txt": "old"}
    assert contents(tmp_path) == {"target/b.txt": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_crash_in_the_middle_leaves_the_old_folder_and_no_rubbish(
    tmp_path: Path, error: type[BaseException]
) -> None:
    write_old(tmp_path / "target")

    def crash() -> None:
        with written_whole(tmp_path / "target") as staging:
            (staging / "b.txt").write_text("half")
            raise error

    with pytest.raises(error):
        crash()
    assert contents(tmp_path) == {"target/a.txt": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_crash_in_the_last_moment_leaves_the_old_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old(tmp_path / "target")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if (self / "b.txt").exists():
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="gone"), written_whole(tmp_path / "target") as staging:
        (staging / "b.txt").write_text("new")
    assert contents(tmp_path) == {"target/a.txt": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    """Ends a write as `kill -9` would: nothing is tidied up afterwards."""

    def stop(path: Path) -> None:
        raise SystemError

    with monkeypatch.context() as context:
        context.setattr(shutil, "rmtree", lambda path, **options: None)
        context.setattr(folder_module, moment, stop)
        with pytest.raises(SystemError), written_whole(tmp_path / "target") as staging:
            (staging / "b.txt").write_text("new")


def test_what_a_killed_process_left_is_no_folder_and_goes_with_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_old(tmp_path / "target")
    killed(tmp_path, monkeypatch, "_sync")
    assert len(list(tmp_path.iterdir())) == 2
    assert contents(tmp_path / "target") == {"a.txt": "old"}
    write_old(tmp_path / "target")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_an_old_folder_comes_back_if_a_process_was_killed_while_they_changed_places(
    tmp_path: Path,
) -> None:
    write_old(tmp_path / "target")
    (tmp_path / "target").rename(tmp_path / ".target.123.old")
    (tmp_path / ".target.123").mkdir()
    with pytest.raises(RuntimeError), written_whole(tmp_path / "target"):
        raise RuntimeError
    assert contents(tmp_path) == {"target/a.txt": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_what_a_dying_process_still_writes_to_does_not_hold_up_the_next_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".target.123"
    left.mkdir()
    real = os.rmdir

    def refusing(path: Any, **options: Any) -> None:
        if str(path).endswith(left.name):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        real(path, **options)

    monkeypatch.setattr(os, "rmdir", refusing)
    write_old(tmp_path / "target")
    assert contents(tmp_path / "target") == {"a.txt": "old"}


def test_folders_with_similar_names_do_not_touch_each_other(tmp_path: Path) -> None:
    with written_whole(tmp_path / "1") as one, written_whole(tmp_path / "10") as ten:
        (one / "a").write_text("one")
        (ten / "a").write_text("ten")
    assert contents(tmp_path) == {"1/a": "one", "10/a": "ten"}


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.csv"
    write_text(target, "old")

    def half(path: Path) -> None:
        assert path.suffix == ".csv"
        path.write_text("ha")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_file(target, half)
    assert contents(tmp_path) == {"deep/a.csv": "old"}
    write_text(target, "new ভালো")
    assert target.read_text(encoding="utf-8") == "new ভালো"
    assert [path.name for path in target.parent.iterdir()] == ["a.csv"]


def test_json_is_written_for_people(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "ভালো", "n": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "name": "ভালো",\n  "n": 1\n}\n'


def test_a_trial_is_written_with_its_epochs_and_files(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    files = {"config.yaml": lambda path: path.write_text("a: 1")}
    write_trial(sweep, result("0001"), [report(1), report(2)], files)
    assert sweep.results() == [result("0001")]
    assert sweep.epochs("0001") == [report(1), report(2)]
    found = contents(sweep.trial("0001"))
    assert found.keys() == {"config.yaml", "epochs.jsonl", "result.json"}
    assert json.loads(found["result.json"])["trial_id"] == "0001"


def test_no_result_is_there_before_its_trial_is_whole(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)

    def look(path: Path) -> None:
        (path.parent / "result.json").write_text(result("0001").to_json())
        assert sweep.results() == []
        assert not sweep.trial("0001").exists()

    write_trial(sweep, result("0001"), files={"x": look})
    assert sweep.results() == [result("0001")]


def test_a_trial_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_trial(SweepFolder(tmp_path), result("0001"), files={"x": fail})
    assert list((tmp_path / "trials").iterdir()) == []


def test_baselines_have_the_ids_of_trials_and_are_none(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    write_trial(sweep, result("0001"))
    assert sweep.baselines.results() == []
    write_trial(sweep.baselines, replace(result("0001"), duration_s=2.0))
    write_trial(sweep.baselines, result("0002"))
    assert [found.trial_id for found in sweep.results()] == ["0001"]
    assert [found.duration_s for found in sweep.baselines.results()] == [2.0, 0.0]
    assert sweep.baselines.sweep_yaml == sweep.sweep_yaml


def test_results_come_in_the_order_of_their_ids(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path)
    for trial_id in ("10000", "0010", "9999", "0002"):
        write_trial(sweep, result(trial_id))
    assert [found.trial_id for found in sweep.results()] == ["0002", "0010", "9999", "10000"]


def test_a_sweep_without_trials_has_no_results(tmp_path: Path) -> None:
    assert SweepFolder(tmp_path).results() == []
    assert SweepFolder(tmp_path).epochs("0001") == []


def test_every_path_lies_in_the_folder_of_the_sweep(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "name")
    assert sweep.name == "name"
    paths = {
        "sweep.yaml": sweep.sweep_yaml,
        "trials.csv": sweep.trials_csv,
        "summary.json": sweep.summary_json,
        "optuna.log": sweep.optuna_log,
        "teacher": sweep.teacher,
        "teacher/verification.json": sweep.verification_json,
        "teacher/outputs": sweep.teacher_outputs,
        "trials/0001": sweep.trial("0001"),
        "students/0001": sweep.student("0001"),
        "baselines/0001": sweep.baselines.trial("0001"),
        "baselines_students/0001": sweep.baselines.student("0001"),
    }
    for relative, path in paths.items():
        assert path == tmp_path / "name" / relative


@pytest.mark.parametrize("trial_id", ["..", "../0001", "a/b", "/etc", "", ".hidden", "a\n", "a\0"])
def test_an_id_that_leads_out_of_the_sweep_has_no_folder(tmp_path: Path, trial_id: str) -> None:
    sweep = SweepFolder(tmp_path / "name")
    for folder_of in (sweep.trial, sweep.student, sweep.result, sweep.epochs):
        with pytest.raises(ConfigError, match="cannot be a trial's id"):
            folder_of(trial_id)
