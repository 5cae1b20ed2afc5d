"""What pruning as a whole must keep to, before anything is computed."""

from pathlib import Path
from typing import Any

import pytest
from transformers import BertConfig

from kdray.distillation.base import Shape
from kdray.errors import ConfigError
from kdray.pruning_checks import cautions, drawable_needs, reach_problems
from kdray.schema import SweepConfig
from tests.tiny_sweep import tiny_config

TEACHER = Shape(4, 16)
MAGNITUDE = {"method": "magnitude", "ratio": 0.5}
NARROW = {"hidden_size": 16, "heads": 2, "intermediate_size": 32}
WIDE = {"hidden_size": 256, "heads": 32, "intermediate_size": 512}


def space(tmp_path: Path, pruning: Any, **changes: Any) -> SweepConfig:
    return tiny_config(tmp_path, pruning=pruning, **changes)


def told(tmp_path: Path, pruning: Any, **changes: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        space(tmp_path, pruning, **changes)
    return [str(problem) for problem in raised.value.problems]


def test_what_cuts_units_stands_before_what_masks_them(tmp_path: Path) -> None:
    assert space(tmp_path, [{"method": "width"}, MAGNITUDE])
    (found,) = told(tmp_path, [MAGNITUDE, {"method": "width"}])
    assert "pruning.1.method" in found
    assert "width cuts whole units and must stand before magnitude" in found
    assert told(tmp_path, [{"method": "n_m"}, {"method": "width"}])


def test_what_masks_cannot_follow_cuts_in_stages(tmp_path: Path) -> None:
    staged = {"method": "ffn", "schedule": {"stages": 2}}
    assert space(tmp_path, staged, training={"epochs": 2})
    (found,) = told(tmp_path, [staged, MAGNITUDE], training={"epochs": 2})
    assert "pruning.0.schedule" in found
    assert "take one_shot" in found


def test_each_stage_has_an_epoch(tmp_path: Path) -> None:
    staged = MAGNITUDE | {"schedule": {"choice": ["one_shot", {"stages": 3}]}}
    assert space(tmp_path, staged, training={"epochs": 3})
    (found,) = told(tmp_path, staged, training={"epochs": {"choice": [2, 4]}})
    assert "pruning.schedule.stages" in found
    assert "at most training.epochs, 2" in found


def test_units_are_not_cut_along_a_cubic(tmp_path: Path) -> None:
    (found,) = told(tmp_path, {"method": "width", "schedule": "cubic"})
    assert "pruning.schedule" in found


def test_a_ratio_above_eight_tenths_is_cautioned_against_and_one_below_is_not(
    tmp_path: Path,
) -> None:
    bold = space(tmp_path, {"method": "random", "ratio": {"uniform": [0.5, 0.95]}})
    assert cautions(bold.space) == [
        "pruning.ratio: up to 0.95 may be drawn; quality often collapses above 0.8"
    ]
    assert not cautions(space(tmp_path, MAGNITUDE | {"ratio": 0.8}).space)


def test_the_teacher_is_read_where_any_number_of_layers_on_the_way_needs_it(
    tmp_path: Path,
) -> None:
    # Students of 4, 3, 2 and 1 layers: uniformly mapped, those read teacher layers 1 to 4.
    hidden = {"method": "hidden"}
    cut = {"method": "layers", "ratio": {"choice": [0.0, 0.75]}}
    changes = {"student": {"layers": 4}, "distillation": hidden}
    changes["teacher"] = {"architecture": {"layers": 4}}
    config = space(tmp_path, cut, **changes)
    assert drawable_needs(config.space, TEACHER).hidden == {0, 1, 2, 3, 4} - {0}
    whole = space(
        tmp_path, {"method": "none", "ratio": None}, **changes | {"student": {"layers": 2}}
    )
    assert drawable_needs(whole.space, TEACHER).hidden == {2, 4}


@pytest.mark.parametrize(
    ("pruning", "message"),
    [
        ({"method": "heads", "ratio": {"uniform": [0.2, 0.9]}}, "each layer keeps one of its 2"),
        ({"method": "width", "ratio": {"choice": [0.5, 0.95]}}, "width cannot reach ratio 0.95"),
        ({"method": "ffn", "ratio": 0.99}, "ffn leaves none of 32 units"),
    ],
)
def test_a_ratio_that_leaves_no_unit_is_told_of_once_the_teacher_is_known(
    tmp_path: Path, pruning: Any, message: str
) -> None:
    teacher = BertConfig(
        hidden_size=16, num_attention_heads=2, num_hidden_layers=2, intermediate_size=32
    )
    (problem,) = reach_problems(space(tmp_path, pruning).space, teacher)
    assert problem.where == "pruning.ratio"
    assert message in problem.message
    for shape, refused in ((NARROW, True), (WIDE, False)):
        scratch = {"initial": "scratch", "layers": None, "architecture": {"layers": 1, **shape}}
        found = reach_problems(space(tmp_path, pruning, student=scratch).space, teacher)
        assert bool(found) == refused


def test_a_layer_mapping_that_pruning_makes_impossible_is_told_of(tmp_path: Path) -> None:
    mapped = {"method": "hidden", "layer_mapping": {4: 4}}
    changes = {"student": {"layers": 4}, "distillation": mapped}
    changes["teacher"] = {"architecture": {"layers": 4}}
    config = space(tmp_path, {"method": "layers", "ratio": 0.5}, **changes)
    with pytest.raises(ConfigError, match="a student of 2 layers"):
        drawable_needs(config.space, TEACHER)
