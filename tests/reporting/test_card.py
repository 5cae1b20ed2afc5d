import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kdray.reporting.card import Taken, student_card
from kdray.reporting.summary import write_tables
from kdray.results.folder import SweepFolder, write_trial

from .conftest import MakeSweep, completed, verification

MINE = {"source": "files", "train": "/home/me/secret.csv", "text": "text", "labels": ["spam"]}
SCRATCH = {"model": None, "architecture": {"layers": 4, "hidden_size": 128}, "training": {}}
CONFIG = {"data": MINE, "teacher": SCRATCH, "evaluation": {"thresholds": "tuned"}}
ONNX = {
    "format": "onnx-int8",
    "inputs": ["input_ids", "attention_mask"],
    "size_mb": 0.5,
    "difference": 1e-6,
    "stored_mb": 1.0,
    "sparse": True,
    "latency_ms": 1.0,
    "torch_latency_ms": 3.0,
    "speedup": 3.0,
    "tokens": 20.0,
    "test": {"macro_f1": (0.478, 0.49)},
    "not_measured": "",
}


def stored(folder: Path, *, packed: bool = False) -> Path:
    """The files of a student that a card reads."""
    folder.mkdir()
    (folder / ("packed.safetensors" if packed else "model.safetensors")).touch()
    config = {"model_type": "bert", "num_hidden_layers": 2, "hidden_size": 128}
    (folder / "config.json").write_text(json.dumps(config))
    own = {"labels": ["spam"], "kind": "multi_label", "max_length": 64, "thresholds": [0.3]}
    (folder / "kdray.json").write_text(json.dumps(own))
    return folder


def taken(make_sweep: MakeSweep, **config: Any) -> Taken:
    trial = completed("0001", 0.5, 1, teacher_size_mb=8.0)
    folder = make_sweep(trial, completed("0002", 0.4, 2), **{**CONFIG, **config})
    (folder.trial("0001") / "config.yaml").write_text(
        yaml.safe_dump({"sections": {"training": {"seed": 3, "epochs": 2}}})
    )
    folder.verification_json.write_text(json.dumps(verification(data_digest="abc123")))
    write_trial(folder.baselines, completed("0001", 0.45, 1))
    write_tables(folder, duration_s=1, busy_s=1)
    student = stored(folder.root / "student", packed=True)
    return Taken(folder, trial, student, "mine", command="kdray best runs/demo --output student")


def measured_as(given: Taken, **metrics: float) -> Taken:
    return replace(given, result=completed("0001", 0.5, 1, **metrics))


def test_a_card_does_not_let_latencies_and_speed_up_contradict_each_other(make_sweep: MakeSweep):
    given = taken(make_sweep)
    assert "did other work" not in student_card(given)
    busy = {"latency_ms": 4.1, "latency_p95_ms": 57.0, "teacher_latency_ms": 9.0, "speedup": 3.2}
    card = student_card(measured_as(given, **busy))
    assert "| latency (ms) | 4.1 | 9.0 |" in card
    assert "about 3.2 times faster, timed on a busy machine" in card
    assert "That machine did other work meanwhile" in card


def matter_of(card: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card.split("---\n")[1])
    return found


def test_a_card_says_that_labels_alone_took_fewer_steps(make_sweep: MakeSweep):
    one = taken(make_sweep)
    assert "unlabelled" not in student_card(one)
    known = verification(labelled_share=0.125)
    one.folder.verification_json.write_text(json.dumps(known))
    write_tables(one.folder, duration_s=1, busy_s=1)
    assert "without the teacher. It trains without the unlabelled texts, so with 12 % of" in (
        student_card(one)
    )


def test_a_card_says_what_the_student_is_and_how_good_it_is(make_sweep: MakeSweep):
    card = student_card(taken(make_sweep))
    assert "# demo, trial 0001" in card
    assert "A text classifier (bert) of 2 layers, 128 wide" in card
    assert "| spam | 0.3 |" in card
    assert "kdray.load_student('mine')\nstudent.predict([\"a text\"])" in card
    # Student, teacher and twin on test, then on validation.
    assert "| macro-F1 | 0.490 | 0.760 | 0.440 | 0.500 | 0.770 | 0.450 |" in card
    assert "Validation selected the epoch, the thresholds, and this student" in card
    assert "trained without the teacher" in card
    assert "| size (MB) | 1.0 | 8.0 |" in card
    assert "Weights that pruning has set to zero are not stored" in card


def test_a_card_says_how_the_student_was_made_and_how_to_make_it_again(make_sweep: MakeSweep):
    card = student_card(taken(make_sweep))
    assert "a BERT of 4 layers, 128 wide, from scratch" in card
    assert "| pruning.ratio | 0.413 |" in card
    assert "`abc123`" in card
    assert "Seeds: 7 of the sweep (data, search), 3 of the training." in card
    assert "- torch 2.13.0" in card
    assert (
        "kdray sweep search_spaces/demo.yaml\n"
        "kdray best runs/demo --output student\n"
        "kdray trial runs/demo 0001 --output student\n"
    ) in card
    assert "one of 2 finished trials" in card
    assert "`kdray confirm runs/demo --seeds 3`" in card


def test_a_card_names_all_that_made_the_student_where_the_sweep_is(make_sweep: MakeSweep):
    given = taken(make_sweep)
    folder = replace(given.folder, typed="/shared/my runs/demo")
    content = yaml.safe_load(folder.sweep_yaml.read_text()) | {"resumed": [9, 13]}
    folder.sweep_yaml.write_text(yaml.safe_dump(content))
    folder.confirmation_json.write_text(json.dumps({"seeds": [1, 2], "trials": {"0001": [{}, {}]}}))
    card = student_card(replace(given, folder=folder, command=""))
    assert (
        "kdray sweep search_spaces/demo.yaml\n"
        "kdray resume '/shared/my runs/demo' --trials 9\n"
        "kdray resume '/shared/my runs/demo' --trials 13\n"
        "kdray confirm '/shared/my runs/demo' --seeds 2\n"
        "kdray trial '/shared/my runs/demo' 0001 --output student\n"
    ) in card


def test_a_card_tells_what_other_seeds_say_in_place_of_how_to_ask_them(make_sweep: MakeSweep):
    given = taken(make_sweep)
    assert "kdray confirm runs/demo --seeds 3" in student_card(given)
    runs = [{"seed": n, "metrics": {"macro_f1": 0.4 + 0.1 * n, "size_mb": 1.0}} for n in (1, 2)]
    confirmation = {"seeds": [1, 2], "trials": {"0001": runs}}
    given.folder.confirmation_json.write_text(json.dumps(confirmation))
    card = student_card(given)
    assert "With 2 other seeds its macro-F1 is 0.550 ± 0.635 on validation." in card
    assert "--seeds 3" not in card
    assert "is told above.\n- It was measured" in card


def test_the_front_matter_is_what_hubs_read_and_names_no_licence(make_sweep: MakeSweep):
    matter = matter_of(student_card(taken(make_sweep)))
    assert (matter["library_name"], matter["pipeline_tag"]) == ("kdray", "text-classification")
    assert "license" not in matter
    (result,) = matter["model-index"][0]["results"]
    assert result["dataset"] == {"name": "files", "type": "files", "split": "test"}
    assert {"type": "f1", "name": "macro-F1", "value": 0.49} in result["metrics"]


def test_a_card_shows_neither_files_nor_folders_of_the_owner(make_sweep: MakeSweep):
    teacher = {"model": "/home/me/models/my-bert", "training": None}
    card = student_card(taken(make_sweep, teacher=teacher))
    assert "my-bert, fine-tuned before the sweep" in card
    assert "/home" not in card
    assert "secret" not in card


def test_a_data_set_of_the_hub_is_named_with_its_revision(make_sweep: MakeSweep):
    data = {**MINE, "source": "hub", "name": "org/tweets", "config": "en", "revision": None}
    card = student_card(taken(make_sweep, data=data))
    assert "Data set org/tweets, configuration en, revision not pinned." in card
    assert matter_of(card)["model-index"][0]["results"][0]["dataset"]["type"] == "org/tweets"


def with_onnx(given: Taken, **changes: Any) -> str:
    folder = given.folder
    assert isinstance(folder, SweepFolder)
    onnx = {**ONNX, **changes}
    return student_card(Taken(folder, given.result, given.student, "mine", onnx))


def test_a_card_of_a_graph_says_what_became_of_size_speed_and_quality(make_sweep: MakeSweep):
    card = with_onnx(taken(make_sweep))
    assert "onnxruntime.InferenceSession('mine/model.onnx')" in card
    assert "| file (MB) | 0.5 | 1 |" in card
    assert "holds every zero; it is smaller all the same, as its weights are int8." in card
    headline = "0.478 macro-F1 on test at 0.5 MB in onnx-int8: 62.9 % of the teacher, 3.0 times"
    assert f"{headline} as fast as in torch." in card
    assert "| latency (ms), one text of 20 tokens, one thread | 1 | 3 |" in card
    assert "| macro_f1 on test | 0.478 | 0.490 |" in card
    assert "with the other texts of its batch" in card
    (metric,) = matter_of(card)["model-index"][0]["results"][0]["metrics"]
    assert metric["value"] == 0.478


def test_a_graph_that_is_larger_than_the_packed_file_says_so(make_sweep: MakeSweep):
    card = with_onnx(taken(make_sweep), format="onnx", size_mb=1.9)
    assert "a graph holds every zero, so it is larger. " in card


def test_int8_that_was_not_measured_has_no_results(make_sweep: MakeSweep):
    card = with_onnx(taken(make_sweep), test={}, not_measured="data.train: no such file")
    assert "was not measured: data.train: no such file" in card
    assert "0.5 MB in onnx-int8, 3.0 times as fast as in torch; its quality was not" in card
    assert "model-index" not in matter_of(card)


@pytest.mark.parametrize(("text", "example"), [("a", '["a text"]'), (["a", "b"], '("a text", "')])
def test_the_lines_of_python_know_pairs(make_sweep: MakeSweep, text: Any, example: str):
    card = student_card(taken(make_sweep, data={**MINE, "text": text}))
    assert f"student.predict([{example.strip('[]')}" in card
