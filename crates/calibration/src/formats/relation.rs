//! How the cameras lie to each other: poses of files, checked one by one, and what follows from two of them.

use super::document::Node;
use super::{FormatError, Options};
use nalgebra::{Matrix3, Matrix4, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::Camera;
use occdepth_geometry::rig::{RigError, StereoRig};

/// A rig, and which file says what of it.
pub(super) struct Read {
    pub(super) rig: StereoRig,
    pub(super) sources: Sources,
}

/// The files that speak of each part of a rig, so that messages blame the right one.
pub(super) struct Sources {
    pub(super) left: String,
    pub(super) right: String,
    /// How the right camera lies to the left one.
    pub(super) relation: String,
}

impl Sources {
    /// One file that says it all.
    pub(super) fn one(name: &str) -> Self {
        let [left, right, relation] = [name; 3].map(str::to_owned);
        Self { left, right, relation }
    }

    /// A file for each camera, each with its own pose.
    pub(super) fn two(left: &str, right: &str) -> Self {
        let relation = format!("{left}, {right}");
        Self { left: left.to_owned(), right: right.to_owned(), relation }
    }
}

impl Read {
    /// Two physical cameras.
    pub(super) fn physical(
        name: &str,
        image_size: ImageSize,
        [left, right]: [Camera; 2],
        right_from_left: Matrix4<f64>,
        options: &Options,
        sources: Sources,
    ) -> Self {
        let t = translation(&right_from_left) * options.unit_m;
        // The digits of two poses add up.
        let r = rotation(&right_from_left);
        let r = check_rotation(&r).unwrap_or(r);
        let rig = StereoRig {
            name: name.to_owned(),
            image_size,
            left,
            right,
            right_from_left: transform(&r, &t),
            left_from_ego: options.left_from_ego,
            rectified: false,
        };
        Self { rig, sources }
    }

    /// The rig, if it is valid.
    pub(super) fn validated(self) -> Result<StereoRig, FormatError> {
        let Self { rig, sources } = self;
        let Err(error) = rig.validate(&sources.left) else { return Ok(rig) };
        let translation = translation(&rig.right_from_left);
        let origin = match error.field() {
            field if field.starts_with("right_from_left") => &sources.relation,
            field if field.starts_with("right.") => &sources.right,
            _ => &sources.left,
        };
        let Err(error) = rig.validate(origin) else { return Ok(rig) };
        match error {
            RigError::Value { origin, field, found, .. }
                if field == "right_from_left.translation_m"
                    && translation.iter().all(|t| t.is_finite())
                    && translation.amax() > TRANSLATION_MAX_M =>
            {
                let expected = "less than 100 m: a file in millimetres or board squares needs its unit (--unit mm, or \
                                the metres of a square)";
                Err(FormatError::Value { origin, field, found, expected: expected.to_owned() })
            }
            error => Err(error.into()),
        }
    }
}

/// A pose of a file, which must be rigid: a scaled one would cancel in the product of two.
pub(super) fn pose(node: &Node<'_>) -> Result<Matrix4<f64>, FormatError> {
    let matrix: Matrix4<f64> = node.matrix()?;
    let last: [f64; 4] = matrix.row(3).into_owned().into();
    if last
        .iter()
        .zip([0.0, 0.0, 0.0, 1.0])
        .any(|(found, expected)| (found - expected).abs() > 1e-9)
    {
        let found = format!("a matrix with the last row {last:?}");
        return Err(node.wrong_as(&found, "0 0 0 1 there"));
    }
    let r = check_rotation(&rotation(&matrix))
        .map_err(|found| node.wrong_as(&found, "a rotation in its first three columns"))?;
    Ok(transform(&r, &translation(&matrix)))
}

/// A rotation of a file.
pub(super) fn rotation_of(node: &Node<'_>) -> Result<Matrix3<f64>, FormatError> {
    check_rotation(&node.matrix()?).map_err(|found| node.wrong_as(&found, "a rotation"))
}

/// `r`, or the rotation nearest to it where its digits were rounded; else what is wrong with it.
pub(super) fn check_rotation(r: &Matrix3<f64>) -> Result<Matrix3<f64>, String> {
    let error = (r.transpose() * r - Matrix3::identity()).amax();
    let determinant = r.determinant();
    if !(error <= ROUNDED && determinant > 0.0) {
        return Err(if determinant.abs() < 1e-9 {
            "a singular matrix".to_owned()
        } else {
            format!(
                "a matrix with determinant {determinant:.4} whose R^T R differs from I by {error:.1e}"
            )
        });
    }
    if error <= EXACT {
        return Ok(*r);
    }
    let parts = r.svd(true, true);
    Ok(match (parts.u, parts.v_t) {
        (Some(u), Some(v_t)) => u * v_t,
        _ => *r,
    })
}

/// `a_from_b` of two rigid poses in one frame: inverse(`frame_from_a`) * `frame_from_b`.
pub(super) fn relative(frame_from_a: &Matrix4<f64>, frame_from_b: &Matrix4<f64>) -> Matrix4<f64> {
    inverse(frame_from_a) * frame_from_b
}

/// Of a rigid pose.
pub(super) fn inverse(pose: &Matrix4<f64>) -> Matrix4<f64> {
    let r = rotation(pose).transpose();
    transform(&r, &-(r * translation(pose)))
}

pub(super) fn transform(r: &Matrix3<f64>, t: &Vector3<f64>) -> Matrix4<f64> {
    let mut matrix = r.to_homogeneous();
    matrix.fixed_view_mut::<3, 1>(0, 3).copy_from(t);
    matrix
}

pub(super) fn rotation(matrix: &Matrix4<f64>) -> Matrix3<f64> {
    matrix.fixed_view::<3, 3>(0, 0).into_owned()
}

pub(super) fn translation(matrix: &Matrix4<f64>) -> Vector3<f64> {
    matrix.fixed_view::<3, 1>(0, 3).into_owned()
}

/// Four decimals of a rotation.
const ROUNDED: f64 = 2e-4;
/// What a rig may have (five decimals) is left as it was written.
const EXACT: f64 = 2e-5;
/// As [`StereoRig::validate`] has it.
const TRANSLATION_MAX_M: f64 = 100.0;
