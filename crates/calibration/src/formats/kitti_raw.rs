//! `calib_cam_to_cam.txt` of KITTI's raw recordings: for each camera i its size `S_i`, matrix `K_i`, five coefficients
//! `D_i` and pose `R_i`, `T_i` (this camera from camera 0), and the same after rectification (`S_rect_i`, `P_rect_i`).
//! Source: the development kit of the raw data, <https://www.cvlibs.net/datasets/kitti/raw_data.php>.

use super::{
    File, Format, FormatError, Options, by_rows, joined, physical, rotation, same_size,
    translation, unsupported,
};
use nalgebra::{Matrix3, Matrix4, SMatrix, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;
use std::collections::BTreeMap;

/// The physical cameras: for the unrectified recordings.
pub(super) fn read(file: File<'_>, options: &Options) -> Result<StereoRig, FormatError> {
    let lines = Lines::parse(file);
    let [left, right] = options.kitti_cameras;
    let (left, right) = (lines.camera(left)?, lines.camera(right)?);
    let size = same_size(file.name, left.size, right.size)?;
    let left_from_zero = left.pose;
    let zero_from_left = left_from_zero.try_inverse().ok_or_else(|| FormatError::Value {
        origin: file.name.to_owned(),
        field: "R of the left camera".to_owned(),
        found: "a singular matrix".to_owned(),
        expected: "a rotation".to_owned(),
    })?;
    let mut right_from_left = right.pose * zero_from_left;
    right_from_left.fixed_view_mut::<1, 4>(3, 0).copy_from_slice(&[0.0, 0.0, 0.0, 1.0]);
    Ok(physical("kitti-raw", size, [left.camera, right.camera], right_from_left, options))
}

/// The rig as cameras 2 and 3, camera 2 in the place of camera 0.
pub(super) fn write(rig: &StereoRig) -> Result<String, FormatError> {
    let mut text = String::new();
    for (number, camera, pose) in
        [("02", &rig.left, Matrix4::identity()), ("03", &rig.right, rig.right_from_left)]
    {
        let Distortion::RadialTangential(d) = camera.distortion else {
            return Err(unsupported(rig, Format::KittiRaw, "radial-tangential lenses"));
        };
        if d[5..].iter().any(|&k| k != 0.0) {
            let expected = "radial-tangential lenses of at most five coefficients";
            return Err(unsupported(rig, Format::KittiRaw, expected));
        }
        let line =
            |name: &str, values: String| format!("{name}_{number}: {}\n", values.replace(',', ""));
        text += &line("S", format!("{} {}", rig.image_size.width, rig.image_size.height));
        text += &line("K", by_rows(&camera.intrinsics.matrix()));
        text += &line("D", joined(&d[..5]));
        text += &line("R", by_rows(&rotation(&pose)));
        text += &line("T", by_rows(&translation(&pose)));
    }
    Ok(text)
}

/// A rectified pair as an odometry `calib.txt`: P2, P3, and Tr, the left camera from the vehicle.
pub(super) fn write_odometry(rig: &StereoRig) -> Result<String, FormatError> {
    if !rig.rectified {
        return Err(unsupported(rig, Format::KittiOdometry, "a rectified pair"));
    }
    let projection = |camera: &Camera, pose: &Matrix4<f64>| {
        camera.intrinsics.matrix() * pose.fixed_view::<3, 4>(0, 0)
    };
    let left = by_rows(&projection(&rig.left, &Matrix4::identity()));
    let right = by_rows(&projection(&rig.right, &rig.right_from_left));
    let mount = by_rows(&rig.left_from_ego.fixed_view::<3, 4>(0, 0).into_owned());
    let lines = [("P0", &left), ("P1", &right), ("P2", &left), ("P3", &right), ("Tr", &mount)];
    Ok(lines.map(|(key, numbers)| format!("{key}: {}\n", numbers.replace(',', ""))).concat())
}

struct RawCamera {
    size: ImageSize,
    camera: Camera,
    /// This camera from camera 0.
    pose: Matrix4<f64>,
}

/// Lines `key: numbers`.
struct Lines<'a> {
    origin: &'a str,
    values: BTreeMap<&'a str, (usize, &'a str)>,
}

impl<'a> Lines<'a> {
    fn parse(file: File<'a>) -> Self {
        let lines = (1..).zip(file.text.lines());
        let values = lines.filter_map(|(number, line)| {
            let (key, values) = line.split_once(':')?;
            Some((key.trim(), (number, values)))
        });
        Self { origin: file.name, values: values.collect() }
    }

    fn camera(&self, number: u8) -> Result<RawCamera, FormatError> {
        let key = |letter: &str| format!("{letter}_{number:02}");
        let [width, height] = self.numbers::<2, 1>(&key("S"))?.into();
        let k: Matrix3<f64> = self.numbers(&key("K"))?;
        let intrinsics = Intrinsics { fx: k.m11, fy: k.m22, cx: k.m13, cy: k.m23 };
        if k != intrinsics.matrix() || k.determinant() == 0.0 {
            let expected = "fx 0 cx 0 fy cy 0 0 1 with focal lengths that are not 0";
            return Err(self.wrong(&key("K"), by_rows(&k), expected));
        }
        let d: SMatrix<f64, 5, 1> = self.numbers(&key("D"))?;
        let distortion = Distortion::radial_tangential(d.as_slice())
            .map_err(|error| self.wrong(&key("D"), joined(d.as_slice()), &error.to_string()))?;
        let r: Matrix3<f64> = self.numbers(&key("R"))?;
        let t: Vector3<f64> = self.numbers(&key("T"))?;
        let mut pose = r.to_homogeneous();
        pose.fixed_view_mut::<3, 1>(0, 3).copy_from(&t);
        let pixels = |side: f64| {
            let whole = side.fract() == 0.0 && (1.0..=f64::from(u16::MAX)).contains(&side);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tested")]
            whole.then_some(side as u32).ok_or_else(|| {
                self.wrong(&key("S"), side.to_string(), "width and height in pixels")
            })
        };
        let size = ImageSize { width: pixels(width)?, height: pixels(height)? };
        Ok(RawCamera { size, camera: Camera { intrinsics, distortion }, pose })
    }

    fn numbers<const R: usize, const C: usize>(
        &self,
        key: &str,
    ) -> Result<SMatrix<f64, R, C>, FormatError> {
        let expected = format!("{} finite numbers", R * C);
        let &(_, text) = self.values.get(key).ok_or_else(|| FormatError::Missing {
            origin: self.origin.to_owned(),
            field: key.to_owned(),
            expected: expected.clone(),
        })?;
        let numbers: Option<Vec<f64>> = text
            .split_whitespace()
            .map(|word| word.parse().ok().filter(|number: &f64| number.is_finite()))
            .collect();
        match numbers {
            Some(numbers) if numbers.len() == R * C => Ok(SMatrix::from_row_slice(&numbers)),
            _ => Err(self.wrong(key, text.trim().chars().take(60).collect(), &expected)),
        }
    }

    fn wrong(&self, key: &str, found: String, expected: &str) -> FormatError {
        let line = self.values.get(key).map_or(0, |(line, _)| *line);
        FormatError::Value {
            origin: format!("{}:{line}", self.origin),
            field: key.to_owned(),
            found,
            expected: expected.to_owned(),
        }
    }
}
