//! Kalibr's camchain: `cam0`, `cam1`, with `T_cn_cnm1` (this camera from the one before) or each camera's pose against the
//! IMU (`T_cam_imu`, camera from IMU; `T_imu_cam`, its inverse, as `OpenVINS` writes it).

use super::document::Node;
use super::euroc::{intrinsics_of, resolution_of};
use super::relation::{Read, Sources, inverse, pose, relative};
use super::{
    File, Format, FormatError, Options, by_rows, joined, lens, same_size, unsupported, yaml,
};
use nalgebra::Matrix4;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;

pub(super) fn read(file: File<'_>, options: &Options) -> Result<Read, FormatError> {
    let document = yaml::parse(file.name, file.text)?;
    let root = Node::new(file.name, &document);
    let left = root.get("cam0", "the left camera")?;
    let right = root.get("cam1", "the right camera")?;
    let right_from_left = if let Some(matrix) = right.optional("T_cn_cnm1") {
        pose(&matrix)?
    } else {
        let imu_from = |camera: &Node<'_>| -> Result<Matrix4<f64>, FormatError> {
            match (camera.optional("T_imu_cam"), camera.optional("T_cam_imu")) {
                (Some(imu_from_camera), _) => pose(&imu_from_camera),
                (None, Some(camera_from_imu)) => Ok(inverse(&pose(&camera_from_imu)?)),
                (None, None) => Err(camera
                    .get("T_cn_cnm1", "this camera from the one before (or T_cam_imu of both)")
                    .map_or_else(|error| error, |node| node.wrong("a 4x4 matrix"))),
            }
        };
        relative(&imu_from(&right)?, &imu_from(&left)?)
    };
    let size = |node: &Node<'_>| resolution_of(&node.get("resolution", "[width, height]")?);
    let size = same_size(file.name, size(&left)?, size(&right)?)?;
    let cameras = [camera(&left)?, camera(&right)?];
    Ok(Read::physical("kalibr", size, cameras, right_from_left, options, Sources::one(file.name)))
}

pub(super) fn write(rig: &StereoRig) -> Result<String, FormatError> {
    let camera = |number: usize, camera: &Camera, relation: &str| {
        let Intrinsics { fx, fy, cx, cy } = camera.intrinsics;
        let k = [fx, fy, cx, cy];
        let (model, intrinsics, lens) = match camera.distortion {
            Distortion::RadialTangential(d) => {
                if d[4..].iter().any(|&k| k != 0.0) {
                    let expected = "radial-tangential lenses of four coefficients";
                    return Err(unsupported(rig, Format::Kalibr, expected));
                }
                ("pinhole", k.to_vec(), ("radtan", d[..4].to_vec()))
            }
            Distortion::KannalaBrandt(d) => ("pinhole", k.to_vec(), ("equidistant", d.to_vec())),
            Distortion::DoubleSphere { xi, alpha } => {
                ("ds", [&[xi, alpha], &k[..]].concat(), ("none", vec![]))
            }
            Distortion::ExtendedUnified { alpha, beta } => {
                ("eucm", [&[alpha, beta], &k[..]].concat(), ("none", vec![]))
            }
        };
        let other = 1 - number;
        // Kalibr's readers ask for the topic, too.
        Ok(format!(
            "cam{number}:\n{relation}  cam_overlaps: [{other}]\n  camera_model: {model}\n  intrinsics: [{}]\n  \
             distortion_model: {}\n  distortion_coeffs: [{}]\n  resolution: [{}, {}]\n  \
             rostopic: /cam{number}/image_raw\n",
            joined(&intrinsics),
            lens.0,
            joined(&lens.1),
            rig.image_size.width,
            rig.image_size.height,
        ))
    };
    let rows: Vec<String> = rig
        .right_from_left
        .row_iter()
        .map(|row| format!("  - [{}]\n", by_rows(&row.into_owned())))
        .collect();
    let relation = format!("  T_cn_cnm1:\n{}", rows.concat());
    Ok(camera(0, &rig.left, "")? + &camera(1, &rig.right, &relation)?)
}

fn camera(node: &Node<'_>) -> Result<Camera, FormatError> {
    let model = node.get("camera_model", "pinhole, ds or eucm")?;
    let intrinsics = node.get("intrinsics", "a list of numbers")?;
    let numbers = intrinsics.numbers()?;
    let of_spheres = |make: fn(&[f64]) -> Result<Distortion, _>| {
        if numbers.len() != 6 {
            return Err(intrinsics.wrong("two coefficients of the model, then fx, fy, cx, cy"));
        }
        let distortion =
            make(&numbers[..2]).map_err(|error: occdepth_geometry::camera::CoefficientError| {
                intrinsics.wrong(&format!("coefficients of its model first: {error}"))
            })?;
        Ok(Camera { intrinsics: intrinsics_of(&numbers[2..], &intrinsics)?, distortion })
    };
    match model.text()? {
        "pinhole" => {}
        "ds" => return of_spheres(Distortion::double_sphere),
        "eucm" => return of_spheres(Distortion::extended_unified),
        _ => return Err(model.wrong("pinhole, ds or eucm")),
    }
    let lens_model = node.get("distortion_model", "radtan, equidistant or none")?;
    let coefficients = || node.get("distortion_coeffs", "a list of coefficients");
    let distortion = match lens_model.text()? {
        "radtan" => lens(&coefficients()?, Distortion::radial_tangential)?,
        "equidistant" => lens(&coefficients()?, Distortion::kannala_brandt)?,
        "none" => Distortion::NONE,
        _ => return Err(lens_model.wrong("radtan, equidistant or none")),
    };
    Ok(Camera { intrinsics: intrinsics_of(&numbers, &intrinsics)?, distortion })
}
