import copy
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kdray.data.base import Labels
from kdray.models.int8 import SCALES
from kdray.models.packing import from_format, to_format
from kdray.models.student import Student, load_student, save_student, stored_mb
from tests import tiny

IDS = torch.tensor([[2, 9, 17, 3], [2, 8, 3, 0]])

# Runs in a new process: the logits of stored students, the first two without kdray.
NEW_PROCESS = """
import json, sys
from pathlib import Path
import torch
from transformers import AutoModelForSequenceClassification
plain, half, packed, int8, packed8 = map(Path, sys.argv[1:])
ids = torch.tensor([[2, 9, 17, 3], [2, 8, 3, 0]])
answers = {}
def note(name, model):
    with torch.no_grad():
        answers[name] = model(input_ids=ids, attention_mask=(ids > 0).long()).logits.tolist()
note("plain", AutoModelForSequenceClassification.from_pretrained(plain))
note("half", AutoModelForSequenceClassification.from_pretrained(half, dtype=torch.float32))
for name, folder in (("packed", packed), ("int8", int8)):
    try:
        AutoModelForSequenceClassification.from_pretrained(folder)
    except OSError as error:
        answers[f"refused {name}"] = str(error)
assert "kdray" not in sys.modules
import kdray
note("kdray plain", kdray.load_student(plain).model)
note("kdray half", kdray.load_student(half).model)
for name, folder in (("packed", packed), ("int8", int8), ("packed8", packed8)):
    note(name, kdray.load_student(folder).model)
student = kdray.load_student(packed)
answers["predict"] = student.predict(["you are lovely", "claim your discount now"])
answers["thresholds"] = student.thresholds
print(json.dumps(answers))
"""


def student(labels=tiny.MULTI, **changes):
    plain = Student(tiny.model(labels), tiny.tokenizer(), labels, 24)
    return replace(plain, **changes)


def pruned(ratio=0.6):
    """A student whose layers have lost a share of their weights."""
    made = student(thresholds=(0.3, 0.45, 0.6), card={"metrics": {"macro_f1": 0.5}})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in made.model.named_parameters():
            if "encoder.layer" in name and parameter.dim() > 1:
                parameter.mul_(torch.rand(parameter.shape, generator=generator) > ratio)
    return made


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS, attention_mask=(IDS > 0).long()).logits


def weights_file(folder):
    return folder / "packed.safetensors"


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    students = {
        "plain": student(),
        "half": student(number_format="float16"),
        "packed": pruned(),
        "int8": student(number_format="int8"),
        "packed8": replace(pruned(), number_format="int8"),
    }
    folders = {name: tmp_path_factory.mktemp(name) for name in students}
    for name, folder in folders.items():
        save_student(students[name], folder)
    return students, folders


@pytest.fixture(scope="module")
def answers(stored):
    command = [sys.executable, "-W", "error", "-c", NEW_PROCESS, *map(str, stored[1].values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", ["plain", "kdray plain", "packed"])
def test_a_new_process_gives_the_same_logits(name, stored, answers):
    expected = logits(stored[0][name.removeprefix("kdray ")].model)
    assert torch.allclose(torch.tensor(answers[name]), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["half", "kdray half", "int8", "packed8"])
def test_a_new_process_gives_the_logits_of_the_rounded_weights(name, stored, answers):
    made = stored[0][name.removeprefix("kdray ")]
    rounded = copy.deepcopy(made.model)
    rounded.load_state_dict(from_format(to_format(rounded.state_dict(), made.number_format)))
    assert not torch.equal(logits(rounded), logits(made.model))
    assert torch.allclose(torch.tensor(answers[name]), logits(rounded), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["packed", "int8"])
def test_plain_transformers_refuses_what_is_not_stored_plain(name, answers):
    assert "safetensors" in answers[f"refused {name}"]


def test_thresholds_and_tokenizer_come_along_to_a_new_process(stored, answers):
    assert answers["thresholds"] == [0.3, 0.45, 0.6]
    texts = ["you are lovely", "claim your discount now"]
    assert answers["predict"] == stored[0]["packed"].predict(texts)


@pytest.mark.parametrize("number_format", ["float32", "float16", "int8"])
@pytest.mark.parametrize("make", [student, pruned])
def test_the_size_is_what_the_file_takes_on_disk(make, number_format, tmp_path):
    made = replace(make(), number_format=number_format)
    size = save_student(made, tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    assert size == stored_mb(made) == file.stat().st_size / 1e6


def test_half_precision_takes_half_and_pruned_weights_take_less():
    full = stored_mb(student())
    assert stored_mb(student(number_format="float16")) == pytest.approx(full / 2, rel=0.15)
    assert stored_mb(pruned(0.9)) < stored_mb(pruned(0.6)) < full


def test_int8_is_smaller_than_half_precision_and_pruning_makes_it_smaller_still():
    whole, half_pruned = (
        stored_mb(Student(wide, tiny.tokenizer(), tiny.MULTI, 24, number_format="int8"))
        for wide in (tiny.model(width=128), _halved(tiny.model(width=128)))
    )
    full = stored_mb(Student(tiny.model(width=128), tiny.tokenizer(), tiny.MULTI, 24))
    assert whole == pytest.approx(full / 4, rel=0.1)
    # Half the values, and a bit a place.
    assert half_pruned == pytest.approx(whole * (1 / 2 + 1 / 8), rel=0.1)


def _halved(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.flatten()[::2] = 0
    return model


def test_a_student_in_int8_says_how_it_is_stored_and_that_it_computes_in_float(stored):
    card = json.loads((stored[1]["int8"] / "kdray.json").read_text())
    assert card["number_format"] == "int8"
    assert card["inference"] == "stored as int8 with a float32 scale a row, computed in float32"
    again = load_student(stored[1]["int8"])
    assert {p.dtype for p in again.model.parameters()} == {torch.float32}
    assert again.card == {}


def test_a_student_of_an_older_version_says_nothing_of_inference_and_loads(tmp_path):
    save_student(student(), tmp_path)
    card = json.loads((tmp_path / "kdray.json").read_text())
    del card["inference"]
    (tmp_path / "kdray.json").write_text(json.dumps(card))
    assert load_student(tmp_path).card == {}


@pytest.mark.parametrize("damage", ["no scales", "too few"])
def test_int8_weights_without_their_scales_are_refused(damage, stored, tmp_path):
    save_student(stored[0]["packed8"], tmp_path)
    tensors = load_file(tmp_path / "packed.safetensors")
    name = next(key for key in tensors if key.endswith(SCALES))
    scales = tensors.pop(name)
    save_file(
        tensors if damage == "no scales" else tensors | {name: scales[1:]}, weights_file(tmp_path)
    )
    with pytest.raises(ValueError, match="do not have a scale for each row"):
        load_student(tmp_path)


def test_a_student_that_was_loaded_is_stored_as_the_same_bytes(stored, tmp_path):
    save_student(load_student(stored[1]["packed8"]), tmp_path)
    first = weights_file(stored[1]["packed8"]).read_bytes()
    assert weights_file(tmp_path).read_bytes() == first


def test_a_student_that_was_never_pruned_is_stored_plain(tmp_path):
    made = student()
    assert not made.model.classifier.bias.any()
    save_student(made, tmp_path)
    assert (tmp_path / "model.safetensors").exists()


def test_storing_a_student_does_not_change_it(tmp_path):
    made = student(number_format="float16")
    before, weights = made.model.config.to_dict(), logits(made.model)
    save_student(made, tmp_path)
    assert made.model.config.to_dict() == before
    assert torch.equal(logits(made.model), weights)


def test_a_student_stored_over_another_leaves_nothing_of_it(tmp_path):
    save_student(student(), tmp_path)
    second = pruned()
    save_student(second, tmp_path)
    assert [file.name for file in tmp_path.glob("*.safetensors")] == ["packed.safetensors"]
    assert torch.equal(logits(load_student(tmp_path).model), logits(second.model))


def test_everything_but_the_weights_comes_back_as_it_was(stored):
    made = stored[0]["packed"]
    again = load_student(stored[1]["packed"])
    for name in ("labels", "max_length", "thresholds", "number_format", "card"):
        assert getattr(again, name) == getattr(made, name)


def test_the_tokenizer_comes_back_as_it_was(stored):
    texts = ["You are LOVELY, are you?", "ব্যাঙ", "nose and jaw"]
    before, after = tiny.tokenizer(), load_student(stored[1]["plain"]).tokenizer
    assert before(texts)["input_ids"] == after(texts)["input_ids"]
    assert after.is_fast


@pytest.mark.parametrize("missing", ["kdray.json", "model.safetensors"])
def test_a_folder_without_a_student_is_said_to_be_one(missing, tmp_path):
    save_student(student(), tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=r"kdray\.json|holds no weights"):
        load_student(tmp_path)


def test_labels_over_their_threshold_are_predicted():
    made = student()
    scores = made.probabilities(["you are lovely"])[0]
    names = np.array(made.labels.names)
    assert made.predict(["you are lovely"]) == [names[scores > 0.5].tolist()]
    low = replace(made, thresholds=tuple(float(score) - 0.01 for score in scores))
    assert low.predict(["you are lovely"]) == [names.tolist()]
    high = replace(made, thresholds=tuple(float(score) + 0.01 for score in scores))
    assert high.predict(["you are lovely"]) == [[]]


def test_the_likeliest_class_is_predicted():
    made = student(tiny.SINGLE)
    scores = made.probabilities(["you are lovely", "the soup"])
    assert np.allclose(scores.sum(-1), 1, atol=1e-6)
    assert made.predict(["you are lovely", "the soup"]) == [
        [made.labels.names[index]] for index in scores.argmax(-1)
    ]


def test_pairs_of_texts_are_predicted_as_pairs():
    made = student()
    pair, first = made.probabilities([("you are", "lovely")]), made.probabilities(["you are"])
    assert not np.allclose(pair, first)


def test_no_texts_have_no_predictions():
    assert student().predict([]) == []
    assert student().probabilities([]).shape == (0, 3)


def test_one_label_alone_is_predicted():
    made = student(Labels(("spam",), "multi_label"), thresholds=(0.0,))
    assert made.predict(["claim"]) == [["spam"]]
