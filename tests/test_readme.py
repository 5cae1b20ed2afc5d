"""The README tells the truth: its commands run, in order, in a copy of the repository."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kdray.loading import load_sweep_config
from tests.command_line import kdray

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines()]


def test_working_code_stands_before_line_20() -> None:
    assert "```sh\nmake sweep\n" in "\n".join(README.splitlines()[:20]) + "\n"


def test_every_linked_file_is_there() -> None:
    links = re.findall(r"\]\((?!http)([^)]+)\)", README)
    assert links
    assert all((ROOT / link).exists() for link in links)


def test_the_search_space_of_the_readme_is_valid(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("comment,toxic,threat,spam\n", encoding="utf-8")
    space = tmp_path / "mine.yaml"
    space.write_text(blocks("yaml")[0], encoding="utf-8")
    assert load_sweep_config(space).name == "mine"


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(1200)
def test_every_command_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: None
) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "search_spaces"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, tmp_path / name)
    shorten(tmp_path / "search_spaces" / "multilabel.yaml")
    binaries = tmp_path / ".venv" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "kdray").symlink_to(Path(sys.executable).parent / "kdray")
    (tmp_path / ".venv" / "ready").touch()
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    scripts = [command for command in commands() if command != "make test"]
    assert len(scripts) >= 6
    for command in scripts:
        first, *words = shlex.split(command, comments=True)
        if first == "kdray" and not {">", "<", "|"} & set(words):
            kdray(*words)
            continue
        done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    exec(blocks("python")[0], {})


def shorten(space: Path) -> None:
    """Leaves a search space its data and its teacher, and its trials one epoch each."""
    text = space.read_text(encoding="utf-8")
    assert "\n  epochs: 4\n" in text
    space.write_text(text.replace("\n  epochs: 4\n", "\n  epochs: 1\n"), encoding="utf-8")
