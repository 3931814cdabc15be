//! The KITTI odometry benchmark's `calib.txt`.
//!
//! Each line is a key, a colon and 12 numbers, the rows of a 3x4 matrix: P0-P3 project points of the
//! rectified camera 0 into the grey pair (0, 1) and the colour pair (2, 3); Tr is camera 0 from velodyne.
//! Source: the benchmark's development kit, <https://www.cvlibs.net/datasets/kitti/eval_odometry.php>.

use super::{RigError, StereoRig, transform};
use crate::{
    ImageSize,
    camera::{Camera, Distortion, Intrinsics},
};
use nalgebra::{Matrix3, Matrix3x4, Vector3};

pub(super) fn parse(
    text: &str,
    origin: &str,
    image_size: ImageSize,
) -> Result<StereoRig, RigError> {
    let mut matrices = [None; KEYS.len()];
    for (line, content) in (1..).zip(text.lines()) {
        let Some((key, values)) = content.split_once(':') else {
            if content.trim().is_empty() {
                continue;
            }
            let key = content.split_whitespace().next().unwrap_or_default();
            let expected = "a key followed by a colon";
            let key = quoted(key);
            return Err(wrong(origin, line, &key, "no colon".to_owned(), expected));
        };
        let key = key.trim();
        let Some(index) = KEYS.iter().position(|known| *known == key) else {
            continue; // The raw recordings' files carry more (calibration time, image sizes).
        };
        if matrices[index].is_some() {
            let expected = "each key once";
            return Err(wrong(origin, line, key, "the key again".to_owned(), expected));
        }
        let matrix = numbers(values).map_err(|found| wrong(origin, line, key, found, TWELVE))?;
        matrices[index] = Some((line, matrix));
    }
    let require = |key: &str| {
        let index = KEYS.iter().position(|known| *known == key);
        index.and_then(|index| matrices[index]).ok_or_else(|| RigError::Missing {
            origin: origin.to_owned(),
            field: key.to_owned(),
            expected: TWELVE,
        })
    };
    let (left, left_from_camera0) = camera("P2", require("P2")?, origin)?;
    let (right, right_from_camera0) = camera("P3", require("P3")?, origin)?;
    let (_, tr) = require("Tr")?;
    let camera0_from_ego =
        transform(&tr.fixed_view::<3, 3>(0, 0).into_owned(), &tr.column(3).into_owned());
    let rig = StereoRig {
        name: "kitti".to_owned(),
        image_size,
        left,
        right,
        // [I | t3] * inverse([I | t2]), without rounding.
        right_from_left: shift(&(right_from_camera0 - left_from_camera0)),
        left_from_ego: shift(&left_from_camera0) * camera0_from_ego,
        rectified: true,
    };
    rig.validate(origin)?;
    Ok(rig)
}

/// The pinhole camera and its place in `P = K [I | t]`: t takes coordinates of the frame that P projects from, with the
/// same axes, to the camera's; in the unit of that frame, metres here.
///
/// # Errors
/// [`ProjectionMatrixError`] for a matrix that is not of this form.
pub fn from_projection(
    p: &Matrix3x4<f64>,
) -> Result<(Camera, Vector3<f64>), ProjectionMatrixError> {
    let k: Matrix3<f64> = p.fixed_view::<3, 3>(0, 0).into_owned();
    let intrinsics = Intrinsics { fx: k.m11, fy: k.m22, cx: k.m13, cy: k.m23 };
    if k != intrinsics.matrix() {
        return Err(ProjectionMatrixError::Form);
    }
    if !(intrinsics.fx > 0.0 && intrinsics.fy > 0.0) {
        return Err(ProjectionMatrixError::Focal);
    }
    let [x, y, z] = [p.m14, p.m24, p.m34];
    let t = Vector3::new(
        (x - intrinsics.cx * z) / intrinsics.fx,
        (y - intrinsics.cy * z) / intrinsics.fy,
        z,
    );
    Ok((Camera { intrinsics, distortion: Distortion::NONE }, t))
}

/// Why a 3x4 matrix projects by no pinhole camera. The messages are what is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProjectionMatrixError {
    /// Skew, a rotation, or another last row.
    #[error("{}", FORM)]
    Form,
    /// A focal length that is not positive.
    #[error("{}", FOCAL)]
    Focal,
}

fn camera(
    key: &str,
    (line, p): (usize, Matrix3x4<f64>),
    origin: &str,
) -> Result<(Camera, Vector3<f64>), RigError> {
    from_projection(&p).map_err(|error| {
        let expected = match error {
            ProjectionMatrixError::Form => FORM,
            ProjectionMatrixError::Focal => FOCAL,
        };
        wrong(origin, line, key, format!("{:?}", p.transpose().as_slice()), expected)
    })
}

fn shift(t: &Vector3<f64>) -> nalgebra::Matrix4<f64> {
    transform(&Matrix3::identity(), t)
}

/// The 12 numbers of a line, or what is there instead.
fn numbers(values: &str) -> Result<Matrix3x4<f64>, String> {
    let mut numbers = [0.0; 12];
    let mut count = 0;
    for word in values.split_whitespace() {
        let number: f64 = word.parse().map_err(|_| quoted(word))?;
        if !number.is_finite() {
            return Err(quoted(word));
        }
        if let Some(slot) = numbers.get_mut(count) {
            *slot = number;
        }
        count += 1;
    }
    if count == numbers.len() {
        Ok(Matrix3x4::from_row_slice(&numbers))
    } else {
        Err(format!("{count} numbers"))
    }
}

/// A word of the file, of bearable length.
fn quoted(word: &str) -> String {
    if word.chars().count() <= FOUND_MAX_CHARS {
        return format!("{word:?}");
    }
    format!("{:?}...", word.chars().take(FOUND_MAX_CHARS).collect::<String>())
}

fn wrong(origin: &str, line: usize, key: &str, found: String, expected: &'static str) -> RigError {
    RigError::Line { origin: origin.to_owned(), line, key: key.to_owned(), found, expected }
}

const KEYS: [&str; 5] = ["P0", "P1", "P2", "P3", "Tr"];
const TWELVE: &str = "12 finite numbers, a 3x4 matrix by rows";
const FORM: &str = "a projection matrix fx 0 cx .. 0 fy cy .. 0 0 1 ..";
const FOCAL: &str = "positive focal lengths";
const FOUND_MAX_CHARS: usize = 60;
