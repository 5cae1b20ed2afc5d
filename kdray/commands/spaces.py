"""`kdray validate` and `kdray schema`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from kdray.commands.speaking import Voice, print_json
from kdray.config.domains import describe, domains_in
from kdray.errors import ConfigError
from kdray.loading import load_sweep_config
from kdray.results.folder import write_json
from kdray.results.writable import file_problems
from kdray.schema import SweepConfig
from kdray.waiting import shown_on


def validate_space(space: Path, assignments: Sequence[str], voice: Voice) -> None:
    """Checks a search space and prints its size and its estimated cost.

    Raises:
        ConfigError: With every problem, also of methods that fail on a tiny batch.
    """
    from kdray.validate import Tried, configurations, validated

    console = voice.progress()

    def say_sizes(sizes: Mapping[str, int]) -> None:
        for name, size in sizes.items():
            console.print(f"{name}: {size:,} examples", highlight=False)

    def say_tried(one: Tried) -> None:
        verdict = "ok" if one.problem is None else "FAILED"
        console.print(f"{one.name}: {verdict}, {one.seconds:.2f} s", highlight=False)

    config = load_sweep_config(space, assignments)
    with shown_on(console):
        found = validated(config, say_sizes, say_tried)
    count = configurations(config)
    if voice.as_json:
        print_json({"name": config.name, **_space_document(config, count), **asdict(found)})
        return
    _show_lines(found.cautions, voice.result())
    _show_lines([f"{name}: {sizes}" for name, sizes in found.reachable.items()], voice.result())
    _show_lines(_space_lines(config, count), voice.result())
    _show_lines([str(found.cost)], voice.result())


def write_schema(output: Path | None, of_profile: bool) -> None:
    """Writes the JSON schema of a search-space file, or prints it.

    Args:
        output: The file.
        of_profile: Of a profile instead.

    Raises:
        ConfigError: If the file cannot be written.
    """
    from kdray.json_schema import profile_schema, search_space_schema

    if output is not None and (problems := file_problems("--output", output)):
        raise ConfigError(problems)
    schema = profile_schema() if of_profile else search_space_schema()
    if output is None:
        print_json(schema)
        return
    write_json(output, schema)
    line = f"# yaml-language-server: $schema={output.resolve()}"
    text = f"an editor checks and completes a file that begins with\n{line}"
    Console().print(text, highlight=False, markup=False, soft_wrap=True)


def _space_lines(config: SweepConfig, count: int | None) -> list[str]:
    """Returns what is drawn, and how many configurations there are."""
    drawn = [f"  {path}: {describe(domain)}" for path, domain in domains_in(config.space)]
    if count is None:
        return ["space: continuous, drawn from", *drawn]
    return [f"space: {count:,} configurations, drawn from", *drawn]


def _space_document(config: SweepConfig, count: int | None) -> dict[str, Any]:
    drawn: dict[str, list[str]] = {}
    for path, domain in domains_in(config.space):
        drawn.setdefault(path, []).append(describe(domain))
    return {"configurations": count, "drawn": drawn}


def _show_lines(lines: Sequence[str], console: Console) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
