//! How far nothing is in the way.

use super::{GridView, Meaning};

/// A question: what does something meet that goes from a point in a direction?
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ray {
    /// Where it starts, metres in the frame of the grid; inside of it or not.
    pub from_m: [f64; 3],
    /// Where it goes, in the frame of the grid; of any length but 0.
    pub direction: [f64; 3],
    /// How far it goes at most, metres; infinity: through all of the grid.
    pub at_most_m: f64,
}

/// The answer. Distances are metres from where the ray starts to where it enters the voxel: 0 if it starts there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RayEnd {
    /// It meets something.
    Occupied {
        /// How far away.
        distance_m: f64,
        /// Which voxel.
        voxel: [u32; 3],
        /// Its class.
        label: u8,
    },
    /// It meets a voxel of which nothing is known: what is behind is not known to be free.
    Unknown {
        /// How far away.
        distance_m: f64,
        /// Which voxel.
        voxel: [u32; 3],
    },
    /// Everything on its way that the grid has is free, from `from_m` to `to_m`, where it leaves the grid or has gone as far
    /// as it was to go.
    Free {
        /// Where it enters the grid.
        from_m: f64,
        /// Where it leaves it, or ends in it.
        to_m: f64,
    },
    /// It does not go through the grid, or is no ray: its numbers are not finite, or it has no direction.
    Outside,
}

impl GridView<'_> {
    /// Follows a ray through the grid until something is in the way.
    ///
    /// Voxel by voxel (Amanatides and Woo, "A Fast Voxel Traversal Algorithm for Ray Tracing", 1987): every voxel that the
    /// ray passes through is looked at, also where it is only clipped. Where it goes exactly along a face or an edge, those
    /// on the upper side are.
    pub fn cast(&self, ray: &Ray) -> RayEnd {
        let Some(mut walk) = Walk::new(self, ray) else { return RayEnd::Outside };
        let from_m = walk.distance_m();
        loop {
            let distance_m = walk.distance_m();
            let voxel = walk.voxel;
            match self.voxel(voxel) {
                Some((label, Meaning::Occupied)) => {
                    return RayEnd::Occupied { distance_m, voxel, label };
                }
                Some((_, Meaning::Unknown)) => return RayEnd::Unknown { distance_m, voxel },
                Some((_, Meaning::Free)) | None => {}
            }
            if !walk.step() {
                return RayEnd::Free { from_m, to_m: walk.leaves * walk.size_m };
            }
        }
    }
}

/// A ray in a voxel. Lengths are in voxels.
struct Walk {
    dims: [u32; 3],
    size_m: f64,
    /// From the minimum corner of the grid.
    from: [f64; 3],
    /// Of length 1.
    direction: [f64; 3],
    voxel: [u32; 3],
    /// Where the ray entered the voxel.
    distance: f64,
    /// Where it leaves the grid, or ends in it.
    leaves: f64,
}

impl Walk {
    fn new(view: &GridView<'_>, ray: &Ray) -> Option<Self> {
        let geometry = view.geometry;
        let size_m = geometry.voxel_size_m;
        let length = ray.direction.iter().map(|part| part * part).sum::<f64>().sqrt();
        let is_ray = length.is_finite()
            && length > 0.0
            && ray.from_m.iter().all(|part| part.is_finite())
            && ray.at_most_m >= 0.0;
        if !is_ray {
            return None;
        }
        let direction = ray.direction.map(|part| part / length);
        let from: [f64; 3] =
            std::array::from_fn(|axis| (ray.from_m[axis] - geometry.origin_m[axis]) / size_m);

        let sides = geometry.dims.map(f64::from);
        let (mut enters, mut leaves) = (0.0_f64, ray.at_most_m / size_m);
        for axis in 0..3 {
            if direction[axis] == 0.0 {
                if !(0.0..sides[axis]).contains(&from[axis]) {
                    return None;
                }
                continue;
            }
            let faces = [0.0, sides[axis]].map(|face| (face - from[axis]) / direction[axis]);
            enters = enters.max(faces[0].min(faces[1]));
            leaves = leaves.min(faces[0].max(faces[1]));
        }
        // Touching a face or a corner from outside is no way through.
        let starts_inside = (0..3).all(|axis| (0.0..sides[axis]).contains(&from[axis]));
        if enters >= leaves && !starts_inside {
            return None;
        }
        let voxel = std::array::from_fn(|axis| {
            let at = from[axis] + enters * direction[axis];
            // On a face between two voxels: the one that the ray goes into.
            let whole = if direction[axis] < 0.0 { at.ceil() - 1.0 } else { at.floor() };
            #[expect(clippy::cast_possible_truncation, reason = "clamped to the grid")]
            #[expect(clippy::cast_sign_loss, reason = "not below 0")]
            let inside = whole.clamp(0.0, sides[axis] - 1.0) as u32;
            inside
        });
        let (dims, distance) = (geometry.dims, enters);
        Some(Self { dims, size_m, from, direction, voxel, distance, leaves })
    }

    /// Goes into the next voxel; false where there is none, or the ray does not reach it.
    fn step(&mut self) -> bool {
        let [x, y, z] = std::array::from_fn(|axis| self.leaves_voxel(axis));
        let axis = if x <= y && x <= z {
            0
        } else if y <= z {
            1
        } else {
            2
        };
        let crossing = [x, y, z][axis];
        // A ray that ends on a face does not go into what is behind.
        if crossing >= self.leaves {
            return false;
        }
        let voxel = if self.direction[axis] > 0.0 {
            self.voxel[axis].checked_add(1)
        } else {
            self.voxel[axis].checked_sub(1)
        };
        let Some(voxel) = voxel.filter(|&voxel| voxel < self.dims[axis]) else { return false };
        self.voxel[axis] = voxel;
        self.distance = crossing.max(self.distance);
        true
    }

    /// Where the ray crosses the face along `axis` that it leaves the voxel by; infinity: it never does. Computed from the
    /// face, not by adding up, so that errors do not.
    fn leaves_voxel(&self, axis: usize) -> f64 {
        let direction = self.direction[axis];
        if direction == 0.0 {
            return f64::INFINITY;
        }
        let ahead = if direction > 0.0 { 1.0 } else { 0.0 };
        (f64::from(self.voxel[axis]) + ahead - self.from[axis]) / direction
    }

    fn distance_m(&self) -> f64 {
        self.distance * self.size_m
    }
}
