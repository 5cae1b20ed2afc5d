import pytest
from pydantic import ValidationError

from kdray.pruning.magnitude import Magnitude
from kdray.pruning.schedule import Stages, cubic_share, staged_share


def test_shares_of_three_stages_by_hand():
    # 1 − 0.3^(1/3) = 1 − 0.6694, 1 − 0.3^(2/3) = 1 − 0.4481.
    shares = [staged_share(0.7, stage, 3) for stage in (1, 2, 3)]
    assert shares == pytest.approx([0.3306, 0.5519, 0.7], abs=5e-5)
    assert shares[-1] == 0.7


def test_each_stage_removes_the_same_share_of_what_is_left():
    left = [1 - staged_share(0.875, stage, 3) for stage in (1, 2, 3)]
    assert left == pytest.approx([0.5, 0.25, 0.125])


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("stages", [1, 2, 3, 7])
def test_the_last_stage_is_exactly_the_ratio_and_none_removes_less_than_the_one_before(
    ratio, stages
):
    shares = [staged_share(ratio, stage, stages) for stage in range(1, stages + 1)]
    assert shares[-1] == ratio
    assert shares == sorted(shares)


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        (0.0, 0.0),
        # 0.8 · (1 − (3/4)³) = 0.8 · 37/64
        (0.25, 0.4625),
        (0.5, 0.7),
        (0.75, 0.7875),
        (1.0, 0.8),
        (1.5, 0.8),
    ],
)
def test_the_cubic_by_hand(progress, share):
    assert cubic_share(0.8, progress) == pytest.approx(share)


def test_the_cubic_ends_at_exactly_the_ratio_and_never_falls():
    shares = [cubic_share(0.7, step / 50) for step in range(61)]
    assert shares == sorted(shares)
    assert shares[50] == shares[-1] == 0.7


def test_a_method_tells_its_stages_and_their_shares():
    method = Magnitude(ratio=0.7, schedule=Stages(stages=3))
    assert method.stages == 3
    assert method.stage_share(2) == pytest.approx(0.5519, abs=5e-5)
    assert [Magnitude(ratio=0.7, schedule=s).stages for s in ("one_shot", "cubic")] == [1, 1]


@pytest.mark.parametrize("schedule", ["linear", {"stages": 1}, {"stages": 2.5}, {"stage": 3}])
def test_a_schedule_that_is_none_is_refused(schedule):
    with pytest.raises(ValidationError, match="schedule"):
        Magnitude(schedule=schedule)
