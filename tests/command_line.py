"""The command line in this process, which has imported already what takes a new one seconds."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import pytest

from kdray import cli


def kdray(*words: object, code: int = 0) -> str:
    """Runs a command, checks its exit code, and returns what it printed and said."""
    text = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(text), redirect_stderr(text):
        patch.setenv("COLUMNS", "200")
        patch.setattr(sys, "argv", ["kdray", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    assert int(ended.value.code or 0) == code, text.getvalue()
    return text.getvalue()
