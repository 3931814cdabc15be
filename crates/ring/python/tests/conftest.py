from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import descriptors, ring_mappings


@pytest.fixture
def path() -> Iterator[Path]:
    """Path for a socket: short, since a Unix socket's may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ring") as directory:
        yield Path(directory) / "front.sock"


@pytest.fixture
def nothing_leaks() -> Iterator[None]:
    """Fails a test that leaves descriptors or mappings behind."""
    before = descriptors(), ring_mappings()
    yield
    assert (descriptors(), ring_mappings()) == before
