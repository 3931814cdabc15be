//! Calibration files of other programs: which one it is, reading and writing it.
//!
//! | format | files | lens models |
//! |---|---|---|
//! | native | one TOML | all |
//! | KITTI odometry | `calib.txt` | none: rectified |
//! | KITTI raw | `calib_cam_to_cam.txt`, and `calib_velo_to_cam.txt` for the mount | radial-tangential; none when rectified |
//! | OpenCV | one YAML, or intrinsics and extrinsics, or left, right and extrinsics | radial-tangential, Kannala-Brandt |
//! | ROS `camera_info` | a YAML for each camera | radial-tangential, Kannala-Brandt (`equidistant`) |
//! | Kalibr camchain | one YAML | radial-tangential, Kannala-Brandt, double sphere, extended unified |
//! | EuRoC `sensor.yaml` | a YAML for each camera | radial-tangential, Kannala-Brandt |
//! | Basalt | one JSON | radial-tangential, Kannala-Brandt, double sphere, extended unified |
//!
//! The format is recognised by what a file contains. Of two files the first is the left camera's, unless their names say
//! otherwise. All formats but KITTI's know nothing of the vehicle: the mount is then [`Options::left_from_ego`].
//!
//! Rotations may be rounded to four decimals; those that are rounded to fewer than five are replaced by the nearest
//! rotation.

mod basalt;
mod detect;
mod document;
mod euroc;
mod kalibr;
mod kitti_raw;
mod opencv;
mod relation;
mod ros;
mod yaml;

pub use detect::detect;

use detect::sides;
use document::Node;
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{CoefficientError, Distortion};
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

impl File<'_> {
    /// Without the byte-order mark that editors of other systems put first.
    fn without_mark(self) -> Self {
        Self { text: self.text.strip_prefix('\u{feff}').unwrap_or(self.text), ..self }
    }
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
    /// The images of KITTI's raw recordings are the rectified ones (`*_sync`).
    pub kitti_rectified: bool,
    /// The lens model of OpenCV's files, which mostly do not say which of two their coefficients are of.
    pub lens: Option<LensModel>,
}

/// The two lens models that have four coefficients in OpenCV's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LensModel {
    /// `calib3d`: k1 k2 p1 p2 ...
    RadialTangential,
    /// `cv::fisheye`: k1 k2 k3 k4.
    KannalaBrandt,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            image_size: None,
            unit_m: 1.0,
            left_from_ego: level_mount(),
            kitti_cameras: [2, 3],
            kitti_rectified: false,
            lens: None,
        }
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

/// Larger files are no calibrations, bytes.
pub const FILE_MAX_BYTES: usize = 4 << 20;

/// Reads a rig from `files` of `format`.
///
/// # Errors
/// What is missing or wrong, by file and field; and whatever makes the rig unusable.
pub fn import(
    format: Format,
    files: &[File<'_>],
    options: &Options,
) -> Result<Imported, FormatError> {
    let mut notes = Vec::new();
    let files: Vec<File<'_>> = files.iter().map(|file| file.without_mark()).collect();
    for file in &files {
        if file.text.len() > FILE_MAX_BYTES {
            return Err(FormatError::Files {
                origin: file.name.to_owned(),
                found: format!("found {} bytes", file.text.len()),
                expected: format!("a calibration of at most {FILE_MAX_BYTES}"),
            });
        }
        // A number that was cut is a number. (JSON ends with a bracket.)
        if format != Format::Basalt && !file.text.ends_with('\n') {
            let name = file.name;
            notes.push(format!(
                "the last line of {name} has no end: compare its last numbers, it may be cut off"
            ));
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
    let (rig, origin) = read(format, &files, options, &mut notes)?;
    if let Some(said) = options.image_size
        && said != rig.image_size
    {
        return Err(FormatError::Value {
            origin,
            field: "the image size".to_owned(),
            found: rig.image_size.to_string(),
            expected: format!(
                "{said}, as asked for (--image-size): calibrate at the size of the images"
            ),
        });
    }
    notes.extend(unused(format, options));
    Ok(Imported { rig, format, notes })
}

/// The rig, and the file that gives its image size.
fn read(
    format: Format,
    files: &[File<'_>],
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<(StereoRig, String), FormatError> {
    let read = match format {
        Format::Native => {
            let [file] = exactly(format, files)?;
            return Ok((StereoRig::from_toml(file.text, file.name)?, file.name.to_owned()));
        }
        Format::KittiOdometry => {
            let [file] = exactly(format, files)?;
            let size = image_size(options, file.name, "the size of the sequence's images")?;
            let rig = StereoRig::from_kitti_calib(file.text, file.name, size)?;
            return Ok((rig, file.name.to_owned()));
        }
        Format::KittiRaw => kitti_raw::read(files, options, notes)?,
        Format::OpenCv => opencv::read(files, options, notes)?,
        Format::Ros => ros::read(&sides(exactly(format, files)?, notes), options)?,
        Format::Kalibr => kalibr::read(exactly::<1>(format, files)?[0], options)?,
        Format::Euroc => euroc::read(&sides(exactly(format, files)?, notes), options)?,
        Format::Basalt => basalt::read(exactly::<1>(format, files)?[0], options)?,
    };
    let origin = read.sources.left.clone();
    if read.rig.left_from_ego == level_mount() {
        notes.push(
            "the mount is not in the file: [left_from_ego] is a level camera at the vehicle's origin, looking \
             forward; set it before the grid is used"
                .to_owned(),
        );
    }
    Ok((read.validated()?, origin))
}

/// Options that the format has no use for.
fn unused(format: Format, options: &Options) -> Vec<String> {
    let metres = matches!(format, Format::Native | Format::KittiOdometry);
    #[expect(clippy::float_cmp, reason = "1 is the default, not the result of a computation")]
    let unit = metres && options.unit_m != 1.0;
    [
        (unit, "the unit was not used: this format is in metres"),
        (
            options.lens.is_some() && format != Format::OpenCv,
            "the lens model was not used: this format says which it is",
        ),
        (
            options.kitti_rectified && format != Format::KittiRaw,
            "whether the images are rectified was not used: it is a question of KITTI's raw recordings",
        ),
    ]
    .into_iter()
    .filter(|(unused, _)| *unused)
    .map(|(_, note)| note.to_owned())
    .collect()
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
        Format::Kalibr => one("camchain.yaml", kalibr::write(rig)?),
        Format::Euroc => euroc::write(rig)?,
        Format::Basalt => one("calibration.json", basalt::write(rig)),
    })
}

/// What of `rig` files of `format` do not carry, for whoever exports it.
pub fn lost(rig: &StereoRig, format: Format) -> Vec<String> {
    let mut lost = Vec::new();
    if matches!(format, Format::Native) {
        return lost;
    }
    if format == Format::KittiOdometry {
        lost.push(format!(
            "the image size is not in the file: import it with --image-size {}",
            rig.image_size
        ));
        return lost;
    }
    lost.push(
        "the mount ([left_from_ego]) is not in the files: the format has no place for it"
            .to_owned(),
    );
    if rig.rectified {
        lost.push(
            "that the images are rectified is not in the files: they describe two physical cameras without \
             distortion"
                .to_owned(),
        );
    }
    if format == Format::Basalt {
        lost.push("the IMU's noise is a guess, its biases, the time offset and the vignette are neutral: a rig has none".to_owned());
    }
    lost
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
        node.wrong_as(&format!("{coefficients:?}"), &format!("coefficients of its model: {error}"))
    })
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

/// Numbers of a matrix by rows, in the shortest digits that read back as the same.
fn by_rows<const R: usize, const C: usize>(matrix: &nalgebra::SMatrix<f64, R, C>) -> String {
    let numbers: Vec<String> =
        matrix.transpose().iter().map(|number| format!("{number:?}")).collect();
    numbers.join(", ")
}

fn joined(numbers: &[f64]) -> String {
    numbers.iter().map(|number| format!("{number:?}")).collect::<Vec<_>>().join(", ")
}

/// The shortest of OpenCV's lists of 4, 5 or 8 radial-tangential coefficients that holds all that are not 0.
fn shortest(k: &[f64; 8]) -> &[f64] {
    let used = k.iter().rposition(|&c| c != 0.0).map_or(0, |last| last + 1);
    let length = [4, 5].into_iter().find(|&length| length >= used).unwrap_or(8);
    &k[..length]
}
