"""Views derived from a copy of a grid; the same as those of the Rust client.

Every function takes ``free``: the labels of voxels in which nothing is. None takes the classes named "empty" or
"free", in any case of letters, or, where none is, the one with the lowest id. Every other class is occupied. Labels
of no class, and 255, are unknown.

With ``out`` and ``scratch`` a view allocates no array: ``out`` is an array for the result, of the dtype and shape that
the function names, and ``scratch`` a :class:`Scratch` that has been used for a grid of this shape before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Optional

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .description import Axes
from .grid import Grid
from .layout import UNKNOWN_LABEL
from .meaning import Meaning, meaning_table, runs
from .scratch import Scratch


def occupied(
    grid: Grid,
    free: Optional[Collection[int]] = None,
    *,
    out: Optional[NDArray[np.intp]] = None,
    scratch: Optional[Scratch] = None,
) -> NDArray[np.intp]:
    """intp (N, 3): indices (ix, iy, iz) of the occupied voxels, in the order of the grid.

    ``out`` is intp (at least N, 3), and what is returned the first N rows of it. As many rows as the grid has voxels
    are always enough; ValueError says how many rows were needed.
    """
    if out is None:
        flat = np.concatenate([start + np.flatnonzero(mask) for start, mask in _occupied_slabs(grid, free, scratch)])
        # Faster than argwhere where few voxels are occupied, as is usual.
        return np.stack(np.unravel_index(flat, grid.labels.shape), axis=1)
    return out[: _occupied_into(grid, free, out, np.intp, scratch)]


def points(
    grid: Grid,
    indices: Optional[NDArray[np.integer[Any]]] = None,
    free: Optional[Collection[int]] = None,
    *,
    out: Optional[NDArray[np.float64]] = None,
    scratch: Optional[Scratch] = None,
) -> NDArray[np.float64]:
    """float64 (N, 3): centres of voxels, metres, in the frame of the grid: of a vehicle's, the ego frame.

    ``indices`` is integer (N, 3); None takes those of :func:`occupied`. ``out`` is float64 (at least N, 3), as for
    :func:`occupied`.
    """
    if indices is None and out is None:
        indices = occupied(grid, free, scratch=scratch)
    if indices is None:
        assert out is not None
        centres = out[: _occupied_into(grid, free, out, np.float64, scratch)]
    else:
        if out is None:
            out = np.empty(indices.shape, np.float64)
        _demand(out, np.float64, (max(len(indices), len(out)), 3))
        centres = out[: len(indices)]
        np.copyto(centres, indices)
    geometry = grid.description.grid
    np.add(centres, 0.5, out=centres)
    np.multiply(centres, geometry.voxel_size_m, out=centres)
    for axis, low in enumerate(geometry.origin_m):
        np.add(centres[:, axis], low, out=centres[:, axis])
    return centres


def height_map(
    grid: Grid,
    free: Optional[Collection[int]] = None,
    *,
    out: Optional[NDArray[np.float64]] = None,
    scratch: Optional[Scratch] = None,
) -> NDArray[np.float64]:
    """float64 (X, Y), ``out`` if given: height of the upper face of each column's highest occupied voxel, metres along
    z of the grid's frame; NaN where none is occupied.

    Raises ValueError when the axes of the grid are unknown: z may not be up then.
    """
    _demand_z_up(grid)
    geometry = grid.description.grid
    x, y, z = grid.labels.shape
    heights = np.empty((x, y)) if out is None else out
    _demand(heights, np.float64, (x, y))
    scratch = scratch or Scratch()
    of = runs(meaning_table(grid.description, free), Meaning.OCCUPIED)
    for slab in scratch.slabs(grid.labels.shape):
        has, highest = _highest(scratch, grid.labels[slab], of)
        np.remainder(highest, z, out=highest)
        tops = heights[slab]
        np.copyto(tops, highest)
        np.add(tops, 1.0, out=tops)
        np.multiply(tops, geometry.voxel_size_m, out=tops)
        np.add(tops, geometry.origin_m[2], out=tops)
        np.logical_not(has, out=has)
        np.copyto(tops, np.nan, where=has)
    return heights


def birds_eye(
    grid: Grid,
    free: Optional[Collection[int]] = None,
    *,
    out: Optional[NDArray[np.uint8]] = None,
    scratch: Optional[Scratch] = None,
) -> NDArray[np.uint8]:
    """uint8 (X, Y), ``out`` if given: label of each column's highest occupied voxel; where none is, of its highest free
    one; 255 where nothing is known of any.

    Raises ValueError when the axes of the grid are unknown: z may not be up then.
    """
    _demand_z_up(grid)
    x, y, _ = grid.labels.shape
    labels_seen = np.empty((x, y), np.uint8) if out is None else out
    _demand(labels_seen, np.uint8, (x, y))
    labels_seen.fill(UNKNOWN_LABEL)
    scratch = scratch or Scratch()
    table = meaning_table(grid.description, free)
    for slab in scratch.slabs(grid.labels.shape):
        labels = grid.labels[slab]
        # The occupied last: they cover what is free above them.
        for meaning in (Meaning.FREE, Meaning.OCCUPIED):
            has, highest = _highest(scratch, labels, runs(table, meaning))
            seen = scratch.seen[: highest.size].reshape(highest.shape)
            np.take(labels.reshape(-1), highest, out=seen, mode="clip")
            np.copyto(labels_seen[slab], seen, where=has)
    return labels_seen


def _occupied_slabs(
    grid: Grid, free: Optional[Collection[int]], scratch: Optional[Scratch]
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Slab by slab: index of its first voxel, and where it is occupied, which the next one overwrites."""
    scratch = scratch or Scratch()
    of = runs(meaning_table(grid.description, free), Meaning.OCCUPIED)
    _, y, z = grid.labels.shape
    for slab in scratch.slabs(grid.labels.shape):
        yield slab.start * y * z, scratch.mark(grid.labels[slab], of)


def _occupied_into(
    grid: Grid, free: Optional[Collection[int]], out: NDArray[Any], dtype: DTypeLike, scratch: Optional[Scratch]
) -> int:
    """Writes the indices of occupied voxels to the first rows of ``out`` and returns how many there are."""
    _demand(out, dtype, (len(out), 3))
    scratch = scratch or Scratch()
    _, y, z = grid.labels.shape
    end = 0
    for start, mask in _occupied_slabs(grid, free, scratch):
        flat = scratch.compact(mask)
        begin, end = end, end + len(flat)
        if end > len(out):
            # Goes on without writing, to say how many it takes.
            continue
        rows, part = out[begin:end], scratch.numbers[: len(flat)]
        np.remainder(flat, z, out=part)
        np.copyto(rows[:, 2], part)
        np.floor_divide(flat, z, out=flat)
        np.remainder(flat, y, out=part)
        np.copyto(rows[:, 1], part)
        np.floor_divide(flat, y, out=flat)
        np.add(flat, start // (y * z), out=flat)
        np.copyto(rows[:, 0], flat)
    if end > len(out):
        raise ValueError(f"out: found {len(out)} rows, expected at least {end}, one for each occupied voxel")
    return end


def _highest(
    scratch: Scratch, labels: NDArray[np.uint8], of: list[tuple[int, int]]
) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """For each column of a slab whether it has a label of the runs ``of``, and the index in the slab of the last one;
    of any voxel of the column where none is. In memory that the next call overwrites.
    """
    x, y, z = labels.shape
    has, highest = scratch.has[: x * y].reshape(x, y), scratch.highest[: x * y].reshape(x, y)
    starts = scratch.numbers[: x * y].reshape(x, y)
    np.multiply(scratch.order[: x * y].reshape(x, y), z, out=starts)
    # Upside down, because argmax finds the first. In an array of its own: ufuncs would buffer a mask that is read so,
    # and argmax copy it; and `any` would buffer what a look at what argmax found tells as well.
    mask = scratch.more[: labels.size].reshape(x, y, z)
    np.copyto(mask, scratch.mark(labels, of)[:, :, ::-1])
    np.argmax(mask, axis=2, out=highest)
    np.add(highest, starts, out=highest)
    # The other modes would take a copy of `out`. No index is out of bounds.
    np.take(mask.reshape(-1), highest, out=has, mode="clip")
    # From the index in what is upside down: start + (z - 1 - index).
    np.subtract(highest, starts, out=highest)
    np.subtract(starts, highest, out=highest)
    np.add(highest, z - 1, out=highest)
    return has, highest


def _demand(out: NDArray[Any], dtype: DTypeLike, shape: tuple[int, ...]) -> None:
    if out.dtype != dtype or out.shape != shape or not out.flags.writeable:
        found = f"{out.dtype} {out.shape}" + ("" if out.flags.writeable else ", read-only")
        raise ValueError(f"out: found {found}, expected {np.dtype(dtype)} {shape}")


def _demand_z_up(grid: Grid) -> None:
    if grid.description.grid.axes is Axes.UNKNOWN:
        raise ValueError("the axes of the grid are unknown to this version: which way is up cannot be told")
