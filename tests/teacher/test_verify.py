import numpy as np
import pytest

from kdray.config.teachers import Verification
from kdray.errors import TeacherError
from kdray.evaluation.measure import Measured
from kdray.evaluation.quality import best_constant
from kdray.teacher.verify import verify
from tests import tiny

VALIDATION = tiny.dataset()
CONSTANT = best_constant(VALIDATION.targets, tiny.MULTI)


def measured(macro_f1=0.7, logit=0.0):
    logits = np.full((len(VALIDATION), 3), logit, np.float32)
    metrics = {"macro_f1": macro_f1, "size_mb": 2.0}
    return Measured(metrics, {"validation": logits}, (0.5,) * 3)


def check(macro_f1=0.7, logit=0.0, members=None, **options):
    whole = measured(macro_f1, logit)
    return verify(Verification(**options), whole, CONSTANT, "digest", members or {})


@pytest.mark.parametrize("macro_f1", [0.4, 0.9])
@pytest.mark.parametrize("on_failure", ["stop", "warn"])
def test_a_good_teacher_passes(macro_f1, on_failure):
    verified = check(macro_f1, on_failure=on_failure)
    assert verified.passed
    assert verified.problems == ()
    assert verified.metrics == {"macro_f1": macro_f1, "size_mb": 2.0}
    assert verified.constant == CONSTANT
    assert (verified.digest, verified.metric, verified.minimum) == ("digest", "macro_f1", 0.4)


def test_a_bad_teacher_ends_the_sweep_and_says_what_to_do():
    with pytest.raises(TeacherError) as caught:
        check(0.3127)
    message = str(caught.value)
    assert "macro_f1 on validation must be at least 0.4 (teacher.verify.minimum)" in message
    assert "but got 0.313" in message
    for way_out in ("teacher.training", "teacher.model", "teacher.verify.on_failure: warn"):
        assert way_out in message
    assert caught.value.exit_code == 1


def test_a_bad_teacher_goes_on_with_a_warning_where_it_is_asked_to():
    verified = check(0.3, on_failure="warn")
    assert not verified.passed
    assert verified.problems == (
        "macro_f1 on validation must be at least 0.4 (teacher.verify.minimum), but got 0.300",
    )


@pytest.mark.parametrize("logit", [np.nan, np.inf])
def test_logits_that_are_no_numbers_are_a_problem_whatever_the_metric(logit):
    with pytest.raises(TeacherError, match="its logits are not all finite"):
        check(0.9, logit)


def test_every_problem_is_told_at_once():
    verified = check(0.1, np.nan, on_failure="warn")
    assert len(verified.problems) == 2


def test_a_metric_that_is_no_number_is_not_good_enough():
    with pytest.raises(TeacherError, match="but got nan"):
        check(np.nan)


def test_a_metric_that_cannot_be_measured_is_a_problem_and_no_crash():
    with pytest.raises(TeacherError, match=r"auroc \(teacher\.verify\.metric\) cannot be measured"):
        check(0.9, metric="auroc")


def test_the_metric_and_the_minimum_can_be_chosen():
    assert check(0.2, metric="macro_f1", minimum=0.1).passed
    assert check(0.2, metric="size_mb", minimum=1.0).passed


def test_each_member_of_an_ensemble_has_to_be_good_enough_and_is_told_by_its_key():
    members = {"teacher.model.0": measured(0.9), "teacher.model.1": measured(0.2, np.nan)}
    verified = check(0.9, members=members, on_failure="warn")
    assert verified.problems == (
        "teacher.model.1: its logits are not all finite",
        "teacher.model.1: macro_f1 on validation must be at least 0.4 (teacher.verify.minimum), "
        "but got 0.200",
    )
    with pytest.raises(TeacherError, match=r"teacher\.model\.1: macro_f1"):
        check(0.9, members=members)
    assert check(0.9, members={"teacher.model.0": measured(0.5)}).passed
