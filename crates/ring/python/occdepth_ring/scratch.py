"""Memory for views that are to allocate none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

#: Voxels that are looked at together: what that takes stays in a processor's cache.
SLAB_VOXELS = 65536


class Scratch:
    """What views need besides their results. Give the same one, as ``scratch=``, to every call.

    The first call of a shape allocates, later ones do not: about 2 MB, or 35 bytes for each voxel of one x where those
    are more than 65536. For one thread at a time.
    """

    def __init__(self) -> None:
        self._grow(0, 0)

    def slabs(self, dims: tuple[int, ...]) -> Iterator[slice]:
        """Ranges of x that make up a grid of these dims, and memory for any of them."""
        x, y, z = dims
        rows = min(x, max(1, SLAB_VOXELS // (y * z)))
        voxels, columns = rows * y * z, rows * y
        if voxels > self.mask.size or columns > self.has.size:
            self._grow(max(voxels, self.mask.size), max(columns, self.has.size))
        return (slice(start, min(start + rows, x)) for start in range(0, x, rows))

    def mark(self, labels: NDArray[np.uint8], of: list[tuple[int, int]]) -> NDArray[np.bool_]:
        """bool, of the shape of ``labels``, a slab: where a label is in one of the runs ``of``.

        It lies in :attr:`mask`; :attr:`more` is overwritten. Comparisons, since a look-up by labels would allocate
        eight bytes for each.
        """
        size, shape = labels.size, labels.shape
        mask, more = self.mask[:size].reshape(shape), self.more[:size].reshape(shape)
        shifted = self._shifted[:size].reshape(shape)
        mask.fill(False)
        for index, (first, last) in enumerate(of):
            # Labels below the first wrap around to the largest numbers.
            np.subtract(labels, np.uint8(first), out=shifted)
            np.less_equal(shifted, np.uint8(last - first), out=more if index else mask)
            if index:
                np.logical_or(mask, more, out=mask)
        return mask

    def compact(self, mask: NDArray[np.bool_]) -> NDArray[np.intp]:
        """intp: indices of what is set in a slab's mask, ascending; in memory that the next call overwrites.

        What flatnonzero does, which has no ``out``: every index goes to the place that counting gives it, or, where
        nothing is set, to place 0.
        """
        flat = mask.reshape(-1)
        count = int(np.count_nonzero(flat))
        if count:
            ones, places = self.numbers[: flat.size], self._places[: flat.size]
            np.copyto(ones, flat)
            np.add.accumulate(ones, out=places)
            np.multiply(places, ones, out=places)
            self._packed[places] = self.order[: flat.size]
        return self._packed[1 : count + 1]

    def _grow(self, voxels: int, columns: int) -> None:
        #: One for each voxel of a slab.
        self.mask: NDArray[np.bool_] = np.empty(voxels, np.bool_)
        self.more: NDArray[np.bool_] = np.empty(voxels, np.bool_)
        self._shifted: NDArray[np.uint8] = np.empty(voxels, np.uint8)
        #: 0, 1, 2, ...
        self.order: NDArray[np.intp] = np.arange(voxels, dtype=np.intp)
        #: For whoever wants integers; :meth:`compact` uses them, too.
        self.numbers: NDArray[np.intp] = np.empty(voxels, np.intp)
        self._places: NDArray[np.intp] = np.empty(voxels, np.intp)
        self._packed: NDArray[np.intp] = np.empty(voxels + 1, np.intp)
        #: One for each column of a slab.
        self.has: NDArray[np.bool_] = np.empty(columns, np.bool_)
        self.highest: NDArray[np.intp] = np.empty(columns, np.intp)
        self.seen: NDArray[np.uint8] = np.empty(columns, np.uint8)
