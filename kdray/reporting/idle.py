"""Terms of the loss that do next to nothing, seen by their share of the gradient."""

from collections.abc import Sequence

from kdray.reporting.formats import is_missing
from kdray.reporting.headline import Row
from kdray.results.records import GRADIENT_SHARE

# The gradient of a batch differs from that of all data by about 1/√B of itself, a tenth or so: a
# thousandth is lost in that.
IDLE = 1e-3


def idle_terms_said(rows: Sequence[Row]) -> str:
    """Names the terms that did next to nothing, those of most completed trials first; or nothing.

    Args:
        rows: Rows of `trials.csv`.
    """
    done = [row for row in rows if row["status"] == "completed"]
    shares: dict[str, list[float]] = {}
    for name in dict.fromkeys(name for row in done for name in row):
        if name.startswith(GRADIENT_SHARE):
            known = [row[name] for row in done if not is_missing(row.get(name))]
            shares[name.removeprefix(GRADIENT_SHARE)] = known
    idle = {term: sum(share < IDLE for share in found) for term, found in shares.items()}
    order = sorted((term for term in idle if idle[term]), key=lambda term: -idle[term])
    if not order:
        return ""
    told = ", ".join(f"{term} in {idle[term]} of {len(shares[term])} trials" for term in order)
    return (
        f"Under {100 * IDLE:g} % of the terms' gradient norms, which is next to nothing: {told}. "
        "Give such a term more weight, or leave it out."
    )
