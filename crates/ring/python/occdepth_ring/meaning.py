"""What labels mean: free, occupied or unknown."""

from __future__ import annotations

import enum
from collections.abc import Collection
from typing import Optional

import numpy as np
from numpy.typing import NDArray

from .description import StreamDescription
from .layout import UNKNOWN_LABEL


class Meaning(enum.IntEnum):
    """What a label says of its voxel."""

    #: Nobody knows.
    UNKNOWN = 0
    #: Nothing is there.
    FREE = 1
    #: Something is there.
    OCCUPIED = 2


def meanings(description: StreamDescription, free: Optional[Collection[int]] = None) -> NDArray[np.uint8]:
    """uint8 (256,): the :class:`Meaning` of every label.

    Raises ValueError for a label of ``free`` that is none.
    """
    return np.frombuffer(meaning_table(description, free), np.uint8).copy()


def meaning_table(description: StreamDescription, free: Optional[Collection[int]]) -> bytes:
    """The :class:`Meaning` of every label, one byte each."""
    if free is None:
        free = [entry.id for entry in description.classes.values() if entry.name.lower() in ("empty", "free")]
        if not free and description.classes:
            free = [min(description.classes)]
    of = bytearray(256)
    for label in description.classes:
        of[label] = Meaning.OCCUPIED
    for label in free:
        # A negative one would count from the end.
        if not 0 <= label <= UNKNOWN_LABEL:
            raise ValueError(f"free: found label {label}, expected 0 to {UNKNOWN_LABEL}")
        of[label] = Meaning.FREE
    of[UNKNOWN_LABEL] = Meaning.UNKNOWN
    return bytes(of)


def runs(table: bytes, meaning: Meaning) -> list[tuple[int, int]]:
    """First and last label of every run of labels that mean ``meaning``."""
    found: list[tuple[int, int]] = []
    for label, of in enumerate(table):
        if of != meaning:
            continue
        if found and found[-1][1] == label - 1:
            found[-1] = (found[-1][0], label)
        else:
            found.append((label, label))
    return found
