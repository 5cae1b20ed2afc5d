"""A training that was cut off goes on as if it had not been."""

import random
import warnings

import numpy as np
import pytest
import torch

from kdray.config.sections import Training
from kdray.models.outputs import forward
from kdray.results.records import EpochReport
from kdray.training import checkpoint
from kdray.training.best import BestEpoch
from kdray.training.checkpoint import FILE, go_on, keep, keep_for_telling, kept_epochs
from kdray.training.course import Checkpoints, Course
from kdray.training.loop import new_stepper, train_epochs
from kdray.training.losses import hard_loss
from kdray.training.randomness import seed_everything
from kdray.training.stepper import Learner
from tests import tiny

OPTIONS = Training(epochs=4, batch_size=2, learning_rate=1e-2, precision="float32")
MASKED = "bert.encoder.layer.0.intermediate.dense.weight"
# The best of four epochs is the first, so its weights have to come back from the disk.
VALUES = (0.9, 0.1, 0.2, 0.3)


class CutOffError(Exception):
    pass


class Run:
    """One process's worth of a training: built from the seed, and gone on with if it can be."""

    def __init__(self, folder, *, options=OPTIONS, frozen=False, identity="one", interval_s=0.0):
        seed_everything(options.seed)
        self.model = tiny.model(hidden_dropout_prob=0.1)
        self.model.get_input_embeddings().requires_grad_(not frozen)
        self.projection = torch.nn.Linear(3, 3)
        mask = torch.rand(32, 16, generator=torch.Generator().manual_seed(0)).round()
        learner = Learner(self.model, [self.projection], {MASKED: mask})
        self.data = tiny.dataset()
        self.stepper = new_stepper(learner, self.data, options)
        place = Checkpoints(folder, interval_s) if folder else None
        self.course = Course(identity, BestEpoch("f1"), checkpoints=place)

    def train(self, until=4):
        go_on(self.stepper, self.course)

        def after_epoch(epoch):
            if epoch.epoch > until:
                raise CutOffError
            metrics = {"f1": VALUES[epoch.epoch - 1]}
            self.course.best.offer(epoch.epoch, metrics, self.model)
            self.course.epochs.append(EpochReport(epoch.epoch, 4, metrics, {"loss": epoch.loss}, 0))
            keep_for_telling(self.stepper, self.course)
            keep(self.stepper, self.course)

        left = range(len(self.course.epochs), self.stepper.options.epochs)
        train_epochs(self.stepper, self.data, self._terms, after_epoch, left)
        return self

    def _terms(self, batch, progress):
        logits = self.projection(forward(self.model, batch.inputs).logits)
        return {"hard": hard_loss(logits, batch.targets, True)}

    def cut_off(self, after):
        with pytest.raises(CutOffError):
            self.train(after)


def assert_same(one, other):
    assert one.course.epochs == other.course.epochs
    assert one.course.best.epoch == other.course.best.epoch
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name
    assert torch.equal(one.projection.weight, other.projection.weight)
    for name, tensor in one.course.best.weights.items():
        assert torch.equal(tensor, other.course.best.weights[name]), name


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
def test_a_training_that_was_cut_off_comes_to_the_same_end(tmp_path, precision, frozen, after):
    options = OPTIONS.model_copy(update={"precision": precision})
    whole = Run(None, options=options, frozen=frozen).train()
    Run(tmp_path / "state", options=options, frozen=frozen).cut_off(after)
    resumed = Run(tmp_path / "state", options=options, frozen=frozen).train()
    assert_same(whole, resumed)


def test_a_training_may_be_cut_off_again_and_again(tmp_path):
    for after in (1, 2, 3):
        Run(tmp_path / "state").cut_off(after)
    assert_same(Run(None).train(), Run(tmp_path / "state").train())


def test_a_training_that_had_come_to_its_end_is_not_trained_further(tmp_path):
    whole, again = Run(tmp_path / "state").train(), Run(tmp_path / "state")
    go_on(again.stepper, again.course)
    again._terms = None  # a step would call it
    assert_same(whole, again.train())


def test_the_state_of_another_trial_is_passed_over(tmp_path):
    Run(tmp_path / "state").cut_off(2)
    other = Run(tmp_path / "state", identity="another")
    go_on(other.stepper, other.course)
    assert not other.course.epochs


def test_a_state_whose_shapes_do_not_fit_is_passed_over(tmp_path):
    Run(tmp_path / "state").cut_off(2)
    frozen = Run(tmp_path / "state", frozen=True)
    go_on(frozen.stepper, frozen.course)
    assert not frozen.course.epochs


def damaged(folder, how):
    file = folder / FILE
    content = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        file.write_bytes(b"")
    else:
        content[-3] ^= 1
        file.write_bytes(content)


@pytest.mark.parametrize("how", ["gone", "cut", "empty", "one bit"])
def test_a_damaged_state_is_passed_over_and_the_training_begun(tmp_path, how):
    whole = Run(None).train()
    Run(tmp_path / "state").cut_off(2)
    damaged(tmp_path / "state", how)
    again = Run(tmp_path / "state")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go_on(again.stepper, again.course)
    assert not again.course.epochs
    assert not kept_epochs(again.course.checkpoints)
    assert_same(whole, again.train())


def test_a_state_whose_digest_is_missing_is_passed_over(tmp_path):
    Run(tmp_path / "state").cut_off(2)
    (tmp_path / "state" / checkpoint.DIGEST).unlink()
    assert not kept_epochs(Checkpoints(tmp_path / "state", 0))


def test_nothing_is_written_before_the_interval_is_over(tmp_path, monkeypatch):
    run, written = Run(tmp_path / "state", interval_s=100.0), []
    monkeypatch.setattr(checkpoint, "_write", lambda *_: written.append(now[0]) or 1 / 0)
    now = [0.0]
    monkeypatch.setattr("kdray.training.course.time.perf_counter", lambda: now[0])
    run.course.started = 0.0
    for now[0] in (50.0, 99.0, 101.0, 150.0, 200.0, 202.0):
        try:
            keep(run.stepper, run.course)
        except ZeroDivisionError:
            run.course.kept_s = now[0]
    assert written == [101.0, 202.0]


def test_an_epoch_after_which_a_trial_may_wait_is_written_before_the_interval_is_over(tmp_path):
    run = Run(tmp_path / "state", interval_s=100.0)
    place = Checkpoints(tmp_path / "state", 100.0, lambda report: report.epoch == 2)
    run.course.checkpoints = place
    run.train()
    assert [report.epoch for report in kept_epochs(place)] == [1, 2]


def test_the_seconds_before_the_cut_count(tmp_path):
    run = Run(tmp_path / "state")
    run.course.started -= 1000.0
    run.cut_off(1)
    again = Run(tmp_path / "state")
    go_on(again.stepper, again.course)
    assert 1000 < again.course.duration_s < 1100


def test_the_epochs_that_are_kept_can_be_read_without_a_training(tmp_path):
    place = Checkpoints(tmp_path / "state", 0)
    assert kept_epochs(place) == []
    run = Run(tmp_path / "state")
    run.cut_off(2)
    assert kept_epochs(place) == run.course.epochs
    assert [report.epoch for report in run.course.epochs] == [1, 2]


def test_the_weights_of_the_best_epoch_are_not_written_twice_nor_those_that_are_frozen(tmp_path):
    run = Run(tmp_path / "state", frozen=True)
    run.cut_off(1)
    assert checkpoint._read(tmp_path / "state").part("best") == {}
    run = Run(tmp_path / "state", frozen=True)
    run.cut_off(2)
    best = checkpoint._read(tmp_path / "state").part("best")
    assert best.keys() == run.course.best.weights.keys() - {
        "bert.embeddings.word_embeddings.weight"
    }


def test_a_disk_that_cannot_be_written_to_ends_no_training(tmp_path):
    (tmp_path / "state").write_text("a file where a folder should be")
    with pytest.warns(RuntimeWarning, match="no checkpoint could be written"):
        run = Run(tmp_path / "state" / "deeper").train()
    assert_same(Run(None).train(), run)


def test_a_smaller_micro_batch_stays_small_after_a_cut(tmp_path):
    run = Run(tmp_path / "state")
    run.stepper.micro_batch_size = 1
    run.cut_off(1)
    again = Run(tmp_path / "state")
    go_on(again.stepper, again.course)
    assert again.stepper.micro_batch_size == 1


def test_the_scale_of_float16_gradients_is_that_after_the_last_overflow(tmp_path):
    options = OPTIONS.model_copy(update={"precision": "float16"})
    run = Run(tmp_path / "state", options=options)
    run.stepper.backward(run.model.classifier.weight.sum() * 1e38)
    run.stepper.step()
    run.cut_off(1)
    again = Run(tmp_path / "state", options=options)
    go_on(again.stepper, again.course)
    assert again.stepper.numbers()["scaler"]["scale"] == 2.0**15


def test_every_generator_goes_on_where_it_was(tmp_path):
    def draws():
        return random.random(), random.gauss(), np.random.rand(), np.random.randn(), torch.rand(1)

    run = Run(tmp_path / "state")
    run.course.epochs.append(EpochReport(1, 4, {}, {}, 0))
    run.course.best.offer(1, {}, run.model)
    draws()  # leaves the second half of a pair of normal numbers behind
    keep(run.stepper, run.course)
    expected = draws()
    again = Run(tmp_path / "state")
    go_on(again.stepper, again.course)
    assert draws() == expected
