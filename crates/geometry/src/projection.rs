//! Where voxels fall in images: the projection of voxel centres, sampling patterns, and the entries of
//! the `pixels` table.
//!
//! The arithmetic is that of the published data pipeline (`MonoScene`'s and `OccDepth`'s `vox2pix`, which
//! follows the TSDF fusion of Zeng et al., 3DMatch, CVPR 2017), to the bit, because a voxel that falls
//! near the border of two pixels must sample the pixel it was trained with:
//!
//! - the voxel's centre is computed in f64 from an origin rounded to f32, and rounded to f32;
//! - the intrinsics are rounded to f32;
//! - the rest is done in the type of the pose ([`Arithmetic`]);
//! - pixels round half to even, and the offsets of a pattern are added after rounding.

use crate::{ImageSize, voxel::VoxelGrid};
use nalgebra::{Matrix3, Matrix4};
use std::ops::{Add, Div, Mul};

/// Projects voxel centres into one view.
#[derive(Clone, Debug)]
pub struct Projector {
    camera: Camera,
}

impl Projector {
    /// A projector for a pinhole camera with intrinsics `k` (pixels; only fx, fy, cx and cy are read) and
    /// pose `cam_from_ego` (metres).
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the published pipeline rounds intrinsics, and NYU's poses, to f32"
    )]
    pub fn new(k: &Matrix3<f64>, cam_from_ego: &Matrix4<f64>, arithmetic: Arithmetic) -> Self {
        let [fx, fy, cx, cy] =
            [k[(0, 0)], k[(1, 1)], k[(0, 2)], k[(1, 2)]].map(|pixels| pixels as f32);
        let rows: [[f64; 4]; 3] =
            std::array::from_fn(|row| std::array::from_fn(|column| cam_from_ego[(row, column)]));
        let camera = match arithmetic {
            Arithmetic::Double => {
                Camera::Double(Pinhole { rows, intrinsics: [fx, fy, cx, cy].map(f64::from) })
            }
            Arithmetic::Single => Camera::Single(Pinhole {
                rows: rows.map(|row| row.map(|entry| entry as f32)),
                intrinsics: [fx, fy, cx, cy],
            }),
        };
        Self { camera }
    }

    /// Projects a point of the ego frame, metres.
    pub fn project(&self, point_m: [f32; 3]) -> Projected {
        match &self.camera {
            Camera::Double(pinhole) => pinhole.project(point_m),
            Camera::Single(pinhole) => pinhole.project(point_m),
        }
    }
}

/// The type the projection is computed in.
///
/// The published pipeline computes in the type of the pose it is given: KITTI's calibration is read as
/// f64, while the poses stored with `NYUv2` are f32. The two differ in a few pixels of 100 000, and only
/// the right one reproduces the published tables exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arithmetic {
    /// f64: KITTI, and every rig of our own.
    #[default]
    Double,
    /// f32: `NYUv2`.
    Single,
}

/// A point projected into a view.
///
/// Not finite where the depth is zero, mirrored where it is negative: visibility is tested afterwards.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Projected {
    /// Column, pixels, not rounded.
    pub u_px: f64,
    /// Row, pixels, not rounded.
    pub v_px: f64,
    /// Depth: z in the camera's frame, metres.
    pub z_m: f64,
}

impl Projected {
    /// The pixel `[x, y]`, rounded half to even. Values reach 1e10 near depth zero, hence 64 bits; what
    /// does not fit saturates, and a NaN becomes 0.
    #[allow(clippy::cast_possible_truncation, reason = "saturating is what is wanted")]
    pub fn pixel(&self) -> [i64; 2] {
        [self.u_px.round_ties_even() as i64, self.v_px.round_ties_even() as i64]
    }

    /// The pixel `[x, y]` of every point of a pattern, in the pattern's order; `None` for a point that is
    /// not visible: behind the camera, or outside of the image.
    pub fn visible(
        &self,
        pattern: SamplingPattern,
        image: ImageSize,
    ) -> impl Iterator<Item = Option<[u32; 2]>> + use<> {
        let [x, y] = self.pixel();
        let in_front = self.z_m > 0.0;
        let inside = |pixel: i64, offset: i8, size: u32| {
            let pixel = u32::try_from(pixel.saturating_add(i64::from(offset))).ok()?;
            (pixel < size).then_some(pixel)
        };
        pattern.offsets().iter().map(move |&[dx, dy]| {
            if !in_front {
                return None;
            }
            Some([inside(x, dx, image.width)?, inside(y, dy, image.height)?])
        })
    }
}

/// The centre of a voxel as the published pipeline computes it, metres in the ego frame.
#[allow(clippy::cast_possible_truncation, reason = "the published pipeline rounds to f32")]
pub fn sampling_centre_m(grid: &VoxelGrid, voxel: [u32; 3]) -> [f32; 3] {
    std::array::from_fn(|axis| {
        let origin_m = f64::from(grid.origin_m[axis] as f32);
        let corner_m = origin_m + grid.voxel_size_m * f64::from(voxel[axis]);
        (corner_m + grid.voxel_size_m * 0.5) as f32
    })
}

/// The points around a voxel's pixel that it samples: pattern 0 to 8 of the published network.
///
/// ```
/// use occdepth_geometry::projection::SamplingPattern;
///
/// let cross = SamplingPattern::new(1)?;
/// assert_eq!(cross.offsets(), [[0, 0], [0, -1], [-1, 0], [1, 0], [0, 1]]);
/// assert!(SamplingPattern::new(9).is_err());
/// # Ok::<(), occdepth_geometry::projection::PatternError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SamplingPattern(u8);

impl SamplingPattern {
    /// The pattern of an id, 0 to 8.
    ///
    /// # Errors
    /// [`PatternError`] for any other id.
    pub fn new(id: u8) -> Result<Self, PatternError> {
        if usize::from(id) < PATTERNS.len() {
            Ok(Self(id))
        } else {
            Err(PatternError { found: id })
        }
    }

    /// The id, 0 to 8.
    pub fn id(self) -> u8 {
        self.0
    }

    /// The offsets `[dx, dy]`, pixels at full resolution, added to the rounded pixel of the voxel. The
    /// first is `[0, 0]`. A repeated point counts twice.
    pub fn offsets(self) -> &'static [[i8; 2]] {
        PATTERNS[usize::from(self.0)]
    }
}

impl TryFrom<u8> for SamplingPattern {
    type Error = PatternError;

    fn try_from(id: u8) -> Result<Self, PatternError> {
        Self::new(id)
    }
}

/// A sampling pattern that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pattern: expected an id from 0 to 8, found {found}")]
pub struct PatternError {
    /// The id given.
    pub found: u8,
}

/// The map of one scale, and the entries of `pixels` into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureMap {
    scale: u32,
    size: ImageSize,
}

impl FeatureMap {
    /// The map at `1 / scale` of an image: ceil(W / scale) x ceil(H / scale), as the network's decoder
    /// makes it. A scale of zero is taken as one.
    pub fn new(image: ImageSize, scale: u32) -> Self {
        let scale = scale.max(1);
        let size =
            ImageSize { width: image.width.div_ceil(scale), height: image.height.div_ceil(scale) };
        Self { scale, size }
    }

    /// Width and height of the map, pixels.
    pub fn size(&self) -> ImageSize {
        self.size
    }

    /// The entry of a point that is not visible: one past the last pixel, where the network appends a
    /// column of zeros.
    pub fn invisible(&self) -> u32 {
        self.size.width.saturating_mul(self.size.height)
    }

    /// The entry of a pixel `[x, y]` of the full image, which has to be inside of it.
    pub fn entry(&self, [x, y]: [u32; 2]) -> u32 {
        (y / self.scale) * self.size.width + x / self.scale
    }
}

#[derive(Clone, Debug)]
enum Camera {
    Double(Pinhole<f64>),
    Single(Pinhole<f32>),
}

#[derive(Clone, Debug)]
struct Pinhole<T> {
    rows: [[T; 4]; 3],
    /// fx, fy, cx, cy.
    intrinsics: [T; 4],
}

impl<T> Pinhole<T>
where
    T: Copy + From<f32> + Into<f64> + Add<Output = T> + Mul<Output = T> + Div<Output = T>,
{
    // Two roundings per multiply-add, in this order: a fused one would give other last bits.
    fn project(&self, point_m: [f32; 3]) -> Projected {
        let [x, y, z] = point_m.map(T::from);
        let [x, y, z] = self.rows.map(|[a, b, c, d]| a * x + b * y + c * z + d);
        let [fx, fy, cx, cy] = self.intrinsics;
        Projected { u_px: (x * fx / z + cx).into(), v_px: (y * fy / z + cy).into(), z_m: z.into() }
    }
}

/// The published patterns, offsets `[dx, dy]` in their published order. Pattern 3 repeats `[-1, 0]` and
/// lacks `[0, -1]`; it is kept so because weights were trained with it.
const PATTERNS: [&[[i8; 2]]; 9] = [
    &[[0, 0]],
    &[[0, 0], [0, -1], [-1, 0], [1, 0], [0, 1]],
    &[[0, 0], [-1, -1], [1, 1], [-1, 1], [1, -1]],
    &[[0, 0], [-1, -1], [-1, 0], [-1, 1], [-1, 0], [0, 1], [1, -1], [1, 0], [1, 1]],
    PATTERN_8.split_at(9).0,
    PATTERN_8.split_at(13).0,
    &PATTERN_6,
    &[[0, 0], [0, -2], [-1, -1], [1, -1], [-2, 0], [2, 0], [-1, 1], [0, 2]],
    &PATTERN_8,
];

/// The 5 x 5 square, centre first, then column by column.
#[rustfmt::skip]
const PATTERN_6: [[i8; 2]; 25] = [
    [0, 0],
    [-2, -2], [-2, -1], [-2, 0], [-2, 1], [-2, 2],
    [-1, -2], [-1, -1], [-1, 0], [-1, 1], [-1, 2],
    [0, -2], [0, -1], [0, 1], [0, 2],
    [1, -2], [1, -1], [1, 0], [1, 1], [1, 2],
    [2, -2], [2, -1], [2, 0], [2, 1], [2, 2],
];

/// Rings around the centre; patterns 4 and 5 are its beginnings.
#[rustfmt::skip]
const PATTERN_8: [[i8; 2]; 21] = [
    [0, 0],
    [0, -2], [-1, -1], [1, -1], [-2, 0], [2, 0], [-1, 1], [1, 1], [0, 2],
    [-2, -2], [-2, 2], [2, -2], [2, 2],
    [-3, -1], [-3, 1], [3, -1], [3, 1], [1, -3], [-1, -3], [1, 3], [-1, 3],
];
