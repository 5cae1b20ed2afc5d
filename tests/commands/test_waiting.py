import io
import time

import pytest
from rich.console import Console

from kdray.commands import waiting


def test_what_takes_long_has_a_bar_and_what_does_not_has_none(monkeypatch: pytest.MonkeyPatch):
    for patience, expected in ((0.0, True), (60.0, False)):
        monkeypatch.setattr(waiting, "_NOTICED_S", patience)
        said = io.StringIO()
        items = []
        for item in waiting.each("texts read", [1, 2, 3], Console(file=said, force_terminal=True)):
            items.append(item)
            time.sleep(0.01)
        assert items == [1, 2, 3]
        assert ("texts read" in said.getvalue()) == expected
