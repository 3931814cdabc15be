//! Calibration files of other programs: which one it is, reading and writing it.
//!
//! | format | files | lens models |
//! |---|---|---|
//! | native | one TOML | all |
//! | KITTI odometry | `calib.txt` | none: rectified |
//! | KITTI raw | `calib_cam_to_cam.txt` | radial-tangential |
//! | OpenCV | one YAML, or intrinsics and extrinsics | radial-tangential, Kannala-Brandt |
//! | ROS `camera_info` | a YAML for each camera | radial-tangential, Kannala-Brandt (`equidistant`) |
//! | Kalibr camchain | one YAML | radial-tangential, Kannala-Brandt, double sphere, extended unified |
//! | EuRoC `sensor.yaml` | a YAML for each camera | radial-tangential, Kannala-Brandt |
//! | Basalt | one JSON | radial-tangential, Kannala-Brandt, double sphere, extended unified |
//!
//! The format is recognised by what a file contains. Of two files the first is the left camera's, unless their names say
//! otherwise. All formats but KITTI's know nothing of the vehicle: the mount is then [`Options::left_from_ego`].

mod basalt;
mod document;
mod euroc;
mod kalibr;
mod kitti_raw;
mod opencv;
mod ros;
mod yaml;

use document::Node;
use nalgebra::{Matrix3, Matrix4, Vector3};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, CoefficientError, Distortion};
use occdepth_geometry::rig::{RigError, StereoRig};
use serde_json::Value;

/// A format of calibration files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// This project's own TOML.
    Native,
    /// `calib.txt` of the KITTI odometry benchmark.
    KittiOdometry,
    /// `calib_cam_to_cam.txt` of KITTI's raw recordings.
    KittiRaw,
    /// What OpenCV's samples write: M1, D1, M2, D2, R, T and their many names.
    OpenCv,
    /// ROS `camera_info`, as `camera_calibration` writes it.
    Ros,
    /// Kalibr's camchain.
    Kalibr,
    /// `sensor.yaml` of the EuRoC datasets.
    Euroc,
    /// Basalt's `calibration.json`.
    Basalt,
}

impl Format {
    /// Every format, by its name on the command line.
    pub const ALL: [(&'static str, Self); 8] = [
        ("native", Self::Native),
        ("kitti-odometry", Self::KittiOdometry),
        ("kitti-raw", Self::KittiRaw),
        ("opencv", Self::OpenCv),
        ("ros", Self::Ros),
        ("kalibr", Self::Kalibr),
        ("euroc", Self::Euroc),
        ("basalt", Self::Basalt),
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

/// A file, already read.
#[derive(Clone, Copy, Debug)]
pub struct File<'a> {
    /// Its path, for messages and for telling left from right.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// What files do not say.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Of both cameras, for formats that do not carry it.
    pub image_size: Option<ImageSize>,
    /// Metres of one unit of the file's translations: 0.001 for millimetres, the size of a square for boards.
    pub unit_m: f64,
    /// The mount of the left camera, for formats that do not carry it.
    pub left_from_ego: Matrix4<f64>,
    /// Left and right camera of KITTI's raw recordings: 2 and 3 (colour) or 0 and 1 (grey).
    pub kitti_cameras: [u8; 2],
}

impl Default for Options {
    fn default() -> Self {
        Self { image_size: None, unit_m: 1.0, left_from_ego: level_mount(), kitti_cameras: [2, 3] }
    }
}

/// A level camera at the origin of the vehicle, looking forward: its x axis is the vehicle's right, y its down, z its
/// forward.
pub fn level_mount() -> Matrix4<f64> {
    Matrix3::new(0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0).to_homogeneous()
}

/// A rig that was read from foreign files.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The rig, valid.
    pub rig: StereoRig,
    /// What it was read from.
    pub format: Format,
    /// What whoever uses the rig has to know: what was assumed, what is missing.
    pub notes: Vec<String>,
}

/// Why files are no rig.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FormatError {
    /// Not text of the format's syntax.
    #[error("{origin}:{line}: {message}")]
    Syntax {
        /// The file.
        origin: String,
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A field that the format needs.
    #[error("{origin}: {field} is missing, expected {expected}")]
    Missing {
        /// The file.
        origin: String,
        /// Its path in the file.
        field: String,
        /// What should be there.
        expected: String,
    },
    /// A field that cannot be used.
    #[error("{origin}: {field} is {found}, expected {expected}")]
    Value {
        /// The file.
        origin: String,
        /// Its path in the file.
        field: String,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// No known format, or not the number of files that it has.
    #[error("{origin}: {found}, expected {expected}")]
    Files {
        /// The files.
        origin: String,
        /// What they are.
        found: String,
        /// What is needed.
        expected: String,
    },
    /// The file was understood; the rig in it is not usable.
    #[error(transparent)]
    Rig(#[from] RigError),
}

/// What is in the name of a left camera's file, and of a right one's.
const LEFT_NAMES: [&str; 3] = ["left", "cam0", "camera0"];
const RIGHT_NAMES: [&str; 3] = ["right", "cam1", "camera1"];
/// Larger files are no calibrations.
const FILE_MAX_BYTES: usize = 4 << 20;

/// Tells the format of `files` by their contents.
///
/// # Errors
/// [`FormatError::Files`] when it is none that is known.
pub fn detect(files: &[File<'_>]) -> Result<Format, FormatError> {
    let first = one_of_at_least(files)?;
    let has_line = |prefixes: &[&str]| {
        first.text.lines().any(|line| prefixes.iter().any(|prefix| line.starts_with(prefix)))
    };
    // Whole lines first: these are no YAML, or YAML only by accident.
    if has_line(&["P_rect_0", "K_0", "calib_time:"]) {
        return Ok(Format::KittiRaw);
    }
    if has_line(&["P0:", "P1:", "P2:", "P3:"]) {
        return Ok(Format::KittiOdometry);
    }
    if first.text.trim_start().starts_with('{') {
        return Ok(Format::Basalt);
    }
    if first.text.contains("opencv-matrix") || first.text.starts_with("%YAML:") {
        return Ok(Format::OpenCv);
    }
    if has_line(&["[left]", "image_size = ", "right_from_left"]) {
        return Ok(Format::Native);
    }
    let has_key = |keys: &[&str]| has_line(&keys.iter().map(|k| &**k).collect::<Vec<_>>());
    if has_key(&["cam0:", "cam1:"]) {
        Ok(Format::Kalibr)
    } else if has_key(&["T_BS:", "sensor_type:"]) {
        Ok(Format::Euroc)
    } else if has_key(&["projection_matrix:", "rectification_matrix:"]) {
        Ok(Format::Ros)
    } else if has_key(&["M1:", "K1:", "cameraMatrix1:", "camera_matrix_1:"]) {
        Ok(Format::OpenCv)
    } else {
        Err(FormatError::Files {
            origin: first.name.to_owned(),
            found: "found no known calibration".to_owned(),
            expected: format!("one of {}", Format::ALL.map(|(name, _)| name).join(", ")),
        })
    }
}

/// Reads a rig from `files` of `format`.
///
/// # Errors
/// What is missing or wrong, by file and field; and whatever makes the rig unusable.
pub fn import(
    format: Format,
    files: &[File<'_>],
    options: &Options,
) -> Result<Imported, FormatError> {
    for file in files {
        if file.text.len() > FILE_MAX_BYTES {
            return Err(FormatError::Files {
                origin: file.name.to_owned(),
                found: format!("found {} bytes", file.text.len()),
                expected: format!("a calibration of at most {FILE_MAX_BYTES}"),
            });
        }
    }
    if !(options.unit_m.is_finite() && options.unit_m > 0.0) {
        return Err(FormatError::Value {
            origin: "options".to_owned(),
            field: "unit".to_owned(),
            found: options.unit_m.to_string(),
            expected: "a positive number of metres".to_owned(),
        });
    }
    let mut notes = Vec::new();
    let rig = match format {
        Format::Native => {
            let file = exactly::<1>(format, files)?[0];
            StereoRig::from_toml(file.text, file.name)?
        }
        Format::KittiOdometry => {
            let file = exactly::<1>(format, files)?[0];
            let size = image_size(options, file.name, "the size of the sequence's images")?;
            StereoRig::from_kitti_calib(file.text, file.name, size)?
        }
        Format::KittiRaw => kitti_raw::read(exactly::<1>(format, files)?[0], options)?,
        Format::OpenCv => opencv::read(files, options)?,
        Format::Ros => ros::read(&sides(exactly(format, files)?, &mut notes), options)?,
        Format::Kalibr => kalibr::read(exactly::<1>(format, files)?[0], options)?,
        Format::Euroc => euroc::read(&sides(exactly(format, files)?, &mut notes), options)?,
        Format::Basalt => basalt::read(exactly::<1>(format, files)?[0], options)?,
    };
    let origin = files.first().map_or("rig", |file| file.name);
    rig.validate(origin)?;
    #[expect(clippy::float_cmp, reason = "1 is the default, not the result of a computation")]
    if options.unit_m != 1.0 && matches!(format, Format::Native | Format::KittiOdometry) {
        notes.push("the unit was not used: this format is in metres".to_owned());
    }
    if !matches!(format, Format::Native | Format::KittiOdometry)
        && options.left_from_ego == level_mount()
    {
        notes.push(
            "the mount is not in the file: [left_from_ego] is a level camera at the vehicle's origin, looking \
             forward; set it before the grid is used"
                .to_owned(),
        );
    }
    Ok(Imported { rig, format, notes })
}

/// Writes `rig` as files of `format`: names and texts.
///
/// # Errors
/// [`FormatError::Value`] when the format has no such rig: a lens model that it does not know, a rectified pair where it
/// holds physical cameras only, or the other way round.
pub fn export(rig: &StereoRig, format: Format) -> Result<Vec<(String, String)>, FormatError> {
    let one = |name: &str, text: String| vec![(name.to_owned(), text)];
    Ok(match format {
        Format::Native => one("rig.toml", rig.to_toml()),
        Format::KittiOdometry => one("calib.txt", kitti_raw::write_odometry(rig)?),
        Format::KittiRaw => one("calib_cam_to_cam.txt", kitti_raw::write(rig)?),
        Format::OpenCv => opencv::write(rig)?,
        Format::Ros => ros::write(rig)?,
        Format::Kalibr => one("camchain.yaml", kalibr::write(rig)),
        Format::Euroc => euroc::write(rig)?,
        Format::Basalt => one("calibration.json", basalt::write(rig)?),
    })
}

fn one_of_at_least<'a>(files: &[File<'a>]) -> Result<File<'a>, FormatError> {
    files.first().copied().ok_or_else(|| FormatError::Files {
        origin: "import".to_owned(),
        found: "found no file".to_owned(),
        expected: "at least one".to_owned(),
    })
}

fn exactly<'a, const N: usize>(
    format: Format,
    files: &[File<'a>],
) -> Result<[File<'a>; N], FormatError> {
    <[File<'a>; N]>::try_from(files).map_err(|_| FormatError::Files {
        origin: files.iter().map(|file| file.name).collect::<Vec<_>>().join(", "),
        found: format!("found {} files", files.len()),
        expected: match N {
            1 => format!("one file of format {}", format.name()),
            _ => format!("{N} files of format {}, left and right", format.name()),
        },
    })
}

/// Left first: by their names where those say so, else as given.
fn sides<'a>(files: [File<'a>; 2], notes: &mut Vec<String>) -> [File<'a>; 2] {
    let says = |file: &File<'_>, words: &[&str]| {
        let name = file.name.to_lowercase();
        words.iter().any(|word| name.contains(word))
    };
    let [first, second] = files;
    let swapped = says(&first, &RIGHT_NAMES) && says(&second, &LEFT_NAMES);
    let [left, right] = if swapped { [second, first] } else { [first, second] };
    notes.push(format!("left camera from {}, right camera from {}", left.name, right.name));
    [left, right]
}

fn image_size(options: &Options, origin: &str, expected: &str) -> Result<ImageSize, FormatError> {
    options.image_size.ok_or_else(|| FormatError::Missing {
        origin: origin.to_owned(),
        field: "the image size".to_owned(),
        expected: format!("{expected}, which this format does not carry (--image-size WxH)"),
    })
}

/// Both files' or cameras' sizes, which must be one.
fn same_size(origin: &str, left: ImageSize, right: ImageSize) -> Result<ImageSize, FormatError> {
    if left == right {
        return Ok(left);
    }
    Err(FormatError::Value {
        origin: origin.to_owned(),
        field: "image size of the right camera".to_owned(),
        found: format!("{}x{}", right.width, right.height),
        expected: format!("{}x{}, as of the left camera", left.width, left.height),
    })
}

fn json(file: File<'_>) -> Result<Value, FormatError> {
    serde_json::from_str(file.text).map_err(|error| FormatError::Syntax {
        origin: file.name.to_owned(),
        line: error.line(),
        message: error.to_string(),
    })
}

/// A lens of `model` with the coefficients of `node`.
fn lens(
    node: &Node<'_>,
    make: impl Fn(&[f64]) -> Result<Distortion, CoefficientError>,
) -> Result<Distortion, FormatError> {
    let coefficients = node.vector()?;
    make(&coefficients).map_err(|error| {
        node.wrong_as(format!("{coefficients:?}"), &format!("coefficients of its model: {error}"))
    })
}

/// A rig of two physical cameras.
fn physical(
    name: &str,
    image_size: ImageSize,
    [left, right]: [Camera; 2],
    right_from_left: Matrix4<f64>,
    options: &Options,
) -> StereoRig {
    let mut right_from_left = right_from_left;
    let t: Vector3<f64> = right_from_left.fixed_view::<3, 1>(0, 3) * options.unit_m;
    right_from_left.fixed_view_mut::<3, 1>(0, 3).copy_from(&t);
    StereoRig {
        name: name.to_owned(),
        image_size,
        left,
        right,
        right_from_left,
        left_from_ego: options.left_from_ego,
        rectified: false,
    }
}

/// `a_from_b` of two poses in one frame: inverse(`frame_from_a`) * `frame_from_b`.
fn relative(
    node: &Node<'_>,
    frame_from_a: &Matrix4<f64>,
    frame_from_b: &Matrix4<f64>,
) -> Result<Matrix4<f64>, FormatError> {
    for pose in [frame_from_a, frame_from_b] {
        let last: [f64; 4] = pose.row(3).into_owned().into();
        let (found, expected) = (last, [0.0, 0.0, 0.0, 1.0]);
        if found
            .iter()
            .zip(expected)
            .any(|(found, expected): (&f64, f64)| (found - expected).abs() > 1e-9)
        {
            return Err(
                node.wrong_as(format!("a matrix with the last row {found:?}"), "0 0 0 1 there")
            );
        }
    }
    let inverse = frame_from_a
        .try_inverse()
        .ok_or_else(|| node.wrong("an invertible matrix (this one is singular)"))?;
    let mut relative = inverse * frame_from_b;
    // Exactly, whatever the inversion made of it.
    relative.fixed_view_mut::<1, 4>(3, 0).copy_from_slice(&[0.0, 0.0, 0.0, 1.0]);
    Ok(relative)
}

fn unsupported(rig: &StereoRig, format: Format, expected: &str) -> FormatError {
    FormatError::Value {
        origin: rig.name.clone(),
        field: format!("the rig for format {}", format.name()),
        found: if rig.rectified {
            "a rectified pair".to_owned()
        } else {
            format!("{} and {} lenses", rig.left.distortion.model(), rig.right.distortion.model())
        },
        expected: expected.to_owned(),
    }
}

fn rotation(matrix: &Matrix4<f64>) -> Matrix3<f64> {
    matrix.fixed_view::<3, 3>(0, 0).into_owned()
}

fn translation(matrix: &Matrix4<f64>) -> Vector3<f64> {
    matrix.fixed_view::<3, 1>(0, 3).into_owned()
}

/// Numbers of a matrix by rows, in the shortest digits that read back as the same.
fn by_rows<const R: usize, const C: usize>(matrix: &nalgebra::SMatrix<f64, R, C>) -> String {
    let numbers: Vec<String> =
        matrix.transpose().iter().map(|number| format!("{number:?}")).collect();
    numbers.join(", ")
}

fn joined(numbers: &[f64]) -> String {
    numbers.iter().map(|number| format!("{number:?}")).collect::<Vec<_>>().join(", ")
}
