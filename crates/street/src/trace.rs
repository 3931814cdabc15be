//! Which object each ray of a tile meets first.
//!
//! Objects are offered to a tile one after the other, near ones first, and each is tried on all rays of
//! the tile at once: the inner loops are straight arithmetic over arrays, which compilers turn into SIMD.
//! Only additions, multiplications, divisions, square roots and comparisons: the same bits everywhere.

use crate::scene::{Primitive, Scene, Shape};
use crate::view::{TILE_PIXELS, View};

/// The objects of a scene in the order in which a camera meets them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Order {
    /// Distance, index into the scene's primitives.
    by_distance: Vec<(f32, u32)>,
    /// Those that a block of tiles may see.
    of_block: Vec<u32>,
}

impl Order {
    /// Sorts the objects of `scene` by their distance to `origin`.
    pub(crate) fn update(&mut self, scene: &Scene, origin: [f32; 3]) {
        self.by_distance.clear();
        self.by_distance.reserve(scene.primitives.capacity());
        self.of_block.reserve(scene.primitives.capacity());
        for (index, primitive) in (0_u32..).zip(&scene.primitives) {
            self.by_distance.push((primitive.distance_squared(origin), index));
        }
        self.by_distance.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    }

    /// Calls `each` with every tile of `view` (its index) and what its rays meet.
    pub(crate) fn trace(&mut self, scene: &Scene, view: &View, mut each: impl FnMut(usize, &Hits)) {
        let mut hits = Hits { distance_m: [0.0; TILE_PIXELS], object: [NOTHING; TILE_PIXELS] };
        for block in &view.blocks {
            self.of_block.clear();
            for &(_, index) in &self.by_distance {
                let [min, max] = relative(&scene.primitives[index as usize], view.origin);
                if block.fan.nearest_entry(min, max).is_some() {
                    self.of_block.push(index);
                }
            }
            for &tile in &block.tiles {
                let pixels = tile * TILE_PIXELS..(tile + 1) * TILE_PIXELS;
                hits.distance_m.copy_from_slice(&view.ground_m[pixels.clone()]);
                hits.object = [NOTHING; TILE_PIXELS];
                let rays = Rays::new(view, pixels.start);
                let mut farthest_m = hits.farthest_m();
                for &index in &self.of_block {
                    let primitive = &scene.primitives[index as usize];
                    let bounds = relative(primitive, view.origin);
                    let entry_m = view.tiles[tile].fan.nearest_entry(bounds[0], bounds[1]);
                    if entry_m.is_none_or(|entry_m| entry_m > farthest_m) {
                        continue;
                    }
                    match primitive.shape {
                        Shape::Box => rays.meet_box(bounds, index, &mut hits),
                        Shape::Cylinder => rays.meet_cylinder(bounds, index, &mut hits),
                        Shape::Sphere => rays.meet_sphere(bounds, index, &mut hits),
                    }
                    farthest_m = hits.farthest_m();
                }
                each(tile, &hits);
            }
        }
    }
}

/// What the rays of a tile meet first.
#[derive(Clone, Debug)]
pub(crate) struct Hits {
    /// Along the ray; the ground's where no object is nearer.
    pub(crate) distance_m: [f32; TILE_PIXELS],
    /// Index into the scene's primitives, or [`NOTHING`].
    pub(crate) object: [u32; TILE_PIXELS],
}

impl Hits {
    fn farthest_m(&self) -> f32 {
        // Four chains, so that the compiler may use vectors: a maximum does not depend on the order.
        let mut lanes = [0.0_f32; 8];
        for distances in self.distance_m.as_chunks::<8>().0 {
            for (lane, &distance) in lanes.iter_mut().zip(distances) {
                *lane = if distance > *lane { distance } else { *lane };
            }
        }
        lanes.into_iter().fold(0.0, |a, b| if b > a { b } else { a })
    }
}

/// No object: the ground, the sky, or no ray.
pub(crate) const NOTHING: u32 = u32::MAX;

type Lanes = [f32; TILE_PIXELS];

/// The rays of one tile.
struct Rays<'a> {
    x: &'a Lanes,
    y: &'a Lanes,
    z: &'a Lanes,
    inverse: [Lanes; 3],
}

#[allow(
    clippy::needless_bitwise_bool,
    reason = "all comparisons at once are one vector of masks; one after the other are branches"
)]
impl<'a> Rays<'a> {
    fn new(view: &'a View, start: usize) -> Self {
        let lanes = |axis: usize| {
            view.directions[axis][start..]
                .first_chunk::<TILE_PIXELS>()
                .expect("the arrays of a view are whole tiles")
        };
        let (x, y, z) = (lanes(0), lanes(1), lanes(2));
        let invert = |axis: &Lanes| {
            // A ray along a wall never divides by zero: it leans by a hair.
            axis.map(|d| 1.0 / if d.abs() < HAIR { HAIR } else { d })
        };
        Self { x, y, z, inverse: [invert(x), invert(y), invert(z)] }
    }

    fn meet_box(&self, [min, max]: [[f32; 3]; 2], index: u32, hits: &mut Hits) {
        let [ix, iy, iz] = &self.inverse;
        for i in 0..TILE_PIXELS {
            let (x0, x1) = (min[0] * ix[i], max[0] * ix[i]);
            let (y0, y1) = (min[1] * iy[i], max[1] * iy[i]);
            let (z0, z1) = (min[2] * iz[i], max[2] * iz[i]);
            let entry = larger(larger(smaller(x0, x1), smaller(y0, y1)), smaller(z0, z1));
            let exit = smaller(smaller(larger(x0, x1), larger(y0, y1)), larger(z0, z1));
            let met = (entry <= exit) & (entry > NEAR_M) & (entry < hits.distance_m[i]);
            hits.distance_m[i] = if met { entry } else { hits.distance_m[i] };
            hits.object[i] = if met { index } else { hits.object[i] };
        }
    }

    fn meet_cylinder(&self, [min, max]: [[f32; 3]; 2], index: u32, hits: &mut Hits) {
        let (cx, cy) = (0.5 * (min[0] + max[0]), 0.5 * (min[1] + max[1]));
        let radius = 0.5 * (max[0] - min[0]);
        let outside = cx * cx + cy * cy - radius * radius;
        for i in 0..TILE_PIXELS {
            let (dx, dy) = (self.x[i], self.y[i]);
            let square = dx * dx + dy * dy;
            let towards = dx * cx + dy * cy;
            // Not a number where the ray passes by: every comparison with it is false.
            let root = (towards * towards - square * outside).sqrt();
            let entry = (towards - root) / square;
            let height = entry * self.z[i];
            let met = (entry > NEAR_M)
                & (entry < hits.distance_m[i])
                & (height >= min[2])
                & (height <= max[2]);
            hits.distance_m[i] = if met { entry } else { hits.distance_m[i] };
            hits.object[i] = if met { index } else { hits.object[i] };
        }
    }

    fn meet_sphere(&self, [min, max]: [[f32; 3]; 2], index: u32, hits: &mut Hits) {
        let [cx, cy, cz] = [0, 1, 2].map(|axis| 0.5 * (min[axis] + max[axis]));
        let radius = 0.5 * (max[0] - min[0]);
        let outside = cx * cx + cy * cy + cz * cz - radius * radius;
        for i in 0..TILE_PIXELS {
            let towards = self.x[i] * cx + self.y[i] * cy + self.z[i] * cz;
            let entry = towards - (towards * towards - outside).sqrt();
            let met = (entry > NEAR_M) & (entry < hits.distance_m[i]);
            hits.distance_m[i] = if met { entry } else { hits.distance_m[i] };
            hits.object[i] = if met { index } else { hits.object[i] };
        }
    }
}

fn relative(primitive: &Primitive, origin: [f32; 3]) -> [[f32; 3]; 2] {
    let from_origin = |corner: [f32; 3]| std::array::from_fn(|axis| corner[axis] - origin[axis]);
    [from_origin(primitive.min), from_origin(primitive.max)]
}

/// One instruction, unlike `f32::min`, which has rules for what is not a number.
#[inline]
fn smaller(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// One instruction, unlike `f32::max`.
#[inline]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Nothing nearer than this is seen: the camera's own housing.
const NEAR_M: f32 = 0.05;
const HAIR: f32 = 1e-12;
