"""A reader in somebody else's event loop: its descriptor is polled, then drained."""

from __future__ import annotations

import asyncio
import select
import selectors
from pathlib import Path

import pytest

from occdepth_ring import WriterGone, connect
from support import PLENTY, Publisher, assert_whole

pytestmark = pytest.mark.usefixtures("nothing_leaks")


def test_poll_tells_of_grids_and_of_the_end(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        poll = select.poll()
        poll.register(reader, select.POLLIN)
        assert poll.poll(0) == []
        publisher.publish(2)
        assert poll.poll(PLENTY * 1e3)
        got = []
        while poll.poll(300):
            while (grid := reader.next(0)) is not None:
                got.append(grid.sequence)
        assert got == [1, 2]
        publisher.kill()
        assert poll.poll(PLENTY * 1e3)
        assert not reader.is_writer_alive()


def test_a_selector_serves_several_streams(path: Path) -> None:
    paths = [path.with_name(name) for name in ("left.sock", "right.sock")]
    with Publisher(paths[0]) as left, Publisher(paths[1]) as right:
        with connect(paths[0]) as from_left, connect(paths[1]) as from_right, selectors.DefaultSelector() as selector:
            for reader in (from_left, from_right):
                selector.register(reader, selectors.EVENT_READ, reader)
            for publisher, sender in ((left, from_left), (right, from_right), (left, from_left)):
                publisher.publish(1)
                ready = [key.data for key, _ in selector.select(PLENTY)]
                assert ready == [sender]
                grid = sender.next(0)
                assert grid is not None
                assert_whole(grid)
                assert sender.next(0) is None
                assert selector.select(0) == [], "not drained"


def test_asyncio_gets_every_grid_and_the_end_without_polling(path: Path) -> None:
    async def follow_it(publisher: Publisher) -> list[int]:
        loop = asyncio.get_running_loop()
        sequences: list[int] = []
        gone = loop.create_future()
        with connect(path) as reader:

            def drain() -> None:
                try:
                    while (grid := reader.next(0)) is not None:
                        sequences.append(grid.sequence)
                except WriterGone:
                    loop.remove_reader(reader.fileno())
                    gone.set_result(None)

            # What was published before the first notification.
            drain()
            loop.add_reader(reader.fileno(), drain)
            for sequence in range(2, 6):
                publisher.begin(1)
                while sequences[-1] < sequence:
                    await asyncio.sleep(0.001)
            publisher.kill()
            await asyncio.wait_for(gone, PLENTY)
        return sequences

    with Publisher(path) as publisher:
        publisher.publish(1)
        assert asyncio.run(asyncio.wait_for(follow_it(publisher), PLENTY)) == [1, 2, 3, 4, 5]
