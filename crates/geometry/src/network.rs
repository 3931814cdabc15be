//! The geometry inputs of the network contract, computed once for one rig and one network.
//!
//! Geometry is an input of the network and not a constant in it, so that one engine serves every rig
//! with the same image size. [`GeometryInputs::new`] turns what the network says of itself
//! ([`GeometrySpec`]) and where the cameras are ([`View`]) into the tensors `pixels`, `depth_index`,
//! `depth_weight` and `pixel_size`.
//!
//! ```
//! use nalgebra::{Matrix3, Matrix4};
//! use occdepth_geometry::{ImageSize, voxel::VoxelGrid};
//! use occdepth_geometry::network::{GeometryInputs, GeometrySpec, View};
//!
//! let spec = GeometrySpec {
//!     views: 1,
//!     image: ImageSize { width: 320, height: 96 },
//!     scales: vec![1, 2, 4, 8],
//!     pattern: 0,
//!     project_scale: 2,
//!     grid: VoxelGrid::new([0.0, -8.0, -2.0], 0.4, [64, 40, 16])?,
//!     depth: None,
//!     right_samples_left_pixels: false,
//! };
//! let view = View {
//!     k: Matrix3::new(190.0, 0.0, 160.0, 0.0, 190.0, 48.0, 0.0, 0.0, 1.0),
//!     // x right, y down, z forward, from x forward, y left, z up.
//!     cam_from_ego: Matrix4::new(
//!         0.0, -1.0, 0.0, 0.0, //
//!         0.0, 0.0, -1.0, 0.0, //
//!         1.0, 0.0, 0.0, 0.0, //
//!         0.0, 0.0, 0.0, 1.0,
//!     ),
//! };
//! let inputs = GeometryInputs::new(&spec, &[view])?;
//! assert_eq!(inputs.pixels.len(), 1 * 4 * (32 * 20 * 8) * 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::{
    ImageSize,
    depth::{Corners, DepthError, DepthVolume},
    projection::{
        Arithmetic, FeatureMap, PatternError, Projected, Projector, SamplingPattern,
        sampling_centre_m,
    },
    voxel::{VoxelGrid, VoxelGridError},
};
use nalgebra::{Matrix3, Matrix4};

/// The geometry tensors of a network, row-major, in the order of the contract.
///
/// N counts the voxels of the projection grid, x-major with z fastest; S the scales; P the points of the
/// sampling pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct GeometryInputs {
    /// `pixels`, i32 `[Vp, S, N, P]`: for every point the pixel `y * w_s + x` of the scale's map
    /// (`w_s` = ceil(W / scale)), or `h_s * w_s` where the view does not see it. Vp is the number of
    /// views, or 2 with a virtual right view.
    pub pixels: Vec<i32>,
    /// The tensors of a network with a depth net.
    pub depth: Option<DepthInputs>,
}

/// The geometry tensors of a depth net.
#[derive(Clone, Debug, PartialEq)]
pub struct DepthInputs {
    /// `depth_index`, i32 `[V, 8, N]`: cells of the depth volume; always a cell that exists.
    pub index: Vec<i32>,
    /// `depth_weight`, f32 `[V, 8, N]`: what each cell counts. With one view the trilinear weights; with
    /// two, divided by their sum over both views where that is positive. Corners are in the order of
    /// [`Corners`].
    pub weight: Vec<f32>,
    /// `pixel_size`, f32 `[V, 1]`: 1000 sqrt(1 / fx^2 + 1 / fy^2).
    pub pixel_size: Vec<f32>,
}

impl GeometryInputs {
    /// Computes the tensors for a rig, once at start-up.
    ///
    /// Poses are used in f64; see [`Self::with_arithmetic`] for `NYUv2`.
    ///
    /// # Errors
    /// The first field of the spec or of a view that cannot be, or that does not fit the other.
    pub fn new(spec: &GeometrySpec, views: &[View]) -> Result<Self, GeometryError> {
        Self::with_arithmetic(spec, views, Arithmetic::Double)
    }

    /// As [`Self::new`], projecting in the given arithmetic: tables for `NYUv2` are equal to the
    /// published ones in [`Arithmetic::Single`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_arithmetic(
        spec: &GeometrySpec,
        views: &[View],
        arithmetic: Arithmetic,
    ) -> Result<Self, GeometryError> {
        let checked = spec.check()?;
        if views.len() != spec.views {
            return Err(GeometryError::Views { spec: spec.views, found: views.len() });
        }
        Self::compute(spec, &checked, views, arithmetic)
    }

    /// The tensors of an RGB-D network: it has one view, and makes the features of a right one from it
    /// and a depth image (virtual stereo). `pixels` has two views, the right one `baseline_m` to the
    /// right of the camera; the depth tensors have one.
    ///
    /// # Errors
    /// As [`Self::new`], and [`GeometryError::Baseline`] unless the baseline is a positive length.
    pub fn with_virtual_right(
        spec: &GeometrySpec,
        view: &View,
        baseline_m: f64,
        arithmetic: Arithmetic,
    ) -> Result<Self, GeometryError> {
        let checked = spec.check()?;
        if spec.views != 1 {
            return Err(GeometryError::Views { spec: spec.views, found: 1 });
        }
        if !(baseline_m.is_finite() && baseline_m > 0.0) {
            return Err(GeometryError::Baseline { found: baseline_m });
        }
        let mut right = *view;
        right.cam_from_ego[(0, 3)] -= baseline_m;
        Self::compute(spec, &checked, &[*view, right], arithmetic)
    }

    /// `views` are those of `pixels`; the first `spec.views` of them have depth tensors.
    fn compute(
        spec: &GeometrySpec,
        &Checked { grid, pattern }: &Checked,
        views: &[View],
        arithmetic: Arithmetic,
    ) -> Result<Self, GeometryError> {
        for (index, view) in views.iter().enumerate() {
            view.check(index)?;
        }
        let projectors: Vec<_> = views
            .iter()
            .map(|view| Projector::new(&view.k, &view.cam_from_ego, arithmetic))
            .collect();

        let voxels = grid.voxel_count();
        let mut pixels = PixelTable::new(spec, pattern, views.len(), voxels)?;
        let mut depth = match spec.depth {
            Some(volume) => Some(DepthTables::new(spec, volume, voxels)?),
            None => None,
        };
        let mut column = vec![Vec::with_capacity(grid.dims[2] as usize); views.len()];
        for ix in 0..grid.dims[0] {
            for iy in 0..grid.dims[1] {
                for (projected, projector) in column.iter_mut().zip(&projectors) {
                    projected.clear();
                    projected.extend(
                        (0..grid.dims[2])
                            .map(|iz| projector.project(sampling_centre_m(&grid, [ix, iy, iz]))),
                    );
                }
                let first_voxel = grid.index([ix, iy, 0]);
                pixels.fill(first_voxel, &column);
                if let Some(depth) = &mut depth {
                    depth.fill(first_voxel, &column[..spec.views]);
                }
            }
        }
        let depth = depth.map(|tables| tables.finish(&views[..spec.views]));
        Ok(Self { pixels: pixels.finish(), depth })
    }
}

/// What a network needs to know of geometry.
#[derive(Clone, Debug, PartialEq)]
pub struct GeometrySpec {
    /// Cameras, V: 1 or 2.
    pub views: usize,
    /// The network's image, pixels.
    pub image: ImageSize,
    /// Scales of the feature maps, S of them: 1, 2, 4, 8 in every published network.
    pub scales: Vec<u32>,
    /// Sampling pattern id, 0 to 8.
    pub pattern: u8,
    /// How many output voxels one projected voxel spans, each way.
    pub project_scale: u32,
    /// The output grid; the projection grid has the same origin and `project_scale` times the voxel size.
    pub grid: VoxelGrid,
    /// The depth volume of networks with a depth net.
    pub depth: Option<DepthVolume>,
    /// The right view's features are gathered with the left view's pixels: the published behaviour of
    /// project scale 1, whose data pipeline lists every projection twice. The depth tensors are not
    /// affected, nor is a network with one view.
    pub right_samples_left_pixels: bool,
}

/// One view as the network sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Intrinsics of the network's image, pixels, without skew. A negative focal length mirrors the view.
    pub k: Matrix3<f64>,
    /// Pose: the camera's frame (x right, y down, z forward) from the ego frame, metres.
    pub cam_from_ego: Matrix4<f64>,
}

/// Geometry that cannot be computed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GeometryError {
    /// The network has another number of views than the rig.
    #[error("views: the network has {spec}, found {found} cameras")]
    Views {
        /// What the network has.
        spec: usize,
        /// How many views were given.
        found: usize,
    },
    /// A number of views that no network has.
    #[error("views: expected 1 or 2, found {found}")]
    UnsupportedViews {
        /// The number given.
        found: usize,
    },
    /// The baseline of a virtual right view is not a positive length.
    #[error("baseline_m: expected a positive number of metres, found {found}")]
    Baseline {
        /// The baseline given.
        found: f64,
    },
    /// The image is empty, or has too many pixels for 32-bit indices.
    #[error("image: expected 1x1 pixels or more and fewer than 2^31 in all, found {found}")]
    Image {
        /// The size given.
        found: ImageSize,
    },
    /// There is no scale, or a scale of zero.
    #[error("scales: expected one or more positive whole numbers, found {found:?}")]
    Scales {
        /// The scales given.
        found: Vec<u32>,
    },
    /// The sampling pattern does not exist.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The grid cannot be, or the project scale does not divide it.
    #[error("grid: {0}")]
    Grid(#[from] VoxelGridError),
    /// The depth bins or the sampling size cannot be.
    #[error(transparent)]
    Depth(#[from] DepthError),
    /// The depth volume has too many cells for 32-bit indices.
    #[error("depth: expected fewer than 2^31 cells, found {found:?} (bins, rows, columns)")]
    DepthCells {
        /// Shape of the volume.
        found: [u32; 3],
    },
    /// The intrinsics of a view are singular, skewed or not finite.
    #[error(
        "view {view}: k: expected [fx 0 cx; 0 fy cy; 0 0 1] with finite, non-zero fx and fy, found {found:?}"
    )]
    Intrinsics {
        /// Index of the view.
        view: usize,
        /// K, row by row.
        found: [[f64; 3]; 3],
    },
    /// The pose of a view is not a finite affine transform.
    #[error(
        "view {view}: cam_from_ego: expected finite numbers and a last row of 0 0 0 1, found {found:?}"
    )]
    Pose {
        /// Index of the view.
        view: usize,
        /// The matrix, row by row.
        found: Box<[[f64; 4]; 4]>,
    },
    /// A tensor would not fit into memory.
    #[error("{tensor}: no memory for a tensor of shape {shape:?}")]
    Memory {
        /// Name of the tensor in the contract.
        tensor: &'static str,
        /// Its shape.
        shape: Vec<usize>,
    },
}

impl GeometrySpec {
    fn check(&self) -> Result<Checked, GeometryError> {
        if !matches!(self.views, 1 | 2) {
            return Err(GeometryError::UnsupportedViews { found: self.views });
        }
        let pixels = u64::from(self.image.width) * u64::from(self.image.height);
        if pixels == 0 || pixels > MAX_INDEX {
            return Err(GeometryError::Image { found: self.image });
        }
        if self.scales.is_empty() || self.scales.contains(&0) {
            return Err(GeometryError::Scales { found: self.scales.clone() });
        }
        let pattern = SamplingPattern::new(self.pattern)?;
        self.grid.validate()?;
        let grid = self.grid.coarsened(self.project_scale)?;
        if let Some(volume) = self.depth {
            volume.validate()?;
            let shape = volume.shape(self.image);
            let cells: u128 = shape.iter().map(|&size| u128::from(size)).product();
            if cells > u128::from(MAX_INDEX) {
                return Err(GeometryError::DepthCells { found: shape });
            }
        }
        Ok(Checked { grid, pattern })
    }
}

impl View {
    fn check(&self, view: usize) -> Result<(), GeometryError> {
        let k = &self.k;
        let rows = |row: usize| std::array::from_fn(|column| k[(row, column)]);
        let found: [[f64; 3]; 3] = std::array::from_fn(rows);
        let [[fx, skew, cx], [below, fy, cy], last] = found;
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the projection rounds intrinsics to f32, so there they have to be usable"
        )]
        let usable = [fx, fy].iter().all(|&focal| (focal as f32).is_normal())
            && [cx, cy].iter().all(|&centre| (centre as f32).is_finite());
        #[allow(clippy::float_cmp, reason = "exact zeros and ones by construction")]
        let pinhole = skew == 0.0 && below == 0.0 && last == [0.0, 0.0, 1.0];
        if !(usable && pinhole) {
            return Err(GeometryError::Intrinsics { view, found });
        }
        let pose = &self.cam_from_ego;
        let found: [[f64; 4]; 4] =
            std::array::from_fn(|row| std::array::from_fn(|column| pose[(row, column)]));
        #[allow(clippy::float_cmp, reason = "exact zeros and ones by construction")]
        let affine = found[3] == [0.0, 0.0, 0.0, 1.0];
        if !(affine && pose.iter().all(|entry| entry.is_finite())) {
            return Err(GeometryError::Pose { view, found: Box::new(found) });
        }
        Ok(())
    }

    #[allow(clippy::cast_possible_truncation, reason = "an f32 tensor")]
    fn pixel_size(&self) -> f32 {
        (1000.0 * (1.0 / self.k[(0, 0)]).hypot(1.0 / self.k[(1, 1)])) as f32
    }
}

/// What a checked spec comes to.
struct Checked {
    /// The projection grid.
    grid: VoxelGrid,
    pattern: SamplingPattern,
}

/// `pixels` in the making.
struct PixelTable {
    /// `[Vp, S, N, P]`.
    entries: Vec<i32>,
    voxels: usize,
    image: ImageSize,
    maps: Vec<FeatureMap>,
    pattern: SamplingPattern,
    right_samples_left: bool,
    /// Scratch: the points of a column in one view.
    visible: Vec<Option<[u32; 2]>>,
}

impl PixelTable {
    fn new(
        spec: &GeometrySpec,
        pattern: SamplingPattern,
        views: usize,
        voxels: usize,
    ) -> Result<Self, GeometryError> {
        let shape = [views, spec.scales.len(), voxels, pattern.offsets().len()];
        Ok(Self {
            entries: zeros("pixels", &shape)?,
            voxels,
            image: spec.image,
            maps: spec.scales.iter().map(|&scale| FeatureMap::new(spec.image, scale)).collect(),
            pattern,
            right_samples_left: spec.right_samples_left_pixels && spec.views == 2,
            visible: Vec::new(),
        })
    }

    /// Fills a column of voxels, projected into every view.
    #[allow(clippy::cast_possible_wrap, reason = "entries are below 2^31: the image was checked")]
    fn fill(&mut self, first_voxel: usize, column: &[Vec<Projected>]) {
        let points = self.pattern.offsets().len();
        let own_pixels = if self.right_samples_left { 1 } else { column.len() };
        for (view, projected) in column[..own_pixels].iter().enumerate() {
            self.visible.clear();
            self.visible
                .extend(projected.iter().flat_map(|voxel| voxel.visible(self.pattern, self.image)));
            for (scale, map) in self.maps.iter().enumerate() {
                let first = (view * self.maps.len() + scale) * self.voxels + first_voxel;
                let invisible = map.invisible();
                for (entry, pixel) in self.entries[first * points..].iter_mut().zip(&self.visible) {
                    *entry = pixel.map_or(invisible, |pixel| map.entry(pixel)) as i32;
                }
            }
        }
    }

    fn finish(mut self) -> Vec<i32> {
        if self.right_samples_left {
            let left = self.entries.len() / 2;
            self.entries.copy_within(..left, left);
        }
        self.entries
    }
}

/// `depth_index` and `depth_weight` in the making.
struct DepthTables {
    /// `[V, 8, N]`.
    index: Vec<i32>,
    /// `[V, 8, N]`.
    weight: Vec<f32>,
    voxels: usize,
    volume: DepthVolume,
    /// `[D, h, w]`.
    shape: [u32; 3],
}

impl DepthTables {
    fn new(spec: &GeometrySpec, volume: DepthVolume, voxels: usize) -> Result<Self, GeometryError> {
        let shape = [spec.views, CORNERS, voxels];
        Ok(Self {
            index: zeros("depth_index", &shape)?,
            weight: zeros("depth_weight", &shape)?,
            voxels,
            volume,
            shape: volume.shape(spec.image),
        })
    }

    /// Fills a column of voxels, projected into every view.
    fn fill(&mut self, first_voxel: usize, column: &[Vec<Projected>]) {
        let height = column.first().map_or(0, Vec::len);
        for step in 0..height {
            let mut corners = [Corners::NONE; MAX_VIEWS];
            for (corners, projected) in corners.iter_mut().zip(column) {
                let position = self.volume.position(&projected[step], self.shape);
                *corners = Corners::around(position, self.shape);
            }
            let corners = &mut corners[..column.len()];
            if corners.len() > 1 {
                normalise(corners);
            }
            for (view, corners) in corners.iter().enumerate() {
                for corner in 0..CORNERS {
                    let at = (view * CORNERS + corner) * self.voxels + first_voxel + step;
                    self.index[at] = corners.index[corner];
                    self.weight[at] = corners.weight[corner];
                }
            }
        }
    }

    fn finish(self, views: &[View]) -> DepthInputs {
        DepthInputs {
            index: self.index,
            weight: self.weight,
            pixel_size: views.iter().map(View::pixel_size).collect(),
        }
    }
}

/// Divides weights by their sum over the views, in f32, so that the network only has to sum.
fn normalise(views: &mut [Corners]) {
    let sum: f32 = views.iter().map(|corners| corners.weight.iter().sum::<f32>()).sum();
    if sum > 0.0 {
        for weight in views.iter_mut().flat_map(|corners| &mut corners.weight) {
            *weight /= sum;
        }
    }
}

/// A tensor of zeros, or an error where there is no memory for it.
fn zeros<T: Clone + Default>(
    tensor: &'static str,
    shape: &[usize],
) -> Result<Vec<T>, GeometryError> {
    let mut values = Vec::new();
    let len = shape.iter().try_fold(1_usize, |len, &size| len.checked_mul(size));
    match len {
        Some(len) if values.try_reserve_exact(len).is_ok() => values.resize(len, T::default()),
        _ => return Err(GeometryError::Memory { tensor, shape: shape.to_vec() }),
    }
    Ok(values)
}

/// Views of the widest network.
const MAX_VIEWS: usize = 2;

/// Corners of a trilinear sample.
const CORNERS: usize = 8;

/// Indices travel as int32 in the network's tensors.
const MAX_INDEX: u64 = i32::MAX as u64;
