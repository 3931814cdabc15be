"""Views against brute force."""

from __future__ import annotations

import dataclasses
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
    VoxelClass,
    Meaning,
    birds_eye,
    cast,
    height_map,
    meanings,
    occupied,
    points,
)

NAMES = {1: "car", 0: "Empty", 3: "road", 9: "tree", 254: "pole"}
SHAPES = [(1, 1, 1), (5, 3, 7), (16, 9, 4), (2, 2, 1)]
#: Labels that are free, given or by the names of classes ("empty" is 0); classes are 0, 1, 3, 9 and 254.
FREE = [None, [0], [3], [0, 3]]


def grid_of(labels: NDArray[np.uint8], axes: Axes = Axes.FORWARD_LEFT_UP) -> Grid:
    x, y, z = labels.shape
    description = StreamDescription(
        stream="front",
        producer="tests",
        grid=GridGeometry("ego", axes, (1.0, -25.6, -2.0), 0.25, (x, y, z)),
        rectified_from_ego=np.eye(4),
        rectified=RectifiedCamera(1.0, 1.0, 0.0, 0.0, 2, 2),
        classes={label: VoxelClass(label, name, (0, 0, 0)) for label, name in NAMES.items()},
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
    choices = np.array([0, 0, 0, 1, 3, 9, 254, 77, 255], np.uint8)
    grids = [grid_of(random.choice(choices, shape)) for _ in range(20)]
    return grids + [grid_of(np.full(shape, label, np.uint8)) for label in (0, 3, 77, 255)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("free", FREE)
def test_views_agree_with_loops(shape: tuple[int, int, int], free: list[int] | None) -> None:
    for grid in random_grids(shape):
        indices, centres = [], []
        heights, classes = np.full(shape[:2], np.nan), np.full(shape[:2], 255, np.uint8)
        for ix in range(shape[0]):
            for iy in range(shape[1]):
                for iz in range(shape[2]):
                    label = int(grid.labels[ix, iy, iz])
                    if label in (free or [0]) and math.isnan(heights[ix, iy]):
                        classes[ix, iy] = label
                    if label in (free or [0]) or label not in NAMES:
                        continue
                    indices.append([ix, iy, iz])
                    centres.append([1.0 + 0.25 * ix + 0.125, -25.6 + 0.25 * iy + 0.125, -2.0 + 0.25 * iz + 0.125])
                    heights[ix, iy] = -2.0 + 0.25 * (iz + 1)
                    classes[ix, iy] = label
        assert occupied(grid, free).tolist() == indices
        assert occupied(grid, free).shape == (len(indices), 3)
        assert points(grid, free=free).shape == (len(indices), 3)
        assert np.allclose(points(grid, free=free), np.reshape(centres, (-1, 3)))
        assert np.array_equal(height_map(grid, free), heights, equal_nan=True)
        assert np.array_equal(birds_eye(grid, free), classes)
        assert birds_eye(grid, free).dtype == np.uint8


def test_points_of_chosen_voxels() -> None:
    grid = grid_of(np.zeros((2, 2, 2), np.uint8))
    assert points(grid, np.array([[1, 0, 1]])).tolist() == [[1.375, -25.475, -1.625]]


def test_up_must_be_known() -> None:
    grid = grid_of(np.zeros((2, 2, 2), np.uint8), Axes.UNKNOWN)
    for view in (birds_eye, height_map):
        with pytest.raises(ValueError, match="axes"):
            view(grid)


def test_what_labels_mean_without_a_class_named_empty() -> None:
    grid = grid_of(np.zeros((1, 1, 1), np.uint8))
    classes = {label: VoxelClass(label, "thing", (0, 0, 0)) for label in (7, 5)}
    of = meanings(dataclasses.replace(grid.description, classes=classes))
    assert [int(of[label]) for label in (5, 7, 0, 255)] == [Meaning.FREE, Meaning.OCCUPIED, 0, 0]
    assert not meanings(dataclasses.replace(grid.description, classes={})).any()


def test_rays_agree_with_small_steps() -> None:
    random = np.random.default_rng(3)
    labels = random.choice(np.array([0] * 30 + [9, 255], np.uint8), (12, 9, 7))
    grid = grid_of(labels)
    origin_m, step_m, met = np.array([1.0, -25.6, -2.0]), 1e-3, set()
    for _ in range(300):
        from_m = origin_m + random.uniform(-1.0, 4.0, 3)
        direction = random.normal(size=3)
        at_most_m = float(random.choice([0.7, 10.0]))
        end = cast(grid, from_m, direction, at_most_m)
        met.add(end.meaning)
        ways_m = np.arange(0.0, min(at_most_m, 10.0), step_m)[:, None]
        at = np.floor((from_m + ways_m * direction / np.linalg.norm(direction) - origin_m) / 0.25).astype(int)
        inside = ((at >= 0) & (at < labels.shape)).all(axis=1)
        if not inside.any():
            assert end.meaning is None or end.distance_m - end.from_m < 3 * step_m
            continue
        seen = labels[tuple(at[inside].T)]
        ways_m = ways_m[inside, 0]
        blocked = np.flatnonzero(seen != 0)
        reached_m = ways_m[blocked[0]] if blocked.size else ways_m[-1]
        assert end.meaning is not None and abs(end.from_m - ways_m[0]) < 2 * step_m
        # A voxel that is only clipped may lie between two steps.
        assert end.distance_m < reached_m + 2 * step_m
        if end.voxel is None:
            assert not blocked.size and abs(end.distance_m - reached_m) < 2 * step_m
        else:
            assert labels[end.voxel] == end.label and end.label != 0
            assert (end.label == 255) == (end.meaning is Meaning.UNKNOWN)
            low_m = origin_m + 0.25 * np.array(end.voxel)
            entry_m = from_m + end.distance_m * direction / np.linalg.norm(direction)
            assert (entry_m > low_m - 1e-9).all() and (entry_m < low_m + 0.25 + 1e-9).all()
            if abs(end.distance_m - reached_m) > 2 * step_m:
                assert not (at == end.voxel).all(axis=1).any(), "a voxel that steps see was met too early"
    assert met == {None, Meaning.FREE, Meaning.OCCUPIED, Meaning.UNKNOWN}


def test_rays_along_axes_and_no_rays() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[2, 2, 1] = 9
    grid = grid_of(labels)
    ahead = cast(grid, (1.0, -25.6 + 0.6, -2.0 + 0.3), (5.0, 0.0, 0.0))
    assert (ahead.meaning, ahead.distance_m, ahead.voxel, ahead.label) == (Meaning.OCCUPIED, 0.5, (2, 2, 1), 9)
    short = cast(grid, (1.0, -25.6 + 0.6, -2.0 + 0.3), (5.0, 0.0, 0.0), at_most_m=0.5)
    assert (short.meaning, short.distance_m, short.voxel) == (Meaning.FREE, 0.5, None)
    back = cast(grid, (1.9, -25.6 + 0.6, -2.0 + 0.3), (-1.0, 0.0, 0.0))
    assert back.voxel == (2, 2, 1) and math.isclose(back.distance_m, 0.15)
    within = cast(grid, (1.6, -25.6 + 0.6, -2.0 + 0.3), (0.0, 1.0, 0.0))
    assert (within.voxel, within.distance_m) == ((2, 2, 1), 0.0)
    for from_m, direction in [
        ((0.0, 0.0, 0.0), (0.0, 1.0, 0.0)),
        ((1.1, -25.5, -1.9), (0.0, 0.0, 0.0)),
        ((1.1, -25.5, -1.9), (math.nan, 0.0, 1.0)),
        ((math.inf, -25.5, -1.9), (1.0, 0.0, 0.0)),
    ]:
        assert cast(grid, from_m, direction).meaning is None
