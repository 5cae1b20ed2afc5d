"""A tiny teacher and what it is asked."""

from typing import Any

import torch

from kdray.config.teachers import Cache
from kdray.data.dataset import Dataset
from kdray.models.outputs import Needs, Outputs
from kdray.teacher.keeping import Asked, Place, keep_outputs
from kdray.teacher.layout import as_outputs, output_names
from kdray.teacher.outputs import TeacherOutputs
from tests import tiny

CPU = torch.device("cpu")
LAYERS = Needs(frozenset({0, 2}), frozenset({1, 2}))
NEEDS = LAYERS | Needs(queries_keys_values=frozenset({2}), first=frozenset({0, 1}), features=True)


def asked(
    model: Any = None, dataset: Dataset | None = None, needs: Needs = NEEDS, key: str = "key"
) -> Asked:
    return Asked(model or tiny.model(), dataset or tiny.dataset(), needs, key)


def kept(asked: Asked, where: str = "auto", place: Place | None = None, **cache) -> TeacherOutputs:
    return keep_outputs(asked, Cache(where=where, **cache), place or Place())


def read(outputs: TeacherOutputs, rows: Any, length: int, needs: Needs = NEEDS) -> Outputs:
    return as_outputs(outputs.batch(output_names(needs), rows, length, CPU), needs)
