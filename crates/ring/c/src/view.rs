//! What clients make of a grid, computed here, nothing of it by the writer.

use crate::grid::{Grid, NOTHING};
use crate::status::{Status, bad_argument, fail};
use crate::{borrow, borrow_mut, put};
use occdepth_ring::view::GridView;

/// What a label says of its voxel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Meaning {
    /// Nobody knows.
    Unknown = 0,
    /// Nothing is there.
    Free = 1,
    /// Something is there.
    Occupied = 2,
}

impl From<occdepth_ring::view::Meaning> for Meaning {
    fn from(meaning: occdepth_ring::view::Meaning) -> Self {
        match meaning {
            occdepth_ring::view::Meaning::Unknown => Self::Unknown,
            occdepth_ring::view::Meaning::Free => Self::Free,
            occdepth_ring::view::Meaning::Occupied => Self::Occupied,
        }
    }
}

/// A voxel that is occupied.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Voxel {
    /// Indices along x, y and z.
    pub index: [u32; 3],
    /// Its class.
    pub label: u8,
}

/// The centre of an occupied voxel.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Point {
    /// Metres in the frame of the grid.
    pub at_m: [f64; 3],
    /// Its class.
    pub label: u8,
}

/// A question: what does something meet that goes from a point in a direction?
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Ray {
    /// Where it starts, metres in the frame of the grid; inside of it or not.
    pub from_m: [f64; 3],
    /// Where it goes; of any length but 0.
    pub direction: [f64; 3],
    /// How far it goes at most, metres; INFINITY: through all of the grid.
    pub at_most_m: f64,
}

/// What a ray meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum RayEndKind {
    /// It does not go through the grid, or is no ray: its numbers are not finite, or it has no direction.
    Outside = 0,
    /// Everything on its way that the grid has is free, from `from_m` to `to_m`.
    Free = 1,
    /// Something, `to_m` away: `voxel`, of the class `label`.
    Occupied = 2,
    /// A voxel of which nothing is known, `to_m` away: what is behind is not known to be free.
    Unknown = 3,
}

/// The answer. Distances are metres from where the ray starts.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RayEnd {
    /// What it meets.
    pub kind: RayEndKind,
    /// Its class; 255 where there is none.
    pub label: u8,
    /// Which voxel it meets; 0 where there is none.
    pub voxel: [u32; 3],
    /// Where it enters the grid, where everything is free; else 0.
    pub from_m: f64,
    /// How far it goes until it meets something, leaves the grid, or ends in it; 0 outside.
    pub to_m: f64,
}

/// Says which labels mean free space, for all views of this grid from now on, whatever stream is copied into it. All other
/// classes of the stream are occupied; 255 and labels of no class are unknown. With `labels` NULL: what the names of the
/// classes say ("empty", "free"; the lowest id where none is named so), as at first.
///
/// Ownership: copied.
/// Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: `grid` is NULL, or there are more than 256.
///
/// # Safety
/// `grid` is NULL or open; `labels` is NULL or has `count` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_set_free(
    grid: *mut Grid,
    labels: *const u8,
    count: usize,
) -> Status {
    // SAFETY: NULL or a grid that no other thread uses, as the caller promises.
    let Some(grid) = (unsafe { borrow_mut(grid) }) else { return bad_argument("grid is NULL") };
    if count > 256 {
        return bad_argument("count: there are no more than 256 labels");
    }
    let free = (!labels.is_null()).then(|| {
        // SAFETY: not NULL, so there are `count` bytes, as the caller promises; at most 256.
        unsafe { std::slice::from_raw_parts(labels, count) }.to_vec()
    });
    grid.set_free(free);
    Status::Ok
}

/// The label of voxel (x, y, z) and what it means. Out parameters may be NULL.
///
/// Ownership: copies. Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: outside the grid, or it holds nothing.
///
/// # Safety
/// `grid` is NULL or open; `label` and `meaning` are NULL or have room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_voxel(
    grid: *const Grid,
    x: u32,
    y: u32,
    z: u32,
    label: *mut u8,
    meaning: *mut Meaning,
) -> Status {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let Some(view) = (unsafe { view(grid) }) else { return bad_argument(NOTHING) };
    let Some((found, means)) = view.voxel([x, y, z]) else {
        return fail(Status::BadArgument, format!("voxel ({x}, {y}, {z}) is outside the grid"));
    };
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(label, found) };
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(meaning, means.into()) };
    Status::Ok
}

/// Every occupied voxel, in the order of the labels: the first `capacity` of them into `out`, and how many there are into
/// `count`. Ask with a capacity of 0 (`out` may be NULL then), or have room for every voxel.
///
/// Ownership: copies. Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing.
///
/// # Safety
/// `grid` is NULL or open; `out` has room for `capacity`; `count` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_occupied(
    grid: *const Grid,
    out: *mut Voxel,
    capacity: usize,
    count: *mut usize,
) -> Status {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let Some(view) = (unsafe { view(grid) }) else { return bad_argument(NOTHING) };
    let occupied = view.occupied().map(|found| Voxel { index: found.voxel, label: found.label });
    // SAFETY: passed on from the caller.
    unsafe { list(occupied, out, capacity, count) }
}

/// The centre of every occupied voxel, metres in the frame of the grid (for a vehicle's, the ego frame), and its class;
/// otherwise as `occdepth_grid_occupied()`.
///
/// Ownership: copies. Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing.
///
/// # Safety
/// `grid` is NULL or open; `out` has room for `capacity`; `count` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_points(
    grid: *const Grid,
    out: *mut Point,
    capacity: usize,
    count: *mut usize,
) -> Status {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let Some(view) = (unsafe { view(grid) }) else { return bad_argument(NOTHING) };
    let points = view.points().map(|(at_m, label)| Point { at_m, label });
    // SAFETY: passed on from the caller.
    unsafe { list(points, out, capacity, count) }
}

/// # Safety
/// `out` has room for `capacity`; `count` is NULL or has room.
unsafe fn list<T>(
    found: impl Iterator<Item = T>,
    out: *mut T,
    capacity: usize,
    count: *mut usize,
) -> Status {
    if out.is_null() && capacity > 0 {
        return bad_argument("out is NULL and capacity is not 0");
    }
    let mut total = 0;
    for item in found {
        if total < capacity {
            // SAFETY: there is room for `capacity` items, and this is one before that.
            let place = unsafe { out.add(total) };
            // SAFETY: within the room that the caller promises.
            unsafe { put(place, item) };
        }
        total += 1;
    }
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(count, total) };
    Status::Ok
}

/// The 2.5-D height map, f32 [X, Y]: for each column the height of the upper face of its highest occupied voxel, metres
/// along z in the frame of the grid; NaN where none is occupied. Column (ix, iy) is value `ix * dims[1] + iy`.
///
/// Ownership: copies. Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: `count` is not X times Y, or the grid holds nothing.
///
/// # Safety
/// `grid` is NULL or open; `out` is NULL or has room for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_height_map(
    grid: *const Grid,
    out: *mut f32,
    count: usize,
) -> Status {
    // SAFETY: passed on from the caller.
    unsafe { columns(grid, out, count, 0.0, GridView::height_map) }
}

/// The bird's-eye class map, u8 [X, Y]: for each column the class of its highest occupied voxel; where none is, the label of
/// its highest free one; 255 where nothing is known of any.
///
/// Ownership: copies. Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT: `count` is not X times Y, or the grid holds nothing.
///
/// # Safety
/// `grid` is NULL or open; `out` is NULL or has room for `count`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_birds_eye(
    grid: *const Grid,
    out: *mut u8,
    count: usize,
) -> Status {
    // SAFETY: passed on from the caller.
    unsafe { columns(grid, out, count, 0, GridView::birds_eye) }
}

/// # Safety
/// `grid` is NULL or open; `out` is NULL or has room for `count`.
unsafe fn columns<'a, T: Copy>(
    grid: *const Grid,
    out: *mut T,
    count: usize,
    blank: T,
    fill: fn(&GridView<'a>, &mut [T]) -> Result<(), occdepth_ring::view::ColumnsError>,
) -> Status {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let Some(view) = (unsafe { view(grid) }) else { return bad_argument(NOTHING) };
    if out.is_null() {
        return bad_argument("out is NULL");
    }
    let expected = view.columns();
    if count != expected {
        let why = format!("count: found {count}, expected {expected}, one for each column");
        return fail(Status::BadArgument, why);
    }
    for column in 0..count {
        // SAFETY: there is room for `count` values, and this is one before that.
        let place = unsafe { out.add(column) };
        // SAFETY: within the room that the caller promises. What a caller hands over need not have a value yet, and a
        // slice must.
        unsafe { put(place, blank) };
    }
    // SAFETY: `count` values, every one of which has been written, of the caller's, who promises that nobody else uses
    // them meanwhile.
    let out = unsafe { std::slice::from_raw_parts_mut(out, count) };
    match fill(&view, out) {
        Ok(()) => Status::Ok,
        Err(error) => fail(Status::BadArgument, error.to_string()),
    }
}

/// Follows a ray through the grid until something is in the way: every voxel that it passes through is looked at.
///
/// Ownership: copies. Threads: as the grid.
/// Errors: OCCDEPTH_STATUS_BAD_ARGUMENT, also where the grid holds nothing. A ray that is none is OUTSIDE.
///
/// # Safety
/// `grid` is NULL or open; `ray` is NULL or a ray; `end` is NULL or has room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn occdepth_grid_cast(
    grid: *const Grid,
    ray: *const Ray,
    end: *mut RayEnd,
) -> Status {
    // SAFETY: NULL or a grid that no other thread changes, as the caller promises.
    let Some(view) = (unsafe { view(grid) }) else { return bad_argument(NOTHING) };
    // SAFETY: NULL or a ray, as the caller promises.
    let Some(&Ray { from_m, direction, at_most_m }) = (unsafe { borrow(ray) }) else {
        return bad_argument("ray is NULL");
    };
    let ray = occdepth_ring::view::Ray { from_m, direction, at_most_m };
    // SAFETY: NULL or room for it, as the caller promises.
    unsafe { put(end, RayEnd::of(view.cast(&ray))) };
    Status::Ok
}

impl RayEnd {
    fn of(end: occdepth_ring::view::RayEnd) -> Self {
        use occdepth_ring::view::RayEnd as End;
        let nothing =
            Self { kind: RayEndKind::Outside, label: 255, voxel: [0; 3], from_m: 0.0, to_m: 0.0 };
        match end {
            End::Outside => nothing,
            End::Free { from_m, to_m } => Self { kind: RayEndKind::Free, from_m, to_m, ..nothing },
            End::Occupied { distance_m, voxel, label } => {
                Self { kind: RayEndKind::Occupied, label, voxel, to_m: distance_m, ..nothing }
            }
            End::Unknown { distance_m, voxel } => {
                Self { kind: RayEndKind::Unknown, voxel, to_m: distance_m, ..nothing }
            }
        }
    }
}

/// # Safety
/// `grid` is NULL or open, and nobody changes it while the result lives.
unsafe fn view<'a>(grid: *const Grid) -> Option<GridView<'a>> {
    // SAFETY: passed on from the caller.
    unsafe { borrow(grid) }.and_then(Grid::view)
}
