from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from kdray.data.batches import Batch, make_batch, shuffled_rows, sorted_batches
from kdray.data.dataset import Dataset, Ragged, ragged

CPU = torch.device("cpu")


def dataset(count: int = 1000, seed: int = 0) -> Dataset:
    lengths = np.random.default_rng(seed).integers(1, 60, count)
    ids = ragged([[row + 1] * length for row, length in enumerate(lengths)], pad=0)
    return Dataset({"input_ids": ids}, ids.lengths, np.arange(count), mask="attention_mask")


def batches_of(data: Dataset, positions: int) -> Iterator[Batch]:
    return sorted_batches(data, CPU, positions)


@pytest.mark.parametrize(("count", "size"), [(1000, 8), (7, 8), (8, 8), (1, 3)])
def test_every_example_comes_exactly_once_per_epoch(count: int, size: int) -> None:
    batches = shuffled_rows(dataset(count), size, seed=0, epoch=1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    assert all(len(rows) <= size for rows in batches)
    assert len(batches) == -(-count // size)


def test_neighbours_have_similar_lengths() -> None:
    data = dataset()
    batches = shuffled_rows(data, 8, seed=0, epoch=1)
    spread = np.mean([np.ptp(data.lengths[rows]) for rows in batches])
    shuffled = np.random.default_rng(0).permutation(1000).reshape(-1, 8)
    assert spread < 0.1 * np.mean(np.ptp(data.lengths[shuffled], axis=1))


def test_long_examples_come_at_any_time() -> None:
    data = dataset()
    means = [data.lengths[rows].mean() for rows in shuffled_rows(data, 8, seed=0, epoch=1)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_the_same_seed_and_epoch_give_the_same_order() -> None:
    one, same = (shuffled_rows(dataset(), 8, seed=3, epoch=2) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))


@pytest.mark.parametrize(("seed", "epoch"), [(3, 3), (4, 2)])
def test_another_seed_or_epoch_gives_another_order(seed: int, epoch: int) -> None:
    one = np.concatenate(shuffled_rows(dataset(), 8, seed=3, epoch=2))
    other = np.concatenate(shuffled_rows(dataset(), 8, seed=seed, epoch=epoch))
    assert (one != other).mean() > 0.9


def test_an_example_meets_others_in_every_epoch() -> None:
    def companions(epoch: int) -> set[int]:
        batches = shuffled_rows(dataset(), 8, seed=0, epoch=epoch)
        (mine,) = [rows for rows in batches if 17 in rows]
        return set(mine.tolist()) - {17}

    assert len(companions(1) & companions(2)) <= 3


@pytest.mark.parametrize("positions", [60, 100, 8192, 10**6])
def test_sorted_batches_hold_every_example_once_within_the_budget(positions: int) -> None:
    data = dataset()
    batches = list(batches_of(data, positions))
    assert sorted(np.concatenate([batch.rows for batch in batches]).tolist()) == list(range(1000))
    assert all(batch.inputs["input_ids"].numel() <= positions for batch in batches)


def test_sorted_batches_make_use_of_the_budget() -> None:
    sizes = [batch.inputs["input_ids"].numel() for batch in batches_of(dataset(), 1000)]
    assert np.mean(sizes[:-1]) > 800


def test_sorted_batches_go_from_the_shortest_to_the_longest() -> None:
    data = dataset(50)
    order = np.concatenate([batch.rows for batch in batches_of(data, 100)])
    assert (np.diff(data.lengths[order]) >= 0).all()


def test_an_example_that_is_longer_than_the_budget_stands_alone() -> None:
    ids = ragged([[1] * 5, [1] * 20, [1] * 30], pad=0)
    data = Dataset({"input_ids": ids}, ids.lengths, np.zeros(3))
    assert [batch.rows.tolist() for batch in batches_of(data, 10)] == [[0], [1], [2]]


def test_an_empty_dataset_has_no_batches() -> None:
    ids = ragged([], pad=0)
    data = Dataset({"input_ids": ids}, ids.lengths, np.zeros(0))
    assert list(batches_of(data, 10)) == []
    assert shuffled_rows(data, 4, seed=0, epoch=1) == []


def test_a_batch_holds_tensors_with_padding_and_mask_in_their_places() -> None:
    ids = ragged([[5, 6, 7], [8]], pad=9)
    data = Dataset({"input_ids": ids}, ids.lengths, np.array([1, 0]), mask="attention_mask")
    batch = make_batch(data, np.array([1, 0]), CPU)
    assert batch.inputs["input_ids"].tolist() == [[8, 9, 9], [5, 6, 7]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert batch.inputs["input_ids"].dtype == batch.inputs["attention_mask"].dtype == torch.int64
    assert batch.targets.tolist() == [0, 1]
    assert batch.rows.tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_arrays_of_shared_memory_that_may_not_be_written_to_give_batches(dtype: Any) -> None:
    ids = ragged([[5, 6, 7], [8]], pad=0)
    targets = np.ones((2, 3), dtype)
    extra = np.ones((2, 4), np.float32)
    for array in (ids.values, ids.offsets, ids.lengths, targets, extra):
        array.flags.writeable = False
    column = Ragged(ids.values, ids.offsets)
    data = Dataset({"input_ids": column, "x": extra}, column.lengths, targets, "attention_mask")
    batch = make_batch(data, np.array([0, 1]), CPU)
    assert batch.targets.dtype == torch.from_numpy(np.ones(1, dtype)).dtype
    assert batch.inputs["x"].shape == (2, 4)
