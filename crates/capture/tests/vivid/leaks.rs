//! What a process holds, before and after.

use super::LEFT;
use super::streams::{keep, start};
use std::fs;

/// Open descriptors, mappings of devices.
pub(crate) fn held() -> (usize, usize) {
    let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (descriptors, maps.lines().filter(|line| line.contains("/dev/video")).count())
}

pub(crate) fn nothing_is_left_after_many_streams() {
    let before = held();
    assert_eq!(before.1, 0);
    for round in 0..50 {
        let mut stream = start(LEFT, 4).unwrap();
        if round % 10 == 0 {
            keep(&mut stream);
            assert_eq!(held().1, stream.buffer_count());
        }
    }
    assert_eq!(held(), before);
}
