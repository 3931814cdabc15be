//! What a stream is, fixed for the life of a segment.

use crate::layout::segment;

/// What a stream is: everything a client needs to understand its grids. Fixed for the life of a
/// writer; a change of any of it is a new segment with a new epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamDescription {
    /// Name of the stream, at most 64 bytes: "front".
    pub stream: String,
    /// Program and version that write it, at most 64 bytes: "occdepth 0.1.0".
    pub producer: String,
    /// The voxel grid.
    pub grid: GridGeometry,
    /// 4x4, row by row, metres: from the frame of the grid to the rectified left camera (x right,
    /// y down, z forward).
    pub rectified_from_ego: [[f64; 4]; 4],
    /// The rectified left camera.
    pub rectified: RectifiedCamera,
    /// The classes that labels name, at most 64, each id once. 255 is no class: it labels a voxel
    /// of which nothing is known.
    pub classes: Vec<Class>,
    /// Whether every grid carries a confidence for every voxel.
    pub confidence: bool,
    /// Whether the network was trained; grids of an untrained network mean nothing.
    pub trained: bool,
    /// SHA-256 of the network (the ONNX file).
    pub network_sha256: [u8; 32],
    /// SHA-256 of what actually runs: the engine built from the network, or the network itself.
    pub engine_sha256: [u8; 32],
}

/// The label of a voxel of which nothing is known. Never a class id.
pub const UNKNOWN_LABEL: u8 = 255;

impl StreamDescription {
    /// Checks everything that the segment demands of a description.
    ///
    /// # Errors
    /// The first field that does not fit, with what it holds and what it should hold.
    pub fn validate(&self) -> Result<(), DescriptionError> {
        self.validated_voxels().map(drop)
    }

    /// [`validate`](Self::validate), and how many voxels the grid has.
    pub(crate) fn validated_voxels(&self) -> Result<usize, DescriptionError> {
        text("stream", &self.stream, 1, segment::STREAM.bytes)?;
        text("producer", &self.producer, 0, segment::PRODUCER.bytes)?;
        text("grid.frame", &self.grid.frame, 1, segment::FRAME.bytes)?;
        let Some(voxels) = self.grid.voxels() else {
            return Err(DescriptionError::new(
                "grid.dims",
                format!("{:?}", self.grid.dims),
                "three sizes of at least 1 whose product is at most 2^30",
            ));
        };
        let size_m = self.grid.voxel_size_m;
        if !(size_m.is_finite() && size_m > 0.0) {
            return Err(DescriptionError::new(
                "grid.voxel_size_m",
                size_m.to_string(),
                "a positive number",
            ));
        }
        finite("grid.origin_m", &self.grid.origin_m)?;
        finite("rectified_from_ego", self.rectified_from_ego.as_flattened())?;
        let camera = &self.rectified;
        finite("rectified", &[camera.fx_px, camera.fy_px, camera.cx_px, camera.cy_px])?;
        if self.classes.len() > segment::CLASS_CAPACITY {
            let found = self.classes.len().to_string();
            return Err(DescriptionError::new("classes", found, "at most 64 classes"));
        }
        let mut seen = [false; 256];
        for class in &self.classes {
            if class.id == UNKNOWN_LABEL {
                return Err(DescriptionError::new(
                    "classes.id",
                    class.id.to_string(),
                    "an id of 0 to 254",
                ));
            }
            if std::mem::replace(&mut seen[usize::from(class.id)], true) {
                return Err(DescriptionError::new(
                    "classes.id",
                    class.id.to_string(),
                    "each id once",
                ));
            }
            text("classes.name", &class.name, 1, segment::CLASS_NAME.bytes)?;
        }
        Ok(voxels)
    }

    /// The class of a label; `None` for [`UNKNOWN_LABEL`] and for labels outside the table.
    pub fn class(&self, label: u8) -> Option<&Class> {
        self.classes.iter().find(|class| class.id == label)
    }
}

/// A regular grid of cubic voxels. Voxel (ix, iy, iz) has index `(ix * Y + iy) * Z + iz` and its
/// minimum corner at `origin_m + voxel_size_m * (ix, iy, iz)`.
#[derive(Clone, Debug, PartialEq)]
pub struct GridGeometry {
    /// What the axes mean.
    pub axes: Axes,
    /// Name of the frame that the grid lives in, at most 32 bytes: "ego", "velodyne", "world".
    pub frame: String,
    /// Minimum corner of the grid in its frame, metres.
    pub origin_m: [f64; 3],
    /// Edge of a voxel, metres.
    pub voxel_size_m: f64,
    /// Voxels along x, y and z.
    pub dims: [u32; 3],
}

impl GridGeometry {
    /// Voxels in the grid; `None` when a size is 0 or there are more than 2^30 of them.
    pub fn voxels(&self) -> Option<usize> {
        let [x, y, z] = self.dims.map(|size| size as usize);
        let voxels = x.checked_mul(y)?.checked_mul(z)?;
        (1..=segment::MAX_VOXELS).contains(&voxels).then_some(voxels)
    }

    /// Index of a voxel in labels and confidences; `None` outside the grid.
    pub fn index(&self, [ix, iy, iz]: [u32; 3]) -> Option<usize> {
        let [x, y, z] = self.dims;
        let inside = ix < x && iy < y && iz < z;
        inside.then(|| (ix as usize * y as usize + iy as usize) * z as usize + iz as usize)
    }
}

/// What the axes of a grid mean. All are right-handed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Axes {
    /// Not said, or axes of a newer minor version.
    #[default]
    Unknown,
    /// x forward, y left, z up: the vehicle (the SemanticKITTI convention).
    ForwardLeftUp,
    /// z up, x and y horizontal: a scene (the NYU convention).
    HorizontalUp,
}

impl Axes {
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::ForwardLeftUp => 1,
            Self::HorizontalUp => 2,
        }
    }

    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            1 => Self::ForwardLeftUp,
            2 => Self::HorizontalUp,
            _ => Self::Unknown,
        }
    }
}

impl std::fmt::Display for Axes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown",
            Self::ForwardLeftUp => "x forward, y left, z up",
            Self::HorizontalUp => "x and y horizontal, z up",
        })
    }
}

/// The rectified left camera: a pinhole without distortion.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RectifiedCamera {
    /// Focal length along the rows, pixels.
    pub fx_px: f64,
    /// Focal length along the columns, pixels.
    pub fy_px: f64,
    /// Column of the principal point, pixels; the centre of the first pixel is 0.
    pub cx_px: f64,
    /// Row of the principal point, pixels.
    pub cy_px: f64,
    /// Width of the rectified image, pixels.
    pub width_px: u32,
    /// Height of the rectified image, pixels.
    pub height_px: u32,
}

/// A class that labels name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// The label, 0 to 254.
    pub id: u8,
    /// At most 56 bytes.
    pub name: String,
    /// Red, green, blue.
    pub colour: [u8; 3],
}

/// A description that a segment cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream description, {field}: found {found}, expected {expected}")]
pub struct DescriptionError {
    /// The field, as it is named in [`StreamDescription`].
    pub field: &'static str,
    /// What it holds.
    pub found: String,
    /// What it should hold.
    pub expected: String,
}

impl DescriptionError {
    fn new(field: &'static str, found: String, expected: &str) -> Self {
        Self { field, found, expected: expected.to_owned() }
    }
}

fn text(field: &'static str, found: &str, min: usize, max: usize) -> Result<(), DescriptionError> {
    if (min..=max).contains(&found.len()) && !found.contains('\0') {
        return Ok(());
    }
    let expected = format!("{min} to {max} bytes of UTF-8 without NUL");
    Err(DescriptionError::new(field, format!("{found:?} of {} bytes", found.len()), &expected))
}

fn finite(field: &'static str, found: &[f64]) -> Result<(), DescriptionError> {
    if found.iter().all(|value| value.is_finite()) {
        return Ok(());
    }
    Err(DescriptionError::new(field, format!("{found:?}"), "finite numbers"))
}
