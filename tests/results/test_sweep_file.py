"""A sweep's file that somebody has changed or broken is told by its name, whoever reads it."""

from pathlib import Path

import pytest

from kdray.errors import ConfigError
from kdray.results.folder import SweepFolder
from kdray.results.sweep_file import read_sweep_file
from tests.command_line import kdray

BROKEN = [
    (b"config: {", "sweep.yaml: is no YAML"),
    (b"\xff\xfe\x00", "sweep.yaml: is no YAML"),
    (b"", "sweep.yaml: has no `config`"),
    (b"- 1", "sweep.yaml: has no `config`"),
    (b"seed: 1\n", "sweep.yaml: has no `config`"),
    (b"config: 3\nbase: x\n", "sweep.yaml: has no `config`"),
]


def left(tmp_path: Path, content: bytes) -> SweepFolder:
    folder = SweepFolder(tmp_path / "broken")
    folder.root.mkdir()
    folder.sweep_yaml.write_bytes(content)
    return folder


@pytest.mark.parametrize(("content", "told"), BROKEN)
def test_what_no_sweep_has_written_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    with pytest.raises(ConfigError, match=f"broken has 1 problem:\n  {told}.*; put the file back"):
        read_sweep_file(left(tmp_path, content))


def test_what_is_asked_for_beside_the_configuration_has_to_be_there(tmp_path: Path) -> None:
    folder = left(tmp_path, b"config: {}\n")
    assert read_sweep_file(folder) == {"config": {}}
    with pytest.raises(ConfigError, match="has no `base`"):
        read_sweep_file(folder, "base")


@pytest.mark.parametrize(
    "command", ["resume {}", "report {}", "best {}", "confirm {}", "trial {} 0000"]
)
@pytest.mark.parametrize("content", [b"config: {", b"seed: 1\n"])
def test_every_command_on_a_sweep_names_the_broken_file(
    tmp_path: Path, command: str, content: bytes
) -> None:
    folder = left(tmp_path, content)
    folder.summary_json.write_text("{}")
    folder.trials_csv.write_text("trial_id,status,stage,error,ended_at,mlflow_run_id\n")
    printed = kdray(*command.format(folder.root).split(), code=2)
    assert "sweep.yaml: " in printed
    assert str(folder.root) in printed
