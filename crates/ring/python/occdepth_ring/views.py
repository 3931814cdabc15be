"""Views derived from a copy of a grid; the same as those of the Rust client.

Every function takes ``free``: the labels of voxels in which nothing is. None takes the classes named "empty" or
"free", in any case of letters, or, where none is, the one with the lowest id. Every other class is occupied. Labels
of no class, and 255, are unknown.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .description import Axes, StreamDescription
from .grid import Grid
from .layout import UNKNOWN_LABEL


class Meaning(enum.IntEnum):
    """What a label says of its voxel."""

    #: Nobody knows.
    UNKNOWN = 0
    #: Nothing is there.
    FREE = 1
    #: Something is there.
    OCCUPIED = 2


@dataclass(frozen=True)
class RayEnd:
    """What a ray meets. Distances are metres from where it starts."""

    #: OCCUPIED or UNKNOWN: of the voxel that it meets. FREE: all on its way that the grid has is free.
    #: None: it does not go through the grid.
    meaning: Optional[Meaning]
    #: Where it enters the grid; 0 if it starts inside.
    from_m: float
    #: Where it enters the voxel that it meets; where none is met, where it leaves the grid or has gone as far as it may.
    distance_m: float
    #: The voxel that it meets.
    voxel: Optional[tuple[int, int, int]] = None
    #: The label of that voxel.
    label: Optional[int] = None


def meanings(description: StreamDescription, free: Optional[Collection[int]] = None) -> NDArray[np.uint8]:
    """uint8 (256,): the :class:`Meaning` of every label."""
    if free is None:
        free = [entry.id for entry in description.classes.values() if entry.name.lower() in ("empty", "free")]
        if not free and description.classes:
            free = [min(description.classes)]
    of = np.full(256, Meaning.UNKNOWN, np.uint8)
    of[list(description.classes)] = Meaning.OCCUPIED
    of[list(free)] = Meaning.FREE
    of[UNKNOWN_LABEL] = Meaning.UNKNOWN
    return of


def occupied(grid: Grid, free: Optional[Collection[int]] = None) -> NDArray[np.intp]:
    """intp (N, 3): indices (ix, iy, iz) of the occupied voxels, in the order of the grid."""
    mask = meanings(grid.description, free)[grid.labels] == Meaning.OCCUPIED
    # Twice as fast as argwhere where few voxels are occupied, as is usual.
    return np.stack(np.unravel_index(np.flatnonzero(mask), mask.shape), axis=1)


def points(
    grid: Grid, indices: Optional[NDArray[np.integer[Any]]] = None, free: Optional[Collection[int]] = None
) -> NDArray[np.float64]:
    """float64 (N, 3): centres of voxels, metres, in the frame of the grid.

    ``indices`` is integer (N, 3); None takes those of :func:`occupied`.
    """
    if indices is None:
        indices = occupied(grid, free)
    geometry = grid.description.grid
    centres: NDArray[np.float64] = np.asarray(geometry.origin_m) + geometry.voxel_size_m * (indices + 0.5)
    return centres


def height_map(grid: Grid, free: Optional[Collection[int]] = None) -> NDArray[np.float64]:
    """float64 (X, Y): height of the upper face of each column's highest occupied voxel, metres along z of the grid's
    frame; NaN where none is occupied.

    Raises ValueError when the axes of the grid are unknown: z may not be up then.
    """
    _demand_z_up(grid)
    mask = meanings(grid.description, free)[grid.labels] == Meaning.OCCUPIED
    geometry = grid.description.grid
    heights = np.full(mask.shape[:2], np.nan)
    tops = geometry.origin_m[2] + geometry.voxel_size_m * (_highest(mask) + 1.0)
    np.copyto(heights, tops, where=mask.any(axis=2))
    return heights


def birds_eye(grid: Grid, free: Optional[Collection[int]] = None) -> NDArray[np.uint8]:
    """uint8 (X, Y): label of each column's highest occupied voxel; where none is, of its highest free one; 255 where
    nothing is known of any.

    Raises ValueError when the axes of the grid are unknown: z may not be up then.
    """
    _demand_z_up(grid)
    of = meanings(grid.description, free)[grid.labels]
    seen = np.full(of.shape[:2], UNKNOWN_LABEL, np.uint8)
    for meaning in (Meaning.FREE, Meaning.OCCUPIED):
        mask = of == meaning
        labels = np.take_along_axis(grid.labels, _highest(mask)[:, :, np.newaxis], axis=2)[:, :, 0]
        np.copyto(seen, labels, where=mask.any(axis=2))
    return seen


def cast(
    grid: Grid,
    from_m: ArrayLike,
    direction: ArrayLike,
    at_most_m: float = np.inf,
    free: Optional[Collection[int]] = None,
) -> RayEnd:
    """Follows a ray through the grid until a voxel that is not free.

    ``from_m`` (3,) is where it starts, metres in the frame of the grid, inside of it or not; ``direction`` (3,) is of
    any length but 0. Numbers that are not finite, or no direction, are a ray outside.
    """
    geometry = grid.description.grid
    start = (np.asarray(from_m, np.float64) - geometry.origin_m) / geometry.voxel_size_m
    along = np.asarray(direction, np.float64)
    length = float(np.linalg.norm(along))
    outside = RayEnd(None, 0.0, 0.0)
    if not (np.isfinite(start).all() and np.isfinite(length) and length > 0 and at_most_m >= 0):
        return outside
    along = along / length

    # Lengths in voxels from here: where the ray crosses the faces of voxels, axis by axis.
    enters, leaves = 0.0, at_most_m / geometry.voxel_size_m
    crossings = []
    for axis, side in enumerate(geometry.dims):
        if along[axis] == 0.0:
            if not 0 <= start[axis] < side:
                return outside
            continue
        at = (np.arange(side + 1) - start[axis]) / along[axis]
        enters, leaves = max(enters, float(at.min())), min(leaves, float(at.max()))
        crossings.append(at)
    inside = bool((start >= 0).all() and (start < geometry.dims).all())
    if enters >= leaves and not inside:
        return outside
    leaves = max(enters, leaves)
    within = np.concatenate(crossings)
    within = np.unique(within[(within > enters) & (within < leaves)])
    begins, ends = np.append(enters, within), np.append(within, leaves)
    # Between two crossings the ray is in one voxel, the one around the middle.
    middles = start + along * ((begins + ends) / 2)[:, np.newaxis]
    voxels = np.clip(np.floor(middles).astype(np.intp), 0, np.asarray(geometry.dims) - 1)
    labels = grid.labels[voxels[:, 0], voxels[:, 1], voxels[:, 2]]
    met = np.flatnonzero(meanings(grid.description, free)[labels] != Meaning.FREE)
    entered_m = enters * geometry.voxel_size_m
    if met.size == 0:
        return RayEnd(Meaning.FREE, entered_m, leaves * geometry.voxel_size_m)
    first = int(met[0])
    ix, iy, iz = (int(part) for part in voxels[first])
    label = int(labels[first])
    meaning = Meaning(int(meanings(grid.description, free)[label]))
    return RayEnd(meaning, entered_m, float(begins[first]) * geometry.voxel_size_m, (ix, iy, iz), label)


def _highest(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Index along z of the last voxel of each column that is set; of the last voxel, where none is."""
    last: NDArray[np.intp] = mask.shape[2] - 1 - np.argmax(mask[:, :, ::-1], axis=2)
    return last


def _demand_z_up(grid: Grid) -> None:
    if grid.description.grid.axes is Axes.UNKNOWN:
        raise ValueError("the axes of the grid are unknown to this version: which way is up cannot be told")
