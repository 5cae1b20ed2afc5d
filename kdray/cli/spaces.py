"""The commands about search-space files: validate, methods."""

from kdray.cli.app import Assignments, Space, app


@app.command()
def validate(space: Space, assignments: Assignments = None) -> None:
    """Check a file, its data and every method with a tiny batch, and estimate the cost."""
    from kdray.validate import validate_space

    validate_space(space, assignments or [])


@app.command()
def methods() -> None:
    """Print every method with its options, defaults and paper."""
    from kdray.methods import print_methods

    print_methods()
