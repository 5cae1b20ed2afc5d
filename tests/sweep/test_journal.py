import errno
import io
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from kdray.sweep.journal import Journal


def study_of(backend: Any) -> optuna.Study:
    return optuna.create_study(
        study_name="sweep", storage=JournalStorage(backend), load_if_exists=True
    )


def drawn(study: optuna.Study) -> optuna.Trial:
    trial = study.ask()
    trial.suggest_float("alpha", 0, 1)
    return trial


def content(study: optuna.Study) -> list[tuple[TrialState, dict[str, Any]]]:
    return [(trial.state, trial.params) for trial in study.get_trials()]


def test_what_is_drawn_is_in_the_file_before_the_trial_ends(tmp_path: Path) -> None:
    study = study_of(Journal(tmp_path / "log"))
    drawn(study)
    assert content(study_of(Journal(tmp_path / "log"))) == content(study)
    assert content(study)[0][0] == TrialState.RUNNING


def test_optuna_itself_reads_the_journal_and_is_read(tmp_path: Path) -> None:
    file = tmp_path / "log"
    ours = study_of(Journal(file))
    ours.tell(drawn(ours), 0.5)
    theirs = study_of(JournalFileBackend(str(file)))
    assert content(theirs) == content(ours)
    theirs.tell(drawn(theirs), 0.7)
    assert content(study_of(Journal(file))) == content(theirs)


def test_half_a_line_of_a_killed_process_does_not_spoil_what_follows(tmp_path: Path) -> None:
    file = tmp_path / "log"
    before = study_of(Journal(file))
    before.tell(drawn(before), 0.5)
    with file.open("ab") as half:
        half.write(b'{"op_code":4,"study_id"')
    after = study_of(Journal(file))
    assert content(after) == content(before)
    after.tell(drawn(after), 0.7)
    assert content(study_of(JournalFileBackend(str(file)))) == content(after)


def test_what_is_given_is_not_changed_by_who_wrote_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "log")
    entry = {"op_code": 9, "user_attr": {"key": [1]}}
    journal.append_logs([entry])
    entry["user_attr"] = {}
    assert list(journal.read_logs(0)) == [{"op_code": 9, "user_attr": {"key": [1]}}]
    assert list(journal.read_logs(1)) == []


def test_what_a_full_disk_cut_short_is_taken_away_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "optuna.log")
    journal.append_logs([{"op_code": 0}])
    whole = (tmp_path / "optuna.log").read_bytes()

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            super().write(data[:3])
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, mode: Full(self, "ab"))
    with pytest.raises(OSError, match="No space"):
        journal.append_logs([{"op_code": 1}])
    monkeypatch.undo()
    assert (tmp_path / "optuna.log").read_bytes() == whole
    journal.append_logs([{"op_code": 2}])
    assert [log["op_code"] for log in Journal(tmp_path / "optuna.log").read_logs(0)] == [0, 2]
