"""Every search space that is shipped can be run."""

import re
from pathlib import Path

import pytest

from kdray.commands.spaces import validate_space
from kdray.commands.speaking import Voice
from kdray.config.domains import grid_values, samples
from kdray.config.loading import read_document
from kdray.data.base import SPLITS
from kdray.loading import load_sweep_config
from kdray.schema import trial_config

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


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_every_search_space_loads_once_its_data_are_there(path: Path, tmp_path: Path) -> None:
    data = read_document(path).content.get("data", {})
    given = [(key, tmp_path / Path(data[key]).name) for key in SPLITS if data.get(key)]
    for _, file in given:
        file.touch()
    config = load_sweep_config(path, [f"data.{key}={file}" for key, file in given])
    drawn = config.draw(lambda name, path, domain: (grid_values(domain) or samples(domain))[0])
    assert trial_config(drawn.sections, config.evaluation, "macro_f1")


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.name)
def test_every_search_space_opens_with_its_exact_command(path: Path) -> None:
    head = path.read_text(encoding="utf-8").split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines()[:3])
    assert f"kdray sweep search_spaces/{path.name}" in head + path.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("space", SPACES, ids=lambda path: path.stem)
def test_every_pair_of_methods_of_a_search_space_runs_on_a_tiny_batch(space: Path) -> None:
    if "shared/data" in space.read_text(encoding="utf-8") and not DATA.is_dir():
        pytest.skip(f"needs the data sets in {DATA}; they are not part of kdray")
    validate_space(space, [], Voice())
