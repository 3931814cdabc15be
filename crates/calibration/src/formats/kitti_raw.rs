//! `calib_cam_to_cam.txt` of KITTI's raw recordings: for each camera i its size `S_i`, matrix `K_i`, five coefficients
//! `D_i` and pose `R_i`, `T_i` (this camera from camera 0), and the same after rectification (`S_rect_i`, `R_rect_i`,
//! `P_rect_i`); `calib_velo_to_cam.txt`: camera 0 from the laser scanner, which is the ego frame.
//! Source: the development kit of the raw data, <https://www.cvlibs.net/datasets/kitti/raw_data.php>.

use super::document::short;
use super::relation::{Read, Sources, check_rotation, inverse, rotation, transform, translation};
use super::{File, Format, FormatError, Options, by_rows, joined, same_size, unsupported};
use nalgebra::{Matrix3, Matrix3x4, Matrix4, SMatrix, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rectification::{Crop, StereoRectification};
use occdepth_geometry::rig::{StereoRig, from_projection};
use std::collections::BTreeMap;

/// The physical cameras, for the unrectified recordings; the rectified ones, for those that most people have.
pub(super) fn read(
    files: &[File<'_>],
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Read, FormatError> {
    let parsed = files.iter().map(|&file| Lines::parse(file)).collect::<Result<Vec<_>, _>>()?;
    let (mounts, cameras): (Vec<Lines<'_>>, Vec<Lines<'_>>) =
        parsed.into_iter().partition(|lines| lines.values.contains_key("R"));
    let (lines, mount) = match (&cameras[..], &mounts[..]) {
        ([cameras], []) => (cameras, None),
        ([cameras], [mount]) => (cameras, Some(mount)),
        _ => {
            return Err(FormatError::Files {
                origin: files.iter().map(|file| file.name).collect::<Vec<_>>().join(", "),
                found: format!("found {} files", files.len()),
                expected: "calib_cam_to_cam.txt, and calib_velo_to_cam.txt if there is one"
                    .to_owned(),
            });
        }
    };
    let zero_from_ego = mount.map(|mount| mount.pose("R", "T")).transpose()?;
    if options.kitti_rectified {
        return rectified(lines, zero_from_ego.as_ref(), options);
    }
    let [left, right] = options.kitti_cameras;
    let (left, right) = (lines.camera(left)?, lines.camera(right)?);
    let size = same_size(lines.origin, left.size, right.size)?;
    if let Some(&(_, rectified)) =
        lines.values.get(&*format!("S_rect_{:02}", options.kitti_cameras[0]))
    {
        notes.push(format!(
            "for the recordings before rectification ({size}); for the rectified ones (*_sync, {}) add --rectified",
            short(rectified.trim())
        ));
    }
    let right_from_left = right.pose * inverse(&left.pose);
    let cameras = [left.camera, right.camera];
    let sources = Sources::one(lines.origin);
    let mut read = Read::physical("kitti-raw", size, cameras, right_from_left, options, sources);
    if let Some(zero_from_ego) = zero_from_ego {
        read.rig.left_from_ego = left.pose * zero_from_ego;
    }
    Ok(read)
}

/// The rectified pair, as the odometry benchmark has it.
fn rectified(
    lines: &Lines<'_>,
    zero_from_ego: Option<&Matrix4<f64>>,
    options: &Options,
) -> Result<Read, FormatError> {
    let camera = |number: u8| -> Result<(ImageSize, Camera, Vector3<f64>), FormatError> {
        let key = format!("P_rect_{number:02}");
        let p: Matrix3x4<f64> = lines.numbers(&key)?;
        let (camera, t) = from_projection(&p)
            .map_err(|error| lines.wrong(&key, &by_rows(&p), &error.to_string()))?;
        Ok((lines.size(&format!("S_rect_{number:02}"))?, camera, t * options.unit_m))
    };
    let [left, right] = options.kitti_cameras;
    let (left_size, left, left_t) = camera(left)?;
    let (right_size, right, right_t) = camera(right)?;
    let image_size = same_size(lines.origin, left_size, right_size)?;
    let shift = |t: &Vector3<f64>| transform(&Matrix3::identity(), t);
    let left_from_ego = match zero_from_ego {
        // The rectified frame is camera 0's.
        Some(zero_from_ego) => {
            let r: Matrix3<f64> = lines.rotation("R_rect_00")?;
            shift(&left_t) * r.to_homogeneous() * zero_from_ego
        }
        None => options.left_from_ego,
    };
    let rig = StereoRig {
        name: "kitti-raw".to_owned(),
        image_size,
        left,
        right,
        right_from_left: shift(&(right_t - left_t)),
        left_from_ego,
        rectified: true,
    };
    Ok(Read { rig, sources: Sources::one(lines.origin) })
}

/// The rig as both the grey pair 0, 1 and the colour pair 2, 3, with its rectification: readers ask for camera 0, and for
/// everything of each camera.
pub(super) fn write(rig: &StereoRig) -> Result<String, FormatError> {
    let physical = StereoRig { rectified: false, ..rig.clone() };
    let mut text = "calib_time: 01-Jan-1970 00:00:00\ncorner_dist: 0.0\n".to_owned();
    let expected = "radial-tangential lenses of at most five coefficients";
    let refused = || unsupported(rig, Format::KittiRaw, expected);
    let lens = |camera: &Camera| match camera.distortion {
        Distortion::RadialTangential(d) if d[5..].iter().all(|&k| k == 0.0) => Ok(d),
        _ => Err(refused()),
    };
    let lenses = [lens(&rig.left)?, lens(&rig.right)?];
    let rectified = StereoRectification::new(&physical, Crop::Alpha(-1.0), rig.image_size)
        .map_err(|error| {
            let expected = format!("a rig that can be rectified: {error}");
            unsupported(rig, Format::KittiRaw, &expected)
        })?;
    let views = [
        (&rig.left, lenses[0], Matrix4::identity(), rectified.r1, rectified.p1),
        (&rig.right, lenses[1], rig.right_from_left, rectified.r2, rectified.p2),
    ];
    for number in 0..4 {
        let (camera, d, pose, r_rect, p_rect) = &views[number % 2];
        let mut line = |name: &str, values: String| {
            text += &format!("{name}_{number:02}: {}\n", values.replace(',', ""));
        };
        let size = format!("{} {}", rig.image_size.width, rig.image_size.height);
        line("S", size.clone());
        line("K", by_rows(&camera.intrinsics.matrix()));
        line("D", joined(&d[..5]));
        line("R", by_rows(&rotation(pose)));
        line("T", by_rows(&translation(pose)));
        line("S_rect", size);
        line("R_rect", by_rows(r_rect));
        line("P_rect", by_rows(p_rect));
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
    fn parse(file: File<'a>) -> Result<Self, FormatError> {
        let mut values = BTreeMap::new();
        for (number, line) in (1..).zip(file.text.lines()) {
            let Some((key, numbers)) = line.split_once(':') else { continue };
            let key = key.trim();
            if let Some((first, _)) = values.insert(key, (number, numbers)) {
                return Err(FormatError::Value {
                    origin: format!("{}:{number}", file.name),
                    field: short(key),
                    found: format!("here and in line {first}"),
                    expected: "each key once".to_owned(),
                });
            }
        }
        Ok(Self { origin: file.name, values })
    }

    fn camera(&self, number: u8) -> Result<RawCamera, FormatError> {
        let key = |letter: &str| format!("{letter}_{number:02}");
        let size = self.size(&key("S"))?;
        let k: Matrix3<f64> = self.numbers(&key("K"))?;
        let intrinsics = Intrinsics { fx: k.m11, fy: k.m22, cx: k.m13, cy: k.m23 };
        if k != intrinsics.matrix() || k.determinant() == 0.0 {
            let expected = "fx 0 cx 0 fy cy 0 0 1 with focal lengths that are not 0";
            return Err(self.wrong(&key("K"), &by_rows(&k), expected));
        }
        let d: SMatrix<f64, 5, 1> = self.numbers(&key("D"))?;
        let distortion = Distortion::radial_tangential(d.as_slice())
            .map_err(|error| self.wrong(&key("D"), &joined(d.as_slice()), &error.to_string()))?;
        let pose = self.pose(&key("R"), &key("T"))?;
        Ok(RawCamera { size, camera: Camera { intrinsics, distortion }, pose })
    }

    fn size(&self, key: &str) -> Result<ImageSize, FormatError> {
        let [width, height] = self.numbers::<2, 1>(key)?.into();
        let pixels = |side: f64| {
            let whole = side.fract() == 0.0 && (1.0..=f64::from(u16::MAX)).contains(&side);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "tested")]
            whole
                .then_some(side as u32)
                .ok_or_else(|| self.wrong(key, &side.to_string(), "width and height in pixels"))
        };
        Ok(ImageSize { width: pixels(width)?, height: pixels(height)? })
    }

    fn pose(&self, r: &str, t: &str) -> Result<Matrix4<f64>, FormatError> {
        Ok(transform(&self.rotation(r)?, &self.numbers(t)?))
    }

    fn rotation(&self, key: &str) -> Result<Matrix3<f64>, FormatError> {
        check_rotation(&self.numbers(key)?).map_err(|found| self.wrong(key, &found, "a rotation"))
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
            _ => Err(self.wrong(key, text.trim(), &expected)),
        }
    }

    fn wrong(&self, key: &str, found: &str, expected: &str) -> FormatError {
        let line = self.values.get(key).map_or(0, |(line, _)| *line);
        FormatError::Value {
            origin: format!("{}:{line}", self.origin),
            field: key.to_owned(),
            found: short(found),
            expected: expected.to_owned(),
        }
    }
}
