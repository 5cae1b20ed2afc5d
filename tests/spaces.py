"""Search spaces written in a test, and what is wrong with them."""

from pathlib import Path
from textwrap import dedent

import pytest

from kdray.config.loading import Document, parse_document
from kdray.errors import ConfigError
from kdray.loading import parse_sweep_config
from kdray.schema import SweepConfig


def document(text: str, base: Path = Path("/nowhere")) -> Document:
    return parse_document(dedent(text), "space.yaml", base)


def space(text: str, base: Path = Path("/nowhere")) -> SweepConfig:
    return parse_sweep_config(document(text, base))


def told(text: str, base: Path = Path("/nowhere")) -> list[str]:
    """Returns each problem of a wrong space as the user reads it."""
    with pytest.raises(ConfigError) as caught:
        space(text, base)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]
