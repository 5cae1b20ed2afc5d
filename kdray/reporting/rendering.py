"""Fills in the templates of a report."""

import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, context: dict[str, Any]) -> str:
    """Returns a template filled in; in HTML everything is escaped, in Markdown what asks for it."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=".html" in template,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape_markdown
    environment.filters["fenced"] = fence
    environment.filters["nobreak"] = _without_breaks
    return environment.get_template(template).render(context)


def escape_markdown(value: Any) -> str:
    """Returns text that Markdown shows as it is, in a table cell too: one line, no markup."""
    line = " ".join(str(value).split())
    return re.sub(r"([\\`*|\[\]])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")


def fence(text: str, language: str = "") -> str:
    """Returns a Markdown code block, with a fence longer than any inside the text."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text.rstrip()}\n{ticks}"


def _without_breaks(text: str) -> str:
    """Keeps a number and its unit on one line."""
    return text.replace(" %", "\u00a0%").replace(" MB", "\u00a0MB")
