"""What a search-space file names and could do harm: folders with code in them, names with `..`."""

import json
from pathlib import Path

import pytest

from tests.spaces import space, told


def model_folder(folder: Path, name: str, content: str) -> None:
    folder.mkdir()
    (folder / name).write_text(content)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    settings = {"auto_map": {"AutoModelForSequenceClassification": "own.Model"}}
    model_folder(tmp_path / "own", "config.json", json.dumps(settings))
    model_folder(tmp_path / "pickled", "pytorch_model.bin", "")
    return tmp_path


def test_model_folders_that_could_run_code_are_refused_before_any_work(base: Path) -> None:
    found = told(
        """\
        teacher: {model: own}
        student: {initial: {choice: [teacher_layers, own, pickled]}}
        """,
        base,
    )
    expected = [
        f"line 1: teacher.model: '{base}/own' brings Python code of its own",
        f"line 2: student.initial: '{base}/own' brings Python code of its own",
        f"line 2: student.initial: '{base}/pickled' has its weights in pytorch_model.bin",
    ]
    assert len(found) == 3
    assert all(one.startswith(start) for one, start in zip(found, expected, strict=True))


def test_a_model_with_code_of_its_own_is_taken_when_that_is_asked_for(base: Path) -> None:
    assert space("teacher: {model: own, trust_remote_code: true}", base).teacher.trust_remote_code


def test_a_word_that_is_not_true_is_no_leave_to_run_code(base: Path) -> None:
    found = told("teacher: {model: own, trust_remote_code: yes}", base)
    assert "line 1: teacher.trust_remote_code: must be true or false, but got 'yes'" in found
    assert len(found) == 2


def test_a_trusted_teacher_is_no_leave_for_a_student_with_code(base: Path) -> None:
    text = "teacher: {model: own, trust_remote_code: true}\nstudent: {initial: own}"
    (problem,) = told(text, base)
    assert problem.startswith(f"line 2: student.initial: '{base}/own' brings Python code")


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/x", "a\n", "a\0", ".hidden", "a\\b"])
def test_a_name_that_leads_out_of_the_folder_of_sweeps_is_refused(name: str) -> None:
    (problem,) = told(f"name: {json.dumps(name)}")
    assert problem.startswith("line 1: name: must be letters, digits")
