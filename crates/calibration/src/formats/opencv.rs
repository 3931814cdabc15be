//! What OpenCV's samples and people's programs write through `FileStorage`: matrices under many names, in one file or in
//! several (intrinsics and extrinsics; left, right and their relation).

use super::document::Node;
use super::{
    File, Format, FormatError, Options, by_rows, image_size, joined, lens, physical, rotation,
    same_size, translation, unsupported, yaml,
};
use nalgebra::Matrix3;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;

pub(super) fn read(files: &[File<'_>], options: &Options) -> Result<StereoRig, FormatError> {
    let documents = files
        .iter()
        .map(|file| yaml::parse(file.name, file.text))
        .collect::<Result<Vec<_>, _>>()?;
    let nodes: Vec<Node<'_>> =
        files.iter().zip(&documents).map(|(file, value)| Node::new(file.name, value)).collect();
    let single: Vec<&Node<'_>> =
        nodes.iter().filter(|node| node.optional("camera_matrix").is_some()).collect();
    let cameras = match single[..] {
        [left, right] => {
            let lens = &["distortion_coefficients"];
            [camera(left, &["camera_matrix"], lens)?, camera(right, &["camera_matrix"], lens)?]
        }
        [_] => {
            return Err(FormatError::Files {
                origin: single[0].origin().to_owned(),
                found: "found the intrinsics of one camera".to_owned(),
                expected: "a file for each camera, and one with R and T".to_owned(),
            });
        }
        _ => {
            let of = |k: &[&str], d: &[&str]| {
                let node = holder(&nodes, k)?;
                camera(node, k, d)
            };
            [of(&LEFT_MATRIX, &LEFT_LENS)?, of(&RIGHT_MATRIX, &RIGHT_LENS)?]
        }
    };
    let extrinsics = holder(&nodes, &ROTATION)?;
    let r = extrinsics.any(&ROTATION, "the rotation, right from left")?.matrix::<3, 3>()?;
    let t = holder(&nodes, &TRANSLATION)?
        .any(&TRANSLATION, "the translation, right from left")?
        .matrix::<3, 1>()?;
    let mut right_from_left = r.to_homogeneous();
    right_from_left.fixed_view_mut::<3, 1>(0, 3).copy_from(&t);
    let size = size_of(&nodes, files[0].name, options)?;
    Ok(physical("opencv", size, cameras, right_from_left, options))
}

pub(super) fn write(rig: &StereoRig) -> Result<Vec<(String, String)>, FormatError> {
    let fisheye = match (rig.left.distortion, rig.right.distortion) {
        (Distortion::RadialTangential(_), Distortion::RadialTangential(_)) => false,
        (Distortion::KannalaBrandt(_), Distortion::KannalaBrandt(_)) => true,
        _ => {
            return Err(unsupported(
                rig,
                Format::OpenCv,
                "two radial-tangential or two Kannala-Brandt lenses",
            ));
        }
    };
    let mut text = format!(
        "%YAML:1.0\n---\nimage_width: {}\nimage_height: {}\nfisheye_model: {}\n",
        rig.image_size.width,
        rig.image_size.height,
        u8::from(fisheye)
    );
    for (side, camera) in [(1, &rig.left), (2, &rig.right)] {
        text += &matrix(&format!("M{side}"), 3, 3, &by_rows(&camera.intrinsics.matrix()));
        let coefficients = camera.distortion.coefficients();
        text += &matrix(&format!("D{side}"), 1, coefficients.len(), &joined(&coefficients));
    }
    text += &matrix("R", 3, 3, &by_rows(&rotation(&rig.right_from_left)));
    text += &matrix("T", 3, 1, &by_rows(&translation(&rig.right_from_left)));
    Ok(vec![("stereo.yml".to_owned(), text)])
}

fn matrix(name: &str, rows: usize, columns: usize, data: &str) -> String {
    format!(
        "{name}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n   data: [ {data} ]\n"
    )
}

/// The document that has one of `keys`.
fn holder<'n, 'a>(nodes: &'n [Node<'a>], keys: &[&str]) -> Result<&'n Node<'a>, FormatError> {
    nodes.iter().find(|node| keys.iter().any(|key| node.optional(key).is_some())).ok_or_else(|| {
        FormatError::Missing {
            origin: nodes.iter().map(Node::origin).collect::<Vec<_>>().join(", "),
            field: keys.join(" or "),
            expected: "an OpenCV matrix".to_owned(),
        }
    })
}

fn camera(node: &Node<'_>, matrix: &[&str], coefficients: &[&str]) -> Result<Camera, FormatError> {
    let k = node.any(matrix, "the camera matrix")?;
    let intrinsics = intrinsics(&k)?;
    let coefficients = node.any(coefficients, "the distortion coefficients")?;
    let distortion = if is_fisheye(node)? {
        lens(&coefficients, Distortion::kannala_brandt)?
    } else {
        lens(&coefficients, Distortion::radial_tangential)?
    };
    Ok(Camera { intrinsics, distortion })
}

/// fx, fy, cx, cy of a 3x3 matrix without skew.
pub(super) fn intrinsics(node: &Node<'_>) -> Result<Intrinsics, FormatError> {
    let k: Matrix3<f64> = node.matrix()?;
    let intrinsics = Intrinsics { fx: k.m11, fy: k.m22, cx: k.m13, cy: k.m23 };
    if k == intrinsics.matrix() && k.determinant() != 0.0 {
        return Ok(intrinsics);
    }
    Err(node.wrong("fx 0 cx, 0 fy cy, 0 0 1 with focal lengths that are not 0"))
}

/// Whether the file says that its four coefficients are those of `cv::fisheye`.
fn is_fisheye(node: &Node<'_>) -> Result<bool, FormatError> {
    if let Some(flag) = node.optional("fisheye_model") {
        return Ok(flag.number()? != 0.0);
    }
    match node.optional("distortion_model") {
        Some(model) => Ok(matches!(model.text()?, "fisheye" | "equidistant" | "kannala-brandt")),
        None => Ok(false),
    }
}

fn size_of(nodes: &[Node<'_>], origin: &str, options: &Options) -> Result<ImageSize, FormatError> {
    let mut sizes = Vec::new();
    for node in nodes {
        if let (Some(width), Some(height)) =
            (node.optional("image_width"), node.optional("image_height"))
        {
            sizes.push(ImageSize { width: width.pixels()?, height: height.pixels()? });
        } else if let Some(size) =
            ["image_size", "imageSize", "size"].iter().find_map(|k| node.optional(k))
        {
            sizes.push(super::euroc::resolution_of(&size)?);
        }
    }
    match sizes[..] {
        [] => image_size(options, origin, "the size of the calibrated images"),
        [size] => Ok(size),
        [first, second, ..] => same_size(origin, first, second),
    }
}

const LEFT_MATRIX: [&str; 6] =
    ["M1", "K1", "cameraMatrix1", "camera_matrix_1", "camera_matrix_left", "K_left"];
const RIGHT_MATRIX: [&str; 6] =
    ["M2", "K2", "cameraMatrix2", "camera_matrix_2", "camera_matrix_right", "K_right"];
const LEFT_LENS: [&str; 6] =
    ["D1", "distCoeffs1", "dist_coeffs_1", "distortion_coefficients_left", "D_left", "dist_left"];
const RIGHT_LENS: [&str; 6] = [
    "D2",
    "distCoeffs2",
    "dist_coeffs_2",
    "distortion_coefficients_right",
    "D_right",
    "dist_right",
];
const ROTATION: [&str; 3] = ["R", "rotation", "rotation_matrix"];
const TRANSLATION: [&str; 3] = ["T", "translation", "translation_vector"];
