//! Pictures, depth, classes and voxel labels tell the same story.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "pixel positions, checked against the picture"
)]
#![allow(clippy::print_stdout, reason = "how well they agree is worth reading")]

mod rigs;

use nalgebra::{Point3, Vector3};
use occdepth_geometry::camera::Camera;
use occdepth_geometry::rig::StereoRig;
use occdepth_geometry::voxel::VoxelGrid;
use occdepth_street::{EGO_HEIGHT_M, Rendering, Street, class};

/// Truth of one view.
struct View {
    camera: Camera,
    width: usize,
    rgb: Vec<u8>,
    depth_m: Vec<f32>,
    classes: Vec<u8>,
}

impl View {
    fn new(seed: u64, rig: &StereoRig, time_s: f64) -> Self {
        let mut street = Street::new(seed, rig).unwrap();
        let mut pair = Rendering::default();
        street.render(time_s, &mut pair);
        let (mut depth_m, mut classes) = (Vec::new(), Vec::new());
        street.left_depth_m(time_s, &mut depth_m);
        street.left_classes(time_s, &mut classes);
        let width = rig.image_size.width as usize;
        Self { camera: rig.left, width, rgb: pair.left_rgb, depth_m, classes }
    }

    /// The point that a pixel shows, in the camera's frame; `None` for the sky.
    fn point(&self, pixel: usize) -> Option<Vector3<f64>> {
        let depth_m = f64::from(self.depth_m[pixel]);
        let at = [(pixel % self.width) as f64, (pixel / self.width) as f64];
        let ray = self.camera.unproject(at).ok()?;
        (depth_m > 0.0).then(|| ray * (depth_m / ray.z))
    }

    /// Depth at the pixel nearest to (x, y), RGB bilinear.
    fn sample(&self, [x, y]: [f64; 2]) -> Option<(f64, [f64; 3])> {
        let (column, row) = (x.floor() as usize, y.floor() as usize);
        let height = self.depth_m.len() / self.width;
        if x < 0.0 || y < 0.0 || column + 1 >= self.width || row + 1 >= height {
            return None;
        }
        let (fx, fy) = (x.fract(), y.fract());
        let at = |c: usize, r: usize, channel: usize| {
            f64::from(self.rgb[3 * (r * self.width + c) + channel])
        };
        let rgb = std::array::from_fn(|channel| {
            let upper = at(column, row, channel) * (1.0 - fx) + at(column + 1, row, channel) * fx;
            let lower =
                at(column, row + 1, channel) * (1.0 - fx) + at(column + 1, row + 1, channel) * fx;
            upper * (1.0 - fy) + lower * fy
        });
        let nearest = (y.round() as usize).min(height - 1) * self.width + x.round() as usize;
        Some((f64::from(self.depth_m[nearest]), rgb))
    }

    fn rgb(&self, pixel: usize) -> [f64; 3] {
        std::array::from_fn(|channel| f64::from(self.rgb[3 * pixel + channel]))
    }
}

#[test]
fn road_depth_is_that_of_a_plane() {
    // A pinhole at height h over a plane sees it at z = h * fy / (y - cy).
    let rig = rigs::rectified(320, 96);
    let view = View::new(3, &rig, 1.0);
    let height_m = EGO_HEIGHT_M - 0.08;
    let mut seen = 0;
    for pixel in 0..view.classes.len() {
        if view.classes[pixel] == class::ROAD {
            let row = (pixel / view.width) as f64;
            let expected = height_m * rig.left.intrinsics.fy / (row - rig.left.intrinsics.cy);
            let found = f64::from(view.depth_m[pixel]);
            assert!((found - expected).abs() < 1e-4 * expected, "{found} m, expected {expected} m");
            seen += 1;
        }
    }
    assert!(seen > 2000, "only {seen} pixels of road");
}

#[test]
fn right_view_is_the_left_one_moved_by_its_depth() {
    for (name, rig) in [
        ("rectified", rigs::rectified(640, 192)),
        ("distorted", rigs::distorted(640, 360)),
        ("fisheye", rigs::fisheye(640, 400)),
    ] {
        let left = View::new(7, &rig, 2.5);
        let right = View::new(7, &rigs::right_as_left(&rig), 2.5);
        let (mut errors, mut visible, mut contrast) = (Vec::new(), 0, Vec::new());
        for pixel in 0..left.depth_m.len() {
            let Some(point) = left.point(pixel) else { continue };
            let point = rig.right_from_left.transform_point(&Point3::from(point)).coords;
            let Ok(at) = right.camera.project(&point) else { continue };
            let Some((depth_m, rgb)) = right.sample(at) else { continue };
            // Hidden in the right view, or at an edge.
            if (depth_m - point.z).abs() > 0.02 * point.z {
                continue;
            }
            visible += 1;
            let error =
                |a: [f64; 3], b: [f64; 3]| (0..3).map(|i| (a[i] - b[i]).abs()).fold(0.0, f64::max);
            errors.push(error(left.rgb(pixel), rgb));
            // What a wrong match would cost: the same place, some pixels aside.
            if let Some((_, aside)) = right.sample([at[0] + 6.0, at[1]]) {
                contrast.push(error(left.rgb(pixel), aside));
            }
        }
        errors.sort_by(f64::total_cmp);
        contrast.sort_by(f64::total_cmp);
        let at = |sorted: &[f64], part: f64| sorted[(part * (sorted.len() - 1) as f64) as usize];
        println!(
            "{name}: {visible} pixels, error median {:.1}, 95 % {:.1}; 6 px aside: median {:.1}",
            at(&errors, 0.5),
            at(&errors, 0.95),
            at(&contrast, 0.5)
        );
        assert!(visible > left.depth_m.len() / 3, "{name}: {visible} pixels visible in both views");
        assert!(at(&errors, 0.5) <= 4.0, "{name}");
        assert!(at(&errors, 0.95) <= 30.0, "{name}");
        assert!(at(&contrast, 0.5) >= 2.0 * at(&errors, 0.5), "{name}: nothing to match");
    }
}

#[test]
fn voxels_hold_what_the_pixels_show() {
    for (name, rig) in [
        ("rectified", rigs::rectified(320, 96)),
        ("distorted", rigs::distorted(320, 180)),
        ("fisheye", rigs::fisheye(320, 200)),
    ] {
        let (seed, time_s) = (11, 3.0);
        let view = View::new(seed, &rig, time_s);
        let grid = VoxelGrid::KITTI;
        let mut labels = Vec::new();
        Street::new(seed, &rig).unwrap().labels(time_s, &grid, &mut labels);
        let ego_from_left = rig.left_from_ego.try_inverse().unwrap();
        let (mut inside, mut occupied, mut same) = (0, 0, 0);
        for pixel in 0..view.depth_m.len() {
            let Some(point) = view.point(pixel) else { continue };
            let point = ego_from_left.transform_point(&Point3::from(point));
            let Some(voxel) = grid.voxel_at([point.x, point.y, point.z]) else { continue };
            inside += 1;
            // One voxel of tolerance for surfaces that lie on the face between two.
            let near = neighbours(&grid, voxel).map(|voxel| labels[grid.index(voxel)]);
            let near: Vec<u8> = near.collect();
            occupied += usize::from(near.iter().any(|&label| label != class::EMPTY));
            same += usize::from(near.contains(&view.classes[pixel]));
        }
        println!("{name}: {inside} pixels in the grid, {occupied} occupied, {same} of their class");
        assert!(inside > view.depth_m.len() / 3, "{name}");
        assert_eq!(occupied, inside, "{name}");
        assert!(same * 1000 >= inside * 999, "{name}: {same} of {inside}");
    }
}

#[test]
fn most_voxels_agree_without_tolerance() {
    let rig = rigs::rectified(640, 192);
    let view = View::new(5, &rig, 40.0);
    let grid = VoxelGrid::KITTI;
    let mut labels = Vec::new();
    Street::new(5, &rig).unwrap().labels(40.0, &grid, &mut labels);
    let ego_from_left = rig.left_from_ego.try_inverse().unwrap();
    let (mut inside, mut same) = (0, 0);
    for pixel in 0..view.depth_m.len() {
        let Some(point) = view.point(pixel) else { continue };
        let point = ego_from_left.transform_point(&Point3::from(point));
        let Some(voxel) = grid.voxel_at([point.x, point.y, point.z]) else { continue };
        inside += 1;
        same += usize::from(labels[grid.index(voxel)] == view.classes[pixel]);
    }
    println!("{same} of {inside} pixels have the class of their voxel");
    assert!(same * 100 >= inside * 93, "{same} of {inside}");
}

#[test]
fn free_space_is_empty() {
    // Halfway along each ray, well before its hit, there is nothing.
    let rig = rigs::rectified(320, 96);
    let view = View::new(2, &rig, 9.0);
    let grid = VoxelGrid::KITTI;
    let mut labels = Vec::new();
    Street::new(2, &rig).unwrap().labels(9.0, &grid, &mut labels);
    let ego_from_left = rig.left_from_ego.try_inverse().unwrap();
    let (mut inside, mut empty) = (0, 0);
    for pixel in 0..view.depth_m.len() {
        let Some(point) = view.point(pixel) else { continue };
        if point.norm() < 3.0 {
            continue;
        }
        let halfway = ego_from_left.transform_point(&Point3::from(point * 0.5));
        let Some(voxel) = grid.voxel_at([halfway.x, halfway.y, halfway.z]) else { continue };
        inside += 1;
        empty += usize::from(labels[grid.index(voxel)] == class::EMPTY);
    }
    println!("{empty} of {inside} empty");
    assert!(inside > 5000);
    // Rays that graze something leave it in their voxel.
    assert!(empty * 100 >= inside * 98, "{empty} of {inside}");
}

#[test]
fn what_stands_still_moves_with_the_ego() {
    let rig = rigs::rectified(640, 192);
    let (before, after) = (View::new(4, &rig, 10.0), View::new(4, &rig, 10.125));
    // 8 m/s for an eighth of a second.
    let moved_m = Vector3::new(0.0, 0.0, 1.0);
    let (mut errors, mut depths) = (Vec::new(), 0);
    for pixel in 0..before.depth_m.len() {
        let Some(point) = before.point(pixel) else { continue };
        let point = point - moved_m;
        let Ok(at) = after.camera.project(&point) else { continue };
        let Some((depth_m, rgb)) = after.sample(at) else { continue };
        if (depth_m - point.z).abs() < 0.02 * point.z {
            depths += 1;
            let rgb_before = before.rgb(pixel);
            errors.push((0..3).map(|i| (rgb_before[i] - rgb[i]).abs()).fold(0.0, f64::max));
        }
    }
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    println!("{depths} pixels seen again, error median {median:.1}");
    assert!(depths > before.depth_m.len() / 2);
    assert!(median <= 5.0, "{median}");
}

fn neighbours(grid: &VoxelGrid, voxel: [u32; 3]) -> impl Iterator<Item = [u32; 3]> {
    let dims = grid.dims;
    (0..27_u32).filter_map(move |i| {
        let shift = [i / 9, i / 3 % 3, i % 3];
        let mut near = [0; 3];
        for axis in 0..3 {
            near[axis] = (voxel[axis] + shift[axis]).checked_sub(1)?;
            if near[axis] >= dims[axis] {
                return None;
            }
        }
        Some(near)
    })
}
