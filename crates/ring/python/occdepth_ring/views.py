"""Views derived from a grid. Occupied is a voxel that is neither empty nor unknown (255)."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from .description import Axes
from .grid import Grid
from .layout import UNKNOWN_LABEL


def occupied(grid: Grid, empty: int = 0) -> NDArray[np.intp]:
    """intp (N, 3): indices (ix, iy, iz) of the occupied voxels, in the order of the grid; ``empty`` is the class id
    of free space."""
    # Twice as fast as argwhere where few voxels are occupied, as is usual.
    return np.stack(np.unravel_index(np.flatnonzero(_occupied_mask(grid, empty)), grid.labels.shape), axis=1)


def points(grid: Grid, indices: Optional[NDArray[np.integer[Any]]] = None, empty: int = 0) -> NDArray[np.float64]:
    """float64 (N, 3): centres of voxels, metres, in the frame of the grid.

    ``indices`` is integer (N, 3); None takes those of :func:`occupied`.
    """
    if indices is None:
        indices = occupied(grid, empty)
    geometry = grid.description.grid
    centres: NDArray[np.float64] = np.asarray(geometry.origin_m) + geometry.voxel_size_m * (indices + 0.5)
    return centres


def height_map(grid: Grid, empty: int = 0) -> NDArray[np.float64]:
    """float64 (X, Y): height of the top face of each column's topmost occupied voxel, metres along z of the grid's
    frame; NaN where a column has none.

    Raises ValueError when the axes of the grid are unknown: z may not be up then.
    """
    _demand_z_up(grid)
    mask = _occupied_mask(grid, empty)
    geometry = grid.description.grid
    heights = np.full(mask.shape[:2], np.nan)
    np.copyto(heights, geometry.origin_m[2] + geometry.voxel_size_m * (_topmost(mask) + 1.0), where=mask.any(axis=2))
    return heights


def birds_eye(grid: Grid, empty: int = 0) -> NDArray[np.uint8]:
    """uint8 (X, Y): label of each column's topmost occupied voxel; ``empty`` where none is occupied but one is known
    to be empty, 255 where nothing is known of the column.

    Raises ValueError when the axes of the grid are unknown: z may not be up then.
    """
    _demand_z_up(grid)
    mask = _occupied_mask(grid, empty)
    top: NDArray[np.uint8] = np.take_along_axis(grid.labels, _topmost(mask)[:, :, np.newaxis], axis=2)[:, :, 0]
    none = np.where((grid.labels == empty).any(axis=2), empty, UNKNOWN_LABEL)
    return np.where(mask.any(axis=2), top, none).astype(np.uint8)


def _occupied_mask(grid: Grid, empty: int) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = (grid.labels != empty) & (grid.labels != UNKNOWN_LABEL)
    return mask


def _topmost(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Index along z of the last voxel of each column that is set; of the last voxel, where none is."""
    last: NDArray[np.intp] = mask.shape[2] - 1 - np.argmax(mask[:, :, ::-1], axis=2)
    return last


def _demand_z_up(grid: Grid) -> None:
    if grid.description.grid.axes is Axes.UNKNOWN:
        raise ValueError("the axes of the grid are unknown to this version: which way is up cannot be told")
