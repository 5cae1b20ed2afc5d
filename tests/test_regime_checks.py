"""Regimes in a search space: how they are written, drawn, and refused."""

from pathlib import Path

import pytest
import yaml

from kdray.config.drawing import enumerate_grid
from kdray.config.replaying import replay
from kdray.config.sections import Evaluation
from kdray.distillation.regimes import BornAgain, Online, Single
from kdray.preparation import teacher_needs
from kdray.results.folder import SweepFolder
from kdray.schema import completed, options_taken, trial_config
from kdray.trial_folder import load_setup
from tests import tiny
from tests.kinds_of_trials import SECTIONS
from tests.spaces import space, told
from tests.tiny_sweep import tiny_config


def test_without_a_regime_the_teacher_teaches_the_student() -> None:
    assert space("seed: 1").space["regime"] == {"name": "single"}
    assert trial_config(SECTIONS, Evaluation(), "macro_f1").regime == Single()


@pytest.mark.parametrize(
    ("regime", "trainings"),
    [
        ("single", 1),
        ("born_again", 3),
        ("{name: born_again, generations: 5}", 5),
        ("{name: progressive, assistants: [{layers: 3}, {layers: 2}]}", 3),
        ("{name: mutual, students: 4}", 1),
        ("online", 1),
    ],
)
def test_a_regime_is_a_name_or_a_mapping_with_a_name(regime: str, trainings: int) -> None:
    config = space(f"student: {{layers: 2}}\nregime: {regime}")
    drawn = config.draw(lambda *_: pytest.fail("nothing is drawn"))
    made = trial_config(drawn.sections, config.evaluation, "macro_f1").regime
    assert made.trainings == trainings
    assert not drawn.parameters


def test_options_of_a_regime_are_drawn_with_it_alone() -> None:
    config = space(
        "regime: {name: {choice: [single, born_again, online]}, generations: {choice: [2, 3]}, "
        "momentum: {choice: [0.9, 0.99]}}"
    )
    points = [drawn.parameters for drawn in enumerate_grid(config.space, options_taken)]
    assert points == [
        {"regime.name": "single"},
        {"regime.name": "born_again", "regime.generations": 2},
        {"regime.name": "born_again", "regime.generations": 3},
        {"regime.name": "online", "regime.momentum": 0.9},
        {"regime.name": "online", "regime.momentum": 0.99},
    ]


def test_a_choice_of_regimes_may_hold_names_and_mappings() -> None:
    config = space("regime: {choice: [single, {name: born_again, generations: 2}, online]}")
    drawn = list(enumerate_grid(config.space, options_taken))
    regimes = [trial_config(one.sections, Evaluation(), "f1").regime for one in drawn]
    assert regimes == [Single(), BornAgain(generations=2), Online()]
    assert drawn[1].parameters == {"regime.name": "born_again", "regime.generations": 2}
    assert [list(one.choices.values()) for one in drawn] == [["single"], ["born_again"], ["online"]]


def test_a_point_may_choose_a_regime_by_its_name() -> None:
    text = "regime: {choice: [single, online]}\nsearch: {points: [{regime: online}]}"
    assert space(text).search.points == [{"regime": "online"}]
    assert told(text.replace("{regime: online}", "{regime: twice}"))


def test_a_trial_drawn_again_needs_only_the_options_of_its_regime() -> None:
    config = space("regime: {choice: [single, {name: online, momentum: {uniform: [0.5, 0.9]}}]}")
    for regime in ({"name": "single"}, {"name": "online", "momentum": 0.7}):
        sections = {**config.draw(lambda *_: "single").sections, "regime": regime}
        assert replay(config.space, sections, options_taken)[1] == {}


def test_a_trial_from_before_there_were_regimes_is_one_of_the_teacher_alone(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    file = folder.trial("0000") / "config.yaml"
    file.parent.mkdir(parents=True)
    content = {"sections": SECTIONS, "parameters": {}, "threads": 1}
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    setup = load_setup(folder, "0000")
    assert setup.sections == completed(SECTIONS) == {**SECTIONS, "regime": {"name": "single"}}
    assert trial_config(setup.sections, Evaluation(), "macro_f1").regime == Single()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("regime: born_agian", "line 1: regime.name: no such name: 'born_agian'; did you mean"),
        ("regime: {generations: 2}", "regime.name: is required"),
        ("regime: {name: mutual, momentum: 0.9}", "regime.momentum: unknown key: mutual takes no"),
        ("regime: {name: born_again, generations: 1}", "regime.generations: must be at least 2"),
        ("regime: {name: mutual, students: 1}", "regime.students: must be at least 2"),
        ("regime: {name: online, momentum: 1}", "regime.momentum: must be less than 1"),
        ("regime: progressive", "regime.assistants: is required"),
        ("regime: {name: progressive, assistants: []}", "regime.assistants: must be at least 1"),
    ],
)
def test_a_wrong_regime_is_told_with_its_key_and_rule(text: str, message: str) -> None:
    (problem,) = told(text)
    assert message in problem


@pytest.mark.parametrize("layers", ["[{layers: 2}, {layers: 2}]", "[{layers: 1}, {layers: 2}]"])
def test_assistants_have_fewer_and_fewer_layers(layers: str) -> None:
    (problem,) = told(
        f"student: {{layers: 1}}\nregime: {{name: progressive, assistants: {layers}}}"
    )
    assert "each assistant must have fewer layers than the one before" in problem


def test_assistants_lie_between_the_teacher_and_the_student() -> None:
    above = told("student: {layers: 1}\nregime: {name: progressive, assistants: [{layers: 4}]}")
    assert above == [
        "line 2: regime.assistants: must have fewer layers than the teacher's 4, but got 4"
    ]
    below = told("student: {layers: 3}\nregime: {name: progressive, assistants: [{layers: 2}]}")
    assert below == [
        "line 2: regime.assistants: must have at least the student's 3 layers, but got 2"
    ]


@pytest.mark.parametrize(
    "regime", ["{name: progressive, assistants: [{layers: 2}]}", "born_again", "mutual", "online"]
)
def test_labels_alone_are_taught_in_no_other_regime(regime: str) -> None:
    text = "student: {layers: 1}\ndistillation: {method: {choice: [none, logit]}}\n"
    (problem,) = told(text + f"regime: {regime}")
    assert "cannot teach by none, which has no teacher; take it out, or set `regime: single`" in (
        problem
    )


@pytest.mark.parametrize("regime", ["mutual", "online"])
def test_a_bank_needs_a_teacher_that_stays_as_it_is(regime: str) -> None:
    (problem,) = told(f"distillation: {{method: contrastive}}\nregime: {regime}")
    assert f"regime.name: {regime} cannot teach by contrastive, which reads a bank" in problem
    assert "set `distillation.negatives: 0`" in problem
    assert space(f"distillation: {{method: contrastive, negatives: 0}}\nregime: {regime}")
    assert space("distillation: {method: contrastive}\nregime: born_again")


@pytest.mark.parametrize("regime", ["mutual", "online"])
def test_hints_are_not_learnt_from_who_knows_as_little(regime: str) -> None:
    (problem,) = told(f"distillation: {{method: fitnet}}\nregime: {regime}")
    assert f"regime.name: {regime} cannot teach by fitnet, which begins with hints alone" in problem
    assert "a teacher that has learnt nothing yet" in problem
    assert space("distillation: {method: fitnet}\nregime: born_again")


def test_students_that_teach_each_other_are_not_cut_between_epochs() -> None:
    text = "pruning: {method: heads, ratio: 0.5, schedule: {stages: 2}}\nregime: mutual"
    (problem,) = told(text)
    assert "pruning.schedule: heads would cut the students of mutual apart" in problem
    assert space(text.replace("heads", "magnitude"))
    assert space(text.replace("mutual", "online"))


def test_layers_are_matched_between_all_who_teach_and_learn() -> None:
    mapping = "student: {layers: 2}\ndistillation: {method: hidden, layer_mapping: {4: 2}}\n"
    assert space(mapping)
    for regime in ("born_again", "mutual", "online"):
        (problem,) = told(mapping + f"regime: {regime}")
        assert f"{regime} cannot teach by hidden" in problem
        assert "must lie within 2 teacher and 2 student layers" in problem


def test_a_former_student_that_has_lost_layers_cannot_teach_one_that_has_them_yet() -> None:
    text = (
        "student: {layers: 4}\ndistillation: {method: hidden}\nregime: born_again\n"
        "pruning: {method: layers, ratio: 0.5, schedule: %s}"
    )
    assert space(text % "one_shot")
    (problem,) = told(text % "{stages: 2}")
    assert "born_again cannot teach by hidden" in problem


def test_only_what_the_sweeps_teacher_teaches_is_asked_of_it(tmp_path: Path) -> None:
    hidden = {"distillation": {"method": "hidden", "alpha": None}, "student": {"layers": 1}}
    layers = {
        "single": {2},
        "born_again": {2},
        "mutual": set(),
        "online": set(),
    }
    for name, expected in layers.items():
        config = tiny_config(tmp_path, regime=name, **hidden)
        needs = teacher_needs(config, tiny.MULTI, tiny.model().config)
        assert needs.hidden == expected, name
