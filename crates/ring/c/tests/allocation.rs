//! Reading and viewing grids allocates nothing once the first grid is there. In Rust, because here the allocator can be
//! counted; the functions are the ones that C calls.
#![allow(unsafe_code, reason = "calls what C calls, and counts in a global allocator")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth_ring::{
    Axes, Class, GridGeometry, GridRecord, RectifiedCamera, StreamDescription, Writer,
    WriterOptions,
};
use occdepth_ring_c::{
    Grid, Point, Ray, RayEnd, RayEndKind, Status, Stream, Voxel, WriterStatus,
    occdepth_grid_birds_eye, occdepth_grid_cast, occdepth_grid_free, occdepth_grid_height_map,
    occdepth_grid_labels, occdepth_grid_new, occdepth_grid_occupied, occdepth_grid_points,
    occdepth_options, occdepth_stream_close, occdepth_stream_newest, occdepth_stream_next,
    occdepth_stream_open, occdepth_stream_writer_status,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

const DIMS: [u32; 3] = [32, 32, 8];
const VOXELS: usize = 32 * 32 * 8;

#[test]
fn grids_are_read_and_viewed_without_allocation() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    let options = WriterOptions { protect_process: false, ..WriterOptions::new(&socket) };
    let mut writer = Writer::create(&description(), &options).unwrap();
    let labels: Vec<u8> = (0..VOXELS).map(|index| u8::from(index % 7 == 0)).collect();

    let path = CString::new(socket.as_os_str().as_bytes()).unwrap();
    let mut options = occdepth_options();
    options.notify = 1;
    let mut stream: *mut Stream = std::ptr::null_mut();
    // SAFETY: a text, options, and room for a pointer, all of which live.
    let opened =
        unsafe { occdepth_stream_open(path.as_ptr(), &raw const options, &raw mut stream) };
    assert_eq!(opened, Status::Ok);
    let grid = occdepth_grid_new();
    let mut room = Room {
        voxels: vec![Voxel { index: [0; 3], label: 0 }; VOXELS],
        points: vec![Point { at_m: [0.0; 3], label: 0 }; VOXELS],
        heights: vec![0.0; 32 * 32],
        seen: vec![0; 32 * 32],
    };
    let mut frame = |writer: &mut Writer| {
        writer.publish(&GridRecord::default(), &labels, None).unwrap();
        look(stream, grid, &mut room);
    };
    let before = allocations();
    frame(&mut writer);
    assert!(allocations() > before, "the first copy gives the grid its size: nothing is counted");
    let before = allocations();
    for _ in 0..20 {
        frame(&mut writer);
    }
    assert_eq!(allocations() - before, 0);
    // SAFETY: both were opened above and are closed once.
    unsafe { occdepth_grid_free(grid) };
    // SAFETY: as above.
    unsafe { occdepth_stream_close(stream) };
}

struct Room {
    voxels: Vec<Voxel>,
    points: Vec<Point>,
    heights: Vec<f32>,
    seen: Vec<u8>,
}

/// What a client does with every grid.
fn look(stream: *mut Stream, grid: *mut Grid, room: &mut Room) {
    let ray = Ray { from_m: [0.1, 0.1, 0.1], direction: [1.0, 0.2, 0.1], at_most_m: f64::INFINITY };
    let mut end =
        RayEnd { kind: RayEndKind::Outside, label: 0, voxel: [0; 3], from_m: 0.0, to_m: 0.0 };
    let mut status = std::mem::MaybeUninit::<WriterStatus>::uninit();
    let (mut occupied, mut points) = (0, 0);
    let Room { voxels, points: centres, heights, seen } = room;
    // SAFETY (each): stream and grid are open, and what is written to has the room that is said.
    let statuses = [
        // SAFETY: see above.
        unsafe { occdepth_stream_next(stream, grid, 30_000, std::ptr::null_mut()) },
        // SAFETY: see above.
        unsafe { occdepth_grid_occupied(grid, voxels.as_mut_ptr(), VOXELS, &raw mut occupied) },
        // SAFETY: see above.
        unsafe { occdepth_grid_points(grid, centres.as_mut_ptr(), VOXELS, &raw mut points) },
        // SAFETY: see above.
        unsafe { occdepth_grid_height_map(grid, heights.as_mut_ptr(), heights.len()) },
        // SAFETY: see above.
        unsafe { occdepth_grid_birds_eye(grid, seen.as_mut_ptr(), seen.len()) },
        // SAFETY: see above.
        unsafe { occdepth_grid_cast(grid, &raw const ray, &raw mut end) },
        // SAFETY: see above.
        unsafe { occdepth_stream_writer_status(stream, status.as_mut_ptr()) },
    ];
    assert_eq!(statuses, [Status::Ok; 7]);
    assert_eq!((occupied, points), (VOXELS.div_ceil(7), VOXELS.div_ceil(7)));
    // SAFETY: see above.
    assert!(!unsafe { occdepth_grid_labels(grid, std::ptr::null_mut()) }.is_null());
    // SAFETY: see above.
    let newest = unsafe { occdepth_stream_newest(stream, grid, 0, std::ptr::null_mut()) };
    assert_eq!(newest, Status::Timeout);
}

fn description() -> StreamDescription {
    let class = |id, name: &str| Class { id, name: name.into(), colour: [0; 3] };
    StreamDescription {
        stream: "front".into(),
        producer: "test".into(),
        grid: GridGeometry {
            axes: Axes::ForwardLeftUp,
            frame: "ego".into(),
            origin_m: [0.0; 3],
            voxel_size_m: 0.5,
            dims: DIMS,
        },
        rectified_from_ego: [[0.0; 4]; 4],
        rectified: RectifiedCamera {
            fx_px: 1.0,
            fy_px: 1.0,
            cx_px: 0.0,
            cy_px: 0.0,
            width_px: 1,
            height_px: 1,
        },
        classes: vec![class(0, "empty"), class(1, "car")],
        confidence: false,
        trained: true,
        network_sha256: [0; 32],
        engine_sha256: [0; 32],
    }
}

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Allocations of this thread so far.
fn allocations() -> u64 {
    ALLOCATIONS.get()
}

struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches nothing but a thread-local number, which
// needs no memory and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: passed on from the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: passed on from the caller; it is from `alloc`, hence from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
