"""The volume of boxes, beside a plain and slow way to the same: slices along the last side."""

import time

import numpy as np
import pytest

from kdray.reporting.pareto import FloatArray, added_hypervolume, hypervolume
from kdray.reporting.volume import union_volume


def volume_by_slices(gains: FloatArray) -> float:
    """Slice k along the last side is as thick as the step down to the next row."""
    if not len(gains):
        return 0.0
    gains = gains[np.argsort(-gains[:, -1])]
    if gains.shape[1] == 1:
        return float(gains.max())
    thickness = -np.diff(gains[:, -1], append=0.0)
    slices = [volume_by_slices(gains[: k + 1, :-1]) for k in range(len(gains))]
    return float(thickness @ slices)


def on_a_sphere(number: int, sides: int) -> FloatArray:
    """Points of which none dominates another."""
    points = np.abs(np.random.default_rng(0).normal(size=(number, sides)))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("sides", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_slices_with_points_that_are_dominated(seed: int, sides: int) -> None:
    gains = 1 - np.random.default_rng(seed).random((12, sides))

    assert union_volume(gains) == pytest.approx(volume_by_slices(gains), rel=1e-12)


@pytest.mark.parametrize("sides", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_that_of_slices_with_ties_and_repeats(seed: int, sides: int) -> None:
    gains = np.random.default_rng(seed).integers(1, 4, (14, sides)).astype(np.float64)

    assert union_volume(gains) == pytest.approx(volume_by_slices(gains), rel=1e-12)


@pytest.mark.parametrize("sides", [2, 3, 4])
def test_it_is_that_of_slices_where_no_point_dominates_another(sides: int) -> None:
    gains = on_a_sphere(20, sides)

    assert union_volume(gains) == pytest.approx(volume_by_slices(gains), rel=1e-12)


@pytest.mark.parametrize("sides", [1, 2, 3, 4, 5])
def test_no_boxes_have_no_volume(sides: int) -> None:
    assert union_volume(np.zeros((0, sides))) == 0


def test_an_endless_box_has_an_endless_volume() -> None:
    assert union_volume(np.array([[np.inf, 1, 1], [2, np.inf, 1]])) == np.inf


@pytest.mark.parametrize("sides", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_hypervolume_counts_only_what_is_better_than_the_reference(seed: int, sides: int) -> None:
    points = np.random.default_rng(seed).normal(size=(15, sides))
    inside = points[(points > 0).all(axis=1)]

    measured = hypervolume(points, np.zeros(sides), ["maximize"] * sides)

    assert measured == pytest.approx(volume_by_slices(inside))


@pytest.mark.parametrize("sides", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_what_each_point_adds_makes_up_the_hypervolume(seed: int, sides: int) -> None:
    points = np.random.default_rng(seed).integers(0, 6, (12, sides)).astype(np.float64)
    ways, reference = ["minimize", "maximize", "minimize", "maximize"][:sides], [4, 1, 5, 0][:sides]

    added = [
        added_hypervolume(point, points[:n], reference, ways)  # type: ignore[arg-type]
        for n, point in enumerate(points)
    ]

    assert sum(added) == pytest.approx(hypervolume(points, reference, ways))  # type: ignore[arg-type]
    assert min(added) >= 0


def test_a_point_with_a_missing_value_adds_nothing() -> None:
    assert added_hypervolume([1, np.nan], [[2, 2]], [0, 0], ["maximize", "maximize"]) == 0


@pytest.mark.parametrize(("number", "sides"), [(800, 3), (200, 4)])
def test_a_large_front_takes_the_driver_no_time(number: int, sides: int) -> None:
    gains, begun = on_a_sphere(number, sides), time.process_time()

    union_volume(gains)

    assert time.process_time() - begun < 0.5
