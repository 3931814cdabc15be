//! ROS `camera_info`, as `camera_calibration` writes it: one YAML a camera. How the cameras lie to each other is in their
//! rectification: a point of the left camera appears in the right one at R2^T (R1 p + (P2[0,3] / P2[0,0], 0, 0)).

use super::document::Node;
use super::opencv::intrinsics;
use super::{
    File, Format, FormatError, Options, by_rows, joined, lens, physical, same_size, unsupported,
    yaml,
};
use nalgebra::{Matrix3, Matrix3x4, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion};
use occdepth_geometry::rectification::{Crop, StereoRectification};
use occdepth_geometry::rig::StereoRig;

pub(super) fn read(files: &[File<'_>; 2], options: &Options) -> Result<StereoRig, FormatError> {
    let [left, right] =
        [yaml::parse(files[0].name, files[0].text)?, yaml::parse(files[1].name, files[1].text)?];
    let left = Node::new(files[0].name, &left);
    let right = Node::new(files[1].name, &right);
    let size = same_size(files[1].name, image_size(&left)?, image_size(&right)?)?;
    let (r1, left_shift) = rectification(&left)?;
    let (r2, right_shift) = rectification(&right)?;
    if right_shift == left_shift {
        let projection = right.get("projection_matrix", "a 3x4 matrix")?;
        return Err(projection
            .wrong("-fx times the baseline in its last column: this one is of a single camera"));
    }
    let mut right_from_left = (r2.transpose() * r1).to_homogeneous();
    let t = r2.transpose() * (right_shift - left_shift);
    right_from_left.fixed_view_mut::<3, 1>(0, 3).copy_from(&t);
    Ok(physical("ros", size, [camera(&left)?, camera(&right)?], right_from_left, options))
}

pub(super) fn write(rig: &StereoRig) -> Result<Vec<(String, String)>, FormatError> {
    let crop =
        if rig.left.distortion.is_fisheye() { Crop::Balance(0.0) } else { Crop::Alpha(-1.0) };
    let rectification = StereoRectification::new(rig, crop, rig.image_size).map_err(|error| {
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
    let field = node.get("rectification_matrix", "a 3x3 matrix")?;
    let r: Matrix3<f64> = field.matrix()?;
    if (r.transpose() * r - Matrix3::identity()).amax() > 1e-3 || r.determinant() < 0.0 {
        return Err(field.wrong("a rotation"));
    }
    let projection = node.get("projection_matrix", "a 3x4 matrix")?;
    let p: Matrix3x4<f64> = projection.matrix()?;
    if p.m11 == 0.0 || p.m22 == 0.0 {
        return Err(projection.wrong("focal lengths that are not 0"));
    }
    Ok((r, Vector3::new(p.m14 / p.m11, p.m24 / p.m22, 0.0)))
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
