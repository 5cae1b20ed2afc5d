from pathlib import Path

import pytest

from kdray.commands.spaces import validate_space
from kdray.commands.speaking import Voice
from kdray.errors import ConfigError
from kdray.validate import about, reachable_sizes
from tests import tiny
from tests.tiny_sweep import tiny_config, write_space


def test_the_sizes_that_width_can_reach_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pruning, distillation = {"method": "width", "ratio": 0.5}, {"method": "logit"}
    validate_space(write_space(tmp_path, pruning=pruning, distillation=distillation), [], Voice())
    printed = capsys.readouterr().out
    assert "width, logit: ok" in printed
    assert "pruning.width: hidden size 16 can be cut to 8 (ratio 0.5)" in printed


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "under a second"), (1.2, "1 s"), (119.0, "119 s"), (150.0, "2 minutes")],
)
def test_a_cost_is_told_in_words_that_are_never_nothing(seconds: float, said: str) -> None:
    assert about(seconds) == said


def test_sizes_are_told_by_their_place_in_a_list_and_only_once(tmp_path: Path) -> None:
    pruning = [{"method": "layers", "ratio": 0.5}, {"method": "width", "ratio": 0.5}]
    config = tiny_config(tmp_path, pruning=pruning)
    assert reachable_sizes(config, tiny.model(heads=4).config) == {
        "pruning.1.width": "hidden size 16 can be cut to 12 (ratio 0.25), 8 (ratio 0.5), "
        "4 (ratio 0.75)"
    }


def test_a_ratio_that_cannot_be_reached_is_told_before_any_sweep(tmp_path: Path) -> None:
    pruning, distillation = {"method": "width", "ratio": 0.8}, {"method": "logit"}
    space = write_space(tmp_path, pruning=pruning, distillation=distillation)
    with pytest.raises(ConfigError, match=r"width cannot reach ratio 0\.8: .* can be 16, 8"):
        validate_space(space, [], Voice())


def test_every_regime_is_tried_and_its_generations_cost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regime = {"choice": ["single", {"name": "born_again", "generations": 2}, "mutual", "online"]}
    own = {"student": {"layers": 1}, "pruning": {"method": "none", "ratio": None}}
    own |= {"distillation": {"method": "logit", "alpha": 0.5}}
    validate_space(write_space(tmp_path, regime=regime, **own), [], Voice())
    printed = capsys.readouterr().out
    assert "none, logit: ok" in printed
    for name in ("born_again", "mutual", "online"):
        assert f"none, logit, {name}: ok" in printed
    assert "its 2 epochs" in printed
    assert "regime: one of single, born_again, mutual, online" in printed


def test_choices_of_lists_are_printed_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    regime = {"name": "progressive", "assistants": {"choice": [[{"layers": 1}]]}}
    own = {"student": {"layers": 1}, "pruning": {"method": "none", "ratio": None}}
    own |= {"distillation": {"method": "logit", "alpha": 0.5}}
    validate_space(write_space(tmp_path, regime=regime, **own), [], Voice())
    assert "regime.assistants: one of [layers=1]" in capsys.readouterr().out
