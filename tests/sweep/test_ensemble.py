"""A sweep whose teacher is an ensemble, with real Ray, its resume, and one of its trials again."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from kdray.commands.trials import run_one_trial
from kdray.results.folder import SweepFolder
from kdray.sweep.opening import Launch
from kdray.sweep.run import run_sweep
from tests.learnable import SINGLE, write_data, write_teacher
from tests.tiny_sweep import tiny_config


@pytest.mark.slow
def test_a_sweep_of_an_ensemble_runs_each_member_once_and_goes_on(
    cluster: None, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [write_teacher(tmp_path, name, SINGLE, seed=seed) for seed, name in enumerate("ab")]
    teacher = {"model": models, "architecture": None, "cache": {"where": "disk"}}
    data = write_data(tmp_path, SINGLE)
    config = tiny_config(tmp_path, data=data, teacher=teacher, search={"trials": 2})
    folder, text = SweepFolder(output / "ensemble"), io.StringIO()
    run_sweep(config, folder, Launch(""), Console(file=text, width=300))
    summary = json.loads(folder.summary_json.read_text())
    assert summary["trials"]["completed"] == 2, text.getvalue()
    assert summary["teacher_forward_examples"] == 2 * 192
    assert [member["model"] for member in summary["teacher_members"]] == models
    more = replace(config, search=config.search.model_copy(update={"trials": 3}))
    run_sweep(more, folder, Launch(""), Console(file=text, width=300))
    summary = json.loads(folder.summary_json.read_text())
    assert summary["trials"]["completed"] == 3, text.getvalue()
    assert summary["teacher_forward_examples"] == 2 * 192
    run_one_trial(folder.root, "0001", [], None)
    assert "is the same as in the sweep" in capsys.readouterr().out
