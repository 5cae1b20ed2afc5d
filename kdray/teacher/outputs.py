"""What the teacher says of the training set: computed once a sweep, shared among its trials."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from kdray.data.batches import sorted_batches
from kdray.data.dataset import Dataset, Rows
from kdray.models.outputs import best_device, forward, with_attentions
from kdray.teacher.cache import Plan
from kdray.teacher.files import MappedFile
from kdray.teacher.layout import Array, Layout, by_name, needs_of, sides_of
from kdray.waiting import progress


@dataclass(frozen=True)
class TeacherOutputs:
    """The outputs on a training set.

    Attributes:
        layout: Where each example stands in a column.
        columns: What is kept, by the names of `output_names`.
        plan: Where each output comes from.
        forward_examples: Examples that went through the teacher to make the columns.
        reused: Whether some were taken from an earlier sweep.
    """

    layout: Layout
    columns: Mapping[str, Array | MappedFile]
    plan: Plan
    forward_examples: int = 0
    reused: bool = False

    def array(self, name: str) -> Array:
        """Returns one column whole, without reading it."""
        column = self.columns[name]
        return column.array if isinstance(column, MappedFile) else column

    def batch(
        self, names: Sequence[str], rows: Rows, length: int, device: torch.device
    ) -> dict[str, torch.Tensor]:
        """Returns kept outputs of some examples, padded with 0 to `length` positions."""
        return {
            name: torch.from_numpy(self.layout.take(name, self.array(name), rows, length)).to(
                device
            )
            for name in names
        }

    def size_mb(self, names: Sequence[str]) -> float:
        """Returns the size of some columns in MB (10^6 bytes)."""
        return sum(self.array(name).nbytes for name in names) / 1e6


def compute_outputs(
    model: Any, dataset: Dataset, arrays: Mapping[str, Array], readable: bool
) -> set[str]:
    """Runs the teacher over a training set once and writes what it says into the arrays.

    Args:
        model: The teacher; it is left on the CPU with the fastest attention.
        dataset: The training set.
        arrays: By name, in the shapes of `Layout.columns`.
        readable: Whether the attention is one that can be read; its last bits are others than
            those of the fastest.

    Returns:
        The outputs that are too large for half precision; their arrays are of no use.
    """
    device, needs, layout = best_device(), needs_of(arrays), Layout.of(dataset.lengths)
    model = with_attentions(model.to(device).eval(), readable)
    too_large: set[str] = set()
    done = 0
    with torch.inference_mode():
        for batch in sorted_batches(dataset, device):
            found = by_name(forward(model, batch.inputs, needs))
            for name, array in arrays.items():
                stored = found[name].to(torch.float16 if sides_of(name) else torch.float32)
                if sides_of(name) and bool(stored.isinf().any()):
                    too_large.add(name)
                layout.put(name, array, batch.rows, stored.cpu().numpy())
            done += len(batch.rows)
            progress("the teacher's outputs", done, len(dataset))
    with_attentions(model, False).cpu()
    return too_large


def describe(*outputs: TeacherOutputs) -> str:
    """Returns where the outputs are: "12 MB in memory, 30 MB on disk, hidden.1 in the loop".

    Args:
        outputs: Of the teacher, or of each member of an ensemble.
    """
    kept = {"in memory": [one.plan.memory for one in outputs]}
    kept["on disk"] = [one.plan.disk for one in outputs]
    parts = []
    for where, names in kept.items():
        if any(names):
            size = sum(one.size_mb(own) for one, own in zip(outputs, names, strict=True))
            parts.append(f"{size:.0f} MB {where}")
    loop = dict.fromkeys(name for one in outputs for name in one.plan.in_loop)
    parts += [f"{', '.join(loop)} in the loop (teacher.cache)"] if loop else []
    parts += ["taken from an earlier sweep"] if any(one.reused for one in outputs) else []
    return ", ".join(parts)
