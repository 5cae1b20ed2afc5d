"""Students that start from a folder which only the preparation opens."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.models.building import thaw
from kdray.preparation import PreparedSweep, prepare, rebuild
from kdray.prune_stage import build_student
from kdray.reading import read_data
from kdray.results.folder import SweepFolder
from kdray.schema import SweepConfig, TrialConfig
from kdray.teacher.keeping import Place
from kdray.trial import run_trial
from kdray.validate import tiny_sweep
from tests.command_line import kdray
from tests.learnable import trial
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


def test_a_start_with_another_tokenizer_is_refused_before_any_trial(tmp_path: Path) -> None:
    made = prepare(tiny_config(tmp_path, "teacher.architecture.vocabulary_size=300"))
    thaw(made.teacher).save_pretrained(tmp_path / "other")
    made.tokenizer.save_pretrained(tmp_path / "other")
    config = tiny_config(tmp_path, student={"initial": "./other"})
    for begin in (prepare, lambda config: tiny_sweep(config, read_data(config))):
        with pytest.raises(ConfigError, match=r"student\.initial: .*has another tokenizer"):
            begin(config)


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
