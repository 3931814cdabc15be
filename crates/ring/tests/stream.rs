//! What a stream promises, within one process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use occdepth_ring::{Grid, PublishError, ReadError, Reader, ReaderOptions, Writer};
use std::time::{Duration, Instant};
use support::{assert_whole, fill, filled, options, record, small_stream, stream};

const VOXELS: usize = 5 * 3 * 7;
const PLENTY: Duration = Duration::from_secs(20);

fn publish(writer: &mut Writer, frame_id: u64) -> u64 {
    let (labels, confidence) = (filled(VOXELS, frame_id, 0), filled(VOXELS, frame_id, 1));
    writer.publish(&record(frame_id), &labels, Some(&confidence)).unwrap()
}

#[test]
fn what_is_published_is_received() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let mut writer = Writer::create(&small_stream(), &options(&socket)).unwrap();
    let mut reader = Reader::connect(&socket, &ReaderOptions::default()).unwrap();
    assert_eq!(reader.description(), &small_stream());
    assert_eq!(reader.epoch(), writer.epoch());
    assert_eq!(reader.server().pid, i32::try_from(std::process::id()).unwrap());

    let mut grid = Grid::new();
    for frame_id in 10..30 {
        let before = occdepth_ring::monotonic_now_ns();
        let sequence = publish(&mut writer, frame_id);
        let after = occdepth_ring::monotonic_now_ns();
        assert_eq!(sequence, frame_id - 9);
        assert_eq!(reader.next(&mut grid, PLENTY).unwrap(), Some(sequence));
        assert_eq!(grid.published.sequence, sequence);
        assert_eq!(grid.published.record.frame_id, frame_id);
        assert_eq!((grid.labels.len(), grid.confidence.len()), (VOXELS, VOXELS));
        assert_whole(&grid.published, &grid.labels, &grid.confidence);
        assert!((before..=after).contains(&grid.published.publish_time_ns));
        assert!(grid.published.record.stages.publish_ns <= after - before);
        assert_eq!(grid.published.record.skew_ns(), 17);
    }
}
