//! Which format files have, and which of two is the left camera's.

use super::{File, Format, FormatError};

/// Tells the format of `files` by their contents, whatever their order.
///
/// # Errors
/// [`FormatError::Files`] when it is none that is known.
pub fn detect(files: &[File<'_>]) -> Result<Format, FormatError> {
    let Some(first) = files.first() else {
        return Err(FormatError::Files {
            origin: "import".to_owned(),
            found: "found no file".to_owned(),
            expected: "at least one".to_owned(),
        });
    };
    files.iter().find_map(|file| format_of(file.without_mark().text)).ok_or_else(|| {
        FormatError::Files {
            origin: first.name.to_owned(),
            found: "found no known calibration".to_owned(),
            expected: format!("one of {}", Format::ALL.map(|(name, _)| name).join(", ")),
        }
    })
}

/// The most particular marks first: several programs write through OpenCV, whose own mark says the least, and
/// OpenCV's extrinsics have a `P1:` as KITTI's files do.
fn format_of(text: &str) -> Option<Format> {
    let has_line =
        |prefixes: &[&str]| text.lines().any(|line| prefixes.iter().any(|p| line.starts_with(p)));
    if has_line(&["[left]", "[right_from_left]", "image_size = "]) {
        Some(Format::Native)
    } else if text.trim_start().starts_with('{') {
        Some(Format::Basalt)
    } else if has_line(&["P_rect_0", "K_0", "calib_time:"]) {
        Some(Format::KittiRaw)
    } else if has_line(&["cam0:", "cam1:"]) {
        Some(Format::Kalibr)
    } else if has_line(&["T_BS:", "sensor_type:"]) {
        Some(Format::Euroc)
    } else if has_line(&["rectification_matrix:"]) && has_line(&["projection_matrix:"]) {
        Some(Format::Ros)
    } else if text.contains("opencv-matrix") || text.starts_with("%YAML:") {
        Some(Format::OpenCv)
    } else if text.lines().any(is_projection) {
        Some(Format::KittiOdometry)
    } else if has_line(&["projection_matrix:", "rectification_matrix:"]) {
        Some(Format::Ros)
    } else if has_line(&["M1:", "K1:", "cameraMatrix1:", "camera_matrix_1:"]) {
        Some(Format::OpenCv)
    } else {
        None
    }
}

/// Whether a line is one of `calib.txt`: `P0:` to `P3:`, then a number.
fn is_projection(line: &str) -> bool {
    line.split_once(':').is_some_and(|(key, values)| {
        matches!(key.trim(), "P0" | "P1" | "P2" | "P3")
            && values.split_whitespace().next().is_some_and(|word| word.parse::<f64>().is_ok())
    })
}

/// Left first: by their names where those say so, else as given.
pub(super) fn sides<'a>(files: [File<'a>; 2], notes: &mut Vec<String>) -> [File<'a>; 2] {
    let [first, second] = files;
    let swapped = match (side(first.name), side(second.name)) {
        (Some(Side::Right), Some(Side::Left) | None) | (None, Some(Side::Left)) => true,
        // Also two names that say the same, which tells nothing.
        _ => false,
    };
    let [left, right] = if swapped { [second, first] } else { [first, second] };
    notes.push(format!("left camera from {}, right camera from {}", left.name, right.name));
    [left, right]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// The side in a file's name; where the name says nothing or both, in its directory's (EuRoC's `cam0/sensor.yaml`). The
/// directories above hold both cameras, whatever they are called.
fn side(path: &str) -> Option<Side> {
    let path = path.to_lowercase();
    path.rsplit(['/', '\\']).take(2).find_map(|name| {
        let says = |words: [&str; 3]| words.iter().any(|word| name.contains(word));
        match (says(LEFT_NAMES), says(RIGHT_NAMES)) {
            (true, false) => Some(Side::Left),
            (false, true) => Some(Side::Right),
            _ => None,
        }
    })
}

const LEFT_NAMES: [&str; 3] = ["left", "cam0", "camera0"];
const RIGHT_NAMES: [&str; 3] = ["right", "cam1", "camera1"];
