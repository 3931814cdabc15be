//! What is suspicious about a rig that is valid.
//!
//! [`StereoRig::validate`] refuses what no rig can be. Much more is hardly ever meant: a baseline in squares of a board, a
//! matrix of images of another size, a lens model that ends inside the image. Such a rig can be used, and whoever made it
//! should hear of it before a vehicle drives with it. The bounds leave room for every published rig that we know of.

use nalgebra::{Rotation3, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Intrinsics};
use occdepth_geometry::fit::{Fit, FitError, NetworkCameras};
use occdepth_geometry::rectification::RemapTable;
use occdepth_geometry::rig::StereoRig;
use std::fmt;

/// One thing that is suspicious. Displayed as one line: what was found, what is expected, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// What it is about.
    pub about: About,
    /// What the rig says.
    pub found: String,
    /// What rigs say as a rule.
    pub expected: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Suspicion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, expected, advice, .. } = self;
        write!(f, "{found}, expected {expected}: {advice}")
    }
}

/// What a suspicion is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// The distance between the cameras, and so the unit of the translation.
    Baseline,
    /// The right camera lies above, below, before or behind the left one rather than beside it.
    Direction,
    /// The cameras look in different directions.
    Rotation,
    /// A principal point far from the centre of its image.
    PrincipalPoint,
    /// Focal lengths of the two cameras, or of rows and columns, that differ.
    FocalLengths,
    /// An angle of view that no such lens has.
    AngleOfView,
    /// A lens model that ends inside the image.
    LensRange,
    /// Lens models that differ.
    LensModels,
    /// The rectified views show little of what the cameras see, or nothing.
    Coverage,
}

impl About {
    /// Its name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Direction => "direction",
            Self::Rotation => "rotation",
            Self::PrincipalPoint => "principal-point",
            Self::FocalLengths => "focal-lengths",
            Self::AngleOfView => "angle-of-view",
            Self::LensRange => "lens-range",
            Self::LensModels => "lens-models",
            Self::Coverage => "coverage",
        }
    }
}

/// Everything that is suspicious about a valid `rig`; nothing, for a good one.
pub fn suspicions(rig: &StereoRig) -> Vec<Suspicion> {
    let mut found = Vec::new();
    found.extend(baseline(rig.baseline_m()));
    if !rig.rectified {
        found.extend(rotation(rig));
        found.extend(direction(rig));
    }
    for (side, camera) in [("left", &rig.left), ("right", &rig.right)] {
        found.extend(principal_point(side, &camera.intrinsics, rig.image_size));
        found.extend(square_pixels(side, &camera.intrinsics));
        found.extend(angle_of_view(side, camera, rig.image_size));
        found.extend(lens_range(side, camera, rig.image_size));
    }
    found.extend(focal_lengths(rig));
    found.extend(lens_models(rig));
    found.extend(coverage(rig));
    found
}

fn suspicion(
    about: About,
    found: String,
    expected: String,
    advice: impl Into<String>,
) -> Suspicion {
    Suspicion { about, found, expected, advice: advice.into() }
}

fn baseline(baseline_m: f64) -> Option<Suspicion> {
    let advice = if baseline_m < BASELINE_MIN_M {
        "depth is guesswork beyond a few baselines; measure between the lenses, and check --unit if the rig was \
         imported with one"
            .to_owned()
    } else if baseline_m <= BASELINE_MAX_M {
        return None;
    } else if baseline_m / 1000.0 >= BASELINE_MIN_M {
        let metres = baseline_m / 1000.0;
        format!(
            "if the calibration is in millimetres, import it with --unit mm ({metres:.3} m); else measure \
             between the lenses"
        )
    } else {
        let metres = baseline_m * 0.025;
        format!(
            "if the calibration's unit is a board square, import it with the size of a square in metres \
             (--unit 0.025 for 25 mm: {metres:.3} m); else measure between the lenses"
        )
    };
    Some(suspicion(
        About::Baseline,
        format!("the baseline is {baseline_m:.4} m"),
        format!("{BASELINE_MIN_M} to {BASELINE_MAX_M} m"),
        advice,
    ))
}

fn rotation(rig: &StereoRig) -> Option<Suspicion> {
    let angle_deg = right_from_left(rig).angle().to_degrees();
    (angle_deg > ROTATION_MAX_DEG).then(|| {
        suspicion(
            About::Rotation,
            format!("the right camera is turned by {angle_deg:.1} degrees against the left one"),
            format!("{ROTATION_MAX_DEG} at most"),
            "check that the rotation is R of this rig (right from left) and not that of one view of the board, and \
             that both images are the same way up",
        )
    })
}

fn direction(rig: &StereoRig) -> Option<Suspicion> {
    // Seen along the mean of both cameras' axes, as rectification sees it.
    let mean_from_right = right_from_left(rig).powf(-0.5);
    let t: Vector3<f64> = rig.right_from_left.fixed_view::<3, 1>(0, 3).into_owned();
    let angle_deg = (mean_from_right * t).angle(&-Vector3::x()).to_degrees();
    (angle_deg > DIRECTION_MAX_DEG).then(|| {
        suspicion(
            About::Direction,
            format!(
                "the line between the cameras is {angle_deg:.1} degrees off their x axis \
                 (right_from_left.translation_m is [{:.4}, {:.4}, {:.4}])",
                t.x, t.y, t.z
            ),
            format!("{DIRECTION_MAX_DEG} at most"),
            "check that the translation is T of this rig and that its axes are x right, y down, z forward",
        )
    })
}

fn principal_point(side: &str, k: &Intrinsics, size: ImageSize) -> Option<Suspicion> {
    let [width, height] = [f64::from(size.width), f64::from(size.height)];
    let centre = [(width - 1.0) / 2.0, (height - 1.0) / 2.0];
    let off = [(k.cx - centre[0]).abs() / width, (k.cy - centre[1]).abs() / height];
    off.iter().any(|&share| share > PRINCIPAL_POINT_MAX).then(|| {
        suspicion(
            About::PrincipalPoint,
            format!("the {side} principal point is ({:.1}, {:.1}) in images of {size}", k.cx, k.cy),
            format!(
                "within {:.0} % of the centre ({:.1}, {:.1})",
                100.0 * PRINCIPAL_POINT_MAX,
                centre[0],
                centre[1]
            ),
            format!(
                "check that the calibration was made at this image size; it looks like one of {:.0}x{:.0}",
                2.0 * k.cx + 1.0,
                2.0 * k.cy + 1.0
            ),
        )
    })
}

fn square_pixels(side: &str, k: &Intrinsics) -> Option<Suspicion> {
    let aspect = k.fy / k.fx;
    ((aspect - 1.0).abs() > ASPECT_MAX).then(|| {
        suspicion(
            About::FocalLengths,
            format!("the {side} camera has fx {:.1} and fy {:.1}", k.fx, k.fy),
            format!("a difference of {:.0} % at most (square pixels)", 100.0 * ASPECT_MAX),
            "check that the images were not stretched, and calibrate with views of the board at all tilts",
        )
    })
}

fn angle_of_view(side: &str, camera: &Camera, size: ImageSize) -> Option<Suspicion> {
    let row = camera.intrinsics.cy;
    let [first, last] =
        [0.0, f64::from(size.width - 1)].map(|column| camera.unproject([column, row]).ok());
    // To the left of the axis counts down: beyond half a turn the angle between the rays would come back.
    let [first, last] = [first?, last?].map(|ray| ray.x.atan2(ray.z).to_degrees());
    let (angle_deg, most) = (
        last - first,
        if camera.distortion.is_fisheye() { FISHEYE_MAX_DEG } else { PINHOLE_MAX_DEG },
    );
    (!(ANGLE_MIN_DEG..=most).contains(&angle_deg)).then(|| {
        suspicion(
            About::AngleOfView,
            format!(
                "the {side} camera sees {angle_deg:.1} degrees from edge to edge (fx {:.1} in {} pixels)",
                camera.intrinsics.fx, size.width
            ),
            format!("{ANGLE_MIN_DEG} to {most}"),
            "check that the focal length is in pixels and belongs to images of this size",
        )
    })
}

fn lens_range(side: &str, camera: &Camera, size: ImageSize) -> Option<Suspicion> {
    let range_deg = camera.range_rad().to_degrees();
    // The image of a fisheye lens is a circle: that its model ends there, far out, is how it should be.
    if camera.distortion.is_fisheye() && range_deg > FISHEYE_RANGE_DEG {
        return None;
    }
    let pixels = sampled_pixels(size);
    let unseen = pixels.iter().filter(|&&pixel| camera.unproject(pixel).is_err()).count();
    let share = unseen as f64 / pixels.len() as f64;
    (share > UNSEEN_MAX).then(|| {
        suspicion(
            About::LensRange,
            format!(
                "the {side} lens model ({}) turns back {range_deg:.1} degrees off the axis, inside the image: {:.0} % of \
                 it cannot be used",
                camera.distortion.model(),
                100.0 * share
            ),
            "a model that reaches the corners".to_owned(),
            "calibrate with corners of the board all over the image, or with fewer coefficients",
        )
    })
}

fn focal_lengths(rig: &StereoRig) -> Option<Suspicion> {
    let [left, right] = [rig.left.intrinsics.fx, rig.right.intrinsics.fx];
    let ratio = left.max(right) / left.min(right);
    (ratio - 1.0 > FOCAL_DIFFERENCE_MAX).then(|| {
        suspicion(
            About::FocalLengths,
            format!("fx is {left:.1} in the left camera and {right:.1} in the right one"),
            format!("a difference of {:.0} % at most", 100.0 * FOCAL_DIFFERENCE_MAX),
            "check that both were calibrated at the same image size and that zoom and focus are fixed",
        )
    })
}

fn lens_models(rig: &StereoRig) -> Option<Suspicion> {
    let [left, right] = [&rig.left, &rig.right].map(|camera| camera.distortion);
    (left.is_fisheye() != right.is_fisheye()).then(|| {
        suspicion(
            About::LensModels,
            format!("the left lens is {} and the right one {}", left.model(), right.model()),
            "the same model for both".to_owned(),
            "check the files; a network can be fitted to such a rig, OpenCV's rectification (`rig show`, ROS) has none",
        )
    })
}

/// How much of each image the rectified views show, as the runtime chooses them.
fn coverage(rig: &StereoRig) -> Option<Suspicion> {
    let fisheye = rig.left.distortion.is_fisheye() || rig.right.distortion.is_fisheye();
    let least = if fisheye { FISHEYE_COVERAGE_MIN } else { COVERAGE_MIN };
    let found = match NetworkCameras::new(rig, Fit::Rectify, preview(rig.image_size)) {
        Err(FitError::NoCommonView { .. }) => {
            "the rectified views have nothing in common (the runtime refuses such a rig)".to_owned()
        }
        // A valid rig has no other.
        Err(_) => return None,
        Ok(cameras) => {
            // Without a map the images are used as they are.
            let [left, right] = [cameras.left.map, cameras.right.map]
                .map(|map| map.map_or(1.0, |map| share(&map, rig.image_size)));
            if left.min(right) >= least {
                return None;
            }
            let [left, right] = [left, right].map(|share| 100.0 * share);
            format!(
                "the rectified views show {left:.0} % of the left and {right:.0} % of the right image"
            )
        }
    };
    Some(suspicion(
        About::Coverage,
        found,
        format!("{:.0} % of each at least", 100.0 * least),
        "only what both cameras show is left after turning the views to each other: check rotation, principal \
         points and lens coefficients",
    ))
}

/// The share of `image` inside the outline of where a rectified view comes from.
fn share(map: &RemapTable, image: ImageSize) -> f64 {
    let [width, height] = [map.size.width as usize, map.size.height as usize];
    let at = |column: usize, row: usize| map.source[row * width + column].map(f64::from);
    let outline: Vec<[f64; 2]> = (0..width - 1)
        .map(|column| at(column, 0))
        .chain((0..height - 1).map(|row| at(width - 1, row)))
        .chain((1..width).rev().map(|column| at(column, height - 1)))
        .chain((1..height).rev().map(|row| at(0, row)))
        .collect();
    // Half of the sum of the cross products around it.
    let next = outline.iter().cycle().skip(1);
    let twice: f64 = outline.iter().zip(next).map(|([x0, y0], [x1, y1])| x0 * y1 - x1 * y0).sum();
    let [columns, rows] = [image.width, image.height].map(|extent| f64::from(extent - 1).max(1.0));
    0.5 * twice / (columns * rows)
}

/// A size of the image's shape that is cheap to rectify.
fn preview(image: ImageSize) -> ImageSize {
    let shrink = f64::from(image.width.max(image.height)) / PREVIEW_MAX_PX;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most the limit"
    )]
    let shrunk = |extent: u32| (f64::from(extent) / shrink.max(1.0)).round().max(2.0) as u32;
    ImageSize { width: shrunk(image.width), height: shrunk(image.height) }
}

fn right_from_left(rig: &StereoRig) -> Rotation3<f64> {
    Rotation3::from_matrix_unchecked(rig.right_from_left.fixed_view::<3, 3>(0, 0).into_owned())
}

/// Pixels all over the image, its corners and edges among them.
fn sampled_pixels(size: ImageSize) -> Vec<[f64; 2]> {
    let [right, bottom] = [f64::from(size.width - 1), f64::from(size.height - 1)];
    let at = |index: usize| index as f64 / (SAMPLES - 1) as f64;
    (0..SAMPLES * SAMPLES)
        .map(|index| [right * at(index % SAMPLES), bottom * at(index / SAMPLES)])
        .collect()
}

/// The shortest pairs that are sold have 50 mm between their lenses.
const BASELINE_MIN_M: f64 = 0.02;
/// Cars carry 0.5 m, trucks hardly more than a metre; three squares of a board are beyond it.
const BASELINE_MAX_M: f64 = 1.5;
/// Stereo cameras look the same way; those that are bolted on by hand are off by a few degrees.
const ROTATION_MAX_DEG: f64 = 10.0;
const DIRECTION_MAX_DEG: f64 = 10.0;
/// Of the image's width or height. KITTI's are off by 6 %.
const PRINCIPAL_POINT_MAX: f64 = 0.15;
/// fy against fx.
const ASPECT_MAX: f64 = 0.05;
/// KITTI's colour cameras have zoom lenses that differ by 6 %.
const FOCAL_DIFFERENCE_MAX: f64 = 0.1;
const ANGLE_MIN_DEG: f64 = 10.0;
const PINHOLE_MAX_DEG: f64 = 150.0;
const FISHEYE_MAX_DEG: f64 = 260.0;
/// Of the image without a ray, as far as nobody would miss it.
const UNSEEN_MAX: f64 = 0.01;
/// A fisheye model that reaches this far ends where the image of its lens does.
const FISHEYE_RANGE_DEG: f64 = 80.0;
const COVERAGE_MIN: f64 = 0.4;
/// The rectified view of a fisheye is cut at 110 degrees.
const FISHEYE_COVERAGE_MIN: f64 = 0.15;
/// Rows and columns at which an image is looked at.
const SAMPLES: usize = 41;
const PREVIEW_MAX_PX: f64 = 256.0;
