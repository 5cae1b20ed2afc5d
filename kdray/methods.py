"""`kdray methods`: every method with its options, defaults and paper."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from kdray.schema import FAMILIES, NAMING


def print_methods() -> None:
    """Prints every method of every family: what it does, its options, defaults and paper."""
    console = Console()
    for family, table in FAMILIES.items():
        for name, method in table.items():
            _print_method(console, family, name, method)


def _print_method(console: Console, family: str, name: str, method: Any) -> None:
    console.print(f"{family}.{NAMING[family]}: {name}", style="bold")
    for paragraph in (method.__doc__ or "").strip().split("\n\n"):
        text = " ".join(line.strip() for line in paragraph.splitlines())
        console.print(f"  {text}", highlight=False, markup=False)
    options = Table(box=None, pad_edge=False)
    for title in ("  option", "default", "type and range", "what it is"):
        options.add_column(title)
    schema = method.model_json_schema()["properties"]
    for key, field in method.model_fields.items():
        if key != NAMING[family]:
            default = field.get_default(call_default_factory=True)
            given = "required" if field.is_required() else str(default)
            options.add_row(f"  {key}", given, _range(schema[key]), field.description or "")
    if len(method.model_fields) > 1:
        console.print(options)
    console.print()


def _range(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_range(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    words = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema]
    return " ".join([str(schema.get("type", "")), *limits])
