import json
from pathlib import Path
from typing import Any

import pytest

from kdray import parcel
from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.parcel import MOST_MB, SPACE, moved, pack
from kdray.warm_start import earlier_sweeps
from tests.test_warm_start import leave_sweep, leave_trial
from tests.tiny_sweep import tiny_config

FILES = {"source": "files", "labels": ["bully", "threat"], "text": "text"}
SYNTHETIC_KEYS = dict.fromkeys(("train_rows", "validation_rows", "test_rows"))


def leave_files(folder: Path) -> None:
    """Writes a table and a model's folder, with what must never be sent."""
    (folder / "data").mkdir()
    (folder / "data" / "train.csv").write_text("text,bully,threat\na,0,1\n")
    (folder / "data" / "private.csv").write_text("secret")
    model = folder / "model"
    for name in ("config.json", "deep/weights.safetensors", ".git/config", ".gitignore"):
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(name)
    (folder / "runs").mkdir()
    (folder / "runs" / "old.txt").touch()


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def packed(tmp_path: Path, *overrides: str, **changes: Any) -> tuple[Path, dict[str, str]]:
    target = tmp_path / "elsewhere"
    target.mkdir()
    return target, pack(tiny_config(tmp_path, *overrides, **changes), target)


def test_the_named_files_and_no_others_travel_with_the_space(tmp_path: Path) -> None:
    leave_files(tmp_path)
    data = FILES | SYNTHETIC_KEYS | {"train": "data/train.csv"}
    (tmp_path / "data" / "other.csv").write_text("text,bully,threat\nb,1,0\n")
    student = {"initial": {"choice": ["model", "hub"]}}
    evaluation = {"out_of_domain": "data/other.csv"}
    target, places = packed(tmp_path, data=data, student=student, evaluation=evaluation)
    assert files_of(target) == {
        SPACE,
        "files/0-train.csv",
        "files/1-model/config.json",
        "files/1-model/deep/weights.safetensors",
        "files/2-other.csv",
    }
    assert places == {
        "files/0-train.csv": str(tmp_path / "data" / "train.csv"),
        "files/1-model": str(tmp_path / "model"),
        "files/2-other.csv": str(tmp_path / "data" / "other.csv"),
    }


def test_a_packed_space_is_read_as_the_same_on_another_machine(tmp_path: Path) -> None:
    leave_files(tmp_path)
    changes: dict[str, Any] = {
        "data": FILES | SYNTHETIC_KEYS | {"train": "data/train.csv"},
        "student": {"initial": "model"},
        "training": {"learning_rate": {"loguniform": [1e-05, 1e-3]}},
    }
    target, places = packed(tmp_path, "distillation.alpha=0.25", **changes)
    for name in ("data", "model"):
        (tmp_path / name).rename(tmp_path / f"not-{name}")
    config = load_sweep_config(target / SPACE)
    assert config.name == "tiny"
    assert (config.base / str(getattr(config.data, "train", ""))).is_file()
    assert Path(config.space["student"]["initial"]).is_dir()
    back = moved(config.content, lambda value: places.get(value, value))
    assert back["data"]["train"] == str(tmp_path / "data" / "train.csv")
    assert back["distillation"]["alpha"] == 0.25
    assert back["training"]["learning_rate"] == {"loguniform": [1e-05, 1e-3]}


def test_a_model_inside_of_a_virtual_environment_travels_whole(tmp_path: Path) -> None:
    model = tmp_path / ".venv" / "lib" / "model"
    (model / ".git").mkdir(parents=True)
    for name in ("config.json", ".git/config"):
        (model / name).write_text(name)
    target, _ = packed(tmp_path, student={"initial": str(model)})
    assert files_of(target) == {SPACE, "files/0-model/config.json"}


def test_a_file_that_is_named_twice_travels_once(tmp_path: Path) -> None:
    leave_files(tmp_path)
    overrides = f"teacher.model={tmp_path / 'model'}"
    target, places = packed(tmp_path, overrides, student={"initial": "model"})
    assert list(places.values()) == [str(tmp_path / "model")]
    content = json.loads((target / SPACE).read_text())
    assert content["teacher"]["model"] == content["student"]["initial"] == "files/0-model"


def test_names_that_are_no_paths_stay_what_they_are(tmp_path: Path) -> None:
    target, places = packed(tmp_path, teacher={"model": "org/model"})
    assert places == {}
    assert json.loads((target / SPACE).read_text())["teacher"]["model"] == "org/model"


def test_an_earlier_sweep_teaches_the_same_on_the_other_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_files(tmp_path)
    data = FILES | SYNTHETIC_KEYS | {"train": "data/train.csv"}
    there = data | {"train": "../data/train.csv"}
    earlier, written = leave_sweep(tmp_path / "earlier", data=there)
    leave_trial(earlier, written)
    (earlier.root / "students").mkdir()
    (earlier.root / "students" / "heavy").touch()
    search = {"warm_start": [str(earlier.root)]}
    target, _ = packed(tmp_path, data=data, search=search)
    (tmp_path / "data").rename(tmp_path / "gone")
    monkeypatch.chdir(target)
    [sweep] = earlier_sweeps(load_sweep_config(SPACE))
    assert len(sweep.trials) == 1
    assert not list(target.rglob("heavy"))


def test_what_ray_cannot_carry_is_refused_before_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_files(tmp_path)
    monkeypatch.setattr(parcel, "MOST_MB", 1e-6)
    with pytest.raises(ConfigError, match=r"a Ray job carries at most .*train\.csv \(0 MB\)"):
        packed(tmp_path, data=FILES | SYNTHETIC_KEYS | {"train": "data/train.csv"})
    assert MOST_MB == 500
    assert not files_of(tmp_path / "elsewhere")
