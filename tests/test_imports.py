"""Imports point one way, and each heavy library has one home."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kdray"
# From what knows most to what knows least; what shares a line are neighbours.
ORDER = [
    {"__main__"},
    {"cli"},
    {"submission"},
    {"commands"},
    {"methods", "validate"},
    {"locations"},
    {"sweep"},
    {"parcel"},
    {"trial_folder"},
    {"trial", "tracking", "reporting"},
    {"regimes"},
    {"distil_stage"},
    {"pupils"},
    {"prune_stage", "staff"},
    {"preparation", "changes"},
    {"teachers", "starts"},
    {"reading"},
    {"loading", "json_schema"},
    {"regime_checks", "family_checks", "head_checks"},
    {"pruning_checks"},
    {"space_checks", "point_checks", "metric_checks", "scheduler_checks", "profile", "warm_start"},
    {"schema"},
    {"distillation", "pruning", "teacher", "exporting"},
    {"training"},
    {"evaluation"},
    {"models"},
    {"data"},
    {"config", "results", "waiting"},
    {"errors"},
]
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
BESIDE = {"tracking": {"results", "errors"}, "reporting": {"results", "errors"}}
HOMES = {
    "ray": {"sweep"},
    "optuna": {"sweep"},
    "mlflow": {"tracking"},
    "matplotlib": {"reporting"},
    "plotly": {"reporting"},
    "jinja2": {"reporting"},
    "onnx": {"exporting"},
    "onnxruntime": {"exporting"},
    "typer": {"cli"},
}


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    relative = file.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imported(file: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_module_imports_only_from_below_it(file: Path) -> None:
    part = part_of(file)
    if part == "__init__":
        return
    others = {name.split(".")[1] for name in imported(file) if name.startswith("kdray.")} - {part}
    if part in BESIDE:
        assert others <= BESIDE[part]
    assert all(RANK[part] < RANK[other] for other in others), others


@pytest.mark.parametrize("library", HOMES)
def test_a_heavy_library_is_imported_in_its_home_only(library: str) -> None:
    users = {
        part_of(file)
        for file in files()
        if any(name.split(".")[0] == library for name in imported(file))
    }
    assert users <= HOMES[library]


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("kdray", {"torch", "ray", "mlflow", "transformers", "pandas", "pydantic"}),
        ("kdray.cli", {"torch", "ray", "mlflow", "transformers", "pandas", "optuna"}),
        ("kdray.reporting.report", {"torch", "ray", "mlflow"}),
        ("kdray.trial", {"ray", "optuna", "mlflow"}),
    ],
)
def test_importing_a_module_does_not_load(module: str, never: set[str]) -> None:
    code = f"import sys, {module}; print(*{{n.split('.')[0] for n in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not never & set(done.stdout.split())


def test_every_file_is_under_300_lines() -> None:
    long = {str(f): n for f in files() if (n := len(f.read_text("utf-8").splitlines())) > 300}
    assert not long
