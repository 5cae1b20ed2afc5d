import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kdray.errors import ExportError
from kdray.exporting.reading import open_student
from kdray.exporting.writing import export_student
from kdray.models.student import Student, load_student, save_student
from tests import tiny

TEXTS = ["you are lovely", "soup", "i will break your nose and your jaw " * 3]

# Runs in a new process: what onnxruntime and tokenizers make of a folder.
ALONE = """
import json, sys
import numpy, onnxruntime, tokenizers
folder, texts = sys.argv[1], json.loads(sys.argv[2])
read = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json").encode_batch(texts)
feed = {
    "input_ids": numpy.array([one.ids for one in read]),
    "attention_mask": numpy.array([one.attention_mask for one in read]),
}
logits = onnxruntime.InferenceSession(f"{folder}/model.onnx").run(["logits"], feed)[0]
assert not {"torch", "kdray", "transformers"} & set(sys.modules)
print(json.dumps((1 / (1 + numpy.exp(-logits))).tolist()))
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sparse student with thresholds of its own."""
    folder = tmp_path_factory.mktemp("stored") / "student"
    model = tiny.model(layers=1, width=64, vocab_size=200)
    weight = model.bert.embeddings.word_embeddings.weight
    weight.data *= (weight.abs() > 0.2).float()
    card = {"columns": {"text": ["comment"], "labels": list(tiny.MULTI.names)}}
    made = Student(model, tiny.tokenizer(), tiny.MULTI, tiny.LENGTH, (0.3, 0.45, 0.6), card=card)
    save_student(made, folder)
    assert (folder / "packed.safetensors").exists()
    return folder


def copied(stored: Path, folder: Path) -> Path:
    import shutil

    return Path(shutil.copytree(stored, folder))


def alone(folder: Path) -> np.ndarray:
    command = [sys.executable, "-c", ALONE, str(folder), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return np.array(json.loads(done.stdout))


def test_onnxruntime_and_tokenizers_alone_give_the_same_probabilities(stored: Path, tmp_path: Path):
    folder, student = copied(stored, tmp_path / "out"), load_student(stored)
    known = export_student(folder, "onnx")
    assert known.difference <= 1e-4
    assert known.inputs == ("input_ids", "attention_mask")
    assert np.abs(alone(folder) - student.probabilities(TEXTS)).max() < 1e-4

    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "kdray.json",
        "model.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert known.size_mb == (folder / "model.onnx").stat().st_size / 1e6
    assert known.size_mb > (stored / "packed.safetensors").stat().st_size / 1e6
    card = json.loads((folder / "kdray.json").read_text())
    assert (card["format"], card["thresholds"]) == ("onnx", [0.3, 0.45, 0.6])

    read = open_student(folder)
    assert read.thresholds == student.thresholds
    assert read.card["columns"]["text"] == ["comment"]


def test_int8_is_smaller_and_near(stored: Path, tmp_path: Path):
    whole = copied(stored, tmp_path / "whole")
    rounded = copied(stored, tmp_path / "rounded")
    size = export_student(whole, "onnx").size_mb
    known = export_student(rounded, "onnx-int8")
    assert known.difference <= 1e-4  # before it is rounded
    assert known.size_mb < size / 2
    difference = np.abs(alone(rounded) - load_student(stored).probabilities(TEXTS)).max()
    assert 0 < difference < 0.1
    assert "int8" in json.loads((rounded / "kdray.json").read_text())["inference"]
    assert not list(rounded.glob("*.int8"))


def test_a_student_whose_texts_only_python_can_read_is_refused(stored: Path, tmp_path: Path):
    folder = copied(stored, tmp_path / "out")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ExportError, match=r"no tokenizer\.json"):
        export_student(folder, "onnx")
    assert (folder / "packed.safetensors").exists()
