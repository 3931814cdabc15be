"""Reads occupancy grids from the shared-memory ring of an occdepth writer.

One writer publishes grids of a fixed size; any number of readers copy them out of memory that they can
only read. A reader cannot disturb the writer, and what it returns as a grid was one grid, whole: every
copy is checked against the lock of its slot and against its checksum. ``ABI.md`` beside this package
describes the ring to the byte.

    import occdepth_ring

    for grid in occdepth_ring.follow("/run/occdepth/front.sock"):
        print(grid.frame_id, grid.age_s(), grid.labels.shape)

:func:`connect` gives a :class:`Reader` of one segment, which ends with its writer; :func:`follow` gives a
:class:`Stream`, which attaches to the next writer. :func:`occupied`, :func:`points`, :func:`height_map`,
:func:`birds_eye` and :func:`cast` are views derived from a grid. Linux, 64 bits, little-endian.
"""

from .description import AbiVersion, Axes, GridGeometry, RectifiedCamera, StreamDescription, VoxelClass
from .errors import (
    ConnectError,
    Corrupt,
    HandshakeTimeout,
    Invalid,
    Lapped,
    NoGrid,
    NoStream,
    Overwritten,
    ReaderClosed,
    ReadError,
    Refused,
    RingError,
    VersionMismatch,
    WriterGone,
    WrongUser,
)
from .grid import Grid
from .handshake import Credentials
from .layout import UNKNOWN_LABEL
from .meaning import Meaning, meanings
from .ray import RayEnd, cast
from .reader import Reader, connect
from .record import CalibrationState, Degradation, GridRecord, Health, RigError, StageTimes, WriterStatus
from .scratch import Scratch
from .stream import Stream, follow
from .views import birds_eye, height_map, occupied, points

__all__ = [
    "UNKNOWN_LABEL",
    "AbiVersion",
    "Axes",
    "CalibrationState",
    "ConnectError",
    "Corrupt",
    "Credentials",
    "Degradation",
    "Grid",
    "GridGeometry",
    "GridRecord",
    "HandshakeTimeout",
    "Health",
    "Invalid",
    "Lapped",
    "Meaning",
    "NoGrid",
    "NoStream",
    "Overwritten",
    "RayEnd",
    "ReadError",
    "Reader",
    "ReaderClosed",
    "RectifiedCamera",
    "Refused",
    "RigError",
    "RingError",
    "Scratch",
    "StageTimes",
    "Stream",
    "StreamDescription",
    "VersionMismatch",
    "VoxelClass",
    "WriterGone",
    "WriterStatus",
    "WrongUser",
    "birds_eye",
    "cast",
    "connect",
    "follow",
    "height_map",
    "meanings",
    "occupied",
    "points",
]
