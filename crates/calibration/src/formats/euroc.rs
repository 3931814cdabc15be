//! EuRoC `sensor.yaml`: one file a camera, with its pose in the body's frame (`T_BS`, body from sensor).

use super::document::Node;
use super::relation::{Read, Sources, inverse, pose, relative};
use super::{
    File, Format, FormatError, Options, by_rows, joined, lens, same_size, shortest, unsupported,
    yaml,
};
use nalgebra::Matrix4;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;

pub(super) fn read(files: &[File<'_>; 2], options: &Options) -> Result<Read, FormatError> {
    let [left, right] =
        [yaml::parse(files[0].name, files[0].text)?, yaml::parse(files[1].name, files[1].text)?];
    let left = Node::new(files[0].name, &left);
    let right = Node::new(files[1].name, &right);
    let body_from = |node: &Node<'_>| pose(&node.get("T_BS", "body from sensor, a 4x4 matrix")?);
    let right_from_left = relative(&body_from(&right)?, &body_from(&left)?);
    let sources = Sources::two(files[0].name, files[1].name);
    let size = same_size(&sources.relation, resolution(&left)?, resolution(&right)?)?;
    let cameras = [camera(&left)?, camera(&right)?];
    Ok(Read::physical("euroc", size, cameras, right_from_left, options, sources))
}

pub(super) fn write(rig: &StereoRig) -> Result<Vec<(String, String)>, FormatError> {
    let file = |name: &str, camera: &Camera, body_from_sensor: &Matrix4<f64>| {
        let (model, coefficients) = match &camera.distortion {
            Distortion::RadialTangential(k) => ("radial-tangential", shortest(k)),
            Distortion::KannalaBrandt(k) => ("equidistant", &k[..]),
            _ => {
                let expected = "radial-tangential or Kannala-Brandt lenses";
                return Err(unsupported(rig, Format::Euroc, expected));
            }
        };
        let Intrinsics { fx, fy, cx, cy } = camera.intrinsics;
        let text = format!(
            "sensor_type: camera\nT_BS:\n  cols: 4\n  rows: 4\n  data: [{}]\nresolution: [{}, {}]\n\
             camera_model: pinhole\nintrinsics: [{}]\ndistortion_model: {model}\n\
             distortion_coefficients: [{}]\n",
            by_rows(body_from_sensor),
            rig.image_size.width,
            rig.image_size.height,
            joined(&[fx, fy, cx, cy]),
            joined(coefficients),
        );
        Ok((format!("{name}_sensor.yaml"), text))
    };
    let left_from_right = inverse(&rig.right_from_left);
    Ok(vec![
        file("cam0", &rig.left, &Matrix4::identity())?,
        file("cam1", &rig.right, &left_from_right)?,
    ])
}

fn resolution(node: &Node<'_>) -> Result<ImageSize, FormatError> {
    resolution_of(&node.get("resolution", "[width, height]")?)
}

pub(super) fn resolution_of(node: &Node<'_>) -> Result<ImageSize, FormatError> {
    match &node.list()?[..] {
        [width, height] => Ok(ImageSize { width: width.pixels()?, height: height.pixels()? }),
        _ => Err(node.wrong("[width, height]")),
    }
}

/// fx, fy, cx, cy.
pub(super) fn intrinsics_of(numbers: &[f64], node: &Node<'_>) -> Result<Intrinsics, FormatError> {
    match *numbers {
        [fx, fy, cx, cy] => Ok(Intrinsics { fx, fy, cx, cy }),
        _ => Err(node.wrong("[fx, fy, cx, cy]")),
    }
}

fn camera(node: &Node<'_>) -> Result<Camera, FormatError> {
    if let Some(model) = node.optional("camera_model")
        && model.text()? != "pinhole"
    {
        return Err(model.wrong("pinhole"));
    }
    let intrinsics = node.get("intrinsics", "[fu, fv, cu, cv]")?;
    let intrinsics = intrinsics_of(&intrinsics.numbers()?, &intrinsics)?;
    let model = node.get("distortion_model", "radial-tangential or equidistant")?;
    let coefficients = node.get("distortion_coefficients", "a list of coefficients")?;
    let distortion = match model.text()? {
        "radial-tangential" | "radtan" | "plumb_bob" => {
            lens(&coefficients, Distortion::radial_tangential)?
        }
        "equidistant" => lens(&coefficients, Distortion::kannala_brandt)?,
        "none" => Distortion::NONE,
        _ => return Err(model.wrong("radial-tangential or equidistant")),
    };
    Ok(Camera { intrinsics, distortion })
}
