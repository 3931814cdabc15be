from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import descriptors, ring_mappings


def pytest_configure() -> None:
    if "RING_PUBLISH" not in os.environ:
        pytest.exit("RING_PUBLISH must name the Rust example `publish`; test.sh builds it and sets this", returncode=2)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says what was skipped, test by test, as the other tests of the repository do."""
    reasons = {}
    for report in terminalreporter.getreports("skipped"):
        if isinstance(report.longrepr, tuple):
            name = report.nodeid.rpartition("::")[2].partition("[")[0]
            reasons[name] = report.longrepr[2].replace("Skipped: ", "", 1)
    for name, reason in sorted(reasons.items()):
        terminalreporter.write_line(f"SKIPPED ring python {name}: {reason}")


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
