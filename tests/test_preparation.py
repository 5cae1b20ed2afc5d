from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from kdray.errors import ConfigError
from kdray.models.building import thaw
from kdray.preparation import PreparedSweep, prepare, rebuild, store, teacher_digest
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig
from tests.tiny_sweep import tiny_config


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepConfig, PreparedSweep]:
    config = tiny_config(tmp_path_factory.mktemp("space"))
    return config, prepare(config)


def test_the_teacher_reads_the_training_set_once(
    prepared: tuple[SweepConfig, PreparedSweep],
) -> None:
    sweep = prepared[1]
    assert sweep.outputs.forward_examples == len(sweep.splits["train"]) == 200


def test_only_the_layers_that_a_drawable_method_reads_are_kept(tmp_path: Path) -> None:
    assert prepare(tiny_config(tmp_path)).outputs.hidden.keys() == {1, 2}
    changes = {"student": {"layers": 1}, "distillation": {"method": "hidden"}}
    outputs = prepare(tiny_config(tmp_path, **changes)).outputs
    assert outputs.hidden.keys() == {2}
    assert not outputs.attentions


def test_nothing_that_trials_share_can_be_written_to(
    prepared: tuple[SweepConfig, PreparedSweep],
) -> None:
    weights = next(iter(prepared[1].teacher.weights.values()))
    with pytest.raises(ValueError, match="read-only"):
        weights[...] = 0


def test_a_sweep_is_rebuilt_from_its_folder_as_it_was(
    prepared: tuple[SweepConfig, PreparedSweep], tmp_path: Path
) -> None:
    config, sweep = prepared
    folder = SweepFolder(tmp_path / "s")
    store(sweep, folder)
    again = rebuild(config, folder)
    assert teacher_digest(again.teacher) == teacher_digest(sweep.teacher)
    assert again.verified == sweep.verified
    assert np.array_equal(again.outputs.logits, sweep.outputs.logits)
    for name, split in sweep.splits.items():
        ids: Any = split.columns["input_ids"]
        same: Any = again.splits[name].columns["input_ids"]
        assert np.array_equal(ids.values, same.values)


def test_the_teacher_on_disk_is_a_plain_transformers_folder(
    prepared: tuple[SweepConfig, PreparedSweep], tmp_path: Path
) -> None:
    folder = SweepFolder(tmp_path / "s")
    store(prepared[1], folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder.teacher)
    words = AutoTokenizer.from_pretrained(folder.teacher)(["a text"], return_tensors="pt")
    expected = thaw(prepared[1].teacher)(**words).logits
    assert (model(**words).logits - expected).abs().max() < 1e-5
    assert model.config.id2label[0] == "bully"


def test_a_teacher_that_is_fine_tuned_already_is_used_as_it_is(
    prepared: tuple[SweepConfig, PreparedSweep], tmp_path: Path
) -> None:
    folder = SweepFolder(tmp_path / "s")
    store(prepared[1], folder)
    teacher = {"model": "s/teacher", "architecture": None}
    loaded = prepare(tiny_config(tmp_path, "teacher.training=null", teacher=teacher))
    assert teacher_digest(loaded.teacher) == teacher_digest(prepared[1].teacher)
    assert loaded.verified.metrics["macro_f1"] == prepared[1].verified.metrics["macro_f1"]


def test_a_teacher_with_other_labels_is_refused(
    prepared: tuple[SweepConfig, PreparedSweep], tmp_path: Path
) -> None:
    store(prepared[1], SweepFolder(tmp_path / "s"))
    changes: dict[str, Any] = {
        "data": {"labels": ["sexual", "bully"]},
        "teacher": {"model": "s/teacher", "architecture": None},
    }
    config = tiny_config(tmp_path, "teacher.training=null", **changes)
    with pytest.raises(ConfigError, match=r"teacher\.model: .* but the data have"):
        prepare(config)


def test_a_student_deeper_than_a_loaded_teacher_is_refused_before_any_training(
    prepared: tuple[SweepConfig, PreparedSweep], tmp_path: Path
) -> None:
    store(prepared[1], SweepFolder(tmp_path / "s"))
    teacher = {"model": "s/teacher", "architecture": None}
    config = tiny_config(tmp_path, teacher=teacher, student={"layers": 3})
    with pytest.raises(ConfigError, match=r"student\.layers: must be at most the teacher's 2"):
        prepare(config, pytest.fail)


def test_an_objective_that_cannot_be_measured_is_refused(
    prepared: tuple[SweepConfig, PreparedSweep],
) -> None:
    config = replace(prepared[0], objectives={"f1_bulli": "maximize"})
    with pytest.raises(ConfigError, match=r"objectives\.f1_bulli: no such class"):
        prepare(config)
