//! What clients make of a grid: computed by the client, nothing of it by the writer, and nothing of it allocates.
//!
//! A [`GridView`] is labels, their geometry, and what each label means to whoever asks ([`Meaning`]). All of it works on a
//! copy of a grid, never on a slot of the ring.

mod columns;
mod ray;

pub use columns::ColumnsError;
pub use ray::{Ray, RayEnd};

use crate::description::{Class, GridGeometry, StreamDescription, UNKNOWN_LABEL};
use crate::grid::Grid;

/// What a label says of its voxel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Meaning {
    /// Nothing is there.
    Free,
    /// Something is there.
    Occupied,
    /// Nobody knows.
    Unknown,
}

/// What every label means.
///
/// The network's classes say what is there, and one of them that nothing is: which one is a matter of its data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meanings {
    of: [Meaning; 256],
}

impl Meanings {
    /// Labels of `free` are free, every other class of `classes` is occupied, and what is in neither is unknown, as is
    /// [`UNKNOWN_LABEL`].
    pub fn new(classes: &[Class], free: &[u8]) -> Self {
        let mut of = [Meaning::Unknown; 256];
        for class in classes {
            of[usize::from(class.id)] = Meaning::Occupied;
        }
        for &label in free {
            of[usize::from(label)] = Meaning::Free;
        }
        of[usize::from(UNKNOWN_LABEL)] = Meaning::Unknown;
        Self { of }
    }

    /// Of a stream's classes: free are those that are named "empty" or "free", in any case of letters. Where no class is, the
    /// lowest id is, which is "empty" in `SemanticKITTI` and `NYUv2`.
    pub fn of_stream(stream: &StreamDescription) -> Self {
        let is_free = |class: &&Class| {
            ["empty", "free"].iter().any(|name| class.name.eq_ignore_ascii_case(name))
        };
        let mut free = [UNKNOWN_LABEL; 256];
        let mut count = 0;
        for class in stream.classes.iter().filter(is_free) {
            free[count] = class.id;
            count += 1;
        }
        if count == 0
            && let Some(lowest) = stream.classes.iter().map(|class| class.id).min()
        {
            free[0] = lowest;
            count = 1;
        }
        Self::new(&stream.classes, &free[..count])
    }

    /// The meaning of a label.
    pub fn of(&self, label: u8) -> Meaning {
        self.of[usize::from(label)]
    }
}

/// A voxel that is occupied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OccupiedVoxel {
    /// (ix, iy, iz).
    pub voxel: [u32; 3],
    /// Its class.
    pub label: u8,
}

/// A copy of a grid, to be asked.
///
/// ```
/// use occdepth_ring::view::{GridView, Meanings, Ray, RayEnd};
/// use occdepth_ring::{Axes, Class, GridGeometry};
///
/// let geometry = GridGeometry {
///     axes: Axes::ForwardLeftUp,
///     frame: "ego".into(),
///     origin_m: [0.0, -1.0, -1.0],
///     voxel_size_m: 0.5,
///     dims: [4, 4, 4],
/// };
/// let class = |id, name: &str| Class { id, name: name.into(), colour: [0; 3] };
/// let meanings = Meanings::new(&[class(0, "empty"), class(9, "road")], &[0]);
/// let mut labels = vec![0; 64];
/// labels[geometry.index([2, 2, 1]).expect("inside")] = 9;
///
/// let view = GridView::new(&labels, &geometry, &meanings).expect("as many labels as voxels");
/// assert_eq!(view.points().next(), Some(([1.25, 0.25, -0.25], 9)));
/// // Straight ahead, half a metre above the middle of nothing: 1 m until the road.
/// let ray = Ray { from_m: [0.0, 0.25, -0.25], direction: [1.0, 0.0, 0.0], at_most_m: 10.0 };
/// assert_eq!(view.cast(&ray), RayEnd::Occupied { distance_m: 1.0, voxel: [2, 2, 1], label: 9 });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct GridView<'a> {
    labels: &'a [u8],
    geometry: &'a GridGeometry,
    meanings: &'a Meanings,
}

impl<'a> GridView<'a> {
    /// A view of `labels`, u8 `[X, Y, Z]`; `None` where they are not as many as the voxels of `geometry`.
    pub fn new(
        labels: &'a [u8],
        geometry: &'a GridGeometry,
        meanings: &'a Meanings,
    ) -> Option<Self> {
        (geometry.voxels() == Some(labels.len())).then_some(Self { labels, geometry, meanings })
    }

    /// A view of what a reader copied from a stream; `None` before the first copy.
    pub fn of(
        grid: &'a Grid,
        stream: &'a StreamDescription,
        meanings: &'a Meanings,
    ) -> Option<Self> {
        Self::new(&grid.labels, &stream.grid, meanings)
    }

    /// The label of a voxel and what it means; `None` outside the grid.
    pub fn voxel(&self, voxel: [u32; 3]) -> Option<(u8, Meaning)> {
        let label = self.labels[self.geometry.index(voxel)?];
        Some((label, self.meanings.of(label)))
    }

    /// Every occupied voxel, in the order of the labels.
    pub fn occupied(&self) -> impl Iterator<Item = OccupiedVoxel> + '_ {
        let [_, y, z] = self.geometry.dims.map(|size| size as usize);
        self.labels.iter().enumerate().filter_map(move |(index, &label)| {
            if self.meanings.of(label) != Meaning::Occupied {
                return None;
            }
            // Three sizes fit 32 bits, and so do indices below them.
            let voxel = [index / (y * z), index / z % y, index % z]
                .map(|part| u32::try_from(part).unwrap_or(u32::MAX));
            Some(OccupiedVoxel { voxel, label })
        })
    }

    /// Centres of the occupied voxels, metres in the frame of the grid (for a vehicle's, the ego frame), and their classes.
    pub fn points(&self) -> impl Iterator<Item = ([f64; 3], u8)> + '_ {
        self.occupied().map(|OccupiedVoxel { voxel, label }| (self.centre_m(voxel), label))
    }

    /// The centre of a voxel, metres in the frame of the grid.
    pub fn centre_m(&self, voxel: [u32; 3]) -> [f64; 3] {
        let GridGeometry { origin_m, voxel_size_m, .. } = self.geometry;
        std::array::from_fn(|axis| origin_m[axis] + voxel_size_m * (f64::from(voxel[axis]) + 0.5))
    }
}
