"""What a report says of `errors.json`: who is wrong how often, and the chosen student in detail."""

from collections.abc import Mapping, Sequence
from typing import Any

from kdray.reporting.formats import MISSING, percent
from kdray.reporting.headline import Row
from kdray.reporting.mistakes import TEACHER
from kdray.reporting.tables import Table

_CASE = (("row", True), ("is", False), ("was given", False), ("confidence", True))


def mistakes(errors: Mapping[str, Any] | None, chosen: Row | None) -> dict[str, Any] | None:
    """Returns the report's section on errors, or None if nothing is known of them.

    Args:
        errors: What is in `errors.json`.
        chosen: The student that the headline speaks of, told of in detail.

    Returns:
        `overview`: a table with a row a model. `models`: of the chosen student and the teacher,
        `name`, `confident` (the most confident wrong decisions by label) and, of the student,
        `lost` (where the teacher is right). `shows_texts`: whether the last column is the text.
        `counted`: what counts as wrong, and of how many.
    """
    if not errors:
        return None
    models = errors["models"]
    detailed = [*([str(chosen["trial_id"])] if chosen else []), TEACHER]
    return {
        "counted": _counted(errors),
        "shows_texts": bool(errors.get("texts")),
        "overview": _overview(errors, chosen),
        "models": [_detail(name, errors) for name in detailed if name in models],
    }


def _counted(errors: Mapping[str, Any]) -> str:
    """How many examples there are and which are wrong; an older version has not told the latter."""
    wrong = {
        None: "",
        True: "; an example is wrong if any of its labels is",
        False: "; each has one label, which is right or wrong",
    }
    told = wrong[errors.get("multi_label")]
    return f"On {errors['split']}, {errors['examples']:,} examples{told}."


def _overview(errors: Mapping[str, Any], chosen: Row | None) -> Table:
    names = ("wrong", "share of examples", "teacher right, student wrong", "the other way round")
    rows = []
    for name, model in errors["models"].items():
        lost = model["lost"]["count"] if "lost" in model else MISSING
        share = percent(model["wrong"] / errors["examples"])
        cells = [name, str(model["wrong"]), share, str(lost), str(model.get("gained", MISSING))]
        rows.append({"kind": _kind(name, chosen), "cells": cells})
    columns = [{"name": "trial", "numeric": False}]
    return {"columns": columns + [{"name": name, "numeric": True} for name in names], "rows": rows}


def _kind(name: str, chosen: Row | None) -> str:
    if name == TEACHER:
        return TEACHER
    return "chosen" if chosen is not None and chosen["trial_id"] == name else ""


def _detail(name: str, errors: Mapping[str, Any]) -> dict[str, Any]:
    model = errors["models"][name]
    confident = [
        (label, case) for label, cases in model["most_confident"].items() for case in cases
    ]
    lost = [("", case) for case in model.get("lost", {}).get("rows", [])]
    return {
        "name": name if name == TEACHER else f"trial {name}",
        "confident": _cases(confident, errors, by_label=True),
        "lost": _cases(lost, errors, by_label=False),
    }


def _cases(
    cases: Sequence[tuple[str, Mapping[str, Any]]], errors: Mapping[str, Any], *, by_label: bool
) -> Table:
    texts = errors.get("texts", {})
    columns = [{"name": name, "numeric": numeric} for name, numeric in _CASE]
    columns = [{"name": "label", "numeric": False}, *columns] if by_label else columns
    columns += [{"name": "text", "numeric": False}] if texts else []
    rows = []
    for label, case in cases:
        cells = [str(case["row"]), _listed(case["truth"]), _listed(case["given"])]
        cells += [percent(case["confidence"]), *([texts[str(case["row"])]] if texts else [])]
        rows.append({"kind": "", "cells": [label, *cells] if by_label else cells})
    return {"columns": columns, "rows": rows}


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(labels) or "nothing"
