import numpy as np
import numpy.typing as npt
import pytest

from kdray.data.dataset import Dataset, Ragged, ragged

LISTS = [[5, 6, 7], [8], [9, 10]]


def frozen(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    array.flags.writeable = False
    return array


def test_rows_of_unequal_length_are_padded_side_by_side() -> None:
    column = ragged(LISTS, pad=-1)
    assert column.lengths.tolist() == [3, 1, 2]
    assert column.padded(np.array([1, 0]), 3).tolist() == [[8, -1, -1], [5, 6, 7]]
    assert column.padded(np.array([2]), 2).tolist() == [[9, 10]]


def test_rows_may_hold_vectors_and_keep_their_type() -> None:
    values = np.arange(8, dtype=np.float16).reshape(4, 2)
    column = Ragged(values, np.array([0, 3, 4]))
    found = column.padded(np.array([1, 0]), 3)
    assert found.dtype == np.float16
    assert found.tolist() == [[[6, 7], [0, 0], [0, 0]], [[0, 1], [2, 3], [4, 5]]]


def test_a_row_may_be_empty() -> None:
    assert ragged([[], [1]], pad=0).padded(np.array([0, 1]), 1).tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("rows", "width"),
    [([0], 3), ([0, 1], 8), ([2, 0], 8), ([3, 3], 16), ([4, 0], 17), ([4], 17)],
)
def test_a_batch_is_masked_where_padded_and_its_width_a_multiple_of_8_up_to_the_longest(
    rows: list[int], width: int
) -> None:
    lists = [[5, 6, 7], [8] * 4, [9] * 8, [1] * 9, [2] * 17]
    ids = ragged(lists, pad=0)
    dataset = Dataset({"input_ids": ids}, ids.lengths, np.zeros(5), mask="attention_mask")
    found = dataset.arrays(np.array(rows))
    assert dataset.width(np.array(rows)) == width
    assert found["input_ids"].shape == found["attention_mask"].shape == (len(rows), width)
    for place, row in enumerate(rows):
        real = found["attention_mask"][place] == 1
        assert found["input_ids"][place][real].tolist() == lists[row]
        assert not found["input_ids"][place][~real].any()


def test_inputs_may_have_one_row_an_example_and_no_mask() -> None:
    dataset = Dataset({"x": np.array([[1.0], [2.0]])}, np.array([1, 1]), np.zeros(2))
    found = dataset.arrays(np.array([1]))
    assert found.keys() == {"x"}
    assert found["x"].tolist() == [[2.0]]


def test_arrays_that_may_not_be_written_to_are_enough() -> None:
    ids = ragged(LISTS, pad=0)
    column = Ragged(frozen(ids.values), frozen(ids.offsets))  # type: ignore[arg-type]  # its type is lost, not its dtype
    found = column.padded(np.array([0, 1]), 3)
    assert found.flags.writeable
    assert found.tolist() == [[5, 6, 7], [8, 0, 0]]
