"""Model folders that could run code when they are loaded."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from kdray.errors import ConfigError
from kdray.models.building import borrow, freeze, keep_layers, thaw
from kdray.models.sources import folder_problem
from kdray.models.stored import load_classifier
from kdray.models.student import PACKED, Student, load_student, save_student
from tests import tiny

CODE = """
from pathlib import Path
from transformers import BertConfig, BertForSequenceClassification

class OwnConfig(BertConfig):
    model_type = "own_bert"

class OwnModel(BertForSequenceClassification):
    config_class = OwnConfig

Path({mark!r}).touch()
"""
OWN = {"AutoConfig": "own.OwnConfig", "AutoModelForSequenceClassification": "own.OwnModel"}


@pytest.fixture(autouse=True)
def _modules_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = str(tmp_path / "modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", modules)
    monkeypatch.setattr(sys, "path", [*sys.path])


def stored(folder: Path) -> Path:
    tiny.model().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def edit(file: Path, **settings: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | settings))


def with_code(folder: Path) -> Path:
    """A stored model with code of its own, which leaves a mark when it is run."""
    stored(folder)
    (folder / "own.py").write_text(CODE.format(mark=str(mark(folder))))
    edit(folder / "config.json", model_type="own_bert", auto_map=OWN, architectures=["OwnModel"])
    return folder


def mark(folder: Path) -> Path:
    return folder.parent / "the_code_was_run"


def load(folder: Path, trusted: bool | None) -> Any:
    return load_classifier(str(folder), "teacher.model", tiny.MULTI, False, trusted)[0]


def told(folder: Path, trusted: bool | None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, trusted)
    (problem,) = caught.value.problems
    assert problem.where == "teacher.model"
    return problem.message


@pytest.mark.parametrize(
    ("trusted", "way_out"),
    [(False, "set teacher.trust_remote_code: true"), (None, "starts from the teacher's layers")],
)
def test_code_that_comes_with_a_model_is_not_run_unless_asked_for(
    tmp_path: Path, trusted: bool | None, way_out: str
) -> None:
    folder = with_code(tmp_path / "model")
    message = told(folder, trusted)
    assert "brings Python code of its own (auto_map), which is not run" in message
    assert way_out in message
    assert not mark(folder).exists()


@pytest.mark.parametrize("trusted", [False, True])
def test_a_tokenizer_with_code_is_refused_because_it_cannot_travel(
    tmp_path: Path, trusted: bool
) -> None:
    folder = stored(tmp_path / "model")
    edit(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["own.Tokenizer", None]})
    assert "has a tokenizer with Python code of its own" in told(folder, trusted)


def test_code_of_a_family_that_is_known_is_refused_and_not_passed_over(tmp_path: Path) -> None:
    folder = stored(tmp_path / "model")
    edit(folder / "config.json", auto_map=OWN)
    assert "brings Python code of its own" in told(folder, False)


def test_a_model_with_trusted_code_can_be_frozen_cut_and_stored(tmp_path: Path) -> None:
    model = load(with_code(tmp_path / "model"), True)
    assert type(model).__name__ == "OwnModel"
    assert type(borrow(freeze(model))) is type(model)
    cut = keep_layers(thaw(freeze(model)), 1)
    student = Student(cut, tiny.tokenizer(), tiny.MULTI, 24)
    save_student(student, tmp_path / "student")
    again = load_student(tmp_path / "student", trust_remote_code=True)
    assert type(again.model).__name__ == "OwnModel"
    assert (again.probabilities(tiny.TEXTS) == student.probabilities(tiny.TEXTS)).all()


def test_a_model_with_trusted_code_travels_to_another_process(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.write_bytes(pickle.dumps(freeze(load(with_code(tmp_path / "model"), True))))
    code = (
        "import pickle, sys; from pathlib import Path; from kdray.models.building import thaw; "
        "print(type(thaw(pickle.loads(Path(sys.argv[1]).read_bytes()))).__name__)"
    )
    environment = os.environ | {"HF_MODULES_CACHE": str(tmp_path / "others")}
    command = [sys.executable, "-c", code, str(state)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert told.stdout == "OwnModel\n"


def test_a_student_with_code_is_not_loaded_unless_asked_for(tmp_path: Path) -> None:
    model = load(with_code(tmp_path / "model"), True)
    save_student(Student(model, tiny.tokenizer(), tiny.MULTI, 24), tmp_path / "student")
    with pytest.raises(ConfigError, match=r"which is not run; .* trust_remote_code=True"):
        load_student(tmp_path / "student")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_a_folder_with_pickled_weights_alone_is_refused_with_the_way_out(
    tmp_path: Path, name: str
) -> None:
    folder = stored(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    torch.save(tiny.model().state_dict(), folder / name)
    message = told(folder, False)
    assert f"has its weights in {name}, and only safetensors are read" in message
    assert "write it again with save_pretrained" in message


def test_pickled_weights_beside_safetensors_are_not_read(tmp_path: Path) -> None:
    folder = stored(tmp_path / "model")
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    assert not folder_problem(folder, False)
    assert load(folder, False).config.model_type == "bert"


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '"x"'])
def test_settings_that_cannot_be_read_are_left_to_the_loading(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    assert folder_problem(tmp_path, False) == ""
    assert "cannot be loaded: " in told(tmp_path, False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"\xff"),
        ("config.json", b'{"model_type": 3}'),
        ("tokenizer.json", b"{}"),
        ("model.safetensors", b"\xff" * 64),
        ("model.safetensors", b""),
    ],
)
def test_a_damaged_folder_is_a_problem_of_its_key(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (stored(tmp_path / "model") / name).write_bytes(content)
    assert "cannot be loaded: " in told(tmp_path / "model", False)


def test_a_stored_student_with_code_can_teach_only_if_it_is_trusted(tmp_path: Path) -> None:
    model = load(with_code(tmp_path / "model"), True)
    with torch.no_grad():
        next(model.parameters()).zero_()  # sparse, so it is stored in kdray's own format
    student = Student(model, tiny.tokenizer(), tiny.MULTI, 24)
    save_student(student, tmp_path / "student")
    assert (tmp_path / "student" / PACKED).exists()
    assert "set teacher.trust_remote_code: true" in told(tmp_path / "student", False)
    assert type(load(tmp_path / "student", True)).__name__ == "OwnModel"
