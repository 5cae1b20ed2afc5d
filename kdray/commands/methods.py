"""`kdray methods`."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from kdray.commands.speaking import Voice, print_json
from kdray.methods import methods_document
from kdray.schema import NAMING


def show_methods(voice: Voice) -> None:
    """Prints every method of every family: what it does, its options, defaults and paper."""
    document = methods_document()
    if voice.as_json:
        print_json(document)
        return
    console = voice.result()
    for family, methods in document.items():
        for name, method in methods.items():
            console.print(f"{family}.{NAMING[family]}: {name}", style="bold")
            _show_method(console, method)


def _show_method(console: Console, method: Mapping[str, Any]) -> None:
    for paragraph in method["about"].split("\n\n"):
        text = " ".join(line.strip() for line in paragraph.splitlines())
        console.print(f"  {text}", highlight=False, markup=False)
    options = Table(box=None, pad_edge=False)
    for title in ("  option", "default", "type and range", "what it is"):
        options.add_column(title)
    for name, option in method["options"].items():
        default = "required" if option["required"] else _word(option["default"])
        options.add_row(f"  {name}", default, _range(option["values"]), option["about"])
    if method["options"]:
        console.print(options)
    console.print()


def _word(value: Any) -> str:
    """Returns a value as it stands in a YAML file."""
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _range(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_range(option) for option in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    words = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    limits = [f"{sign} {schema[key]:g}" for key, sign in words.items() if key in schema]
    return _container(schema) or " ".join([str(schema.get("type", "")), *limits])


def _container(schema: Mapping[str, Any]) -> str:
    """Returns what a list or a mapping may hold; nothing of a schema of another kind."""
    if "properties" in schema:
        return "{" + ", ".join(f"{k}: {_range(v)}" for k, v in schema["properties"].items()) + "}"
    if "items" in schema:
        return f"list of {_range(schema['items'])}"
    if "additionalProperties" in schema:
        return f"{{...: {_range(schema['additionalProperties'])}}}"
    return ""
