"""The tables of ABI.md against layout.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from occdepth_ring import layout
from occdepth_ring.layout import Field

ABI = Path(__file__).parents[2] / "ABI.md"
TABLES = [
    ("Hello", layout.Hello),
    ("Reply", layout.Reply),
    ("Notification", layout.Notification),
    ("Segment header", layout.Segment),
    ("Class table", layout.ClassEntry),
    ("Slot", layout.Slot),
]


@pytest.mark.parametrize(("heading", "fields"), TABLES)
def test_every_field_lies_where_abi_md_says(heading: str, fields: type) -> None:
    section = re.split(r"^##+ ", ABI.read_text(encoding="utf-8"), flags=re.MULTILINE)
    table = next(text for text in section if text.startswith(heading + "\n"))
    rows = re.findall(r"^\| (\d+) \| (\d+) \| `(\w+)` \|", table, flags=re.MULTILINE)
    expected = {name: (int(offset), int(size)) for offset, size, name in rows if name != "reserved"}
    found = {name: (f.offset, f.size) for name, f in vars(fields).items() if isinstance(f, Field)}
    assert found == expected


def test_the_version_is_that_of_abi_md() -> None:
    assert f"ABI version {layout.ABI_MAJOR}.{layout.ABI_MINOR}." in ABI.read_text(encoding="utf-8")
