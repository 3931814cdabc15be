"""Writers that die and come back."""

from __future__ import annotations

import gc
import os
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from occdepth_ring import ReaderClosed, Refused, VersionMismatch, follow
from occdepth_ring.layout import Hello, Reply
from support import PLENTY, FakeSegment, FakeServer, Publisher, assert_whole, descriptors, ring_mappings, valid_reply

pytestmark = pytest.mark.usefixtures("nothing_leaks")


def test_a_stream_survives_twenty_kills_and_keeps_nothing_of_them(path: Path) -> None:
    tracemalloc.start()
    with follow(path, max_backoff_s=0.05) as stream:
        epochs = set()
        counts = set()
        traced_bytes = []
        for life in range(20):
            # 64 KiB of labels, and as many of confidences.
            with Publisher(path, "--dims", "64", "64", "16", "--first-frame", str(1000 * life)) as publisher:
                publisher.publish(3)
                if life > 0:
                    # What comes after the first writer is taken from its first grid on.
                    sequences = [1, 2, 3]
                else:
                    sequences = [3]
                for index, sequence in enumerate(sequences):
                    grid = stream.next(PLENTY)
                    assert grid is not None
                    assert (grid.sequence, grid.frame_id) == (sequence, 1000 * life + sequence - 1)
                    assert grid.restarted == (life > 0 and index == 0)
                    assert grid.missed == 0
                    assert_whole(grid)
                    epochs.add(grid.epoch)
                counts.add((descriptors(), ring_mappings()))
                publisher.kill()
                # What the dead one's ring holds has been delivered; there is nobody to wait for.
                assert stream.next(0.1) is None
                assert stream.reader is None and stream.last_error is not None
                grid = None
                gc.collect()
                traced_bytes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert len(epochs) == 20
        assert len(counts) == 1, f"descriptors and mappings grow: {counts}"
        assert max(traced_bytes[1:]) - traced_bytes[0] < 32768, f"memory grows: {traced_bytes}"


def test_grids_published_before_a_death_are_delivered(path: Path) -> None:
    with follow(path) as stream, Publisher(path) as publisher:
        assert stream.next(0.1) is None
        publisher.publish(20)
        publisher.kill()
        grids = [stream.next(PLENTY) for _ in range(3)]
        assert [(grid.sequence, grid.missed) for grid in grids if grid] == [(18, 17), (19, 0), (20, 0)]
        assert stream.next(0) is None


def test_a_killed_writer_never_leaves_a_torn_grid(path: Path) -> None:
    """Killed while it publishes as fast as it can, ten times."""
    with follow(path, max_backoff_s=0.02) as stream:
        frames = 0
        for life in range(10):
            with Publisher(path, "--dims", "64", "64", "8", "--first-frame", str(1_000_000 * life)) as publisher:
                publisher.begin(10**9)
                for _ in range(5):
                    grid = stream.next(PLENTY)
                    assert grid is not None
                    assert_whole(grid)
                    frames += 1
                publisher.kill()
                # A copy of the newest, from the reader that is still attached, after the death.
                if stream.reader is not None:
                    assert_whole(stream.reader.copy_newest())
        assert frames == 50


def test_a_stream_waits_for_a_writer_to_come(path: Path) -> None:
    publishers: list[Publisher] = []

    def start() -> None:
        publishers.append(Publisher(path))
        publishers[0].publish(1)

    timer = threading.Timer(0.3, start)
    timer.start()
    with follow(path) as stream:
        cpu_s = time.process_time()
        grid = stream.next(PLENTY)
        assert time.process_time() - cpu_s < 0.25, "the wait was busy"
        assert grid is not None and (grid.sequence, grid.restarted) == (1, False)
        assert stream.description is not None and stream.description.stream == "front"
        timer.join()
        publishers[0].kill()
    with pytest.raises(ReaderClosed):
        stream.next(0)


def test_a_client_that_was_closed_goes_on_where_it_was(path: Path) -> None:
    segment = FakeSegment()
    segment.publish(1)
    descriptor, mapping = segment.file()
    with FakeServer(path, bytes(valid_reply(segment.BYTES)), (descriptor,)) as server, follow(path) as stream:
        first = stream.next(PLENTY)
        assert first is not None and first.sequence == 1
        server.connections[0].close()
        segment.publish(2)
        mapping[:] = bytes(segment.bytes)
        second = stream.next(PLENTY)
        assert second is not None
        assert (second.sequence, second.restarted, second.missed) == (2, False, 0)
        # Only a hang-up without a newer grid makes it look for the writer again.
        end = time.monotonic() + PLENTY
        while len(server.connections) < 2 and time.monotonic() < end:
            assert stream.next(0.05) is None
        assert stream.next(0.2) is None
        assert len(server.connections) == 2
    mapping.close()
    os.close(descriptor)


@pytest.mark.parametrize(("status", "raises"), [(2, False), (3, True), (4, False), (5, False), (99, True)])
def test_a_refusal_that_may_pass_is_waited_out(path: Path, status: int, raises: bool) -> None:
    reply = valid_reply(0, epoch=0)
    Reply.status.pack_into(reply, status)
    with FakeServer(path, bytes(reply)) as server, follow(path) as stream:
        if raises:
            with pytest.raises(Refused):
                stream.next(0.2)
        else:
            assert stream.next(0.5) is None
            assert isinstance(stream.last_error, Refused) and stream.last_error.status == status
            assert 2 <= len(server.hellos) <= 8, "backoff"


def test_a_writer_of_another_major_is_reported(path: Path) -> None:
    reply = valid_reply(0, epoch=0)
    Reply.abi_major.pack_into(reply, 2)
    Reply.abi_minor.pack_into(reply, 7)
    Reply.status.pack_into(reply, 1)
    with FakeServer(path, bytes(reply)) as server, follow(path) as stream:
        with pytest.raises(VersionMismatch, match=r"version 2\.7.*version 1\.1") as mismatch:
            stream.next(PLENTY)
        assert (mismatch.value.ours, mismatch.value.theirs) == ((1, 1), (2, 7))
        assert len(server.hellos[0]) == Hello.BYTES
