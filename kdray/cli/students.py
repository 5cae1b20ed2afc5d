"""The commands about what a sweep has found: report, best, evaluate, predict, ui."""

from pathlib import Path
from typing import Annotated

import typer

from kdray.cli.app import AsJson, Folder, app
from kdray.exporting import Format

Student = Annotated[
    Path, typer.Argument(help="A student's folder: runs/NAME/students/ID, or best --output.")
]
Text = Annotated[
    list[str] | None, typer.Option(help="The file's text column; twice for pairs of texts.")
]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code in the student's folder.")
]


@app.command()
def report(
    folders: Annotated[
        list[str], typer.Argument(help="A sweep's folder, runs/NAME, or several on one front.")
    ],
    output: Annotated[str | None, typer.Option(help="Write the report into this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a sweep's tables and report again, or a report of several sweeps on one front."""
    from kdray.commands.reports import remake_report

    remake_report(folders, output, as_json)


@app.command()
def best(
    folder: Folder,
    max_size_mb: Annotated[float | None, typer.Option(help="Largest size.", min=0)] = None,
    min_macro_f1: Annotated[
        float | None, typer.Option(help="Least macro-F1.", min=0, max=1)
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Largest share of the teacher's quality to lose.", min=0, max=1),
    ] = None,
    maximum: Annotated[
        list[str] | None, typer.Option("--max", help="METRIC=VALUE: at most; as often as you like.")
    ] = None,
    minimum: Annotated[
        list[str] | None, typer.Option("--min", help="METRIC=VALUE: at least.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Copy the student here.")] = None,
    form: Annotated[Format, typer.Option("--format", help="What is written.")] = "safetensors",
    register: Annotated[
        bool, typer.Option("--register", help="Into MLflow's model registry, as NAME@best.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take the best student of the front under constraints, judged on validation.

    With a bound on what it costs (size, parameters, latency ...): the one of best quality that
    fits; with bounds on its quality alone: the smallest; without any: the knee of the front.
    """
    from kdray.commands.best import Wanted, take_best
    from kdray.commands.limits import Assignments
    from kdray.reporting.best import Constraints

    constraints = Constraints(max_size_mb, min_macro_f1, within)
    bounds = Assignments(maximum or (), minimum or ())
    take_best(folder, constraints, bounds, Wanted(output, form, register, as_json))


@app.command()
def evaluate(
    student: Student,
    file: Annotated[str, typer.Argument(help="Texts and labels: .csv, .parquet or .jsonl.")],
    text: Text = None,
    label: Annotated[str | None, typer.Option(help="The file's class column.")] = None,
    trust_remote_code: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Measure a stored student on a file: quality and calibration, with its own thresholds.

    Labels stand in columns of their names, classes in one column.
    """
    from kdray.commands.reading import Asked
    from kdray.commands.using import evaluate_student

    evaluate_student(Asked(student, file, text or (), label, trust_remote_code), as_json)


@app.command()
def predict(
    student: Student,
    file: Annotated[str, typer.Argument(help="Texts: .csv, .parquet, .jsonl; -: a text a line.")],
    text: Text = None,
    output: Annotated[Path | None, typer.Option(help="Write a .csv file.")] = None,
    trust_remote_code: Trust = False,
    as_json: AsJson = False,
) -> None:
    """Print the labels of each text of a file, and the probability of each label."""
    from kdray.commands.reading import Asked
    from kdray.commands.using import predict_student

    predict_student(Asked(student, file, text or (), None, trust_remote_code), output, as_json)


@app.command()
def ui(
    folder: Annotated[Path, typer.Argument(help="A sweep's folder, or that of all.")] = Path(
        "runs"
    ),
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
) -> None:
    """Open the MLflow UI on the right store, for this machine alone."""
    from kdray.tracking.ui import open_ui

    open_ui(folder, port, typer.echo)
