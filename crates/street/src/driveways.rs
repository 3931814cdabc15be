//! Where the plots beside the street are paved.

use crate::hash::Random;
use crate::scene::{CHUNK_M, CHUNKS, DRIVEWAY_M};
use crate::shade::floor;
use crate::texture::nearest;
use crate::view::Zone;

/// For each chunk of the ring, whether it has a driveway: one bit, left and right of the road.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Driveways {
    left: u64,
    right: u64,
}

impl Driveways {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, u64::MAX);
        Self { left: random.bits(), right: random.bits() }
    }

    /// Whether there is a driveway at `x_m` along the ring, on the side of `zone`.
    #[inline]
    pub(crate) fn cover(self, x_m: f32, zone: Zone) -> bool {
        let bits = match zone {
            Zone::PlotLeft => self.left,
            Zone::PlotRight => self.right,
            _ => return false,
        };
        let chunk = floor(x_m * (1.0 / CHUNK_M));
        let within_m = x_m - chunk * CHUNK_M;
        let bit = i64::from(nearest(chunk)).rem_euclid(CHUNKS);
        bits >> bit & 1 == 1 && (DRIVEWAY_M[0]..DRIVEWAY_M[1]).contains(&within_m)
    }
}
