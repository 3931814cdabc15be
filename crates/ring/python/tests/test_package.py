"""What is installed is whole, and the example runs."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import importlib.util
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

import occdepth_ring
from occdepth_ring.layout import ClassEntry, Segment
from support import PLENTY, FakeSegment, FakeServer, Publisher, valid_reply

EXAMPLE = Path(__file__).parents[1] / "example_top_down.py"


needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="there is no matplotlib"
)


def test_type_checkers_are_told_that_the_package_is_typed() -> None:
    assert importlib.resources.files(occdepth_ring).joinpath("py.typed").is_file()


def test_only_numpy_is_required() -> None:
    required = importlib.metadata.requires("occdepth-ring") or []
    assert [line for line in required if "extra ==" not in line] == ["numpy>=1.22"]


def test_everything_that_is_exported_is_there_once() -> None:
    names = occdepth_ring.__all__
    assert len(set(names)) == len(names)
    assert all(getattr(occdepth_ring, name).__doc__ or name.isupper() for name in names)


def run_example(*arguments: str) -> subprocess.CompletedProcess[str]:
    headless = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=4 * PLENTY, env=headless)


@needs_matplotlib
def test_the_example_writes_a_picture_without_a_display(path: Path) -> None:
    picture = path.with_name("top.png")
    with Publisher(path, "--dims", "32", "32", "8") as publisher:
        publisher.publish(1)
        ran = run_example(str(path), "--png", str(picture))
    assert (ran.returncode, ran.stderr) == (0, "")
    png = picture.read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width == height == 800
    # The noise that the writer publishes does not compress as an empty plot would.
    assert len(png) > 8000 and png[-12:] == bytes(4) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND"))


@needs_matplotlib
def test_the_example_shows_any_name(path: Path) -> None:
    """Names that matplotlib would take for broken formulas."""
    segment, picture = FakeSegment(), path.with_name("top.png")
    for field, base in ((Segment.stream, 0), (Segment.frame, 0), (ClassEntry.name, 2048 + 64)):
        segment.put(field, b"$\\frac{$", base=base)
    segment.publish(1, b"\x09" * 24)
    descriptor, mapping = segment.file()
    with FakeServer(path, bytes(valid_reply(segment.BYTES)), (descriptor,)):
        ran = run_example(str(path), "--png", str(picture))
    mapping.close()
    os.close(descriptor)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert picture.stat().st_size > 1000


@needs_matplotlib
def test_the_example_says_why_there_is_no_picture(path: Path) -> None:
    ran = run_example(str(path), "--png", str(path.with_name("top.png")), "--timeout-s", "0.2")
    assert ran.returncode == 1
    assert ran.stderr.startswith("no grid within 0.2 s: no stream at ") and ran.stderr.endswith(": no socket\n")
