"""After the first frame, reading and looking at grids makes no array.

numpy reports the memory of arrays to tracemalloc. What a frame may take are the objects around it, a few KB.
"""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from grids import grid_of
from occdepth_ring import Grid, Scratch, birds_eye, cast, connect, height_map, occupied, points
from support import PLENTY, Publisher, assert_whole

DIMS = (128, 128, 4)
VOXELS = math.prod(DIMS)
#: The smallest array of a frame has a byte for each of 16384 columns; a record and what is around it take 4 KB.
LIMIT_BYTES = DIMS[0] * DIMS[1] // 2


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def peak_bytes(frame: Callable[[], object]) -> int:
    """The most memory that a frame takes on top of what was there before."""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    frame()
    return tracemalloc.get_traced_memory()[1] - before


@pytest.mark.usefixtures("traced")
def test_a_frame_with_all_its_views_makes_no_array(path: Path) -> None:
    scratch = Scratch()
    indices, centres = np.empty((VOXELS, 3), np.intp), np.empty((VOXELS, 3))
    heights, classes = np.empty(DIMS[:2]), np.empty(DIMS[:2], np.uint8)
    with Publisher(path, "--dims", *map(str, DIMS)) as publisher, connect(path) as reader:
        publisher.publish(1)
        grid = reader.next(PLENTY)
        assert grid is not None

        def frame() -> None:
            assert reader.next(PLENTY, into=grid) is grid
            reader.copy_newest(into=grid)
            found = occupied(grid, out=indices, scratch=scratch)
            points(grid, out=centres, scratch=scratch)
            points(grid, found, out=centres)
            height_map(grid, out=heights, scratch=scratch)
            birds_eye(grid, out=classes, scratch=scratch)
            cast(grid, (1.0, 0.0, 0.0), (1.0, 0.1, 0.0))

        for round_ in range(5):
            publisher.publish(1)
            peak = peak_bytes(frame)
            if round_ > 0:
                assert peak < LIMIT_BYTES, f"round {round_}"
            assert_whole(grid)
        # The measure sees arrays: it is not blind.
        assert peak_bytes(lambda: birds_eye(grid, scratch=scratch)) > LIMIT_BYTES
        assert peak_bytes(lambda: occupied(grid, scratch=scratch)) > LIMIT_BYTES
        assert peak_bytes(lambda: reader.copy_newest()) > 2 * VOXELS


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("share", [0.0, 0.05, 1.0])
def test_how_much_is_occupied_makes_no_difference(share: float) -> None:
    random = np.random.default_rng(2)
    labels = np.where(random.random(DIMS) < share, np.uint8(9), np.uint8(0))
    grid, scratch = grid_of(labels), Scratch()
    indices, centres = np.empty((VOXELS, 3), np.intp), np.empty((VOXELS, 3))
    heights, classes = np.empty(DIMS[:2]), np.empty(DIMS[:2], np.uint8)

    def views() -> None:
        occupied(grid, out=indices, scratch=scratch)
        points(grid, out=centres, scratch=scratch)
        height_map(grid, out=heights, scratch=scratch)
        birds_eye(grid, out=classes, scratch=scratch)

    views()
    assert peak_bytes(views) < LIMIT_BYTES


@pytest.mark.usefixtures("traced")
def test_a_long_ray_makes_no_array() -> None:
    grid: Grid = grid_of(np.zeros((4000, 1, 1), np.uint8))
    ray = (0.0, -25.5, -1.9), (1.0, 0.0, 0.0)
    assert cast(grid, *ray).distance_m > 1000.0
    assert peak_bytes(lambda: cast(grid, *ray)) < LIMIT_BYTES
