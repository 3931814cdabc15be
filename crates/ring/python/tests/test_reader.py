"""A reader against the real writer."""

from __future__ import annotations

import datetime
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import occdepth_ring
from occdepth_ring import (
    AbiVersion,
    Axes,
    CalibrationState,
    Degradation,
    Grid,
    Health,
    Lapped,
    NoGrid,
    NoStream,
    Overwritten,
    ReaderClosed,
    RigError,
    VoxelClass,
    WriterGone,
    WrongUser,
    connect,
)
from support import PLENTY, Publisher, assert_whole

pytestmark = pytest.mark.usefixtures("nothing_leaks")


def received(grid: Grid | None) -> Grid:
    assert grid is not None
    return grid


def test_the_stream_is_described(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        stream = reader.description
        assert (stream.stream, stream.producer) == ("front", "ring publish example")
        assert (stream.grid.frame, stream.grid.axes) == ("ego", Axes.FORWARD_LEFT_UP)
        assert stream.grid.origin_m == (0.0, -25.6, -2.0)
        assert (stream.grid.voxel_size_m, stream.grid.dims) == (0.2, (5, 3, 7))
        transform = [[0.0, -1.0, 0.0, 0.06], [0.0, 0.0, -1.0, -0.08], [1.0, 0.0, 0.0, -0.27], [0.0, 0.0, 0.0, 1.0]]
        assert stream.rectified_from_ego.tolist() == transform
        camera = stream.rectified
        assert (camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px) == (707.0, 707.5, 601.75, 183.25)
        assert (camera.width_px, camera.height_px) == (1220, 370)
        assert list(stream.classes.values()) == [
            VoxelClass(0, "empty", (0, 0, 0)),
            VoxelClass(1, "car", (100, 150, 245)),
            VoxelClass(254, "Straßenbahn", (255, 254, 253)),
        ]
        assert stream.confidence and stream.trained
        assert stream.network_sha256 == bytes(range(32))
        assert stream.engine_sha256 == bytes(range(255, 223, -1))
        assert 0 <= time.monotonic_ns() - stream.created_time_ns < PLENTY * 1e9
        assert reader.writer_abi == AbiVersion(1, 1)
        assert reader.slot_count == 4
        assert reader.server.pid == publisher.process.pid
        assert reader.server.uid == os.getuid()
        assert reader.epoch != 0
        assert stream.palette()[[1, 7]].tolist() == [[100, 150, 245], [128, 128, 128]]


def test_a_point_projects_as_abi_md_says(path: Path) -> None:
    with Publisher(path), connect(path) as reader:
        pixels, depths = reader.description.project(np.array([[10.27, 1.06, -0.08], [-5.0, 0.0, 0.0]]))
        # q = (-1.0, 0.0, 10.0)
        assert np.allclose(pixels[0], [601.75 - 70.7, 183.25])
        assert np.isnan(pixels[1]).all()
        assert np.allclose(depths, [10.0, -5.27])


def test_the_record_has_golden_values(path: Path) -> None:
    with Publisher(path, "--first-frame", "70") as publisher, connect(path) as reader:
        before_ns = time.monotonic_ns()
        publisher.publish(1)
        after_ns = time.monotonic_ns()
        grid = received(reader.next(PLENTY))
        record = grid.record
        assert (record.sequence, record.frame_id, record.epoch) == (1, 70, reader.epoch)
        assert (record.left_capture_time_ns, record.right_capture_time_ns, record.skew_ns) == (70001, 70018, 17)
        assert before_ns <= record.publish_time_ns <= after_ns
        stages = record.stages
        assert (stages.capture_ns, stages.rectify_ns, stages.infer_ns, stages.label_ns) == (170, 270, 370, 470)
        assert stages.publish_ns <= after_ns - before_ns and stages.watch_ns == 570
        assert record.rig_error == RigError(70 / 1024, 70 / -512, 70 / 128)
        assert record.health is Health.DEGRADED
        assert record.calibration is CalibrationState.SUSPECT
        assert record.degradation == Degradation.LATE | Degradation(1 << 60)
        assert Degradation.LATE in record.degradation and Degradation.CAMERA_FAULT not in record.degradation
        assert record.epipolar_error_px == 70 / 8
        assert abs(record.publish_wall_ns - time.time_ns()) < PLENTY * 1e9
        assert record.right_capture_wall_ns - record.left_capture_wall_ns == 17
        assert record.left_capture_wall_ns == record.left_capture_time_ns + record.wall_offset_ns
        moment = record.wall_datetime(record.publish_time_ns)
        assert moment.utcoffset() == datetime.timedelta(0)
        assert abs(moment - datetime.datetime.now(datetime.timezone.utc)).total_seconds() < PLENTY
        assert record.age_ns(70002) == 1 and record.age_ns(0) == 0
        assert record.age_s(70001 + 2_500_000_000) == 2.5
        assert grid.age_ns() >= after_ns - 70001
        publisher.publish(2)
        assert received(reader.next(PLENTY)).record.epipolar_error_px == 71 / 8
        assert received(reader.next(PLENTY)).record.epipolar_error_px is None


@pytest.mark.parametrize("confidence", [True, False])
def test_all_grids_come_in_order(path: Path, confidence: bool) -> None:
    options = [] if confidence else ["--no-confidence"]
    with Publisher(path, *options) as publisher, connect(path) as reader:
        grid = None
        for sequence in range(1, 301):
            assert publisher.publish(1) == sequence
            grid = received(reader.next(PLENTY, into=grid))
            assert (grid.sequence, grid.missed, grid.restarted) == (sequence, 0, False)
            assert_whole(grid)
        assert reader.next(0) is None
        assert reader.next(0.02) is None


def test_a_reused_grid_keeps_its_arrays_and_survives_errors(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        publisher.publish(1)
        grid = received(reader.next(PLENTY))
        labels, confidence = grid.labels, grid.confidence
        publisher.publish(1)
        assert reader.next(PLENTY, into=grid) is grid
        assert grid.labels is labels and grid.confidence is confidence
        assert_whole(grid)
        publisher.publish(9)
        with pytest.raises(Lapped):
            reader.next(PLENTY, into=grid)
        assert grid.sequence == 2
        assert_whole(grid)


def test_arrays_that_do_not_fit_are_replaced(path: Path) -> None:
    """Whoever owns a grid may have put anything there; none of it may be written to, or stay."""
    with Publisher(path) as publisher, connect(path) as reader:
        publisher.publish(1)
        grid = received(reader.next(PLENTY))
        shape = grid.labels.shape
        frozen = np.zeros(shape, np.uint8)
        frozen.setflags(write=False)
        unfit: list[Any] = [
            np.empty((1, 1, 1), np.uint8),
            np.zeros(shape),
            np.zeros(shape, np.int8),
            np.zeros(shape, np.uint8, order="F"),
            frozen,
        ]
        for array in unfit:
            for labels, confidence in ((array, grid.confidence), (grid.labels, array)):
                grid.labels, grid.confidence = labels, confidence
                assert_whole(reader.copy_newest(into=grid))
                assert array.sum() == 0 or array.size == 1
        grid.confidence = None
        assert_whole(reader.copy_newest(into=grid))


def test_a_lapped_reader_is_told_how_many_it_missed(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        publisher.publish(2)
        assert received(reader.next(PLENTY)).sequence == 1
        publisher.publish(18)
        with pytest.raises(Lapped, match="16 grids missed") as lapped:
            reader.next(PLENTY)
        assert lapped.value.missed == 16
        assert [received(reader.next(0)).sequence for _ in range(3)] == [18, 19, 20]
        assert reader.position == 20
        with pytest.raises(Overwritten):
            reader.copy(16)
        assert reader.copy(17).sequence == 17
        with pytest.raises(NoGrid):
            reader.copy(21)


def test_iteration_counts_what_was_missed_and_ends_with_the_writer(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        publisher.publish(20)
        publisher.end()
        grids = list(reader)
        assert [(grid.sequence, grid.missed) for grid in grids] == [(18, 17), (19, 0), (20, 0)]
        for grid in grids:
            assert_whole(grid)
        with pytest.raises(WriterGone):
            reader.next(0)
        assert not reader.is_writer_alive()
        assert reader.copy_newest().sequence == 20


def test_the_first_grid_is_the_newest_at_connecting(path: Path) -> None:
    with Publisher(path) as publisher:
        publisher.publish(3)
        with connect(path) as reader:
            publisher.publish(1)
            assert [received(reader.next(0)).sequence for _ in range(2)] == [3, 4]
            reader.resume_after(1)
            assert received(reader.next(0)).sequence == 2


def test_the_writer_says_how_it_is(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        assert reader.status() is None, "it has said nothing yet"
        publisher.publish(1)
        grid = received(reader.next(PLENTY))
        status = reader.status()
        assert status is not None
        assert status.time_ns == grid.record.publish_time_ns
        assert (status.health, status.degradation) == (Health.DEGRADED, Degradation.LATE), "bit 60 has no place there"
        assert status.age_s(status.time_ns + 2_000_000_000) == 2.0 and status.age_s(0) == 0


def test_before_the_first_grid_there_is_none(path: Path) -> None:
    with Publisher(path), connect(path) as reader:
        assert reader.newest() == 0
        with pytest.raises(NoGrid):
            reader.copy_newest()
        with pytest.raises(NoGrid):
            reader.copy(0)


@pytest.mark.parametrize("notify", [True, False])
def test_a_wait_sleeps_and_wakes(path: Path, notify: bool) -> None:
    with Publisher(path) as publisher, connect(path, notify=notify) as reader:
        cpu_s = time.process_time()
        latencies_ns = []
        for _ in range(3):
            timer = threading.Timer(0.3, publisher.begin, [1])
            timer.start()
            grid = received(reader.next(PLENTY))
            latencies_ns.append(time.monotonic_ns() - grid.record.publish_time_ns)
            timer.join()
        assert time.process_time() - cpu_s < 0.45, "the wait was busy"
        # A machine may be busy once; a reader that nothing woke would sleep for a second each time.
        assert min(latencies_ns) < 5e8


def test_a_death_ends_a_wait(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        timer = threading.Timer(0.2, publisher.kill)
        timer.start()
        start = time.monotonic()
        with pytest.raises(WriterGone):
            reader.next(PLENTY)
        assert time.monotonic() - start < PLENTY / 2
        timer.join()


def test_unread_notifications_do_no_harm(path: Path) -> None:
    with Publisher(path) as publisher, connect(path) as reader:
        publisher.publish(3000)
        assert reader.is_writer_alive()
        with pytest.raises(Lapped):
            reader.next(0)
        assert received(reader.next(0)).sequence == 2998


def test_no_grid_of_a_racing_writer_is_torn(path: Path) -> None:
    """2 slots of 64 KiB, the writer as fast as it can: every copy that is returned is whole."""
    with Publisher(path, "--slots", "2", "--dims", "64", "64", "16", "--first-frame", "1000000") as publisher:
        with connect(path) as reader:
            publisher.begin(4000)
            whole, missed, overwritten, grid = 0, 0, 0, None
            end = time.monotonic() + PLENTY
            while time.monotonic() < end:
                try:
                    if whole % 2:
                        grid = reader.copy_newest(into=grid)
                    else:
                        grid = reader.next(PLENTY, into=grid)
                except Lapped as lapped:
                    missed += lapped.missed
                    continue
                except Overwritten:
                    overwritten += 1
                    continue
                assert grid is not None
                assert_whole(grid)
                whole += 1
                if grid.sequence == 4000:
                    break
            assert whole > 10
            print(f"{whole} whole, {missed} missed, {overwritten} given up")


def test_a_closed_reader_says_so(path: Path) -> None:
    with Publisher(path) as publisher:
        publisher.publish(1)
        reader = connect(path)
        grid = received(reader.next(0))
        reader.close()
        reader.close()
        for use in (reader.next, reader.copy_newest, reader.newest, reader.fileno, reader.is_writer_alive):
            with pytest.raises(ReaderClosed):
                use()
        assert_whole(grid)


def test_another_user_than_expected_is_refused(path: Path) -> None:
    with Publisher(path):
        connect(path, expected_uid=os.getuid()).close()
        with pytest.raises(WrongUser, match=f"uid {os.getuid()}, expected uid 4242"):
            connect(path, expected_uid=4242)


def test_no_writer_is_no_stream(path: Path) -> None:
    with pytest.raises(NoStream, match="no socket"):
        connect(path)
    with Publisher(path) as publisher:
        publisher.kill()
        with pytest.raises(NoStream, match="nobody listens"):
            connect(path)
    with pytest.raises(occdepth_ring.ConnectError):
        connect("x" * 200)


def test_the_memory_is_read_only(path: Path) -> None:
    with Publisher(path), connect(path) as reader:
        assert reader._memory._bytes.flags.writeable is False
        with open("/proc/self/maps", encoding="utf-8") as maps:
            modes = [line.split()[1] for line in maps if "memfd:" in line]
        assert modes == ["r--s"]
