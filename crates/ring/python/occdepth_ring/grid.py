"""A grid of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from .description import StreamDescription
from .record import GridRecord


@dataclass(eq=False)
class Grid:
    """A copy of a grid, owned by the reader's program.

    Give it back as ``into=`` and the next copy goes into the same arrays, if they fit. An error leaves it as it was.
    """

    #: uint8 (X, Y, Z), C order: class ids; 255 where nothing is known.
    labels: NDArray[np.uint8]
    #: uint8 (X, Y, Z), C order, 255 is probability 1; None when the stream has no confidences.
    confidence: Optional[NDArray[np.uint8]]
    record: GridRecord
    #: What the stream of this grid is.
    description: StreamDescription
    #: Grids of this segment that were overwritten between the previous grid of an iteration and this one.
    missed: int = 0
    #: Whether this is the first grid of another segment than the previous grid's: the writer was restarted.
    restarted: bool = False

    @property
    def sequence(self) -> int:
        """Number of the grid in its segment, from 1."""
        return self.record.sequence

    @property
    def epoch(self) -> int:
        """Random number of the segment."""
        return self.record.epoch

    @property
    def frame_id(self) -> int:
        """The producer's number of the stereo pair."""
        return self.record.frame_id

    def age_ns(self, now_ns: Optional[int] = None) -> int:
        """Age of the images, ns; see :meth:`GridRecord.age_ns`."""
        return self.record.age_ns(now_ns)

    def age_s(self, now_ns: Optional[int] = None) -> float:
        """Age of the images, seconds."""
        return self.record.age_s(now_ns)
