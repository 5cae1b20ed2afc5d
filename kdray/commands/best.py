"""`kdray best`: the student to take away."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from kdray.commands.fronts import print_metrics
from kdray.commands.limits import Assignments, read_bounds
from kdray.commands.speaking import print_json, progress_console
from kdray.commands.taking import Leaving, copy_out, output_problems
from kdray.errors import ConfigError, Problem
from kdray.exporting import Format
from kdray.locations import published, sweep_folder
from kdray.reporting.formats import drawn
from kdray.reporting.usage import usage
from kdray.results.folder import SweepFolder
from kdray.results.records import TrialResult

if TYPE_CHECKING:
    from kdray.reporting.best import Constraints

_COSTS = ("size_mb", "size_share", "num_parameters", "latency_ms", "speedup")


@dataclass(frozen=True)
class Wanted:
    """What is wanted of a student besides its metrics.

    Attributes:
        output: Where it is copied; None: nowhere.
        form: In which format.
        register: Whether it goes into MLflow's model registry.
        as_json: Whether what is found is printed as JSON.
    """

    output: Path | None = None
    form: Format = "safetensors"
    register: bool = False
    as_json: bool = False


def take_best(folder: str, constraints: "Constraints", bounds: Assignments, wanted: Wanted) -> None:
    """Names the best student under constraints, copies it out and registers it, as asked."""
    from kdray.reporting.best import best_student

    target = sweep_folder(folder)
    read, problems = read_bounds(target, bounds)
    problems += output_problems(wanted.output, wanted.form)
    if problems:
        raise ConfigError(problems)
    constraints = replace(constraints, bounds=read)
    trial_id = best_student(target, constraints)["trial_id"]
    result = target.result(trial_id)
    assert result is not None, "a trial on the front has a result"
    student, exported = _stored(target, folder, trial_id), dict[str, Any]()
    if wanted.output is not None:
        told = published(target)
        command = _command(told, constraints, wanted.form)
        with progress_console(as_json=wanted.as_json).status("copying the student out"):
            leaving = Leaving(told, result, wanted.output, wanted.form, command)
            exported = dict(copy_out(leaving))
        student = wanted.output
    found = _found(target, result, student, exported)
    if wanted.register:
        found["registered"] = _registered(target, trial_id)
    if wanted.as_json:
        print_json(found)
    else:
        _print(found, _that_matter(target, read), Console())


def _stored(target: SweepFolder, folder: str, trial_id: str) -> Path:
    student = target.student(trial_id)
    target.fetch(student)
    if not student.is_dir():
        again = f"kdray trial {folder} {trial_id} --output DIR"
        message = f"has no weights of it (search.keep); make it again with `{again}`"
        raise ConfigError([Problem(folder, message)])
    return student


def _registered(target: SweepFolder, trial_id: str) -> str:
    from kdray.tracking.registry import register_student

    return register_student(target, trial_id)


def _found(
    target: SweepFolder, result: TrialResult, student: Path, exported: Mapping[str, Any]
) -> dict[str, Any]:
    from kdray.reporting.reading import read_sweep
    from kdray.reporting.taken import headline_of, other_seeds_of

    form, inputs = exported.get("format", "safetensors"), exported.get("inputs", [])
    pairs = isinstance(read_sweep(target)["config"]["data"]["text"], list)
    return {
        "trial_id": result.trial_id,
        "headline": headline_of(target, result, exported),
        "other_seeds": other_seeds_of(target, result.trial_id),
        "parameters": dict(result.parameters),
        "metrics": dict(result.metrics),
        "student": str(student),
        "format": form,
        **({"onnx": dict(exported)} if exported else {}),
        "use": usage(str(student), form, inputs, pairs).splitlines(),
    }


def _print(found: Mapping[str, Any], shown: Iterable[str], console: Console) -> None:
    console.print(found["headline"], style="bold", highlight=False, soft_wrap=True)
    values = ", ".join(f"{name} {drawn(value)}" for name, value in found["parameters"].items())
    console.print(f"trial {found['trial_id']}: {values}", highlight=False, soft_wrap=True)
    if found["other_seeds"]:
        console.print(found["other_seeds"], highlight=False, soft_wrap=True)
    metrics = {name: found["metrics"][name] for name in shown if name in found["metrics"]}
    print_metrics(metrics, console)
    console.print("all metrics: --json", highlight=False)
    if "onnx" in found:
        console.print(_onnx_said(found["onnx"]), highlight=False, soft_wrap=True)
    if "registered" in found:
        console.print(f"registered: {found['registered']}", highlight=False, soft_wrap=True)
    console.print(f"student: {found['student']}", highlight=False, soft_wrap=True)
    for line in found["use"]:
        console.print(f"    {line}", highlight=False, soft_wrap=True, markup=False)


def _that_matter(target: SweepFolder, bounds: Iterable[str]) -> list[str]:
    """The metrics that a person chooses by, those on test first; `--json` has all of them."""
    from kdray.reporting.reading import read_sweep

    decided = [*read_sweep(target)["config"]["objectives"], *bounds]
    tested = [f"test_{name}" for name in (*decided, "retention")]
    return list(dict.fromkeys([*tested, *decided, *_COSTS]))


def _onnx_said(onnx: Mapping[str, Any]) -> str:
    sparse = ", with the zeros that a packed file leaves out" if onnx["sparse"] else ""
    said = [
        f"{onnx['format']}: {onnx['size_mb']:.3g} MB{sparse}; {onnx['latency_ms']:.3g} ms for a "
        f"text of {onnx['tokens']:.0f} tokens, {onnx['speedup']:.1f} times as fast as torch",
        f"largest difference of a logit in float32: {onnx['difference']:.1g}",
    ]
    said += [
        f"{metric} on test: {values[0]:.3f}, torch {values[1]:.3f}"
        for metric, values in onnx["test"].items()
    ]
    if onnx["not_measured"]:
        said.append(f"quality on test not measured: {onnx['not_measured']}")
    return "\n".join(said)


def _command(target: SweepFolder, constraints: "Constraints", form: Format) -> str:
    """Returns the command line that takes the student, for its card."""
    from kdray.reporting.provenance import called

    named = {
        "--max-size-mb": constraints.max_size_mb,
        "--min-macro-f1": constraints.min_macro_f1,
        "--within": constraints.within,
    }
    words: list[str] = []
    for option, value in named.items():
        words += [] if value is None else [option, _exact(value)]
    for metric, sides in constraints.bounds.items():
        for side, value in sides.items():
            words += ["--max" if side == "maximum" else "--min", f"{metric}={_exact(value)}"]
    words += [] if form == "safetensors" else ["--format", form]
    return f"kdray best {called(target)} {shlex.join([*words, '--output', 'student'])}"


def _exact(bound: float) -> str:
    """Returns a bound with all its digits: with fewer it could exclude the very student."""
    return repr(float(bound)).removesuffix(".0")
