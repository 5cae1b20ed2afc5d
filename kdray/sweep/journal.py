"""The journal of an Optuna study that one process writes: no lock, no reading back.

The file is Optuna's own format. Optuna's own backend reads the file again at every question, and
takes a lock and syncs at every drawn parameter.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend


class Journal(BaseJournalBackend):
    """A journal file, and in memory what is in it.

    What was written survives the death of the process at once. How a trial ended, and all before
    it, survives that of the machine too.

    Args:
        file: One JSON line an entry; made by the first. Half a line at its end is taken away.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        content = file.read_bytes() if file.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        self._entries = [json.loads(line) for line in whole.splitlines()]
        if whole != content:
            os.truncate(file, len(whole))

    def read_logs(self, log_number_from: int) -> Iterable[dict[str, Any]]:
        """Returns the entries from a number on."""
        return self._entries[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Writes entries at the end."""
        lines = [json.dumps(log, separators=(",", ":")) for log in logs]
        with self._file.open("ab") as file:
            size = file.tell()
            try:
                file.write("".join(f"{line}\n" for line in lines).encode())
                file.flush()
            except OSError:
                os.truncate(self._file, size)
                raise
            if any("state" in log for log in logs):
                os.fsync(file.fileno())
        self._entries += [json.loads(line) for line in lines]
