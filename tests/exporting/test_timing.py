from pathlib import Path

from kdray.exporting.graph import write_graph
from kdray.exporting.probing import probe_dataset
from kdray.exporting.timing import timed_beside
from kdray.models.student import Student
from tests import tiny


def test_a_graph_is_timed_in_turn_with_its_model(tmp_path: Path):
    student = Student(tiny.model(layers=1), tiny.tokenizer(), tiny.MULTI, tiny.LENGTH)
    probe, file = probe_dataset(student, pairs=False), tmp_path / "model.onnx"
    write_graph(student, probe, file)
    timed = timed_beside(student.model, file, probe)
    assert timed["latency_ms"] > 0
    assert timed["torch_latency_ms"] > 0
    assert timed["speedup"] > 0
    assert timed["tokens"] == tiny.LENGTH
