"""Views against brute force."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from grids import NAMES, grid_of
from occdepth_ring import (
    Axes,
    Grid,
    Meaning,
    Scratch,
    VoxelClass,
    birds_eye,
    height_map,
    meanings,
    occupied,
    points,
    scratch as scratch_module,
)

SHAPES = [(1, 1, 1), (5, 3, 7), (16, 9, 4), (2, 2, 1)]
#: Labels that are free, given or by the names of classes ("empty" is 0); classes are 0, 1, 3, 9 and 254.
FREE = [None, [0], [3], [0, 3]]


def random_grids(shape: tuple[int, int, int]) -> list[Grid]:
    random = np.random.default_rng(7)
    choices = np.array([0, 0, 0, 1, 3, 9, 254, 77, 255], np.uint8)
    grids = [grid_of(random.choice(choices, shape)) for _ in range(20)]
    return grids + [grid_of(np.full(shape, label, np.uint8)) for label in (0, 3, 77, 255)]


@pytest.mark.parametrize("slab_voxels", [scratch_module.SLAB_VOXELS, 40])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("free", FREE)
def test_views_agree_with_loops(
    shape: tuple[int, int, int], free: list[int] | None, slab_voxels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a grid is looked at in several slabs, the last of them smaller."""
    monkeypatch.setattr(scratch_module, "SLAB_VOXELS", slab_voxels)
    scratch = Scratch()
    # What was in an output before must not show, and more rows than there are occupied voxels may lie in it.
    voxels = math.prod(shape)
    indices_out, points_out = np.full((voxels + 2, 3), 99), np.full((voxels + 2, 3), 99.0)
    heights_out, classes_out = np.full(shape[:2], 99.0), np.full(shape[:2], 99, np.uint8)
    for grid in random_grids(shape):
        before = grid.labels.copy()
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
        listed = [occupied(grid, free), occupied(grid, free, out=indices_out, scratch=scratch)]
        for found in listed:
            assert found.tolist() == indices
            assert found.shape == (len(indices), 3) and found.dtype == np.intp
        assert listed[1].base is indices_out
        for centre in (
            points(grid, free=free),
            points(grid, free=free, out=points_out, scratch=scratch),
            points(grid, listed[0]),
            points(grid, listed[0].astype(np.uint16), out=points_out),
        ):
            assert centre.shape == (len(indices), 3) and centre.dtype == np.float64
            assert np.allclose(centre, np.reshape(centres, (-1, 3)), rtol=0, atol=1e-12)
        assert height_map(grid, free, out=heights_out, scratch=scratch) is heights_out
        assert birds_eye(grid, free, out=classes_out, scratch=scratch) is classes_out
        for height in (height_map(grid, free), heights_out):
            assert np.array_equal(height, heights, equal_nan=True)
        for seen in (birds_eye(grid, free), classes_out):
            assert np.array_equal(seen, classes) and seen.dtype == np.uint8
        assert np.array_equal(grid.labels, before)


def test_one_scratch_serves_grids_of_any_shape() -> None:
    scratch = Scratch()
    for shape in ((5, 3, 7), (300, 40, 16), (1, 1, 200_000), (2, 70_000, 1), (5, 3, 7)):
        labels = np.random.default_rng(1).choice(np.array([0, 9, 77], np.uint8), shape)
        grid = grid_of(labels)
        out = np.empty((labels.size, 3), np.intp)
        expected = np.argwhere(labels == 9)
        assert np.array_equal(occupied(grid, out=out, scratch=scratch), expected)
        heights = np.where(labels == 9, -2.0 + 0.25 * (np.arange(shape[2]) + 1), -np.inf).max(axis=2)
        found = height_map(grid, scratch=scratch)
        assert np.array_equal(np.where(np.isnan(found), -np.inf, found), heights)


def test_every_set_of_labels_is_told_apart() -> None:
    """Runs of labels at both ends, alone, next to each other: each label is in its own voxel."""
    labels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1)
    random = np.random.default_rng(5)
    for _ in range(50):
        # Labels of a random set are free, every other one is a class, but for a quarter of them.
        free = np.flatnonzero(random.random(256) < 0.3).tolist()
        known = np.flatnonzero(random.random(255) < 0.75).tolist()
        grid = grid_of(labels)
        classes = {label: VoxelClass(label, "thing", (0, 0, 0)) for label in known}
        grid.description = dataclasses.replace(grid.description, classes=classes)
        expected = [label for label in known if label not in free]
        assert occupied(grid, free)[:, 0].tolist() == expected
        seen = birds_eye(grid, free)[:, 0]
        kept = set(known) | set(free)
        assert seen.tolist() == [label if label in kept else 255 for label in range(256)]


@pytest.mark.parametrize(
    ("view", "out", "expected"),
    [
        (occupied, np.empty((9, 2), np.intp), r"found int64 \(9, 2\), expected int64 \(9, 3\)"),
        (occupied, np.empty((9, 3), np.int32), r"found int32 \(9, 3\), expected int64 \(9, 3\)"),
        (occupied, np.empty((7, 3), np.intp), "found 7 rows, expected at least 8, one for each occupied voxel"),
        (points, np.empty((9, 3), np.float32), r"found float32 \(9, 3\), expected float64 \(9, 3\)"),
        (points, np.empty((7, 3)), "found 7 rows, expected at least 8"),
        (height_map, np.empty((2, 3)), r"found float64 \(2, 3\), expected float64 \(2, 2\)"),
        (height_map, np.empty((2, 2), np.float32), "found float32"),
        (birds_eye, np.empty(4, np.uint8), r"found uint8 \(4,\), expected uint8 \(2, 2\)"),
        (birds_eye, np.empty((2, 2), np.int8), "found int8"),
        (birds_eye, np.broadcast_to(np.uint8(0), (2, 2)), "read-only, expected"),
    ],
)
def test_an_output_that_does_not_fit_is_refused(view: Callable[..., Any], out: NDArray[Any], expected: str) -> None:
    with pytest.raises(ValueError, match=f"out: .*{expected}"):
        view(grid_of(np.full((2, 2, 2), 9, np.uint8)), out=out)


def test_an_output_may_lie_within_a_larger_array() -> None:
    grid = grid_of(np.full((3, 2, 2), 9, np.uint8))
    grid.labels[1, 1] = 0
    large = np.full((6, 4), 7, np.uint8)
    birds_eye(grid, out=large[::2, 1:3])
    assert large.tolist() == [[7, 9, 9, 7], [7] * 4, [7, 9, 0, 7], [7] * 4, [7, 9, 9, 7], [7] * 4]


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


@pytest.mark.parametrize("label", [-1, 256])
def test_a_free_label_that_is_none_is_refused(label: int) -> None:
    with pytest.raises(ValueError, match=f"free: found label {label}, expected 0 to 255"):
        meanings(grid_of(np.zeros((1, 1, 1), np.uint8)).description, [label])
