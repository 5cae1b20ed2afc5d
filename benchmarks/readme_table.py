"""A table in a README, between two marks."""

from pathlib import Path

BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def write_table(readme: Path, text: str) -> None:
    """Puts the table between its marks."""
    content = readme.read_text(encoding="utf-8")
    head, rest = content.split(BEGIN)
    tail = rest.split(END)[1]
    readme.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}", encoding="utf-8")
