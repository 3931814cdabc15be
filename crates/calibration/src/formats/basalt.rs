//! Basalt's `calibration.json`: poses of the cameras against the IMU (`T_imu_cam`, IMU from camera) as positions and unit
//! quaternions, intrinsics by camera type.

use super::document::Node;
use super::euroc::resolution_of;
use super::relation::{Read, Sources, inverse, relative, rotation, translation};
use super::{File, FormatError, Options, json, same_size};
use nalgebra::{Matrix4, Quaternion, Rotation3, Translation3, UnitQuaternion};
use occdepth_geometry::camera::{Camera, CoefficientError, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;
use serde_json::json as object;

pub(super) fn read(file: File<'_>, options: &Options) -> Result<Read, FormatError> {
    let document = json(file)?;
    let root = Node::new(file.name, &document).get("value0", "the calibration")?;
    let two = |key: &str, expected: &str| -> Result<[Node<'_>; 2], FormatError> {
        let list = root.get(key, expected)?;
        let elements = list.list()?;
        <[Node<'_>; 2]>::try_from(elements).map_err(|elements| {
            list.wrong_as(&format!("a list of {}", elements.len()), "two cameras")
        })
    };
    let [left, right] = two("T_imu_cam", "the poses of two cameras")?;
    let right_from_left = relative(&pose(&right)?, &pose(&left)?);
    let [left, right] = two("intrinsics", "the intrinsics of two cameras")?;
    let [left_size, right_size] = two("resolution", "the image sizes of two cameras")?;
    let size = same_size(file.name, resolution_of(&left_size)?, resolution_of(&right_size)?)?;
    let cameras = [camera(&left)?, camera(&right)?];
    Ok(Read::physical("basalt", size, cameras, right_from_left, options, Sources::one(file.name)))
}

/// With everything that Basalt's reader asks for by name. What a rig does not know is neutral, or (the IMU's noise) what
/// is usual for a small IMU.
pub(super) fn write(rig: &StereoRig) -> String {
    let left_from_right = inverse(&rig.right_from_left);
    let pose = |matrix: &Matrix4<f64>| {
        let rotation = Rotation3::from_matrix_unchecked(rotation(matrix));
        let q = UnitQuaternion::from_rotation_matrix(&rotation);
        let t = translation(matrix);
        object!({ "px": t.x, "py": t.y, "pz": t.z, "qx": q.i, "qy": q.j, "qz": q.k, "qw": q.w })
    };
    let camera = |camera: &Camera| {
        let Intrinsics { fx, fy, cx, cy } = camera.intrinsics;
        let mut numbers = object!({ "fx": fx, "fy": fy, "cx": cx, "cy": cy });
        let (name, keys): (_, &[&str]) = match camera.distortion {
            lens if lens.is_none() => ("pinhole", &[]),
            Distortion::RadialTangential(_) => (RADTAN8_NAME, &RADTAN8),
            Distortion::KannalaBrandt(_) => ("kb4", &KB4),
            Distortion::DoubleSphere { .. } => ("ds", &["xi", "alpha"]),
            Distortion::ExtendedUnified { .. } => ("eucm", &["alpha", "beta"]),
        };
        for (key, coefficient) in keys.iter().zip(camera.distortion.coefficients()) {
            numbers[key] = object!(coefficient);
        }
        if name == RADTAN8_NAME {
            // The radius of the model's range on the plane z = 1; 0 for no end.
            let radius = camera.range_rad().tan();
            numbers["rpmax"] = object!(if radius < RADIUS_MAX { radius } else { 0.0 });
        }
        object!({ "camera_type": name, "intrinsics": numbers })
    };
    let size = [rig.image_size.width, rig.image_size.height];
    // A spline over the radius, a knot of gain 1 every 50 pixels (in billionths) out to the corner and past it.
    let radius_px = f64::from(size[0]).hypot(f64::from(size[1]));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundreds")]
    let knots = (radius_px / 50.0) as usize + 4;
    let vignette = object!({
        "value0": 0, "value1": 50_000_000_000_u64, "value2": vec![[1.0]; knots]
    });
    let document = object!({ "value0": {
        "T_imu_cam": [pose(&Matrix4::identity()), pose(&left_from_right)],
        "intrinsics": [camera(&rig.left), camera(&rig.right)],
        "resolution": [size, size],
        "calib_accel_bias": ([0.0; 9]),
        "calib_gyro_bias": ([0.0; 12]),
        "imu_update_rate": 200.0,
        "accel_noise_std": ([0.016; 3]),
        "gyro_noise_std": ([0.000_282; 3]),
        "accel_bias_std": ([0.001; 3]),
        "gyro_bias_std": ([0.000_1; 3]),
        "cam_time_offset_ns": 0,
        "vignette": [vignette, vignette],
    }});
    format!("{document:#}\n")
}

fn pose(node: &Node<'_>) -> Result<Matrix4<f64>, FormatError> {
    let number = |key: &str| node.get(key, "a number")?.number();
    let q = Quaternion::new(number("qw")?, number("qx")?, number("qy")?, number("qz")?);
    if (q.norm() - 1.0).abs() > 1e-3 {
        let found = format!("a quaternion of length {:.4}", q.norm());
        return Err(node.wrong_as(&found, "qx, qy, qz, qw of length 1"));
    }
    let t = Translation3::new(number("px")?, number("py")?, number("pz")?);
    Ok((t * UnitQuaternion::from_quaternion(q)).to_homogeneous())
}

fn camera(node: &Node<'_>) -> Result<Camera, FormatError> {
    let kind = node.get("camera_type", "ds, eucm, kb4, pinhole or pinhole-radtan8")?;
    let values = node.get("intrinsics", "a table of numbers")?;
    let number = |key: &str| values.get(key, "a number")?.number();
    let lens = |keys: &[&str], make: fn(&[f64]) -> Result<Distortion, CoefficientError>| {
        let coefficients = keys.iter().map(|key| number(key)).collect::<Result<Vec<_>, _>>()?;
        make(&coefficients)
            .map_err(|error| values.wrong(&format!("coefficients of its model: {error}")))
    };
    let distortion = match kind.text()? {
        "ds" => lens(&["xi", "alpha"], Distortion::double_sphere)?,
        "eucm" => lens(&["alpha", "beta"], Distortion::extended_unified)?,
        "kb4" => lens(&KB4, Distortion::kannala_brandt)?,
        "pinhole" => Distortion::NONE,
        RADTAN8_NAME => lens(&RADTAN8, Distortion::radial_tangential)?,
        _ => return Err(kind.wrong("ds, eucm, kb4, pinhole or pinhole-radtan8")),
    };
    let intrinsics =
        Intrinsics { fx: number("fx")?, fy: number("fy")?, cx: number("cx")?, cy: number("cy")? };
    Ok(Camera { intrinsics, distortion })
}

const KB4: [&str; 4] = ["k1", "k2", "k3", "k4"];
const RADTAN8: [&str; 8] = ["k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"];
const RADTAN8_NAME: &str = "pinhole-radtan8";
/// A radius beyond this has no end that matters: 89.99 degrees.
const RADIUS_MAX: f64 = 5e3;
