"""Errors survive being sent to another process, and so do grids."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import occdepth_ring
from grids import grid_of
from occdepth_ring import (
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

ERRORS = [
    (RingError("x"), "x"),
    (ConnectError("x"), "x"),
    (NoStream("x"), "x"),
    (HandshakeTimeout("x"), "x"),
    (Refused(3), r"this user may not read the stream (status 3)"),
    (Refused(99), "for a reason this client does not know (status 99)"),
    (VersionMismatch("the writer", (1, 0), (2, 7)), "the writer is of ABI version 2.7"),
    (WrongUser(7, 8), "runs as uid 8, expected uid 7"),
    (Invalid("segment.dims", 0, "1 or more"), "segment.dims: found 0, expected 1 or more"),
    (ReadError("x"), "x"),
    (NoGrid(), "there is no grid yet"),
    (NoGrid(4), "grid 4 is not there yet"),
    (Overwritten(5), "grid 5 has been overwritten"),
    (Lapped(6), "6 grids missed"),
    (Corrupt(7, "epoch", 17, 255), "grid 7 is corrupt: epoch: found 0x11, expected 0xff"),
    (WriterGone(), "the writer has hung up"),
    (ReaderClosed(), "this reader is closed"),
]


@pytest.mark.parametrize(("error", "says"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_says_the_same_after_a_copy(error: RingError, says: str) -> None:
    assert says in str(error)
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert (str(again), vars(again)) == (str(error), vars(error))


def test_every_error_is_tried() -> None:
    every = {of for of in vars(occdepth_ring).values() if isinstance(of, type) and issubclass(of, RingError)}
    assert {type(error) for error, _ in ERRORS} == every


def test_a_grid_is_the_same_after_a_copy() -> None:
    grid = grid_of(np.full((2, 3, 4), 9, np.uint8))
    again = pickle.loads(pickle.dumps(grid))
    assert np.array_equal(again.labels, grid.labels) and again.record == grid.record
    assert again.description.classes == grid.description.classes
