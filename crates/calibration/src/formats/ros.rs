//! ROS `camera_info`, as `camera_calibration` writes it: one YAML a camera. How the cameras lie to each other is in their
//! rectification: with P = K [I | t], a point p of the left camera lies at R2^T (R1 p + t2 - t1) in the right one.

use super::document::Node;
use super::opencv::intrinsics;
use super::relation::{Read, Sources, rotation_of, transform};
use super::{
    File, Format, FormatError, Options, by_rows, joined, lens, same_size, unsupported, yaml,
};
use nalgebra::{Matrix3, Matrix3x4, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion};
use occdepth_geometry::rectification::{Crop, StereoRectification};
use occdepth_geometry::rig::{StereoRig, from_projection};

pub(super) fn read(files: &[File<'_>; 2], options: &Options) -> Result<Read, FormatError> {
    let [left, right] =
        [yaml::parse(files[0].name, files[0].text)?, yaml::parse(files[1].name, files[1].text)?];
    let left = Node::new(files[0].name, &left);
    let right = Node::new(files[1].name, &right);
    let sources = Sources::two(files[0].name, files[1].name);
    let size = same_size(&sources.relation, image_size(&left)?, image_size(&right)?)?;
    let (r1, left_shift) = rectification(&left)?;
    let (r2, right_shift) = rectification(&right)?;
    if right_shift == left_shift {
        let projection = right.get("projection_matrix", "a 3x4 matrix")?;
        return Err(projection
            .wrong("-fx times the baseline in its last column: this one is of a single camera"));
    }
    let right_from_left =
        transform(&(r2.transpose() * r1), &(r2.transpose() * (right_shift - left_shift)));
    let cameras = [camera(&left)?, camera(&right)?];
    Ok(Read::physical("ros", size, cameras, right_from_left, options, sources))
}

pub(super) fn write(rig: &StereoRig) -> Result<Vec<(String, String)>, FormatError> {
    let crop =
        if rig.left.distortion.is_fisheye() { Crop::Balance(0.0) } else { Crop::Alpha(-1.0) };
    // The rectification of a pair that is rectified but for an offset in y or z has no P2 of ROS's form; that of two
    // cameras that see these images has.
    let physical = StereoRig { rectified: false, ..rig.clone() };
    let rectification =
        StereoRectification::new(&physical, crop, rig.image_size).map_err(|error| {
            unsupported(rig, Format::Ros, &format!("a rig that can be rectified: {error}"))
        })?;
    let file = |side: &str, camera: &Camera, r: &Matrix3<f64>, p: &Matrix3x4<f64>| {
        let coefficients = camera.distortion.coefficients();
        let (model, coefficients) = match camera.distortion {
            Distortion::RadialTangential(d) if d[5..].iter().all(|&k| k == 0.0) => {
                ("plumb_bob", &coefficients[..5])
            }
            Distortion::RadialTangential(_) => ("rational_polynomial", &coefficients[..]),
            Distortion::KannalaBrandt(_) => ("equidistant", &coefficients[..]),
            _ => {
                let expected = "radial-tangential or Kannala-Brandt lenses";
                return Err(unsupported(rig, Format::Ros, expected));
            }
        };
        let matrix = |name: &str, rows: usize, columns: usize, data: String| {
            format!("{name}:\n  rows: {rows}\n  cols: {columns}\n  data: [{data}]\n")
        };
        let mut text = format!(
            "image_width: {}\nimage_height: {}\ncamera_name: {side}\n",
            rig.image_size.width, rig.image_size.height
        );
        text += &matrix("camera_matrix", 3, 3, by_rows(&camera.intrinsics.matrix()));
        text += &format!("distortion_model: {model}\n");
        text += &matrix("distortion_coefficients", 1, coefficients.len(), joined(coefficients));
        text += &matrix("rectification_matrix", 3, 3, by_rows(r));
        text += &matrix("projection_matrix", 3, 4, by_rows(p));
        Ok((format!("{side}.yaml"), text))
    };
    Ok(vec![
        file("left", &rig.left, &rectification.r1, &rectification.p1)?,
        file("right", &rig.right, &rectification.r2, &rectification.p2)?,
    ])
}

/// The rectifying rotation, and the shift of the rectified camera.
fn rectification(node: &Node<'_>) -> Result<(Matrix3<f64>, Vector3<f64>), FormatError> {
    let r = rotation_of(&node.get("rectification_matrix", "a 3x3 matrix")?)?;
    let projection = node.get("projection_matrix", "a 3x4 matrix")?;
    let (_, shift) = from_projection(&projection.matrix()?)
        .map_err(|error| projection.wrong(&error.to_string()))?;
    Ok((r, shift))
}

fn image_size(node: &Node<'_>) -> Result<ImageSize, FormatError> {
    Ok(ImageSize {
        width: node.get("image_width", "pixels")?.pixels()?,
        height: node.get("image_height", "pixels")?.pixels()?,
    })
}

fn camera(node: &Node<'_>) -> Result<Camera, FormatError> {
    let expected = "plumb_bob, rational_polynomial or equidistant";
    let model = node.get("distortion_model", expected)?;
    let coefficients = node.get("distortion_coefficients", "a list of coefficients")?;
    let distortion = match model.text()? {
        "plumb_bob" | "rational_polynomial" => lens(&coefficients, Distortion::radial_tangential)?,
        "equidistant" | "fisheye" => lens(&coefficients, Distortion::kannala_brandt)?,
        _ => return Err(model.wrong(expected)),
    };
    let intrinsics = intrinsics(&node.get("camera_matrix", "a 3x3 matrix")?)?;
    Ok(Camera { intrinsics, distortion })
}
