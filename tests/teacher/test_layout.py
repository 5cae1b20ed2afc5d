import numpy as np
import pytest

from kdray.models.outputs import Needs
from kdray.teacher.layout import Layout, needs_of, output_names
from tests import tiny

NEEDS = Needs(
    hidden=frozenset({0, 2, 11}),
    attentions=frozenset({1, 2}),
    queries_keys_values=frozenset({2}),
    first=frozenset({0}),
    features=True,
)
LENGTHS = np.array([3, 1, 2])


def test_outputs_are_named_by_kind_and_layer_with_the_logits_first():
    assert output_names(NEEDS) == [
        "logits",
        "features",
        "hidden.0",
        "hidden.2",
        "hidden.11",
        "attentions.1",
        "attentions.2",
        "queries_keys_values.2",
        "first.0",
    ]
    assert needs_of(output_names(NEEDS)) == NEEDS
    assert needs_of(["logits"]) == Needs()


def test_the_columns_have_the_sizes_of_all_examples_end_to_end():
    # 3 examples, 6 positions, 9 + 1 + 4 = 14 pairs of positions; the teacher is 16 wide.
    columns = Layout.of(LENGTHS).columns(NEEDS, tiny.model())
    shapes = {name: columns[name].shape for name in columns if name[-2:] not in (".0", "11")}
    assert shapes == {
        "logits": (3, 3),
        "features": (3, 16),
        "hidden.2": (6, 16),
        "attentions.1": (14,),
        "attentions.2": (14,),
        "queries_keys_values.2": (6, 3, 16),
    }
    assert columns["logits"].nbytes == 3 * 3 * 4
    assert columns["hidden.2"].nbytes == 6 * 16 * 2
    assert columns["attentions.1"].nbytes == 14 * 2
    assert columns["queries_keys_values.2"].nbytes == 6 * 3 * 16 * 2


def test_one_row_an_example_is_kept_whatever_its_positions_and_in_full_precision():
    columns = Layout.of(LENGTHS).columns(NEEDS, tiny.model())
    for name in ("features", "first.0"):
        assert columns[name].shape == (3, 16)
        assert columns[name].dtype == "float32"


def test_the_queries_of_a_narrow_attention_take_no_more_than_they_are_wide():
    columns = Layout.of(LENGTHS).columns(NEEDS, tiny.model(family="mobilebert"))
    assert columns["queries_keys_values.2"].shape == (6, 3, 8)
    assert columns["hidden.2"].shape == (6, 16)


@pytest.mark.parametrize(
    ("name", "shape", "sides"),
    [
        ("logits", (2,), 0),
        ("features", (4,), 0),
        ("first.2", (4,), 0),
        ("hidden.1", (4,), 1),
        ("queries_keys_values.1", (3, 2), 1),
        ("attentions.3", (), 2),
    ],
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
