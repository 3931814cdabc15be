//! The street as a voxel grid: what is in each voxel.

use crate::driveways::Driveways;
use crate::scene::{
    BAYS_RIGHT_M, EGO_LANE_M, PAVEMENT_LEFT_M, PAVEMENT_M, PAVEMENT_RIGHT_M, Primitive,
    ROAD_LEFT_M, ROAD_RIGHT_M, Scene, Shape,
};
use crate::shade::class_of;
use crate::trace::NOTHING;
use crate::view::Zone;
use occdepth_geometry::voxel::VoxelGrid;
use std::ops::Range;

/// Labels every voxel of `grid`, x-major, z fastest.
///
/// A voxel has the class of what is in it, however little of it; of several things, the one with the
/// smallest volume, and any object before the ground. Solids are solid: their inside is labelled.
pub(crate) fn label(
    scene: &Scene,
    driveways: Driveways,
    grid: &VoxelGrid,
    ego_height_m: f64,
    labels: &mut Vec<u8>,
) {
    labels.clear();
    labels.resize(grid.voxel_count(), crate::class::EMPTY);
    let lattice = Lattice::new(grid, ego_height_m);
    label_ground(scene, driveways, &lattice, labels);
    let mut by_volume: Vec<&Primitive> = scene.primitives.iter().collect();
    by_volume.sort_by(|a, b| b.volume().total_cmp(&a.volume()));
    for primitive in by_volume {
        lattice.fill(primitive, labels);
    }
}

fn label_ground(scene: &Scene, driveways: Driveways, lattice: &Lattice, labels: &mut [u8]) {
    // Edges from right to left; the last strip to reach a column has the most of it.
    let edges = [
        f64::NEG_INFINITY,
        PAVEMENT_RIGHT_M.into(),
        BAYS_RIGHT_M.into(),
        ROAD_RIGHT_M.into(),
        ROAD_LEFT_M.into(),
        PAVEMENT_LEFT_M.into(),
        f64::INFINITY,
    ];
    let zones =
        [Zone::PlotRight, Zone::Pavement, Zone::Bays, Zone::Road, Zone::Pavement, Zone::PlotLeft];
    for iy in 0..lattice.dims[1] {
        let [low, high] = lattice.span(1, iy);
        let part = |strip: usize| high.min(edges[strip + 1]) - low.max(edges[strip]);
        let mut strips: Vec<usize> = (0..zones.len()).filter(|&s| part(s) > 0.0).collect();
        strips.sort_by(|&a, &b| part(a).total_cmp(&part(b)));
        for strip in strips {
            let zone = zones[strip];
            let height_m = match zone {
                Zone::Road | Zone::Bays => 0.0,
                _ => f64::from(PAVEMENT_M),
            };
            let Some(iz) = lattice.holding(2, height_m) else {
                continue;
            };
            for ix in 0..lattice.dims[0] {
                let [near, far] = lattice.span(0, ix);
                let middle = crate::scene::narrow(0.5 * (near + far));
                labels[lattice.index(ix, iy, iz)] =
                    class_of(scene, driveways, NOTHING, zone, middle);
            }
        }
    }
}

/// A voxel grid in street coordinates.
struct Lattice {
    origin: [f64; 3],
    size: f64,
    dims: [usize; 3],
}

impl Lattice {
    fn new(grid: &VoxelGrid, ego_height_m: f64) -> Self {
        let [x, y, z] = grid.origin_m;
        Self {
            origin: [x, y + f64::from(EGO_LANE_M), z + ego_height_m],
            size: grid.voxel_size_m,
            dims: grid.dims.map(|dim| dim as usize),
        }
    }

    fn index(&self, ix: usize, iy: usize, iz: usize) -> usize {
        (ix * self.dims[1] + iy) * self.dims[2] + iz
    }

    /// Lower and upper bound of the voxels with this index on this axis.
    fn span(&self, axis: usize, index: usize) -> [f64; 2] {
        [index, index + 1].map(|i| self.origin[axis] + i as f64 * self.size)
    }

    /// The index, on this axis, of the voxels that hold a coordinate.
    fn holding(&self, axis: usize, at: f64) -> Option<usize> {
        let position = ((at - self.origin[axis]) / self.size).floor();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a whole number between 0 and the dimension"
        )]
        (0.0..self.dims[axis] as f64).contains(&position).then_some(position as usize)
    }

    /// The voxels that share more than a face with the interval.
    fn touched(&self, axis: usize, low: f32, high: f32) -> Range<usize> {
        let last = self.dims[axis] as f64;
        let position = |x: f32| (f64::from(x) - self.origin[axis]) / self.size;
        let from = (position(low) + SLACK).floor().clamp(0.0, last);
        let to = (position(high) - SLACK).ceil().clamp(0.0, last);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole numbers between 0 and the dimension"
        )]
        {
            from as usize..to as usize
        }
    }

    fn fill(&self, primitive: &Primitive, labels: &mut [u8]) {
        let Primitive { shape, min, max, class, .. } = *primitive;
        let centre: [f64; 3] =
            std::array::from_fn(|axis| 0.5 * (f64::from(min[axis]) + f64::from(max[axis])));
        let radius = 0.5 * f64::from(max[0] - min[0]);
        let round_axes = match shape {
            Shape::Box => 0,
            Shape::Cylinder => 2,
            Shape::Sphere => 3,
        };
        for ix in self.touched(0, min[0], max[0]) {
            for iy in self.touched(1, min[1], max[1]) {
                for iz in self.touched(2, min[2], max[2]) {
                    // The nearest point of the voxel decides.
                    let voxel = [ix, iy, iz];
                    let distance_squared: f64 = (0..round_axes)
                        .map(|axis| {
                            let [low, high] = self.span(axis, voxel[axis]);
                            let nearest = centre[axis].clamp(low, high) - centre[axis];
                            nearest * nearest
                        })
                        .sum();
                    if distance_squared <= radius * radius {
                        labels[self.index(ix, iy, iz)] = class;
                    }
                }
            }
        }
    }
}

/// In voxels: what is within rounding of a face does not reach beyond it.
const SLACK: f64 = 1e-4;
