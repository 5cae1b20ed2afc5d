"""Benchmarks run as their pages say, as small as can be; what they measure is not looked at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SMALLEST = [
    "early_stopping.py --seeds 1 --trials 2 --asha-trials 3 --epochs 3 --first-rung 1 "
    "--reduction-factor 3 --rows 800",
    "overhead.py --trials 6 8 --keep front",
    "scale.py --trials 24 --nodes 2 --slots 1 --seconds 0.5",
    "scale.py --trials 24 --nodes 2 --slots 1 --seconds 0.5 --scheduler pareto_asha --epochs 9",
]


@pytest.mark.parametrize("line", SMALLEST)
def test_a_benchmark_prints_a_table_and_json_in_its_last_line(line: str, tmp_path: Path) -> None:
    name, *options = line.split()
    command = [sys.executable, str(ROOT / "benchmarks" / name), *options]
    variables = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        command,
        check=False,
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    *table, last = ended.stdout.strip().splitlines()
    assert table
    assert json.loads(last)
