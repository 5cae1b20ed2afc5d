from pathlib import Path

import numpy as np
import pytest

from kdray.data.tokenizing import encode
from kdray.errors import ConfigError
from kdray.exporting.reading import open_student
from kdray.models.student import Student, load_student, save_student
from tests import tiny


def stored(folder: Path) -> Path:
    student = Student(tiny.model(), tiny.tokenizer(), tiny.MULTI, tiny.LENGTH, (0.1, 0.5, 0.9))
    save_student(student, folder)
    return folder


def test_a_stored_student_is_opened_as_it_is_loaded(tmp_path: Path):
    folder = stored(tmp_path / "student")
    opened, loaded = open_student(folder), load_student(folder)
    examples = tiny.examples()
    logits = opened.logits(encode(opened.tokenizer, examples, opened.max_length))
    texts = [text for (text,) in examples.texts]
    assert np.allclose(1 / (1 + np.exp(-logits)), loaded.probabilities(texts), atol=1e-6)
    assert (opened.labels, opened.thresholds) == (loaded.labels, loaded.thresholds)


def test_a_folder_without_a_student_is_refused_with_the_way_out(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"holds no student: it has no kdray\.json; name runs/"):
        open_student(tmp_path)
    stored(tmp_path / "students" / "0003")
    with pytest.raises(ConfigError, match=r"such as .*/students/0003"):
        open_student(tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "kdray.json"])
def test_a_damaged_student_is_refused_with_the_reason(tmp_path: Path, name: str):
    folder = stored(tmp_path / "student")
    (folder / name).write_text("{")
    with pytest.raises(ConfigError, match="cannot be loaded: "):
        open_student(folder)


def test_code_in_the_folder_is_not_run_unless_asked_for(tmp_path: Path):
    folder = stored(tmp_path / "student")
    text = (folder / "config.json").read_text()
    (folder / "config.json").write_text(text.replace("{", '{"auto_map": {"AutoModel": "x.X"},', 1))
    with pytest.raises(ConfigError, match="which is not run"):
        open_student(folder)
