"""Every search space that is shipped can be run."""

import re
from pathlib import Path

import pytest

from kdray.validate import validate_space

SPACES = sorted((Path(__file__).parent.parent / "search_spaces").glob("*.yaml"))
DATA = Path(__file__).parents[2] / "shared" / "data"


def test_there_are_search_spaces() -> None:
    assert {path.stem for path in SPACES} >= {"multilabel", "bangla", "trec"}


@pytest.mark.parametrize("space", SPACES, ids=lambda path: path.stem)
def test_a_search_space_opens_with_its_purpose_command_time_and_what_to_expect(space: Path) -> None:
    head = re.match(r"(#.*\n)+", space.read_text(encoding="utf-8"))
    assert head
    assert f"kdray sweep search_spaces/{space.name}" in head[0]
    assert "minutes on 2 CPU cores" in head[0]
    assert "Expect" in head[0]


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES, ids=lambda path: path.stem)
def test_every_pair_of_methods_of_a_search_space_runs_on_a_tiny_batch(space: Path) -> None:
    if "shared/data" in space.read_text(encoding="utf-8") and not DATA.is_dir():
        pytest.skip(f"needs the data sets in {DATA}; they are not part of kdray")
    validate_space(space, [])
