//! Minor versions of one major work together: a segment of an older writer, and one of a newer.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/one_grid.rs"]
mod one_grid;
mod support;

use occdepth_ring::layout::AbiVersion;
use occdepth_ring::{Axes, CalibrationState, Grid, Health};
use one_grid::{CONFIDENCE, LABELS, SLOT, reader_of, seal_grid, segment};
use support::{record, small_stream};

/// What 1.1 filled is zero in segments of 1.0, and zeros must not read as measurements.
#[test]
fn a_segment_of_1_0_says_nothing_of_what_came_later() {
    let mut older = segment();
    older[12] = 0;
    older[1152..1168].fill(0);
    for reserved in [104..112, 160..184] {
        older[SLOT..][reserved].fill(0);
    }
    seal_grid(&mut older);

    let reader = reader_of(&older);
    assert_eq!(reader.writer_abi(), AbiVersion { major: 1, minor: 0 });
    assert_eq!(reader.status(), None);
    let mut grid = Grid::new();
    reader.copy(1, &mut grid).unwrap();
    let mut expected = record(1000);
    expected.rig_error = None;
    expected.stages.watch_ns = 0;
    expected.stages.publish_ns = grid.published.record.stages.publish_ns;
    assert_eq!(grid.published.record, expected);
    assert_eq!(grid.labels, older[LABELS]);
}

#[test]
fn a_newer_minor_is_understood() {
    let mut newer = segment();
    newer[12] = 3;
    // What this minor must not look at, and a code that it does not know.
    for reserved in [136..192, 440..512, 708..1024, 1032..1152, 1168..2048, 6144..8192] {
        newer[reserved].fill(0xaa);
    }
    for reserved in [112..128, 184..240, 244..256] {
        newer[SLOT..][reserved].fill(0xaa);
    }
    newer[204] = 200; // axes
    newer[SLOT + 136] = 200; // health
    newer[SLOT + 140] = 200; // calibration
    seal_grid(&mut newer);

    let reader = reader_of(&newer);
    assert_eq!(reader.writer_abi(), AbiVersion { major: 1, minor: 3 });
    let mut expected = small_stream();
    expected.grid.axes = Axes::Unknown;
    assert_eq!(reader.description(), &expected);
    let mut grid = Grid::new();
    reader.copy(1, &mut grid).unwrap();
    let mut expected = record(1000);
    expected.health = Health::Unknown;
    expected.calibration = CalibrationState::Unknown;
    expected.stages.publish_ns = grid.published.record.stages.publish_ns;
    assert_eq!(grid.published.record, expected);
    assert_eq!(grid.confidence, newer[CONFIDENCE]);
}
