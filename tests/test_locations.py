from pathlib import Path

import pytest
import yaml

from kdray.locations import new_folder, published, sweep_folder


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize("typed", ["runs/mine", "../elsewhere/mine", "/shared/mine"])
def test_a_sweep_is_called_as_it_was_typed(typed: str):
    folder = sweep_folder(typed)
    assert (folder.typed, folder.root) == (typed, Path(typed).resolve())


def test_a_new_sweep_is_called_after_the_output_that_was_typed():
    assert new_folder("../elsewhere/", "mine", asked=False).typed == "../elsewhere/mine"


def test_an_absolute_path_in_the_current_folder_is_told_from_there():
    assert sweep_folder(str(Path.cwd() / "runs" / "mine")).typed == "runs/mine"


def made_by(command: str, root: Path) -> None:
    root.mkdir(parents=True)
    (root / "sweep.yaml").write_text(yaml.safe_dump({"command": command}))


def test_what_is_published_tells_no_absolute_path_that_its_command_does_not_tell(tmp_path: Path):
    secret, told = tmp_path / "secret" / "mine", tmp_path / "told" / "mine"
    made_by("kdray sweep mine.yaml --output ../secret", secret)
    made_by(f"kdray sweep mine.yaml --output {told.parent}", told)
    assert published(sweep_folder(str(secret))).typed == "secret/mine"
    assert published(sweep_folder(str(told))).typed == str(told)
    assert published(sweep_folder("../secret/mine")).typed == "../secret/mine"
