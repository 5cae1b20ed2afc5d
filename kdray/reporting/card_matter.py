"""The front matter of a student's card: what model hubs read."""

from collections.abc import Mapping
from typing import Any

import yaml

from kdray.reporting.card_origin import data_name
from kdray.reporting.objectives import objective

# What the hub calls the metrics.
_METRICS = {"macro_f1": "f1", "micro_f1": "f1", "accuracy": "accuracy", "auroc": "roc_auc"}


def front_matter(
    name: str, library: str, data: Mapping[str, Any], test: Mapping[str, float]
) -> str:
    """Returns the front matter in YAML; the licence is the owner's to choose, and left out.

    Args:
        name: What the student is called.
        library: What loads it.
        data: The sweep's `data` section.
        test: Metrics on test of the student as it is stored; a card without them has no results.
    """
    values = [
        {"type": kind, "name": objective(metric).label, "value": float(test[metric])}
        for metric, kind in _METRICS.items()
        if metric in test
    ]
    result = {
        "task": {"type": "text-classification"},
        "dataset": {"name": data_name(data), "type": data_name(data), "split": "test"},
        "metrics": values,
    }
    matter = {
        "library_name": library,
        "pipeline_tag": "text-classification",
        "tags": ["text-classification", "knowledge-distillation", "pruning", "kdray"],
        "metrics": list(dict.fromkeys(_METRICS.values())),
        **({"model-index": [{"name": name, "results": [result]}]} if values else {}),
    }
    return yaml.safe_dump(matter, sort_keys=False, allow_unicode=True)
