import json
from pathlib import Path

import pytest
import yaml

from kdray.changes import check_unchanged, differences, study_differences
from kdray.commands.resuming import Asked
from kdray.commands.sweeps import resume_sweep
from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.results.folder import SweepFolder, write_text
from kdray.sweep.search import begin, open_study
from tests.tiny_sweep import write_space

CHANGED = {"student": {"layers": {"choice": [2]}}, "objectives": {"macro_f1": "maximize"}}


def test_a_file_that_says_the_same_is_no_change(tmp_path: Path) -> None:
    config = load_sweep_config(write_space(tmp_path), ["training.epochs=2"])
    file = tmp_path / "space.yaml"
    file.write_text("# a comment\n" + file.read_text())
    check_unchanged(config, config.source)


def test_every_difference_of_a_changed_file_is_told_with_the_ways_out(tmp_path: Path) -> None:
    config = load_sweep_config(write_space(tmp_path))
    write_space(tmp_path, **CHANGED, training={"epochs": 2})
    with pytest.raises(ConfigError) as caught:
        check_unchanged(config, config.source)
    told = str(caught.value)
    assert caught.value.exit_code == 2
    assert "student.layers.choice: began with [1, 2], but is [2] now" in told
    assert "objectives.size_mb: began with 'minimize', but is nothing now" in told
    assert "--as-begun" in told
    assert "training.epochs: began with 1, but is 2 now" in told


def test_where_and_how_long_a_sweep_runs_may_change(tmp_path: Path) -> None:
    begun = load_sweep_config(write_space(tmp_path)).content
    how = {"max_failures": 3, "trial_timeout_s": 9, "checkpoint_interval_s": 0, "keep": "all"}
    now = load_sweep_config(
        write_space(tmp_path, search={"trials": 9, "time_budget_s": 60, **how}, name="other"),
        ["resources.cpus_per_trial=2", "tracking.experiment=other", "teacher.cache.where=disk"],
    ).content
    assert differences(begun, now) == []


def test_a_file_that_is_gone_is_no_change(tmp_path: Path) -> None:
    config = load_sweep_config(write_space(tmp_path))
    (tmp_path / "space.yaml").unlink()
    check_unchanged(config, config.source)
    check_unchanged(config, {})


def test_a_resume_with_a_changed_file_is_refused_before_any_work(tmp_path: Path) -> None:
    config = load_sweep_config(write_space(tmp_path))
    folder = SweepFolder(tmp_path / "runs" / "tiny")
    content = {"config": dict(config.content), "base": str(config.base), "source": config.source}
    write_text(folder.sweep_yaml, yaml.safe_dump(content))
    write_space(tmp_path, **CHANGED)
    with pytest.raises(ConfigError, match=r"has changed since the sweep began"):
        resume_sweep(str(folder.root), Asked())


def test_a_study_refuses_a_space_that_it_was_not_begun_with(tmp_path: Path) -> None:
    config, folder = load_sweep_config(write_space(tmp_path)), SweepFolder(tmp_path / "s")
    folder.root.mkdir()
    begin(open_study(config, folder, 0), config, folder)
    begin(open_study(config, folder, 0), config, folder)
    other = load_sweep_config(write_space(tmp_path, training={"epochs": 3}))
    with pytest.raises(ConfigError, match=r"sweep\.yaml was changed.*\n.*training\.epochs"):
        begin(open_study(other, folder, 0), other, folder)


def test_options_that_are_new_in_this_version_are_no_change_and_nor_is_where_files_lie(
    tmp_path: Path,
) -> None:
    config = load_sweep_config(write_space(tmp_path))
    began = json.loads(json.dumps(dict(config.content)))
    del began["search"]["checkpoint_interval_s"], began["teacher"]["cache"]
    began["teacher"]["model"] = "/elsewhere/teacher"
    began["evaluation"]["out_of_domain"] = "/elsewhere/other.csv"
    assert study_differences(began, config) == []
    began["training"]["epochs"] = 7
    assert [problem.where for problem in study_differences(began, config)] == ["training.epochs"]


def test_a_path_of_set_is_read_as_it_was_meant_when_the_sweep_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("text,spam\nx,1\n")
    space = tmp_path / "space.yaml"
    space.write_text("data: {source: files, train: no.csv, labels: [spam]}\n")
    monkeypatch.chdir(tmp_path / "data")
    config = load_sweep_config(space, ["data.train=train.csv"])
    monkeypatch.chdir("/")
    check_unchanged(config, config.source)
