"""Students that start from a folder which only the preparation opens."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.models.building import thaw
from kdray.models.student import load_student, save_student
from kdray.preparation import PreparedSweep, prepare, rebuild
from kdray.prune_stage import begin_student, build_student
from kdray.reading import read_data
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig, TrialConfig
from kdray.teacher.keeping import Place
from kdray.trial import run_trial
from kdray.validate import tiny_sweep, validated
from tests import tiny
from tests.command_line import kdray
from tests.learnable import MULTI, TRAINING, made, texts, trial, write_data, write_teacher
from tests.tiny_sweep import tiny_config, write_space


def donor(place: Path) -> Path:
    """A classifier with the tokenizer of the sweep's teacher, and one layer more."""
    made = prepare(tiny_config(place, "teacher.architecture.layers=3"))
    thaw(made.teacher).save_pretrained(place / "donor")
    made.tokenizer.save_pretrained(place / "donor")
    return place / "donor"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepConfig, PreparedSweep, Any]:
    """A sweep that was prepared from a folder that is gone since."""
    place = tmp_path_factory.mktemp("space")
    source = donor(place)
    initial = {"choice": ["teacher_layers", "./donor"]}
    config = tiny_config(place, student={"initial": initial})
    prepared = prepare(config, place=Place(SweepFolder(place / "s")))
    shutil.rmtree(source)
    return config, prepared, source


def one(source: Path | str, **student: Any) -> TrialConfig:
    return trial(student={"layers": None, "initial": str(source), **student})


def test_trials_start_from_a_folder_that_only_the_preparation_opened(started: Any) -> None:
    _, sweep, source = started
    assert sweep.starts.keys() == {str(source)}
    finished = run_trial(one(source), sweep)
    assert finished.student.model.config.num_hidden_layers == 3


def test_a_sweep_that_goes_on_has_the_start_from_its_own_folder(started: Any) -> None:
    config, sweep, source = started
    (stored,) = (sweep_folder(source).teacher / "starts").glob("*.safetensors")
    again = rebuild(config, Place(sweep_folder(source)))
    same, weights = build_student(one(source), again), load_file(stored)
    for name, tensor in build_student(one(source), sweep).state_dict().items():
        assert (same.state_dict()[name] == tensor).all(), name
        assert (tensor.numpy() == weights[name]).all(), name


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> tuple[SweepConfig, PreparedSweep]:
    """A sweep of texts that can be learnt, whose students start with a tokenizer of their own."""
    place = tmp_path_factory.mktemp("foreign")
    teacher = write_teacher(place, "teacher", MULTI, seed=1)
    write_teacher(
        place, "own", MULTI, vocabulary=70, family="distilbert", max_position_embeddings=32
    )
    (place / "more.txt").write_text("\n".join(texts(30, 5)["text"]))
    sections = {
        "data": {**write_data(place, MULTI), "unlabeled": "more.txt"},
        "teacher": {"model": teacher, "architecture": None, "training": {**TRAINING, "epochs": 15}},
        "student": {"initial": {"choice": ["teacher_layers", "./own"]}, "layers": None},
        "pruning": {"method": {"choice": ["none", "vocabulary"]}, "ratio": 0.3},
        "distillation": {"method": {"choice": ["logit", "pkd"]}},
    }
    found = made(place, sections)
    return found.config, found.sweep


def own(config: SweepConfig, **changes: Any) -> TrialConfig:
    student = {"layers": None, "initial": str(config.base / "own")}
    return trial(student=student, training={"epochs": 8}, **changes)


def test_a_student_with_a_tokenizer_of_its_own_learns_from_its_teachers_answers(
    foreign: Any, tmp_path: Path
) -> None:
    config, sweep = foreign
    ours = AutoTokenizer.from_pretrained(config.base / "own")
    finished = run_trial(own(config, distillation={"alpha": 1.0}), sweep)
    assert finished.metrics["macro_f1"] > 0.8
    assert finished.student.tokenizer.get_vocab() == ours.get_vocab() != sweep.tokenizer.get_vocab()
    save_student(finished.student, tmp_path / "stored")
    stored, asked = load_student(tmp_path / "stored"), ["lovely soup", "it was awful and plain"]
    assert stored.tokenizer.get_vocab() == ours.get_vocab()
    same = finished.student.probabilities(asked)
    assert stored.probabilities(asked) == pytest.approx(same, abs=1e-5)


def test_its_splits_are_tokenised_once_and_are_there_again_after_a_restart(foreign: Any) -> None:
    config, sweep = foreign
    name = str(config.base / "own")
    tokenizer, splits = sweep.read_by(name)
    assert splits.keys() == sweep.splits.keys() > {"unlabeled"}
    assert begin_student(own(config), sweep).splits is splits
    assert sweep.read_by("teacher_layers") == (sweep.tokenizer, sweep.splits)
    again = rebuild(config, Place(SweepFolder(config.base / "runs" / "s")))
    same, read = again.read_by(name)
    assert same.get_vocab() == tokenizer.get_vocab()
    assert (
        read["test"].columns["input_ids"].values == splits["test"].columns["input_ids"].values
    ).all()


@pytest.mark.parametrize(
    "changes",
    [
        {"pruning": {"method": "vocabulary", "ratio": 0.3}},
        {"distillation": {"method": "pkd"}},
        {"regime": {"name": "mutual"}, "distillation": {"method": "hidden"}},
        {"regime": {"name": "born_again", "generations": 2}},
        {
            "regime": {"name": "progressive", "assistants": [{"layers": 1}]},
            "student": {"layers": 1},
        },
    ],
)
def test_a_student_with_a_tokenizer_of_its_own_is_pruned_and_taught_like_any_other(
    foreign: Any, changes: dict[str, Any]
) -> None:
    config, sweep = foreign
    student = {"layers": None, "initial": str(config.base / "own"), **changes.pop("student", {})}
    one = trial(student=student, training={"epochs": 2}, **changes)
    finished = run_trial(one, sweep)
    assert finished.logits["test"].shape == (60, 3)
    assert run_trial(one, sweep).metrics["macro_f1"] == finished.metrics["macro_f1"]


def test_a_student_with_a_tokenizer_of_its_own_is_not_compared_token_by_token(
    tmp_path: Path,
) -> None:
    student = {"initial": other(tmp_path), "layers": None}
    method = {"choice": ["logit", "attention", "hidden"]}
    for begin in (prepare, lambda config: tiny_sweep(config, read_data(config))):
        with pytest.raises(ConfigError) as caught:
            begin(tiny_config(tmp_path, student=student, distillation={"method": method}))
        assert [str(problem) for problem in caught.value.problems] == [
            "distillation.method: attention and hidden cannot be drawn together with "
            f"student.initial {str(tmp_path / 'other')!r}: it has another tokenizer than the "
            "teacher, and attention and hidden would compare token with token; choose logit, or "
            "start from a model with the teacher's tokenizer"
        ]


def test_where_students_teach_each_other_their_tokens_are_the_same(tmp_path: Path) -> None:
    changes = {"student": {"initial": other(tmp_path), "layers": None}, "regime": "online"}
    method = {"method": "hidden", "alpha": None}
    assert prepare(tiny_config(tmp_path, distillation=method, **changes)).own_splits


def test_validate_tries_a_student_with_a_tokenizer_of_its_own(tmp_path: Path) -> None:
    student = {"initial": other(tmp_path), "layers": None}
    config = tiny_config(tmp_path, student=student, distillation={"method": "logit"})
    assert validated(config, lambda sizes: None, lambda tried: None).tried


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"pruning": {"method": "heads", "ratio": 0.5}}, "pruning.method"),
        ({"student": {"layers": 1}}, "student.layers"),
        ({"training": {"gradient_checkpointing": True}}, "training.gradient_checkpointing"),
    ],
)
def test_what_the_family_of_a_start_cannot_do_is_told_before_any_trial(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    sweep = prepare(tiny_config(tmp_path))
    model = tiny.model(sweep.labels, family="albert", vocab_size=len(sweep.tokenizer))
    model.save_pretrained(tmp_path / "albert")
    sweep.tokenizer.save_pretrained(tmp_path / "albert")
    student = {"initial": "./albert", "layers": None, **changes.pop("student", {})}
    with pytest.raises(ConfigError) as caught:
        prepare(tiny_config(tmp_path, student=student, **changes))
    (problem,) = caught.value.problems
    assert problem.where == key
    assert "AlbertForSequenceClassification" in problem.message


def test_only_the_layers_that_a_start_is_taught_by_are_kept(tmp_path: Path) -> None:
    changes = {"student": {"initial": str(donor(tmp_path)), "layers": 2}}
    method = {"method": "hidden", "alpha": None}
    pruning = {"method": "none", "ratio": None}
    config = tiny_config(
        tmp_path, "teacher.architecture.layers=4", distillation=method, pruning=pruning, **changes
    )
    assert set(prepare(config).outputs.plan.kept) >= {"hidden.2", "hidden.4"}
    assert not {"hidden.1", "hidden.3"} & set(prepare(config).outputs.plan.kept)


def other(place: Path) -> str:
    """A classifier with a tokenizer of its own."""
    prepared = prepare(tiny_config(place, "teacher.architecture.vocabulary_size=300"))
    thaw(prepared.teacher).save_pretrained(place / "other")
    prepared.tokenizer.save_pretrained(place / "other")
    return "./other"


@pytest.mark.parametrize("name", ["./donor", "donor"])
def test_a_sweep_goes_on_although_the_folder_is_gone(tmp_path: Path, name: str) -> None:
    folder, source = SweepFolder(tmp_path / "s"), donor(tmp_path)
    prepare(tiny_config(tmp_path, student={"initial": name}), place=Place(folder))
    shutil.rmtree(source)
    config = load_sweep_config(tmp_path / "space.yaml", begun=True)
    again = rebuild(config, Place(folder))
    drawn = config.space["student"]["initial"]
    assert build_student(one(drawn), again).config.num_hidden_layers == 3


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
def test_workers_have_the_start_from_the_object_store(output: Path) -> None:
    place = output / "starting"
    place.mkdir()
    source = donor(place)
    student = {"initial": "./donor", "layers": 2}
    space = write_space(place, name="started", student=student)
    kdray("sweep", space, "--output", output, "--trials", 1)
    shutil.rmtree(source)
    kdray("resume", output / "started", "--trials", 2)
    results = SweepFolder(output / "started").results()
    assert [result.status for result in results] == ["completed"] * 2


def sweep_folder(source: Path) -> SweepFolder:
    return SweepFolder(source.parent / "s")
