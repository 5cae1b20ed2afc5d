"""An ensemble: two teachers of different families and tokenizers, who learn and then teach."""

import json
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from kdray.commands.spaces import validate_space
from kdray.commands.speaking import Voice
from kdray.config.teachers import Teacher
from kdray.data.base import Labels
from kdray.errors import ConfigError, TeacherError
from kdray.evaluation.quality import quality
from kdray.models.building import ModelState, borrow
from kdray.models.inference import probabilities
from kdray.preparation import prepare, rebuild
from kdray.results.folder import PREDICTIONS, SweepFolder
from kdray.results.records import TEACHER_EXAMPLES, EpochReport
from kdray.schema import SweepConfig
from kdray.teacher.keeping import Place
from kdray.teacher.making import located, members
from kdray.teachers import teacher_digest
from kdray.training.course import Checkpoints
from kdray.trial import TrialError, run_trial
from tests.learnable import (
    MULTI,
    SINGLE,
    TRAINING,
    Made,
    made,
    trial,
    write_data,
    write_teacher,
)
from tests.spaces import told
from tests.tiny_sweep import tiny_config, write_space

UNTRAINED = "teacher.training=null"


def section(base: Path, labels: Labels, **teacher: Any) -> dict[str, Any]:
    models = [
        write_teacher(base, "one", labels),
        write_teacher(base, "other", labels, family="distilbert", vocabulary=60, layers=1),
    ]
    given = {"model": models, "weights": [3, 1], "architecture": None, "training": TRAINING}
    own = {"method": {"choice": ["logit", "hidden", "hard"]}, "alpha": 0.7}
    return {
        "data": write_data(base, labels),
        "teacher": {**given, "verify": {"minimum": 0.4}, **teacher},
        "distillation": own,
        "pruning": {"method": "none", "ratio": None},
    }


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Made:
    base = tmp_path_factory.mktemp("single")
    return made(base, section(base, SINGLE))


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Made:
    base = tmp_path_factory.mktemp("multi")
    return made(base, section(base, MULTI, cache={"where": "disk"}))


@pytest.fixture(params=["single", "multi"])
def ensemble(request: pytest.FixtureRequest) -> Made:
    found: Made = request.getfixturevalue(request.param)
    return found


def test_every_member_is_trained_verified_and_run_over_the_training_set_once(
    ensemble: Made,
) -> None:
    sweep, found = ensemble.sweep, json.loads(ensemble.folder.verification_json.read_text())
    assert found["forward_examples"] == 2 * len(sweep.splits["train"]) == 384
    assert [one.forward_examples for one in sweep.all_outputs] == [192, 192]
    assert [one["model"] for one in found["members"]] == ["one", "other"]
    assert [one["weight"] for one in found["members"]] == [0.75, 0.25]
    assert all(one["metrics"]["macro_f1"] > 0.6 for one in found["members"])
    for number in (1, 2):
        told = [line for line in ensemble.lines if line.startswith(f"teacher {number} of 2: epoch")]
        assert len(told) == 5
    assert "teacher: an ensemble of 2, macro_f1 " in ensemble.lines[-1]


def test_the_ensemble_is_measured_by_its_mean_probability_and_costs_the_sum(
    ensemble: Made,
) -> None:
    sweep, labels = ensemble.sweep, ensemble.sweep.labels
    multi_label = labels.kind == "multi_label"
    said = np.load(ensemble.folder.teacher / PREDICTIONS)["test"]
    scores = []
    for number, state in enumerate(sweep.teachers):
        words = AutoTokenizer.from_pretrained(ensemble.folder.teacher / str(number))
        texts = list(ensemble.config.data.read(ensemble.config.base, 0).splits["test"]["text"])
        cut = {"truncation": True, "max_length": 16, "return_token_type_ids": False}
        inputs = words(texts, return_tensors="pt", padding=True, **cut)
        with torch.no_grad():
            scores.append(probabilities(borrow(state)(**inputs).logits.numpy(), multi_label))
    mean = 0.75 * scores[0] + 0.25 * scores[1]
    assert np.allclose(probabilities(said, multi_label), mean, atol=1e-5)
    metrics, members = sweep.verified.metrics, sweep.verified.members
    expected = quality(said, sweep.splits["test"].targets, labels)
    assert metrics["test_macro_f1"] == expected["macro_f1"]
    for cost in ("size_mb", "num_parameters", "macs", "latency_ms"):
        assert metrics[cost] == pytest.approx(sum(one["metrics"][cost] for one in members))
    assert metrics["throughput"] < min(one["metrics"]["throughput"] for one in members)


def test_members_lie_in_folders_of_their_own_that_plain_transformers_loads(ensemble: Made) -> None:
    for number, family in enumerate(("bert", "distilbert")):
        place = ensemble.folder.teacher / str(number)
        model = AutoModelForSequenceClassification.from_pretrained(place)
        assert model.config.model_type == family
        assert list(model.config.id2label.values()) == list(ensemble.sweep.labels.names)
        weights = ensemble.sweep.teachers[number].weights
        for name, tensor in model.state_dict().items():
            assert np.array_equal(tensor.numpy(), weights[name])
        assert (ensemble.folder.teacher / "outputs" / str(number) / "logits.npy").is_file()
    assert not (ensemble.folder.teacher / "config.json").exists()


def test_an_ensemble_is_rebuilt_as_it_was_without_running_anyone(ensemble: Made) -> None:
    again = rebuild(ensemble.config, Place(ensemble.folder))
    assert [one.forward_examples for one in again.all_outputs] == [0, 0]
    assert again.verified == ensemble.sweep.verified
    assert again.weights == ensemble.sweep.weights == (0.75, 0.25)
    assert teacher_digest(*again.teachers) == again.verified.digest
    for one, other in zip(again.all_outputs, ensemble.sweep.all_outputs, strict=True):
        assert one.columns.keys() == other.columns.keys()
        assert all(np.array_equal(one.array(name), other.array(name)) for name in one.columns)
    assert ensemble.sweep.others[0].outputs.columns.keys() == {"logits"}
    assert "hidden.2" in ensemble.sweep.outputs.columns


def test_the_outputs_of_a_member_serve_a_later_sweep_of_the_same_ensemble(multi: Made) -> None:
    place = Place(SweepFolder(multi.folder.root.parent / "later"))
    models = [str(multi.folder.teacher / number) for number in ("0", "1")]
    changes = {"model": models, "training": None}
    config = replace(multi.config, teacher=multi.config.teacher.model_copy(update=changes))
    later = prepare(config, place=place)
    assert [(one.forward_examples, one.reused) for one in later.all_outputs] == [(0, True)] * 2


@pytest.mark.parametrize("method", ["logit", "hard", "logit_mse", "hidden", "none"])
def test_a_student_of_an_ensemble_learns_what_can_be_learnt(ensemble: Made, method: str) -> None:
    finished = run_trial(
        trial(distillation={"method": method}, training={"epochs": 6}), ensemble.sweep
    )
    assert finished.metrics["test_macro_f1"] > 0.8
    members = ensemble.sweep.verified.members
    whole = sum(one["metrics"]["size_mb"] for one in members)
    assert finished.metrics["teacher_size_mb"] == pytest.approx(whole)
    assert not any(TEACHER_EXAMPLES in report.training for report in finished.epochs)


def test_what_every_member_says_matters_to_the_student(ensemble: Made) -> None:
    sweep, config = ensemble.sweep, trial(training={"epochs": 1})
    (other,) = sweep.others
    turned = replace(other.outputs, columns={"logits": -other.outputs.array("logits")})
    contrary = replace(sweep, others=(replace(other, outputs=turned),))
    one, another = run_trial(config, sweep), run_trial(config, contrary)
    assert not np.array_equal(one.logits["test"], another.logits["test"])
    weighted = run_trial(config, replace(sweep, weights=(0.25, 0.75)))
    assert not np.array_equal(one.logits["test"], weighted.logits["test"])


def test_a_member_that_is_not_the_verified_one_fails_the_trial(single: Made) -> None:
    (other,) = single.sweep.others
    name, *_ = other.teacher.weights
    weights = {**other.teacher.weights, name: other.teacher.weights[name] + 1}
    changed = replace(other, teacher=ModelState(other.teacher.config, weights))
    with pytest.raises(TrialError, match="verify: the teacher's weights are not those"):
        run_trial(trial(), replace(single.sweep, others=(changed,)))


def test_members_whose_outputs_are_not_kept_are_asked_in_the_loop_and_counted(
    single: Made,
) -> None:
    off = single.config.teacher.cache.model_copy(update={"where": "off"})
    teacher = single.config.teacher.model_copy(update={"cache": off})
    asked = rebuild(replace(single.config, teacher=teacher), Place(single.folder, read_only=True))
    config = trial(training={"epochs": 2})
    live, kept = run_trial(config, asked), run_trial(config, single.sweep)
    assert [report.training[TEACHER_EXAMPLES] for report in live.epochs] == [384.0, 384.0]
    assert np.allclose(live.logits["test"], kept.logits["test"], atol=1e-2)


REGIMES: dict[str, dict[str, Any]] = {
    "single": {"name": "single"},
    "progressive": {"name": "progressive", "assistants": [{"layers": 1}]},
    "born_again": {"name": "born_again", "generations": 2},
}


@pytest.mark.parametrize(
    ("name", "epoch"), [("single", 2), ("progressive", 2), ("progressive", 3), ("born_again", 4)]
)
def test_a_trial_of_an_ensemble_that_was_cut_off_ends_as_if_it_had_not_been(
    single: Made, tmp_path: Path, name: str, epoch: int
) -> None:
    config = trial(regime=REGIMES[name], training={"epochs": 2})
    place = Checkpoints(tmp_path / "state", 0.0)
    whole = run_trial(config, single.sweep)

    def stop(report: EpochReport) -> None:
        if report.epoch == epoch:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_trial(config, single.sweep, stop, place)
    resumed = run_trial(config, single.sweep, checkpoints=place)
    assert np.array_equal(whole.logits["test"], resumed.logits["test"])
    assert whole.selected_epoch == resumed.selected_epoch


def test_one_model_twice_is_an_ensemble_of_two_seeds(tmp_path: Path) -> None:
    changes = section(tmp_path, SINGLE, model=["one", "one"], weights=None)
    changes["teacher"]["training"] = {**TRAINING, "epochs": 2}
    sweep = prepare(tiny_config(tmp_path, **changes))
    first, second = sweep.teachers
    assert teacher_digest(first) != teacher_digest(second)
    assert sweep.weights == (0.5, 0.5)


def test_each_member_has_to_be_good_enough(tmp_path: Path, single: Made) -> None:
    good = str(single.folder.teacher / "0")
    changes = section(tmp_path, SINGLE, model=[good, "other"])
    with pytest.raises(TeacherError, match=r"teacher\.model\.1: macro_f1 on validation must"):
        prepare(tiny_config(tmp_path, UNTRAINED, **changes))
    changes["teacher"]["verify"]["on_failure"] = "warn"
    problem = prepare(tiny_config(tmp_path, UNTRAINED, **changes)).verified.problems[-1]
    assert problem.startswith("teacher.model.1: macro_f1 on validation must be at least 0.4")


def test_every_member_that_does_not_fit_the_data_is_told_at_once(tmp_path: Path) -> None:
    changes = section(tmp_path, SINGLE)
    for name in ("one", "other"):
        write_teacher(tmp_path, name, Labels(("up", "down"), "single_label"))
    with pytest.raises(ConfigError) as caught:
        prepare(tiny_config(tmp_path, UNTRAINED, **changes))
    one, other = map(str, caught.value.problems)
    assert one.startswith(f"teacher.model.0: '{tmp_path}/one' predicts ['up', 'down'], but the")
    assert other.startswith(f"teacher.model.1: '{tmp_path}/other' predicts ['up', 'down'], but")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{model: [a]}", "teacher.model: must be one model, or a list of at least two, but got"),
        ("{model: [a, null]}", "teacher.model.1: must be text, but got null"),
        ("{model: [./a, b]}", "teacher.model.0: no such folder: /nowhere/a"),
        ("{model: [a, b], weights: [1]}", "teacher.weights: must have 2 weights, one a model, but"),
        ("{model: [a, b], weights: [1, 0]}", "teacher.weights.1: must be greater than 0, but got"),
        ("{model: a, weights: [1]}", "teacher.weights: is for an ensemble; give `model` a list"),
        ("{weights: [1, 2]}", "teacher.weights: is for an ensemble; give `model` a list, or leave"),
        ("{model: [a, a], training: null}", "teacher: `model` names 'a' twice, which without `tr"),
        ("{model: {choice: [a, b]}}", "teacher.model: takes no domain: data and teacher are prep"),
    ],
)
def test_a_wrong_ensemble_is_told_with_its_key_and_rule(text: str, message: str) -> None:
    (problem,) = told(f"teacher: {text}")
    assert f"line 1: {message}" in problem


def test_an_ensemble_is_found_relative_to_its_file_or_to_the_command(tmp_path: Path) -> None:
    base, elsewhere = tmp_path / "space", tmp_path / "elsewhere"
    base.mkdir()
    changes = section(base, SINGLE)
    config = tiny_config(base, **changes)
    assert [Path(one.model or "").parent for one in sections(config)] == [base, base]
    for name in ("one", "other"):
        (elsewhere / name).mkdir(parents=True)
    with chdir(elsewhere):
        there = tiny_config(base, "teacher.model=[one, bert-base]", **changes)
    assert there.teacher.model == [str(elsewhere / "one"), "bert-base"]


def sections(config: SweepConfig) -> list[Teacher]:
    return members(located(config.teacher, config.base))


def test_validate_tries_an_ensemble_and_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = section(tmp_path, SINGLE) | {"distillation": {"method": "logit", "alpha": 0.7}}
    validate_space(write_space(tmp_path, **changes, student={"layers": 1}), [], Voice())
    printed = capsys.readouterr().out
    assert "none, logit: ok" in printed
    assert "teacher: an ensemble of one (0.75) and other (0.25); layers, hidden states" in printed
