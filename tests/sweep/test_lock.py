import errno
from pathlib import Path
from typing import Any

import pytest

from kdray.errors import ConfigError
from kdray.sweep import lock
from kdray.sweep.lock import held, is_held


def test_a_second_process_does_not_go_on_with_a_sweep_that_is_being_run(tmp_path: Path) -> None:
    file = tmp_path / "optuna.log"
    refused = pytest.raises(ConfigError, match="is being run by another process")
    with held(file), refused, held(file):
        pass
    with held(file):
        pass


def test_whether_a_sweep_is_being_run_is_told_without_changing_anything(tmp_path: Path) -> None:
    file = tmp_path / "optuna.log"
    assert is_held(file) is False
    assert not file.exists()
    file.write_bytes(b"{}")
    assert is_held(file) is False
    with held(file):
        assert is_held(file) is True
    assert is_held(file) is False
    assert file.read_bytes() == b"{}"


def test_without_locks_nobody_knows_whether_a_sweep_is_being_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "optuna.log"
    file.touch()

    def flock(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    assert is_held(file) is None
    with held(file):
        pass
