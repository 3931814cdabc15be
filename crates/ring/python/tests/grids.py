"""Grids made up of any labels, without a writer."""

from __future__ import annotations

import numpy as np
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
)

NAMES = {1: "car", 0: "Empty", 3: "road", 9: "tree", 254: "pole"}


def grid_of(
    labels: NDArray[np.uint8],
    axes: Axes = Axes.FORWARD_LEFT_UP,
    origin_m: tuple[float, float, float] = (1.0, -25.6, -2.0),
    voxel_size_m: float = 0.25,
) -> Grid:
    """A grid whose classes are ``NAMES``."""
    x, y, z = labels.shape
    description = StreamDescription(
        stream="front",
        producer="tests",
        grid=GridGeometry("ego", axes, origin_m, voxel_size_m, (x, y, z)),
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
    record = GridRecord(1, 1, 1, 0, 0, 0, 0, stages, 0, Health.OK, CalibrationState.OK, Degradation(0), None, 0)
    return Grid(labels, None, record, description)
