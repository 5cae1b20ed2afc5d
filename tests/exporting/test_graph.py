from pathlib import Path

import numpy as np
import pytest
import torch

from kdray.data.batches import sorted_batches
from kdray.errors import ExportError
from kdray.exporting import graph
from kdray.exporting.graph import TOLERANCE, missing_packages, write_graph
from kdray.exporting.probing import probe_dataset
from kdray.exporting.session import open_session, session_logits
from kdray.models.building import layer_list
from kdray.models.classifier import change_classifier
from kdray.models.heads import note_heads, resize_heads
from kdray.models.inference import predict_logits
from kdray.models.student import Student
from tests import tiny


def student(**settings):
    return Student(tiny.model(**settings), tiny.tokenizer(), tiny.MULTI, tiny.LENGTH)


def other_mean():
    made = student()
    change_classifier(made.model, "mean", 8)
    return made


def unequal_heads():
    made = student(family="distilbert", heads=4)
    resize_heads(layer_list(made.model)[1], 16, [3, 1])
    note_heads(made.model.config, [3, 1])
    return made


def largest_difference(made, file, pairs=False):
    """Over examples that are not those of the check, alone and in padded batches."""
    session, worst = open_session(file), 0.0
    examples = tiny.dataset(lengths=(1, 2, 5, 16, 9, 4, 16)) if not pairs else None
    texts = examples or probe_dataset(made, pairs)
    wanted = predict_logits(made.model, texts)
    for positions in (1, 40, 1000):
        found = session_logits(session, texts, positions)
        worst = max(worst, float(np.abs(found - wanted).max()))
    return worst


def test_a_graph_with_the_mean_and_a_head_of_two_layers_says_what_the_student_says(tmp_path: Path):
    made, file = other_mean(), tmp_path / "model.onnx"
    assert write_graph(made, probe_dataset(made, pairs=False), file) <= TOLERANCE
    assert largest_difference(made, file) <= TOLERANCE
    assert [name.name for name in open_session(file).get_inputs()] == [
        "input_ids",
        "attention_mask",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        unequal_heads,
        lambda: student(family="roberta"),
        lambda: student(family="electra"),
        lambda: student(family="albert"),
    ],
    ids=["distilbert with unequal heads", "roberta", "electra", "albert"],
)
def test_the_graph_of_every_family_says_what_the_student_says(make, tmp_path: Path):
    made, file = make(), tmp_path / "model.onnx"
    write_graph(made, probe_dataset(made, pairs=False), file)
    assert largest_difference(made, file) <= TOLERANCE


@pytest.mark.slow
def test_a_graph_of_pairs_tells_their_texts_apart(tmp_path: Path):
    made, file = student(), tmp_path / "model.onnx"
    write_graph(made, probe_dataset(made, pairs=True), file)
    assert "token_type_ids" in [name.name for name in open_session(file).get_inputs()]
    assert largest_difference(made, file, pairs=True) <= TOLERANCE


def test_a_graph_that_says_something_else_is_an_error_and_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made, file = student(layers=1), tmp_path / "model.onnx"
    written = graph._export

    def damaged(made, inputs, file):
        before = made.model.classifier.bias.detach().clone()
        with torch.no_grad():
            made.model.classifier.bias += 0.001
        written(made, inputs, file)
        with torch.no_grad():
            made.model.classifier.bias.copy_(before)

    monkeypatch.setattr(graph, "_export", damaged)
    with pytest.raises(ExportError, match=r"differs from the student by 0\.001 in a logit"):
        write_graph(made, probe_dataset(made, pairs=False), file)
    assert not file.exists()


def test_a_model_that_cannot_be_traced_is_an_error_with_the_reason(tmp_path: Path):
    made = student(layers=1)
    made.model.bert.register_forward_hook(lambda *_: torch.zeros(1).nonzero().item())
    with pytest.raises(ExportError, match="cannot be written as ONNX: "):
        write_graph(made, probe_dataset(made, pairs=False), tmp_path / "model.onnx")


def test_a_missing_package_is_told_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
):
    assert missing_packages("--format onnx") == []
    monkeypatch.setattr(graph, "_NEEDED", ("onnx", "no_such_package"))
    (problem,) = missing_packages("--format onnx")
    assert "no_such_package" in problem.message
    assert 'pip install "kdray[onnx]"' in problem.message


def test_the_probe_has_short_texts_and_the_longest_that_fits():
    lengths = probe_dataset(student(), pairs=False).lengths
    assert len(set(lengths.tolist())) > 2
    assert lengths.max() == tiny.LENGTH
    batches = sorted_batches(probe_dataset(student(), pairs=True), torch.device("cpu"))
    assert "token_type_ids" in next(batches).inputs
