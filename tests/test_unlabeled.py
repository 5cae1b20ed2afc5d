"""Transfer data: what a teacher says of texts without labels teaches, and no label is made up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdray import pupils
from kdray.commands.spaces import validate_space
from kdray.commands.speaking import Voice
from kdray.data.base import Labels
from kdray.data.batches import Batch, make_batch
from kdray.data.dataset import learnt_from
from kdray.data.texts import Texts
from kdray.distillation.base import Match
from kdray.distillation.logit import Logit
from kdray.distillation.objective import distillation_terms
from kdray.models.outputs import Outputs, forward
from kdray.preparation import PreparedSweep, prepare, rebuild
from kdray.results.records import EpochReport
from kdray.teacher.keeping import Place
from kdray.training.course import Checkpoints
from kdray.training.losses import Truth
from kdray.trial import Finished, run_trial
from tests import tiny
from tests.distillation.lesson import gradient
from tests.learnable import (
    MULTI,
    SINGLE,
    TRAINING,
    Made,
    made,
    texts,
    trial,
    write_data,
    write_teacher,
)
from tests.spaces import told
from tests.tiny_sweep import tiny_config, write_space

CPU = torch.device("cpu")
MORE = 150


def section(base: Path, labels: Labels) -> dict[str, Any]:
    data = write_data(base, labels)
    known = texts(312, 0)["text"]
    more = [text for text in texts(600, 3)["text"] if text not in set(known)][:MORE]
    train = list(known[:2])
    (base / "more.txt").write_text("\n".join([*more, *train]), encoding="utf-8")
    teacher = {"model": write_teacher(base, "one", labels), "architecture": None}
    return {
        "data": data | {"unlabeled": "more.txt"},
        "teacher": {**teacher, "training": TRAINING, "verify": {"minimum": 0.4}},
        "pruning": {"method": "vocabulary", "ratio": 0.1},
        "distillation": {"method": {"choice": ["logit", "none"]}, "alpha": None},
    }


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Made:
    base = tmp_path_factory.mktemp("single")
    return made(base, section(base, SINGLE))


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Made:
    base = tmp_path_factory.mktemp("multi")
    return made(base, section(base, MULTI))


@pytest.fixture(params=["single", "multi"])
def transfer(request: pytest.FixtureRequest) -> Made:
    found: Made = request.getfixturevalue(request.param)
    return found


def steps(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """Collects the batches whose terms are computed."""
    seen, made_terms = list[Batch](), pupils.distillation_terms

    def terms(*arguments: Any) -> Callable[..., Any]:
        compute = made_terms(*arguments)
        return lambda batch, progress: (seen.append(batch), compute(batch, progress))[1]

    monkeypatch.setattr(pupils, "distillation_terms", terms)
    return seen


def test_the_teacher_reads_them_once_with_the_training_set(transfer: Made) -> None:
    assert transfer.sweep.outputs.forward_examples == 192 + MORE
    assert transfer.sweep.outputs.array("logits").shape == (192 + MORE, 3)
    assert f"data: 192 train, 60 validation, 60 test, {MORE} unlabeled" in transfer.lines
    left_out = "data.unlabeled: 2 texts that are in train, or twice in the file, are left out"
    assert left_out in transfer.lines
    assert not [name for name in transfer.sweep.verified.metrics if "unlabeled" in name]


def test_a_sweep_with_them_is_rebuilt_without_running_the_teacher(transfer: Made) -> None:
    again = rebuild(transfer.config, Place(transfer.folder))
    assert again.outputs.forward_examples == 0
    assert again.verified == transfer.sweep.verified
    assert again.verified.labelled_share == 192 / (192 + MORE)
    assert len(again.splits["unlabeled"]) == MORE
    assert isinstance((again.texts or {})["unlabeled"], Texts)


def test_the_teacher_itself_learns_from_labels_alone(
    tmp_path: Path, single: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = section(tmp_path, SINGLE)
    del changes["data"]["unlabeled"]
    assert prepare(tiny_config(tmp_path, **changes)).verified.digest == single.sweep.verified.digest


@pytest.mark.parametrize("labels", [SINGLE, MULTI], ids=["single", "multi"])
def test_the_hard_term_is_that_of_the_examples_with_labels_and_the_soft_term_of_all(
    labels: Labels,
) -> None:
    train = tiny.dataset(labels)
    nothing = np.full_like(train.targets, -1 if labels is SINGLE else np.nan)
    whole = learnt_from({"train": train, "unlabeled": replace(train, targets=nothing)})
    student, teacher = tiny.model(labels), tiny.model(labels, seed=1)

    def teach(batch: Batch, length: int) -> Outputs:
        with torch.no_grad():
            return forward(teacher, batch.inputs)

    truth = Truth(labels, torch.tensor(train.targets))
    method = Logit(alpha=0.5, class_weights="balanced")
    compute = distillation_terms(method, student, Match(), teach, truth)
    mixed = compute(make_batch(whole, np.array([8, 0, 3, 10]), CPU), 0.0)
    alone = compute(make_batch(train, np.array([0, 3]), CPU), 0.0)
    others = compute(make_batch(train, np.array([2, 0, 3, 4]), CPU), 0.0)
    assert torch.allclose(mixed["hard"], alone["hard"], rtol=1e-4)
    assert torch.allclose(mixed["soft"], others["soft"], rtol=1e-4)
    found, expected = (gradient(one["hard"], student) for one in (mixed, alone))
    assert torch.allclose(found, expected, atol=1e-5)
    silent = compute(make_batch(whole, np.array([8, 10]), CPU), 0.0)
    assert silent["hard"].item() == 0.0
    assert not gradient(silent["hard"], student).any()
    assert gradient(silent["soft"], student).any()


def test_a_student_of_a_teacher_sees_all_of_them_each_epoch(
    transfer: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = steps(monkeypatch)
    run_trial(trial(training={"epochs": 1}), transfer.sweep)
    assert sorted(row for batch in seen for row in batch.rows) == list(range(192 + MORE))


def test_a_student_of_labels_alone_never_sees_one(
    transfer: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = trial(distillation={"method": "none"}, training={"epochs": 2})
    without = {name: part for name, part in transfer.sweep.splits.items() if name != "unlabeled"}
    seen = steps(monkeypatch)
    found = run_trial(config, transfer.sweep)
    assert sorted(row for batch in seen for row in batch.rows) == sorted([*range(192)] * 2)
    same = run_trial(config, replace(transfer.sweep, splits=without))
    assert np.array_equal(found.logits["test"], same.logits["test"])


def few(sweep: PreparedSweep, labelled: int) -> PreparedSweep:
    """The sweep as if most of the training set had no labels."""
    whole = learnt_from(sweep.splits)
    names = {"train": range(labelled), "unlabeled": range(labelled, len(whole))}
    parts = {name: part(whole, np.array(rows)) for name, rows in names.items()}
    return replace(sweep, splits={**sweep.splits, **parts})


def part(whole: Any, rows: Any) -> Any:
    from kdray.data.dataset import subset

    return subset(whole, rows)


def test_texts_without_labels_teach_what_few_labels_cannot(transfer: Made) -> None:
    sweep = few(transfer.sweep, 12)
    scratch = {"layers": 1, "hidden_size": 16, "heads": 2, "intermediate_size": 32}
    student = {"initial": "scratch", "layers": None, "architecture": scratch}

    def reached(**distillation: Any) -> float:
        config = trial(student=student, distillation=distillation, training={"epochs": 6})
        return run_trial(config, sweep).metrics["test_macro_f1"]

    taught, alone = reached(method="logit", alpha=0.9), reached(method="none", alpha=None)
    assert taught > alone + 0.1


@pytest.mark.parametrize(
    "regime",
    [
        {"name": "progressive", "assistants": [{"layers": 1}]},
        {"name": "born_again", "generations": 2},
        {"name": "mutual"},
        {"name": "online"},
    ],
    ids=lambda regime: regime["name"],
)
def test_every_regime_teaches_on_them(
    single: Made, monkeypatch: pytest.MonkeyPatch, regime: dict[str, Any]
) -> None:
    seen = steps(monkeypatch)
    finished = run_trial(trial(regime=regime, training={"epochs": 1}), single.sweep)
    assert {int(row) for batch in seen for row in batch.rows} == set(range(192 + MORE))
    assert all(np.isfinite(report.training["loss"]) for report in finished.epochs)


VOCABULARY = {"pruning": {"method": "vocabulary", "ratio": 0.1}}


@pytest.mark.parametrize("changes", [{}, VOCABULARY], ids=["plain", "vocabulary"])
def test_a_trial_with_them_that_was_cut_off_ends_as_if_it_had_not_been(
    transfer: Made, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = trial(training={"epochs": 2}, **changes)
    place, whole = Checkpoints(tmp_path / "state", 0.0), run_trial(config, transfer.sweep)

    def stop(report: EpochReport) -> None:
        if report.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(config, transfer.sweep, stop, place)
    resumed: Finished = run_trial(config, transfer.sweep, checkpoints=place)
    assert np.array_equal(whole.logits["test"], resumed.logits["test"])
    assert "unlabeled" not in whole.logits


def test_the_vocabulary_of_texts_without_labels_stays(transfer: Made) -> None:
    pruning = {"method": "vocabulary", "ratio": 0.0}
    config = trial(pruning=pruning, training={"epochs": 1})
    finished = run_trial(config, transfer.sweep)
    unknown, rows = "[UNK]", (transfer.sweep.texts or {})["unlabeled"].rows()
    words = finished.student.tokenizer
    assert not any(unknown in words.tokenize(text) for row in rows for text in row)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("unlabeled: more.pdf", "must end in .csv, .parquet, .jsonl, .txt, but got 'more.pdf'"),
        ("unlabeled: more.txt", "no such file: /nowhere/more.txt"),
        ("unlabeled: 3", "must be text, but got 3"),
    ],
)
def test_a_wrong_file_is_told_with_its_key_and_rule(data: str, message: str) -> None:
    problems = told(f"data: {{source: synthetic, {data}}}")
    assert any(f"data.unlabeled: {message}" in problem for problem in problems)


def test_a_text_a_line_is_no_pair() -> None:
    pair = "{source: hub, name: x, labels: y, text: [a, b], unlabeled: more.txt}"
    assert any(
        "a pair of texts stands in no line of 'more.txt'" in one for one in told(f"data: {pair}")
    )


def test_validate_counts_them_and_says_what_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    validate_space(
        write_space(tmp_path, **section(tmp_path, SINGLE), student={"layers": 1}), [], Voice()
    )
    printed = capsys.readouterr().out
    assert f"unlabeled: {MORE} examples" in printed
    assert "data.unlabeled: 2 texts that are in train, or twice in the file, are" in printed
    assert "vocabulary, logit: ok" in printed
    assert "vocabulary, none: ok" in printed
