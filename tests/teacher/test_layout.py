import numpy as np
import pytest

from kdray.models.outputs import Needs
from kdray.teacher.layout import Layout, needs_of, output_names
from tests import tiny

NEEDS = Needs(frozenset({0, 2, 11}), frozenset({1, 2}))
LENGTHS = np.array([3, 1, 2])


def test_outputs_are_named_by_kind_and_layer_with_the_logits_first():
    names = ["logits", "hidden.0", "hidden.2", "hidden.11", "attentions.1", "attentions.2"]
    assert output_names(NEEDS) == names
    assert needs_of(names) == NEEDS
    assert needs_of(["logits"]) == Needs()


def test_the_columns_have_the_sizes_of_all_examples_end_to_end():
    # 3 examples, 6 positions, 9 + 1 + 4 = 14 pairs of positions; the teacher is 16 wide.
    columns = Layout.of(LENGTHS).columns(NEEDS, tiny.model().config)
    assert [columns[name].shape for name in ("logits", "hidden.2", "attentions.1")] == [
        (3, 3),
        (6, 16),
        (14,),
    ]
    assert columns["logits"].nbytes == 3 * 3 * 4
    assert columns["hidden.2"].nbytes == 6 * 16 * 2
    assert columns["attentions.1"].nbytes == 14 * 2


@pytest.mark.parametrize(
    ("name", "shape", "sides"),
    [("logits", (2,), 0), ("hidden.1", (4,), 1), ("attentions.3", (), 2)],
)
def test_what_is_put_is_taken_again_padded_with_zeros(name, shape, sides):
    layout, rng = Layout.of(LENGTHS), np.random.default_rng(0)
    array = np.full((int((LENGTHS**sides).sum()), *shape), np.nan, np.float32)
    batch = rng.random((2, *(3,) * sides, *shape)).astype(np.float32)
    layout.put(name, array, np.array([2, 0]), batch)
    layout.put(name, array, np.array([1]), np.ones((1, *(1,) * sides, *shape), np.float32))
    assert not np.isnan(array).any()
    found = layout.take(name, array, np.array([0, 2]), 5)
    assert found.shape == (2, *(5,) * sides, *shape)
    for place, (example, n) in enumerate(zip(batch[::-1], (3, 2), strict=True)):
        inside = (slice(n),) * sides
        assert np.array_equal(found[place][inside], example[inside])
        assert found[place].sum() == pytest.approx(example[inside].sum())


def test_pairs_of_positions_stand_row_by_row():
    layout, array = Layout.of(LENGTHS), np.arange(14, dtype=np.float32)
    assert layout.take("attentions.1", array, np.array([2]), 2).tolist() == [[[10, 11], [12, 13]]]
