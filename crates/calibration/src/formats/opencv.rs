//! What OpenCV's samples and people's programs write through `FileStorage`: matrices under many names, in one file or in
//! several (intrinsics and extrinsics; left, right and their relation).

use super::document::Node;
use super::relation::{Read, Sources, rotation, rotation_of, transform, translation};
use super::{
    File, Format, FormatError, LensModel, Options, by_rows, image_size, joined, lens, same_size,
    sides, unsupported, yaml,
};
use nalgebra::Matrix3;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::rig::StereoRig;

pub(super) fn read(
    files: &[File<'_>],
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Read, FormatError> {
    let documents = files
        .iter()
        .map(|file| yaml::parse(file.name, file.text))
        .collect::<Result<Vec<_>, _>>()?;
    let nodes: Vec<Node<'_>> =
        files.iter().zip(&documents).map(|(file, value)| Node::new(file.name, value)).collect();
    let single: Vec<usize> = (0..nodes.len())
        .filter(|&i| SINGLE_MATRIX.iter().any(|key| nodes[i].optional(key).is_some()))
        .collect();
    // The files of the cameras, and the names of their fields.
    let views: [(&Node<'_>, &[&str], &[&str]); 2] = match single[..] {
        [first, second] => {
            let [left, _] = sides([files[first], files[second]], notes);
            // Told by their texts, which are lent: two files of one name are two files.
            let first_is_left = std::ptr::eq(left.text, files[first].text);
            let [left, right] = if first_is_left { [first, second] } else { [second, first] };
            [left, right].map(|i| (&nodes[i], &SINGLE_MATRIX[..], &SINGLE_LENS[..]))
        }
        [one] => {
            return Err(FormatError::Files {
                origin: files[one].name.to_owned(),
                found: "found the intrinsics of one camera".to_owned(),
                expected: "a file for each camera, and one with R and T".to_owned(),
            });
        }
        _ => [
            (holder(&nodes, &LEFT_MATRIX)?, &LEFT_MATRIX, &LEFT_LENS),
            (holder(&nodes, &RIGHT_MATRIX)?, &RIGHT_MATRIX, &RIGHT_LENS),
        ],
    };
    let mut cameras = Vec::with_capacity(2);
    let mut guessed = false;
    for (node, matrix, coefficients) in views {
        let said = said_model(node, &nodes)?;
        let (camera, was_guessed) = camera(node, matrix, coefficients, said, options.lens)?;
        guessed |= was_guessed;
        cameras.push(camera);
    }
    if guessed {
        notes.push(
            "the lens model is not in the file: four coefficients were read as k1 k2 p1 p2 of a radial-tangential \
             lens; if cv::fisheye made them, add --lens kannala-brandt"
                .to_owned(),
        );
    }
    let extrinsics = holder(&nodes, &ROTATION)?;
    let r = rotation_of(&extrinsics.any(&ROTATION, "the rotation, right from left")?)?;
    let translated = holder(&nodes, &TRANSLATION)?;
    let t = translated.any(&TRANSLATION, "the translation, right from left")?.matrix::<3, 1>()?;
    let size = size_of(&nodes, files[0].name, options)?;
    let sources = Sources {
        left: views[0].0.origin().to_owned(),
        right: views[1].0.origin().to_owned(),
        relation: translated.origin().to_owned(),
    };
    let cameras = [cameras[0], cameras[1]];
    Ok(Read::physical("opencv", size, cameras, transform(&r, &t), options, sources))
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

/// The document that has one of `keys`; there must not be two.
fn holder<'n, 'a>(nodes: &'n [Node<'a>], keys: &[&str]) -> Result<&'n Node<'a>, FormatError> {
    let mut holders =
        nodes.iter().filter(|node| keys.iter().any(|key| node.optional(key).is_some()));
    let all = || nodes.iter().map(Node::origin).collect::<Vec<_>>().join(", ");
    match (holders.next(), holders.next()) {
        (Some(node), None) => Ok(node),
        (Some(first), Some(second)) => Err(FormatError::Files {
            origin: all(),
            found: format!(
                "found {} in {} and in {}",
                keys.join(" or "),
                first.origin(),
                second.origin()
            ),
            expected: "it once".to_owned(),
        }),
        (None, _) => Err(FormatError::Missing {
            origin: all(),
            field: keys.join(" or "),
            expected: "an OpenCV matrix".to_owned(),
        }),
    }
}

/// A camera, and whether its lens model was guessed: nothing says whether four coefficients are those of `calib3d` or of
/// `cv::fisheye`.
fn camera(
    node: &Node<'_>,
    matrix: &[&str],
    coefficients: &[&str],
    said: Option<(LensModel, Node<'_>)>,
    asked: Option<LensModel>,
) -> Result<(Camera, bool), FormatError> {
    let intrinsics = intrinsics(&node.any(matrix, "the camera matrix")?)?;
    let coefficients = node.any(coefficients, "the distortion coefficients")?;
    let model = match (said, asked) {
        (Some((said, field)), Some(asked)) if said != asked => {
            return Err(field.wrong(&format!("what was asked for with --lens ({asked:?})")));
        }
        (Some((said, _)), _) => Some(said),
        (None, asked) => asked,
    };
    let distortion = match model.unwrap_or(LensModel::RadialTangential) {
        LensModel::KannalaBrandt => lens(&coefficients, Distortion::kannala_brandt)?,
        LensModel::RadialTangential => lens(&coefficients, Distortion::radial_tangential)?,
    };
    let guessed = model.is_none() && coefficients.vector()?.len() == 4;
    Ok((Camera { intrinsics, distortion }, guessed))
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

/// The lens model that the camera's file, or another of the calibration, names; and where.
fn said_model<'a>(
    camera: &Node<'a>,
    nodes: &[Node<'a>],
) -> Result<Option<(LensModel, Node<'a>)>, FormatError> {
    for node in std::iter::once(camera).chain(nodes) {
        if let Some(flag) = node.optional("fisheye_model") {
            let fisheye = flag.number()? != 0.0;
            let model =
                if fisheye { LensModel::KannalaBrandt } else { LensModel::RadialTangential };
            return Ok(Some((model, flag)));
        }
        if let Some(name) = node.optional("distortion_model") {
            let model = match name.text()?.to_lowercase().as_str() {
                "fisheye" | "equidistant" | "kannala-brandt" => LensModel::KannalaBrandt,
                "radial-tangential"
                | "radtan"
                | "plumb_bob"
                | "rational_polynomial"
                | "pinhole"
                | "brown-conrady" => LensModel::RadialTangential,
                _ => return Err(name.wrong("fisheye, or plumb_bob or rational_polynomial")),
            };
            return Ok(Some((model, name)));
        }
    }
    Ok(None)
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
        [first, second, ..] => {
            let all = nodes.iter().map(Node::origin).collect::<Vec<_>>().join(", ");
            same_size(&all, first, second)
        }
    }
}

/// In a file for each camera.
const SINGLE_MATRIX: [&str; 2] = ["camera_matrix", "cameraMatrix"];
const SINGLE_LENS: [&str; 4] =
    ["distortion_coefficients", "distCoeffs", "dist_coeffs", "distortion_coeffs"];
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
