"""What a stream is: everything that is fixed for the life of a segment."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class AbiVersion(NamedTuple):
    """Version of layout and handshake. Minors of one major work together."""

    major: int
    minor: int


class Axes(enum.IntEnum):
    """How x, y and z of a grid lie. All are right-handed."""

    #: Not known, or a code of a newer minor version.
    UNKNOWN = 0
    #: x forward, y left, z up (vehicle).
    FORWARD_LEFT_UP = 1
    #: x and y horizontal, z up (scene).
    HORIZONTAL_Z_UP = 2

    @classmethod
    def _missing_(cls, value: object) -> Axes:
        return cls.UNKNOWN


@dataclass(frozen=True)
class GridGeometry:
    """The voxel grid, in its frame."""

    #: Name of the frame of the grid: "ego".
    frame: str
    axes: Axes
    #: Minimum corner (x, y, z), metres.
    origin_m: tuple[float, float, float]
    #: Edge of a voxel, metres.
    voxel_size_m: float
    #: Voxels along x, y and z: the shape of labels and confidences.
    dims: tuple[int, int, int]


@dataclass(frozen=True)
class RectifiedCamera:
    """The rectified left camera: x right, y down, z forward, no distortion, (0, 0) the centre of the first pixel."""

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    width_px: int
    height_px: int

    def matrix(self) -> NDArray[np.float64]:
        """float64 (3, 3), pixels: from a point of the camera's frame to homogeneous pixel coordinates."""
        return np.array([[self.fx_px, 0.0, self.cx_px], [0.0, self.fy_px, self.cy_px], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class VoxelClass:
    """A class that labels name."""

    #: The label: 0 to 254.
    id: int
    name: str
    #: Red, green, blue, each 0 to 255.
    colour: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class StreamDescription:
    """What a stream is. Another one comes only with another segment, whose epoch differs."""

    #: Name of the stream: "front".
    stream: str
    #: Program and version of the writer.
    producer: str
    grid: GridGeometry
    #: float64 (4, 4), metres, read-only: from the frame of the grid to the rectified left camera.
    rectified_from_ego: NDArray[np.float64]
    rectified: RectifiedCamera
    #: By id. Label 255 is no class: a voxel of which nothing is known.
    classes: dict[int, VoxelClass]
    #: Whether grids carry confidences.
    confidence: bool
    #: Whether the network was trained; grids of an untrained network mean nothing.
    trained: bool
    #: SHA-256 of the network, 32 bytes.
    network_sha256: bytes
    #: SHA-256 of the engine built from it, 32 bytes.
    engine_sha256: bytes
    #: When the segment was made, CLOCK_MONOTONIC ns.
    created_time_ns: int
    #: CLOCK_REALTIME minus CLOCK_MONOTONIC at that time, ns.
    created_wall_offset_ns: int

    def palette(self, unknown: tuple[int, int, int] = (128, 128, 128)) -> NDArray[np.uint8]:
        """uint8 (256, 3): the colour of every label, ``unknown`` for those that are no class.

        ``palette()[labels]`` is an image.
        """
        colours = np.empty((256, 3), np.uint8)
        colours[:] = unknown
        for entry in self.classes.values():
            colours[entry.id] = entry.colour
        return colours

    def project(self, points_m: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where points of the grid's frame, float64 (N, 3) in metres, fall in the rectified left image.

        Returns pixels, float64 (N, 2), and depths along the optical axis, float64 (N,) in metres. A pixel whose
        depth is not positive is NaN: the point lies behind the camera.
        """
        q = points_m @ self.rectified_from_ego[:3, :3].T + self.rectified_from_ego[:3, 3]
        depth = q[:, 2]
        ahead = np.where(depth > 0, depth, np.nan)
        camera = self.rectified
        u = camera.fx_px * q[:, 0] / ahead + camera.cx_px
        v = camera.fy_px * q[:, 1] / ahead + camera.cy_px
        return np.stack([u, v], axis=1), depth
