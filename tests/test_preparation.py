import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from kdray.data.corpus import LABELS, make_corpus
from kdray.errors import ConfigError
from kdray.models.building import thaw
from kdray.preparation import PreparedSweep, describe, prepare, rebuild
from kdray.results.folder import PREDICTIONS, TEXTS, TRUTH, SweepFolder
from kdray.schema import SweepConfig
from kdray.teacher.cache import Plan
from kdray.teacher.keeping import Place
from kdray.teachers import teacher_digest
from tests.tiny_sweep import tiny_config


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> SweepFolder:
    return SweepFolder(tmp_path_factory.mktemp("space") / "s")


@pytest.fixture(scope="module")
def prepared(folder: SweepFolder) -> tuple[SweepConfig, PreparedSweep]:
    config = tiny_config(folder.root.parent)
    return config, prepare(config, place=Place(folder))


def test_the_teacher_reads_the_training_set_once(
    prepared: tuple[SweepConfig, PreparedSweep],
) -> None:
    sweep = prepared[1]
    assert sweep.outputs.forward_examples == len(sweep.splits["train"]) == 200


def test_only_the_layers_that_a_drawable_method_reads_are_kept(tmp_path: Path) -> None:
    changes = {"student": {"layers": 1}, "distillation": {"method": "hidden"}}
    outputs = prepare(tiny_config(tmp_path, **changes)).outputs
    assert outputs.columns.keys() == {"logits", "hidden.2"}


def test_nothing_that_trials_share_can_be_written_to(
    prepared: tuple[SweepConfig, PreparedSweep],
) -> None:
    weights = next(iter(prepared[1].teacher.weights.values()))
    with pytest.raises(ValueError, match="read-only"):
        weights[...] = 0


def test_a_sweep_is_rebuilt_from_its_folder_as_it_was_without_running_the_teacher(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder
) -> None:
    config, sweep = prepared
    again = rebuild(config, Place(folder))
    assert again.outputs.forward_examples == 0
    assert json.loads(folder.verification_json.read_text())["forward_examples"] == 200
    assert teacher_digest(again.teacher) == teacher_digest(sweep.teacher)
    assert again.verified == sweep.verified
    assert again.outputs.columns.keys() == sweep.outputs.columns.keys()
    for name in sweep.outputs.columns:
        assert np.array_equal(again.outputs.array(name), sweep.outputs.array(name))
    for name, split in sweep.splits.items():
        ids: Any = split.columns["input_ids"]
        same: Any = again.splits[name].columns["input_ids"]
        assert np.array_equal(ids.values, same.values)


def test_the_teacher_on_disk_is_a_plain_transformers_folder(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder
) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(folder.teacher)
    words = AutoTokenizer.from_pretrained(folder.teacher)(["a text"], return_tensors="pt")
    expected = thaw(prepared[1].teacher)(**words).logits
    assert (model(**words).logits - expected).abs().max() < 1e-5
    assert model.config.id2label[0] == "bully"


def test_a_teacher_that_is_fine_tuned_already_is_used_as_it_is(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder
) -> None:
    base, teacher = folder.root.parent, {"model": "s/teacher", "architecture": None}
    loaded = prepare(tiny_config(base, "teacher.training=null", teacher=teacher))
    assert teacher_digest(loaded.teacher) == teacher_digest(prepared[1].teacher)
    assert loaded.verified.metrics["macro_f1"] == prepared[1].verified.metrics["macro_f1"]


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_a_second_sweep_on_the_same_teacher_and_data_reuses_its_outputs(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder, where: str
) -> None:
    base, lines = folder.root.parent, list[str]()
    teacher = {"model": "s/teacher", "architecture": None, "cache": {"where": where}}
    config = tiny_config(base, "teacher.training=null", teacher=teacher)
    second = prepare(config, lines.append, Place(SweepFolder(base / where)))
    assert second.outputs.forward_examples == 0
    assert "taken from an earlier sweep" in lines[-1]
    for name in second.outputs.columns:
        assert np.array_equal(second.outputs.array(name), prepared[1].outputs.array(name))


def test_a_teacher_that_fails_on_the_training_set_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("kdray.teacher.keeping.compute_outputs", full)
    with pytest.raises(OSError, match="disk full"):
        prepare(tiny_config(tmp_path), place=Place(SweepFolder(tmp_path / "s")))
    assert not list((tmp_path / "s").iterdir())


def test_noise_is_made_once_and_again_the_same_when_a_sweep_is_rebuilt(tmp_path: Path) -> None:
    noise = {"robustness": {"noise": [0.1]}}
    config, place = tiny_config(tmp_path, evaluation=noise), Place(SweepFolder(tmp_path / "s"))
    lines = list[str]()
    before = prepare(config, lines.append, place)
    assert "data: 200 train, 80 validation, 80 test" in lines
    after = rebuild(config, place)
    for name in ("validation_noise_10", "test_noise_10"):
        ids = [values(sweep, name) for sweep in (before, after)]
        assert np.array_equal(*ids)
        assert not np.array_equal(ids[0], values(before, name.partition("_")[0]))
    other = prepare(replace(config, seed=1))
    assert not np.array_equal(values(other, "test_noise_10"), values(before, "test_noise_10"))


def values(sweep: PreparedSweep, split: str) -> Any:
    ids: Any = sweep.splits[split].columns["input_ids"]
    return ids.values


def test_what_the_teacher_says_and_what_is_true_is_on_disk(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder
) -> None:
    sweep = prepared[1]
    said, true = np.load(folder.teacher / PREDICTIONS), np.load(folder.teacher / TRUTH)
    assert said["test"].shape == true["test"].shape == (80, 5)
    assert np.array_equal(true["validation"], sweep.splits["validation"].targets)
    assert tuple(true["labels"]) == sweep.labels.names
    assert said["thresholds"].tolist() == [0.5] * 5
    assert ((said["test"] > 0) == true["test"]).all(1).mean() == pytest.approx(
        sweep.verified.metrics["test_accuracy"]
    )
    texts = json.loads((folder.teacher / TEXTS).read_text())["test"]
    assert len(texts) == 80


def test_texts_of_third_parties_are_not_written_for_the_report(tmp_path: Path) -> None:
    make_corpus(200, 0).to_csv(tmp_path / "train.csv", index=False)
    rows = ("train_rows", "validation_rows", "test_rows")
    data = {"source": "files", "train": "train.csv", "labels": list(LABELS)}
    config = tiny_config(tmp_path, data={**data, **dict.fromkeys(rows)})
    folder = SweepFolder(tmp_path / "s")
    prepare(config, place=Place(folder))
    assert (folder.teacher / TRUTH).exists()
    assert not (folder.teacher / TEXTS).exists()


def test_a_sweep_is_not_rebuilt_on_other_data(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder, tmp_path: Path
) -> None:
    other = tiny_config(tmp_path, data={"validation_rows": 81})
    with pytest.raises(ConfigError, match=r"data: are not those that .* began with"):
        rebuild(other, Place(folder))


def test_a_sweep_whose_outputs_are_gone_computes_them_again(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder, tmp_path: Path
) -> None:
    copy = SweepFolder(tmp_path / "s")
    shutil.copytree(folder.teacher, copy.teacher)
    shutil.rmtree(copy.teacher_outputs)
    again = rebuild(prepared[0], Place(copy))
    assert again.outputs.forward_examples == 200
    assert json.loads(copy.verification_json.read_text())["forward_examples"] == 400
    for name in prepared[1].outputs.columns:
        assert np.array_equal(again.outputs.array(name), prepared[1].outputs.array(name))


def test_a_sweep_without_a_cache_runs_the_teacher_over_nothing_beforehand(tmp_path: Path) -> None:
    config = tiny_config(tmp_path, teacher={"cache": {"where": "off"}})
    folder, lines = SweepFolder(tmp_path / "s"), list[str]()
    sweep = prepare(config, lines.append, Place(folder))
    assert not sweep.outputs.columns
    assert lines[-1].endswith(
        f"{', '.join(sweep.outputs.plan.in_loop)} in the loop (teacher.cache)"
    )
    assert json.loads(folder.verification_json.read_text())["forward_examples"] == 0
    again = rebuild(config, Place(folder))
    assert not again.outputs.columns
    assert sweep.cache == again.cache == config.teacher.cache


def test_it_is_said_where_the_outputs_are(
    prepared: tuple[SweepConfig, PreparedSweep],
) -> None:
    plan = Plan(("logits",), ("hidden.1",), ("attentions.1", "attentions.2"))
    outputs = replace(prepared[1].outputs, plan=plan, reused=True)
    assert describe(outputs) == (
        "0 MB in memory, 0 MB on disk, attentions.1, attentions.2 in the loop (teacher.cache), "
        "taken from an earlier sweep"
    )


def test_a_teacher_with_other_labels_is_refused(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder
) -> None:
    changes: dict[str, Any] = {
        "data": {"labels": ["sexual", "bully"]},
        "teacher": {"model": "s/teacher", "architecture": None},
    }
    config = tiny_config(folder.root.parent, "teacher.training=null", **changes)
    with pytest.raises(ConfigError, match=r"teacher\.model: .* but the data have"):
        prepare(config)


def test_a_student_deeper_than_a_loaded_teacher_is_refused_before_any_training(
    prepared: tuple[SweepConfig, PreparedSweep], folder: SweepFolder
) -> None:
    teacher = {"model": "s/teacher", "architecture": None}
    config = tiny_config(folder.root.parent, teacher=teacher, student={"layers": 3})
    with pytest.raises(ConfigError, match=r"student\.layers: must be at most the teacher's 2"):
        prepare(config, pytest.fail)


def test_an_objective_that_cannot_be_measured_is_refused(
    prepared: tuple[SweepConfig, PreparedSweep],
) -> None:
    config = replace(prepared[0], objectives={"f1_bulli": "maximize"})
    with pytest.raises(ConfigError, match=r"objectives\.f1_bulli: no such class"):
        prepare(config)


def test_a_constraint_that_no_student_can_be_measured_by_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,mood\n" + "good,up\nbad,down\nso,level\n" * 9)
    # Without the third class in validation there is no AUROC.
    (tmp_path / "validation.csv").write_text("text,mood\nawful,down\nfine,up\n")
    (tmp_path / "test.csv").write_text("text,mood\nnice,up\nworse,down\nmeh,level\n")
    data = {"source": "files", "labels": "mood", "train_rows": None, "validation_rows": None}
    files = {name: f"{name}.csv" for name in ("train", "validation", "test")}
    bounds = {"auroc": {"minimum": 0.5}, "retention": {"minimum": 0.9}}
    config = tiny_config(
        tmp_path,
        data={**data, **files, "test_rows": None},
        constraints={**bounds, "latency_ms": {"maximum": 5.0}, "speedup": {"minimum": 1.0}},
    )
    with pytest.raises(ConfigError) as caught:
        prepare(config)
    assert [str(problem) for problem in caught.value.problems] == [
        "constraints.auroc: cannot be measured: not every class is in validation"
    ]
