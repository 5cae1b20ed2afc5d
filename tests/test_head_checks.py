"""Methods that split attention into parts meet students whose heads pruning takes."""

from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from kdray.head_checks import head_problems
from tests.tiny_sweep import tiny_config

TEACHER = BertConfig(
    hidden_size=16, num_attention_heads=4, num_hidden_layers=2, intermediate_size=32
)


def told(folder: Path, pruning: Any, parts: Any, **changes: Any) -> list[str]:
    method = {"method": {"choice": ["logit", "minilm"]}, "relation_heads": parts}
    student = changes.pop("student", {"layers": 2})
    config = tiny_config(folder, student=student, pruning=pruning, distillation=method, **changes)
    return [str(problem) for problem in head_problems(config.space, TEACHER, {})]


@pytest.mark.parametrize("method", ["width", "heads"])
def test_relation_heads_divide_every_width_that_pruning_may_leave(
    tmp_path: Path, method: str
) -> None:
    pruning = {"method": method, "ratio": 0.25}
    (problem,) = told(tmp_path, pruning, 8)
    assert problem.startswith("distillation.relation_heads: must divide both widths, ")
    assert "or auto; " in problem
    assert f"{method} may leave a student " in problem
    for parts in (1, 2, 4, "auto"):
        assert told(tmp_path, pruning, parts) == []
    assert told(tmp_path, {"method": method, "ratio": {"uniform": [0.25, 0.5]}}, 8)


def test_width_leaves_heads_that_can_be_told_beforehand_stage_by_stage(tmp_path: Path) -> None:
    half = {"method": "width", "ratio": 0.5}
    assert told(tmp_path, half, 8) == []  # two heads of four, 8 wide
    staged = half | {"schedule": {"stages": 2}}
    (problem,) = told(tmp_path, staged, 8, training={"epochs": 2})
    assert "width may leave a student 3 of its 4 heads" in problem
    (problem,) = told(tmp_path, half | {"importance_threshold": 2.0}, 8)
    assert "3 of its 4" in problem


def test_a_student_from_scratch_loses_heads_of_its_own(tmp_path: Path) -> None:
    scratch = {"initial": "scratch", "layers": None}
    shape = {"layers": 1, "hidden_size": 16, "heads": 8, "intermediate_size": 32}
    pruning = {"method": "width", "ratio": 0.5}
    assert told(tmp_path, pruning, 8, student=scratch | {"architecture": shape}) == []
    shape["heads"] = 4
    pruning["ratio"] = 0.25
    assert told(tmp_path, pruning, 8, student=scratch | {"architecture": shape})


def test_what_takes_no_heads_suits_every_number_of_parts(tmp_path: Path) -> None:
    for method in ("magnitude", "ffn", "layers"):
        assert told(tmp_path, {"method": method, "ratio": 0.5}, 8) == []
