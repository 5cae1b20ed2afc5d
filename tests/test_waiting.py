import io
import threading
import time

import pytest
from rich.console import Console

from kdray import waiting
from kdray.waiting import during, each, heard_by, progress, shown_on

Told = list[tuple[str, int, int]]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is too short to be told of."""
    monkeypatch.setattr(waiting, "_NOTICED_S", 0.0)
    monkeypatch.setattr(waiting, "_OFTEN_S", 0.0)


def heard(*lengths: int, interval_s: float = 0.0) -> Told:
    told: Told = []
    with heard_by(lambda *far: told.append(far), interval_s):
        for length in lengths:
            for _ in each(f"{length} things", range(length)):
                pass
    return told


def test_nobody_need_listen() -> None:
    progress("reading", 1, 2)
    assert list(each("reading", [1, 2])) == [1, 2]


def test_what_is_over_within_a_second_is_not_told() -> None:
    assert heard(3, 1000) == []


@pytest.mark.usefixtures("at_once")
def test_what_takes_longer_is_told_from_its_beginning_to_its_end() -> None:
    assert heard(2) == [("2 things", done, 2) for done in (0, 1, 2)]


@pytest.mark.usefixtures("at_once")
def test_the_same_is_told_as_often_as_one_wants_to_hear_it() -> None:
    assert heard(1000, interval_s=60.0) == [("1000 things", 0, 1000), ("1000 things", 1000, 1000)]


def loading_that_fails() -> None:
    with during("loading"):
        raise ValueError("no")


def test_what_has_no_length_is_told_at_once_and_ends_also_with_an_error() -> None:
    told: Told = []
    with heard_by(lambda *far: told.append(far), 0.0), pytest.raises(ValueError, match="no"):
        loading_that_fails()
    assert told == [("loading", 0, 0), ("loading", 1, 1)]


def test_another_thread_is_not_listened_to() -> None:
    told: Told = []
    with heard_by(lambda *far: told.append(far), 0.0):
        thread = threading.Thread(target=progress, args=("x", 0))
        thread.start()
        thread.join()
    assert told == []


def shown(terminal: bool, quiet: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=80, quiet=quiet)
    with shown_on(console):
        for _ in each("trying [methods]", range(3)):
            console.print("a line")
            time.sleep(0.12)
            with during("loading"):
                pass
    return text.getvalue()


@pytest.mark.usefixtures("at_once")
def test_a_terminal_shows_a_bar_below_the_lines_and_others_the_lines_alone() -> None:
    on_terminal = shown(terminal=True)
    assert "trying [methods]" in on_terminal
    assert "67%" in on_terminal
    assert on_terminal.count("a line") == 3
    assert shown(terminal=False) == "a line\n" * 3
    assert shown(terminal=True, quiet=True) == ""


@pytest.mark.usefixtures("at_once")
def test_an_error_leaves_no_bar_behind() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=80)
    with pytest.raises(ValueError, match="no"), shown_on(console):
        loading_that_fails()
    assert "loading" in text.getvalue()
    assert "%" not in text.getvalue()  # no length is invented
    assert text.getvalue().endswith("\x1b[2K\x1b[?25h\r")  # an empty line, and the cursor
