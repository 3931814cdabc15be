"""Views against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from occdepth_ring import (
    Axes,
    CalibrationState,
    Degradation,
    Grid,
    GridGeometry,
    GridRecord,
    Health,
    RectifiedCamera,
    StageTimes,
    StreamDescription,
    birds_eye,
    height_map,
    occupied,
    points,
)

SHAPES = [(1, 1, 1), (5, 3, 7), (16, 9, 4), (2, 2, 1)]
EMPTY = [0, 3]


def grid_of(labels: NDArray[np.uint8], axes: Axes = Axes.FORWARD_LEFT_UP) -> Grid:
    x, y, z = labels.shape
    description = StreamDescription(
        stream="front",
        producer="tests",
        grid=GridGeometry("ego", axes, (1.0, -25.6, -2.0), 0.25, (x, y, z)),
        rectified_from_ego=np.eye(4),
        rectified=RectifiedCamera(1.0, 1.0, 0.0, 0.0, 2, 2),
        classes={},
        confidence=False,
        trained=True,
        network_sha256=bytes(32),
        engine_sha256=bytes(32),
        created_time_ns=0,
        created_wall_offset_ns=0,
    )
    stages = StageTimes(0, 0, 0, 0, 0)
    record = GridRecord(
        1, 1, 1, 0, 0, 0, 0, stages, 0, Health.OK, CalibrationState.OK, Degradation(0), None, 0
    )
    return Grid(labels, None, record, description)


def random_grids(shape: tuple[int, int, int]) -> list[Grid]:
    random = np.random.default_rng(7)
    choices = np.array([0, 0, 0, 1, 3, 9, 254, 255], np.uint8)
    grids = [grid_of(random.choice(choices, shape)) for _ in range(20)]
    return grids + [grid_of(np.full(shape, label, np.uint8)) for label in (0, 3, 255)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("empty", EMPTY)
def test_views_agree_with_loops(shape: tuple[int, int, int], empty: int) -> None:
    for grid in random_grids(shape):
        indices, centres = [], []
        heights, classes = np.full(shape[:2], np.nan), np.full(shape[:2], 255, np.uint8)
        for ix in range(shape[0]):
            for iy in range(shape[1]):
                for iz in range(shape[2]):
                    label = int(grid.labels[ix, iy, iz])
                    if label == empty and math.isnan(heights[ix, iy]):
                        classes[ix, iy] = empty
                    if label in (empty, 255):
                        continue
                    indices.append([ix, iy, iz])
                    centres.append([1.0 + 0.25 * ix + 0.125, -25.6 + 0.25 * iy + 0.125, -2.0 + 0.25 * iz + 0.125])
                    heights[ix, iy] = -2.0 + 0.25 * (iz + 1)
                    classes[ix, iy] = label
        assert occupied(grid, empty).tolist() == indices
        assert occupied(grid, empty).shape == (len(indices), 3)
        assert points(grid, empty=empty).shape == (len(indices), 3)
        assert np.allclose(points(grid, empty=empty), np.reshape(centres, (-1, 3)))
        assert np.array_equal(height_map(grid, empty), heights, equal_nan=True)
        assert np.array_equal(birds_eye(grid, empty), classes)
        assert birds_eye(grid, empty).dtype == np.uint8


def test_points_of_chosen_voxels() -> None:
    grid = grid_of(np.zeros((2, 2, 2), np.uint8))
    assert points(grid, np.array([[1, 0, 1]])).tolist() == [[1.375, -25.475, -1.625]]


def test_up_must_be_known() -> None:
    grid = grid_of(np.zeros((2, 2, 2), np.uint8), Axes.UNKNOWN)
    for view in (birds_eye, height_map):
        with pytest.raises(ValueError, match="axes"):
            view(grid)
