from pathlib import Path
from typing import Any

import pytest
import yaml

from kdray.results.folder import SweepFolder
from kdray.sweep.provenance import write_provenance
from kdray.sweep.resources import Slot
from tests.tiny_sweep import tiny_config

SLOT = Slot(1.0, 0.0, 1)


def written(folder: SweepFolder, trials: int) -> dict[str, Any]:
    config = tiny_config(folder.root, search={"trials": trials})
    write_provenance(config, folder, "kdray sweep tiny.yaml", SLOT)
    content: dict[str, Any] = yaml.safe_load(folder.sweep_yaml.read_text(encoding="utf-8"))
    return content


def test_each_number_of_trials_that_a_sweep_was_given_later_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.cluster_resources", dict)
    folder = SweepFolder(tmp_path)
    assert "resumed" not in written(folder, 6)
    assert "resumed" not in written(folder, 6)
    assert written(folder, 9)["resumed"] == [9]
    assert written(folder, 9)["resumed"] == [9]
    assert written(folder, 13)["resumed"] == [9, 13]
