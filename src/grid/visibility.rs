//! Which voxels the cameras see.

use super::{GridError, UNKNOWN};
use occdepth_geometry::network::{GeometryInputs, GeometrySpec};

/// The voxels of the output grid that no view sees, from the projection table that the network
/// itself samples with.
///
/// A voxel of the projection grid is seen when at least one of its pattern points falls into at
/// least one view; a voxel of the output grid when the projection voxel that contains it is. What
/// the network says of the others is guessed from their surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibilityMask {
    /// Voxel order; [`UNKNOWN`] (all bits set) for a hidden voxel, 0 for a visible one.
    hidden: Vec<u8>,
}

impl VisibilityMask {
    /// The mask of `inputs`, which were computed for `spec`.
    ///
    /// # Errors
    /// [`GridError::Geometry`] when the table `pixels` is not `[views, scales, N, P]` for N voxels
    /// of the projection grid, or the grid is not a multiple of the projection scale.
    pub fn new(spec: &GeometrySpec, inputs: &GeometryInputs) -> Result<Self, GridError> {
        let scale = spec.project_scale as usize;
        let dims = spec.grid.dims.map(|dim| dim as usize);
        if scale == 0 || dims.iter().any(|dim| !dim.is_multiple_of(scale)) {
            return Err(GridError::Geometry {
                found: format!("a grid of {dims:?} voxels at project scale {scale}"),
                expected: "a grid that the project scale divides".into(),
            });
        }
        let coarse = dims.map(|dim| dim / scale);
        let voxels: usize = coarse.iter().product();
        let (views, scales) = (spec.views, spec.scales.len());
        let per_point = views * scales * voxels;
        if per_point == 0
            || inputs.pixels.is_empty()
            || !inputs.pixels.len().is_multiple_of(per_point)
        {
            return Err(GridError::Geometry {
                found: format!("{} values", inputs.pixels.len()),
                expected: format!("[{views}, {scales}, {voxels}, points]"),
            });
        }
        let points = inputs.pixels.len() / per_point;

        // A point is tested for visibility once, so one scale tells it for all of them.
        let per_scale = voxels * points;
        let divide = |side: u32| i64::from(side.div_ceil(spec.scales[0].max(1)));
        let outside = divide(spec.image.width) * divide(spec.image.height);
        let mut seen = vec![false; voxels];
        for view in inputs.pixels.chunks_exact(scales * per_scale) {
            for (seen, pixels) in seen.iter_mut().zip(view[..per_scale].chunks_exact(points)) {
                *seen |= pixels.iter().any(|&pixel| i64::from(pixel) != outside);
            }
        }

        let mut hidden = Vec::with_capacity(dims.iter().product());
        for x in 0..dims[0] {
            for y in 0..dims[1] {
                let row = ((x / scale) * coarse[1] + y / scale) * coarse[2];
                hidden
                    .extend((0..dims[2]).map(|z| if seen[row + z / scale] { 0 } else { UNKNOWN }));
            }
        }
        Ok(Self { hidden })
    }

    /// Voxels of the grid.
    pub fn len(&self) -> usize {
        self.hidden.len()
    }

    /// Whether the grid has no voxels.
    pub fn is_empty(&self) -> bool {
        self.hidden.is_empty()
    }

    /// Voxels that at least one view sees.
    pub fn visible(&self) -> usize {
        self.hidden.iter().map(|&hidden| usize::from(hidden == 0)).sum()
    }

    pub(super) fn hidden(&self) -> &[u8] {
        &self.hidden
    }
}
