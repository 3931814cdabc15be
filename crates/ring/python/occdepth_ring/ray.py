"""How far nothing is in the way."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .meaning import Meaning, meaning_table

Vector = Union[Sequence[float], NDArray[np.floating[Any]], NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class RayEnd:
    """What a ray meets. Distances are metres from where it starts."""

    #: OCCUPIED or UNKNOWN: of the voxel that it meets. FREE: all on its way that the grid has is free.
    #: None: it does not go through the grid, or is no ray.
    meaning: Optional[Meaning]
    #: Where it enters the grid; 0 if it starts inside.
    from_m: float
    #: Where it enters the voxel that it meets; where none is met, where it leaves the grid or ends in it.
    distance_m: float
    #: The voxel that it meets.
    voxel: Optional[tuple[int, int, int]] = None
    #: The label of that voxel.
    label: Optional[int] = None


def cast(
    grid: Grid,
    from_m: Vector,
    direction: Vector,
    at_most_m: float = math.inf,
    free: Optional[Collection[int]] = None,
) -> RayEnd:
    """Follows a ray through the grid until a voxel that is not free.

    ``from_m`` (3,) is where it starts, metres in the frame of the grid, inside of it or not; ``direction`` (3,) is of
    any length but 0. Numbers that are not finite, or no direction, are a ray outside.

    Voxel by voxel (Amanatides and Woo, 1987): every voxel that the ray passes through is looked at, also where it is
    only clipped. Where it goes exactly along a face or an edge, those on the upper side are; where it crosses several
    faces at once, it goes along x first, then y, then z. Makes no array.
    """
    outside = RayEnd(None, 0.0, 0.0)
    geometry = grid.description.grid
    dims, size_m = geometry.dims, geometry.voxel_size_m
    along = _vector("direction", direction)
    length = math.sqrt(sum(part * part for part in along))
    if not (math.isfinite(length) and length > 0 and at_most_m >= 0):
        return outside
    along = [part / length for part in along]
    # Lengths in voxels from here.
    start = [(part - low) / size_m for part, low in zip(_vector("from_m", from_m), geometry.origin_m)]
    if not all(map(math.isfinite, start)):
        return outside

    enters, leaves = 0.0, at_most_m / size_m
    for at, part, side in zip(start, along, dims):
        if part == 0.0:
            if not 0.0 <= at < side:
                return outside
            continue
        low, high = sorted(((0.0 - at) / part, (side - at) / part))
        enters, leaves = max(enters, low), min(leaves, high)
    # Touching a face or a corner from outside is no way through.
    if enters >= leaves and not all(0.0 <= at < side for at, side in zip(start, dims)):
        return outside

    voxel = [_entered(at + enters * part, part, side) for at, part, side in zip(start, along, dims)]
    crossings = [_leaves(*of) for of in zip(voxel, start, along)]
    table = meaning_table(grid.description, free)
    distance = enters
    while True:
        label = int(grid.labels.item(voxel[0], voxel[1], voxel[2]))
        if table[label] != Meaning.FREE:
            ix, iy, iz = voxel
            return RayEnd(Meaning(table[label]), enters * size_m, distance * size_m, (ix, iy, iz), label)
        crossing = min(crossings)
        axis = crossings.index(crossing)
        voxel[axis] += 1 if along[axis] > 0 else -1
        # A ray that ends on a face does not go into what is behind.
        if crossing >= leaves or not 0 <= voxel[axis] < dims[axis]:
            return RayEnd(Meaning.FREE, enters * size_m, leaves * size_m)
        distance = max(crossing, distance)
        crossings[axis] = _leaves(voxel[axis], start[axis], along[axis])


def _vector(name: str, of: Vector) -> list[float]:
    vector = [float(part) for part in of]
    if len(vector) != 3:
        raise ValueError(f"{name}: found {len(vector)} numbers, expected 3")
    return vector


def _entered(at: float, part: float, side: int) -> int:
    """Index of the voxel that a ray is in; on a face between two: of the one that it goes into."""
    whole = math.ceil(at) - 1 if part < 0 else math.floor(at)
    return min(max(whole, 0), side - 1)


def _leaves(index: int, start: float, part: float) -> float:
    """Where a ray crosses the face that it leaves voxel ``index`` of an axis by; infinity: it never does.

    From the face, not by adding up, so that errors do not add up either.
    """
    if part == 0.0:
        return math.inf
    return (index + (1 if part > 0 else 0) - start) / part
