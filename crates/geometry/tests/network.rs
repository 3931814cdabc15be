//! The geometry inputs of the network contract, against the reference network's own intermediate values.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod golden;

use golden::Golden;
use nalgebra::{Matrix3, Matrix4};
use occdepth_geometry::{
    ImageSize,
    depth::{BinMode, DepthBins, DepthVolume},
    network::{DepthInputs, GeometryError, GeometryInputs, GeometrySpec, View},
    projection::Arithmetic,
    voxel::VoxelGrid,
};
use proptest::prelude::*;

const TINY_IMAGE: ImageSize = ImageSize { width: 320, height: 96 };

/// The small KITTI network of the golden files.
fn tiny_spec() -> GeometrySpec {
    GeometrySpec {
        views: 2,
        image: TINY_IMAGE,
        scales: vec![1, 2, 4, 8],
        pattern: 0,
        project_scale: 2,
        grid: VoxelGrid::new([0.0, -8.0, -2.0], 0.4, [64, 40, 16]).unwrap(),
        depth: Some(DepthVolume { bins: DepthBins::KITTI, sampling_size: TINY_IMAGE }),
        right_samples_left_pixels: false,
    }
}

fn tiny_views(inputs: &Golden) -> Vec<View> {
    let (k, pose) = (inputs.f64("cam_k"), inputs.f64("T_velo_2_cam"));
    let pairs = k.as_chunks::<9>().0.iter().zip(pose.as_chunks::<16>().0);
    pairs
        .map(|(k, pose)| View {
            k: Matrix3::from_row_slice(k),
            cam_from_ego: Matrix4::from_row_slice(pose),
        })
        .collect()
}

/// The entries of `pixels` by the contract's formula, from published pixels and visibility:
/// `[Vp, S, N * P]`, row-major.
fn entries(pixels: &[i32], visible: &[u8], views: usize, spec: &GeometrySpec) -> Vec<i32> {
    let points = visible.len() / views;
    let mut entries = Vec::new();
    for view in 0..views {
        for &scale in &spec.scales {
            let width = spec.image.width.div_ceil(scale).cast_signed();
            let height = spec.image.height.div_ceil(scale).cast_signed();
            let scale = scale.cast_signed();
            entries.extend((0..points).map(|point| {
                let at = view * points + point;
                if visible[at] == 0 {
                    return height * width;
                }
                (pixels[2 * at + 1] / scale) * width + pixels[2 * at] / scale
            }));
        }
    }
    entries
}

#[test]
fn pixels_are_the_published_projections_at_every_scale() {
    let name = "pixels_are_the_published_projections_at_every_scale";
    let Some(golden) = Golden::open(name, "kitti_tiny_inputs.safetensors") else { return };
    for project_scale in [1, 2] {
        let spec = GeometrySpec { project_scale, ..tiny_spec() };
        let found = GeometryInputs::new(&spec, &tiny_views(&golden)).unwrap();
        let pixels = golden.i32(&format!("projected_pix_{project_scale}"));
        let visible = golden.u8(&format!("fov_mask_{project_scale}"));
        assert!(found.pixels == entries(&pixels, &visible, 2, &spec));
    }
}

/// Stereo soft feature assignment of the contract (section 2), `[c, N]`, from feature maps `[c, h, w]`.
fn assign(maps: [&[f32]; 2], pixels: [&[i32]; 2], channels: usize) -> Vec<f32> {
    let voxels = pixels[0].len();
    let cells = maps[0].len() / channels;
    let mut out = vec![0.0; channels * voxels];
    for voxel in 0..voxels {
        let seen = pixels.map(|pixels| usize::try_from(pixels[voxel]).unwrap());
        let feature = |view: usize, channel: usize| -> f32 {
            if seen[view] == cells { 0.0 } else { maps[view][channel * cells + seen[view]] }
        };
        let dot = |a: usize, b: usize| -> f32 {
            (0..channels).map(|channel| feature(a, channel) * feature(b, channel)).sum()
        };
        let factor = if seen.iter().all(|&pixel| pixel < cells) {
            dot(0, 1) / (dot(0, 0).sqrt().max(1e-8) * dot(1, 1).sqrt().max(1e-8))
        } else {
            1.0
        };
        for channel in 0..channels {
            out[channel * voxels + voxel] =
                factor * (feature(0, channel) + feature(1, channel)) / 2.0;
        }
    }
    out
}

#[test]
fn features_gathered_with_pixels_are_the_published_ones() {
    let name = "features_gathered_with_pixels_are_the_published_ones";
    let Some(golden) = Golden::open(name, "kitti_tiny_inputs.safetensors") else { return };
    let network = Golden::open(name, "kitti_tiny_eval.safetensors").unwrap();
    let spec = tiny_spec();
    let pixels = GeometryInputs::new(&spec, &tiny_views(&golden)).unwrap().pixels;
    let voxels = spec.grid.coarsened(2).unwrap().voxel_count();
    for (index, scale) in spec.scales.iter().enumerate() {
        let maps = [0, 1].map(|view| network.f32(&format!("feat.view{view}.1_{scale}")));
        let of_view =
            |view: usize| &pixels[(view * spec.scales.len() + index) * voxels..][..voxels];
        let found = assign([&maps[0], &maps[1]], [of_view(0), of_view(1)], 8);
        assert_close(&found, &network.f32(&format!("sfa.{scale}")), 1e-5);
    }
}

/// What the network makes of its depth volumes `[V, D, h, w]`: the sum of weighted cells, `[N]`.
fn gather(depth: &DepthInputs, volumes: &[f32], views: usize) -> Vec<f32> {
    let voxels = depth.index.len() / views / 8;
    let cells = volumes.len() / views;
    (0..voxels)
        .map(|voxel| {
            (0..views * 8)
                .map(|corner| {
                    let at = corner * voxels + voxel;
                    let cell = usize::try_from(depth.index[at]).unwrap();
                    depth.weight[at] * volumes[corner / 8 * cells + cell]
                })
                .sum()
        })
        .collect()
}

#[test]
fn depth_gathered_over_two_views_is_the_published_volume() {
    let name = "depth_gathered_over_two_views_is_the_published_volume";
    let Some(golden) = Golden::open(name, "kitti_tiny_inputs.safetensors") else { return };
    let network = Golden::open(name, "kitti_tiny_eval.safetensors").unwrap();
    let found = GeometryInputs::new(&tiny_spec(), &tiny_views(&golden)).unwrap().depth.unwrap();
    let volume = gather(&found, &network.f32("depth.prob"), 2);
    assert_close(&volume, &network.f32("depth.voxel"), 2e-5);
    assert_close(&found.pixel_size, &network.f32("depth.scaled_pixel_size"), 1e-6);
}

#[test]
fn depth_gathered_over_one_view_is_the_published_volume() {
    let name = "depth_gathered_over_one_view_is_the_published_volume";
    let Some(golden) = Golden::open(name, "nyu_flospdepth_formula.safetensors") else { return };
    let image = ImageSize { width: 160, height: 120 };
    let bins = DepthBins { mode: BinMode::Lid, min_m: 0.0, max_m: 10.0, count: 125 };
    let spec = GeometrySpec {
        views: 1,
        image,
        scales: vec![1, 2, 4, 8],
        pattern: 0,
        project_scale: 1,
        grid: VoxelGrid::nyu([0.0; 3]).unwrap(),
        depth: Some(DepthVolume { bins, sampling_size: image }),
        right_samples_left_pixels: false,
    };
    let view = nyu_view(&golden);
    for arithmetic in [Arithmetic::Single, Arithmetic::Double] {
        let found = GeometryInputs::with_arithmetic(&spec, &[view], arithmetic).unwrap();
        let depth = found.depth.unwrap();
        let volume = gather(&depth, &golden.f32("depth.prob"), 1);
        assert_close(&volume, &golden.f32("depth.voxel"), 1e-5);
        assert_close(&depth.pixel_size, &golden.f32("depth.scaled_pixel_size"), 1e-6);
    }
}

fn nyu_view(golden: &Golden) -> View {
    View {
        k: Matrix3::from_row_slice(&golden.f64("in.cam_k")),
        cam_from_ego: Matrix4::from_row_slice(&golden.f32("in.T_world_2_cam")).map(f64::from),
    }
}

#[test]
fn a_virtual_right_view_samples_the_published_pixels() {
    let name = "a_virtual_right_view_samples_the_published_pixels";
    let Some(golden) = Golden::open(name, "nyu_tiny_formula.safetensors") else { return };
    let origin_m: Vec<f64> = golden.f32("in.vox_origin").into_iter().map(f64::from).collect();
    let spec = GeometrySpec {
        views: 1,
        image: ImageSize { width: 160, height: 120 },
        scales: vec![1, 2, 4, 8],
        pattern: 0,
        project_scale: 1,
        grid: VoxelGrid::new(origin_m.try_into().unwrap(), 0.24, [20, 20, 12]).unwrap(),
        depth: None,
        right_samples_left_pixels: false,
    };
    let view = nyu_view(&golden);
    let baseline_m = golden.f64("in.virtual_bf")[0] / view.k[(0, 0)];
    let found =
        GeometryInputs::with_virtual_right(&spec, &view, baseline_m, Arithmetic::Single).unwrap();
    let (pixels, visible) = (golden.i32("in.projected_pix_1"), golden.u8("in.fov_mask_1"));
    assert!(found.pixels == entries(&pixels, &visible, 2, &spec));
}

#[test]
fn at_project_scale_1_the_published_right_view_samples_left_pixels() {
    let mut spec = small_spec();
    let views = small_views();
    let correct = GeometryInputs::new(&spec, &views).unwrap();
    spec.right_samples_left_pixels = true;
    let published = GeometryInputs::new(&spec, &views).unwrap();
    let (left, right) = correct.pixels.split_at(correct.pixels.len() / 2);
    assert!(left != right);
    assert!(published.pixels == [left, left].concat());
    assert!(published.depth == correct.depth);
}

/// A stereo network of a few hundred voxels.
fn small_spec() -> GeometrySpec {
    GeometrySpec {
        views: 2,
        image: ImageSize { width: 61, height: 35 },
        scales: vec![1, 2, 4, 8],
        pattern: 3,
        project_scale: 1,
        grid: VoxelGrid::new([0.0, -3.2, -1.6], 0.8, [8, 8, 4]).unwrap(),
        depth: Some(DepthVolume {
            bins: DepthBins { mode: BinMode::Lid, min_m: 1.0, max_m: 7.0, count: 6 },
            sampling_size: ImageSize { width: 61, height: 35 },
        }),
        right_samples_left_pixels: false,
    }
}

/// Two cameras half a metre apart, looking along the ego's x.
fn small_views() -> [View; 2] {
    let k = Matrix3::new(40.0, 0.0, 30.0, 0.0, 40.0, 17.0, 0.0, 0.0, 1.0);
    [0.0, -0.5].map(|x_m| {
        let cam_from_ego = Matrix4::new(
            0.0, -1.0, 0.0, x_m, //
            0.0, 0.0, -1.0, 0.0, //
            1.0, 0.0, 0.0, 0.0, //
            0.0, 0.0, 0.0, 1.0,
        );
        View { k, cam_from_ego }
    })
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f32, |scale, value| scale.max(value.abs()));
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let error = (found - expected).abs();
        assert!(error <= tolerance * scale, "{index}: found {found}, expected {expected}");
    }
}

#[test]
fn the_depth_tables_place_voxels_where_they_are() {
    // A volume whose cells hold their own coordinate reads as the position of the voxel's projection,
    // which has a closed form.
    let mut spec = small_spec();
    spec.views = 1;
    let view = small_views()[0];
    let depth = GeometryInputs::new(&spec, &[view]).unwrap().depth.unwrap();
    let [cells_z, cells_y, cells_x] = [6.0_f64, 5.0, 8.0];
    let volume = |axis: usize| -> Vec<f32> {
        (0..240_u16).map(|cell| [cell % 8, cell / 8 % 5, cell / 40][axis]).map(f32::from).collect()
    };
    let found = [0, 1, 2].map(|axis| gather(&depth, &volume(axis), 1));
    let mut inside = 0;
    let [found_x, found_y, found_z] = found;
    for (index, found) in found_x.iter().zip(&found_y).zip(&found_z).enumerate() {
        let ((&x, &y), &z) = found;
        let found = [x, y, z].map(f64::from);
        let [x, y, z] = spec.grid.centre_m(spec.grid.voxel(index).unwrap());
        // The camera looks along x: its z is the ego's x, its x is -y, its y is -z.
        let (u, v) = (30.0 - 40.0 * y / x, 17.0 - 40.0 * z / x);
        // LID: bin i begins at min + first i (i + 1) / 2, with D (D + 1) / 2 times first = max - min.
        let first_m = 2.0 * 6.0 / (6.0 * 7.0);
        let bin = -0.5 + (0.25 + 2.0 * (x - 1.0) / first_m).sqrt();
        let expected =
            [u * cells_x / 60.0 - 0.5, v * cells_y / 34.0 - 0.5, bin * cells_z / 5.0 - 0.5];
        let bounds = [cells_x, cells_y, cells_z];
        if expected.iter().zip(bounds).all(|(&at, cells)| at >= 0.0 && at <= cells - 1.0) {
            inside += 1;
            for axis in 0..3 {
                let error = (found[axis] - expected[axis]).abs();
                assert!(error < 1e-4, "voxel {index}, axis {axis}: {error}");
            }
        }
    }
    assert!(inside > 20, "{inside}");
}

/// A specification with one fault, and the beginning of its message.
type Fault = (fn(&mut GeometrySpec), &'static str);

#[test]
fn what_cannot_be_is_refused_by_field() {
    let faults: [Fault; 14] = [
        (|spec| spec.views = 0, "views: expected 1 or 2, found 0"),
        (|spec| spec.views = 3, "views: expected 1 or 2, found 3"),
        (|spec| spec.views = 1, "views: the network has 1, found 2 cameras"),
        (|spec| spec.image.width = 0, "image: "),
        (|spec| spec.image = ImageSize { width: 65536, height: 65536 }, "image: "),
        (|spec| spec.scales.clear(), "scales: "),
        (|spec| spec.scales[2] = 0, "scales: "),
        (|spec| spec.pattern = 9, "pattern: "),
        (|spec| spec.project_scale = 0, "grid: project_scale: "),
        (|spec| spec.project_scale = 3, "grid: project_scale: "),
        (|spec| spec.grid.voxel_size_m = -1.0, "grid: voxel_size_m: "),
        (|spec| spec.depth.as_mut().unwrap().bins.count = 0, "depth.bins.count: "),
        (|spec| spec.depth.as_mut().unwrap().bins.count = u32::MAX, "depth: "),
        (|spec| spec.depth.as_mut().unwrap().sampling_size.height = 1, "depth.sampling_size: "),
    ];
    for (fault, message) in faults {
        let mut spec = small_spec();
        fault(&mut spec);
        let error = GeometryInputs::new(&spec, &small_views()).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

/// A view with one fault, and the beginning of its message.
type ViewFault = (fn(&mut View), &'static str);

#[test]
fn views_that_cannot_be_are_refused_by_field() {
    let faults: [ViewFault; 10] = [
        (|view| view.k[(0, 0)] = 0.0, "view 1: k: "),
        (|view| view.k[(1, 1)] = f64::NAN, "view 1: k: "),
        (|view| view.k[(1, 1)] = 1e300, "view 1: k: "),
        (|view| view.k[(0, 2)] = f64::INFINITY, "view 1: k: "),
        (|view| view.k[(1, 2)] = 1e300, "view 1: k: "),
        (|view| view.k[(0, 1)] = 0.5, "view 1: k: "),
        (|view| view.k[(2, 2)] = 0.0, "view 1: k: "),
        (|view| view.cam_from_ego[(0, 3)] = f64::NAN, "view 1: cam_from_ego: "),
        (|view| view.cam_from_ego[(3, 3)] = 0.0, "view 1: cam_from_ego: "),
        (|view| view.cam_from_ego[(3, 0)] = 1.0, "view 1: cam_from_ego: "),
    ];
    for (fault, message) in faults {
        let mut views = small_views();
        fault(&mut views[1]);
        let error = GeometryInputs::new(&small_spec(), &views).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
    let mut spec = small_spec();
    spec.views = 1;
    for baseline_m in [0.0, -0.1, f64::NAN] {
        let [view, _] = small_views();
        let found =
            GeometryInputs::with_virtual_right(&spec, &view, baseline_m, Arithmetic::Double);
        assert!(matches!(found, Err(GeometryError::Baseline { .. })));
    }
}

#[test]
fn a_grid_beyond_memory_is_an_error() {
    let mut spec = small_spec();
    spec.grid.dims = [1 << 15, 1 << 15, 1];
    spec.pattern = 6;
    spec.scales = vec![1; 1 << 20];
    let error = GeometryInputs::new(&spec, &small_views()).unwrap_err();
    assert!(matches!(error, GeometryError::Memory { tensor: "pixels", .. }), "{error}");
}

proptest! {
    #[test]
    fn tables_never_leave_their_maps(
        views in 1_usize..=2,
        size in (2_u32..70, 2_u32..50),
        scales in prop::collection::vec(1_u32..10, 1..4),
        pattern in 0_u8..=8,
        project_scale in 1_u32..=2,
        mode in prop::sample::select(vec![BinMode::Ud, BinMode::Lid, BinMode::Sid]),
        origin_m in prop::array::uniform3(-4.0..4.0),
        focal_px in 5.0..100.0,
        angles in prop::array::uniform3(-3.2..3.2),
        right_samples_left_pixels: bool,
    ) {
        let image = ImageSize { width: size.0, height: size.1 };
        let bins = DepthBins { mode, min_m: 0.5, max_m: 6.0, count: 7 };
        let spec = GeometrySpec {
            views,
            image,
            scales,
            pattern,
            project_scale,
            grid: VoxelGrid::new(origin_m, 0.7, [6, 8, 4]).unwrap(),
            depth: Some(DepthVolume { bins, sampling_size: image }),
            right_samples_left_pixels,
        };
        let rotation = nalgebra::Rotation3::from_euler_angles(angles[0], angles[1], angles[2]);
        let k = Matrix3::new(
            focal_px, 0.0, f64::from(size.0) / 2.0, //
            0.0, focal_px, f64::from(size.1) / 2.0, //
            0.0, 0.0, 1.0,
        );
        let view = View { k, cam_from_ego: rotation.to_homogeneous() };
        let mut right = view;
        right.cam_from_ego[(0, 3)] = -0.3;
        let inputs = GeometryInputs::new(&spec, &[view, right][..views]).unwrap();

        let voxels = spec.grid.coarsened(project_scale).unwrap().voxel_count();
        let per_scale = inputs.pixels.len() / views / spec.scales.len();
        prop_assert_eq!(per_scale % voxels, 0);
        for (index, slice) in inputs.pixels.chunks(per_scale).enumerate() {
            let scale = spec.scales[index % spec.scales.len()];
            let cells = size.0.div_ceil(scale) * size.1.div_ceil(scale);
            // A point is visible at every scale or at none.
            let first = &inputs.pixels[index / spec.scales.len() * spec.scales.len() * per_scale..];
            let first_cells = size.0.div_ceil(spec.scales[0]) * size.1.div_ceil(spec.scales[0]);
            for (&entry, &first) in slice.iter().zip(first) {
                prop_assert!((0..=cells.cast_signed()).contains(&entry));
                prop_assert_eq!(entry == cells.cast_signed(), first == first_cells.cast_signed());
            }
        }

        let depth = inputs.depth.unwrap();
        let cells = 7 * size.0.div_ceil(8) * size.1.div_ceil(8);
        prop_assert!(depth.index.iter().all(|index| (0..cells.cast_signed()).contains(index)));
        prop_assert!(depth.weight.iter().all(|weight| (0.0..=1.0).contains(weight)));
        for voxel in 0..voxels {
            let sum: f32 = (0..views * 8).map(|corner| depth.weight[corner * voxels + voxel]).sum();
            let whole = sum == 0.0 || (sum - 1.0).abs() < 1e-5;
            prop_assert!(if views == 2 { whole } else { (0.0..1.0 + 1e-5).contains(&sum) }, "{sum}");
        }
    }
}
