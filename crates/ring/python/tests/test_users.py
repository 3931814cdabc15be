"""Readers that are other users: who is given the ring, and that nobody can change it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from occdepth_ring import connect
from support import PLENTY, Publisher, assert_whole

OTHER_UID, OTHER_GID, THIRD_GID = 54_321, 54_322, 54_323

pytestmark = [
    pytest.mark.usefixtures("nothing_leaks"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user"),
]

#: How the kernel refuses; which of these is its own business.
REFUSALS = {"EACCES", "EPERM", "EIO"}


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Path for a socket in a directory that every user can enter."""
    with tempfile.TemporaryDirectory(prefix="ring") as directory:
        os.chmod(directory, 0o755)
        yield Path(directory) / "front.sock"


def as_another_user(path: Path, gid: int = OTHER_GID, groups: tuple[int, ...] = ()) -> dict[str, Any]:
    """What another_user.py says of the stream."""
    script = Path(__file__).with_name("another_user.py")
    arguments = [str(path), str(OTHER_UID), str(gid), ",".join(map(str, groups))]
    ran = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=PLENTY)
    assert ran.returncode == 0, ran.stderr
    said: dict[str, Any] = json.loads(ran.stdout)
    assert said["user"] == OTHER_UID
    return said


def not_refused(attempts: dict[str, str]) -> set[str]:
    assert len(attempts) == 17
    return {name for name, how in attempts.items() if how not in REFUSALS}


def allow(*options: object) -> tuple[str, ...]:
    """Options of a writer at whose socket everybody can connect."""
    return ("--mode", "666", *map(str, options))


@pytest.mark.parametrize(
    ("options", "gid", "groups"),
    [
        pytest.param(allow("--everyone"), OTHER_GID, (), id="everyone"),
        pytest.param(allow("--allow-uid", OTHER_UID), OTHER_GID, (), id="user"),
        pytest.param(allow("--allow-gid", OTHER_GID), OTHER_GID, (), id="primary group"),
        pytest.param(allow("--allow-gid", THIRD_GID), OTHER_GID, (7, THIRD_GID), id="supplementary group"),
        # More groups than the writer's first buffer holds.
        pytest.param(allow("--allow-gid", 60_049), OTHER_GID, tuple(range(60_000, 60_050)), id="one of many groups"),
        pytest.param(
            ("--mode", "660", "--group", str(THIRD_GID), "--allow-gid", str(THIRD_GID)),
            OTHER_GID,
            (THIRD_GID,),
            id="group of the socket",
        ),
    ],
)
def test_a_user_that_is_allowed_reads_and_can_change_nothing(
    open_path: Path, options: tuple[str, ...], gid: int, groups: tuple[int, ...]
) -> None:
    with Publisher(open_path, *options) as publisher, connect(open_path) as reader:
        publisher.publish(2)
        said = as_another_user(open_path, gid, groups)
        assert "error" not in said, said
        assert said["server"] == 0
        assert said["private"] == "OCCDRING", "a private mapping changed the ring"
        assert not not_refused(said["attempts"])
        # The attempts are such that they succeed where nothing refuses them: on a file and a process of one's own.
        # But for two: without MFD_ALLOW_SEALING there are no seals, and nobody traces himself.
        assert not_refused(said["controls"]) == set(said["attempts"]) - {"seal", "trace"}, said["controls"]
        publisher.publish(1)
        for sequence in (1, 2, 3):
            assert_whole(reader.copy(sequence))


@pytest.mark.parametrize(
    ("options", "gid", "groups"),
    [
        pytest.param(allow(), OTHER_GID, (THIRD_GID,), id="nobody is"),
        pytest.param(allow("--allow-uid", OTHER_UID + 1), OTHER_GID, (), id="another user is"),
        pytest.param(allow("--allow-uid", OTHER_GID, "--allow-gid", OTHER_UID), OTHER_GID, (), id="uid is no gid"),
        pytest.param(allow("--allow-gid", THIRD_GID), OTHER_GID, (7, 8), id="another group is"),
        pytest.param(allow("--allow-gid", 0), OTHER_GID, (), id="the group it had before"),
    ],
)
def test_a_user_that_is_not_allowed_is_told_so(
    open_path: Path, options: tuple[str, ...], gid: int, groups: tuple[int, ...]
) -> None:
    with Publisher(open_path, *options) as publisher:
        publisher.publish(1)
        said = as_another_user(open_path, gid, groups)
        assert said["error"] == "Refused" and "this user may not read the stream (status 3)" in said["says"]
        assert said["followed"] == "Refused", "waiting would not help, and does not"


def test_a_user_that_may_not_connect_is_told_so(open_path: Path) -> None:
    """The mode of the socket refuses it: neither "no stream" nor the writer's word."""
    with Publisher(open_path, "--mode", "660", "--everyone") as publisher:
        publisher.publish(1)
        said = as_another_user(open_path)
        assert said["error"] == said["followed"] == "ConnectError"
        assert str(open_path) in said["says"] and "Permission denied" in said["says"]


def test_the_writers_own_user_has_no_way_but_its_own_rights(open_path: Path) -> None:
    """A reader of the writer's user may change the mode of the file and open it again; seals and the undumpable
    writer still refuse the rest."""
    program = open_path.with_name("publish")
    shutil.copy(os.environ["RING_PUBLISH"], program)
    os.chmod(program, 0o755)
    os.chown(open_path.parent, OTHER_UID, OTHER_GID)
    with Publisher(open_path, "--protect", program=program, user=(OTHER_UID, OTHER_GID)) as publisher:
        publisher.publish(2)
        said = as_another_user(open_path)
        assert said["server"] == OTHER_UID
        assert not_refused(said["attempts"]) == {"chmod"}
        with connect(open_path, expected_uid=OTHER_UID) as reader:
            assert_whole(reader.copy_newest())
