//! What a network sees of a rig: the right camera, its pixels from the right place, nothing outside the image.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod rigs;

use nalgebra::{Vector3, Vector4};
use occdepth_geometry::{
    ImageSize,
    camera::Camera,
    fit::{Fit, FitError, NetworkCamera, NetworkCameras},
    rig::StereoRig,
};
use proptest::prelude::*;

const NETWORK: ImageSize = ImageSize { width: 320, height: 96 };

#[test]
fn a_crop_of_rectified_images_keeps_each_camera_as_it_is() {
    let rig = rigs::rectified();
    let size = ImageSize { width: 1220, height: 370 };
    let cameras = NetworkCameras::new(&rig, Fit::Crop, size).unwrap();
    assert!(cameras.left.map.is_none() && cameras.right.map.is_none());
    assert_eq!(cameras.size, size);
    assert_eq!(cameras.left.view.k, rig.left.intrinsics.matrix());
    assert_eq!(cameras.right.view.k, rig.right.intrinsics.matrix());
    assert_eq!(cameras.left.view.cam_from_ego, rig.left_from_ego);
    assert_eq!(cameras.right.view.cam_from_ego, rig.right_from_left * rig.left_from_ego);
    assert_eq!(cameras.rectified_from_ego, rig.left_from_ego);
    assert!((cameras.baseline_m - 0.53).abs() < 1e-12);
}

#[test]
fn a_crop_is_not_larger_than_the_images() {
    for (width, height) in [(1227, 370), (1226, 371)] {
        let crop = ImageSize { width, height };
        let error = NetworkCameras::new(&rigs::rectified(), Fit::Crop, crop).unwrap_err();
        let image = ImageSize { width: 1226, height: 370 };
        assert_eq!(error, FitError::CropTooLarge { image, crop });
        let message = error.to_string();
        assert!(message.contains("1226x370") && message.contains(&crop.to_string()), "{message}");
    }
    let empty = ImageSize { width: 0, height: 96 };
    for fit in [Fit::Crop, Fit::Rectify] {
        let error = NetworkCameras::new(&rigs::rectified(), fit, empty).unwrap_err();
        assert_eq!(error, FitError::EmptySize { size: empty });
    }
}

#[test]
fn an_unusable_rig_is_refused() {
    let mut rig = rigs::pinholes();
    rig.left.intrinsics.fx = 0.0;
    let message = NetworkCameras::new(&rig, Fit::Rectify, NETWORK).unwrap_err().to_string();
    assert!(message.contains("left.fx"), "{message}");
}

#[test]
fn rectified_images_of_the_right_size_are_taken_as_they_are() {
    let rig = rigs::rectified();
    let cameras = NetworkCameras::new(&rig, Fit::Rectify, rig.image_size).unwrap();
    assert!(cameras.left.map.is_none() && cameras.right.map.is_none());
    assert_eq!(cameras.left.view.k, rig.left.intrinsics.matrix());
}

#[test]
fn rectified_images_are_scaled_and_cropped() {
    // 320x96 pixels span 319 x 95 steps; 1225 of the source divided by 319 is less than 369 by 95, so the
    // width is filled, and the height cut, as near to the principal point's row as the image allows.
    let rig = rigs::rectified();
    let cameras = NetworkCameras::new(&rig, Fit::Rectify, NETWORK).unwrap();
    let step = 1225.0 / 319.0;
    let focal = 700.0 / step;
    let top = (180.0_f64 - step * 95.0 / 2.0).clamp(0.0, 369.0 - step * 95.0);
    for camera in [&cameras.left, &cameras.right] {
        let k = camera.view.k;
        assert!((k.m11 - focal).abs() < 1e-3 * focal && (k.m11 - k.m22).abs() < 1e-12, "{k}");
        for (u, v) in [(0, 0), (319, 0), (319, 95), (160, 50)] {
            let found = entry(camera, u, v);
            let expected = [f64::from(u) * step, top + f64::from(v) * step];
            assert!((found[0] - expected[0]).abs() < 0.5, "{found:?} {expected:?}");
            assert!((found[1] - expected[1]).abs() < 0.5, "{found:?} {expected:?}");
        }
    }
    assert_eq!(cameras.right.view.cam_from_ego, rig.right_from_left * rig.left_from_ego);
}

#[test]
fn the_view_is_as_large_as_the_images_allow() {
    for rig in [rigs::pinholes(), rigs::rectified()] {
        for size in [NETWORK, ImageSize { width: 200, height: 200 }] {
            let cameras = NetworkCameras::new(&rig, Fit::Rectify, size).unwrap();
            let [right, bottom] = [rig.image_size.width - 1, rig.image_size.height - 1];
            let slack = [&cameras.left, &cameras.right]
                .iter()
                .flat_map(|camera| &camera.map.as_ref().unwrap().source)
                .map(|&[x, y]| x.min(y).min(right as f32 - x).min(bottom as f32 - y))
                .fold(f32::INFINITY, f32::min);
            assert!((0.0..1.0).contains(&slack), "{} {size}: {slack} px unused", rig.name);
        }
    }
}

#[test]
fn a_fisheye_is_cut_at_110_degrees() {
    let rig = rigs::fisheyes();
    for (size, extent) in [(NETWORK, 319.0), (ImageSize { width: 100, height: 200 }, 199.0)] {
        let k = NetworkCameras::new(&rig, Fit::Rectify, size).unwrap().left.view.k;
        // The axis is not quite in the middle: one side reaches 55 degrees, the other nearly.
        let angle = 2.0 * f64::atan(extent / 2.0 / k.m11).to_degrees();
        assert!((105.0..=110.0).contains(&angle), "{angle}");
    }
}

#[test]
fn an_unrectified_crop_is_the_corner_of_the_full_rectified_image() {
    let rig = rigs::pinholes();
    let full = NetworkCameras::new(&rig, Fit::Rectify, rig.image_size).unwrap();
    let crop = NetworkCameras::new(&rig, Fit::Crop, NETWORK).unwrap();
    for (full, crop) in [(&full.left, &crop.left), (&full.right, &crop.right)] {
        assert_eq!(full.view, crop.view);
        for (u, v) in [(0, 0), (319, 0), (0, 95), (319, 95), (77, 33)] {
            assert_eq!(entry(full, u, v).map(f64::to_bits), entry(crop, u, v).map(f64::to_bits));
        }
    }
    let larger = ImageSize { width: 801, height: 96 };
    assert!(NetworkCameras::new(&rig, Fit::Crop, larger).is_err());
}

#[test]
fn cameras_that_look_apart_have_no_common_view() {
    // Each is turned outwards by 0.95 rad: beside each other, but at right angles to what they share.
    let (sin, cos) = 0.95_f64.sin_cos();
    let rig = StereoRig {
        right_from_left: rigs::rigid([0.0, 1.9, 0.0], [-0.3 * cos, 0.0, 0.3 * sin]),
        ..rigs::pinholes()
    };
    let error = NetworkCameras::new(&rig, Fit::Rectify, NETWORK).unwrap_err();
    assert!(matches!(error, FitError::NoCommonView { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A point of the ego frame that falls on a network pixel is where the map says in the real image, the
    /// map never leaves that image, and the two views of a rectified rig agree on row and disparity.
    #[test]
    fn the_map_leads_to_what_the_view_sees(
        rig in rigs::any_rig(),
        (width, height) in (32..200u32, 32..100u32),
        crop in any::<bool>(),
        places in prop::collection::vec((0..1000u32, 0..1000u32, 1.0..60.0_f64), 24),
    ) {
        let fit = if crop { Fit::Crop } else { Fit::Rectify };
        let size = ImageSize { width, height };
        let cameras = NetworkCameras::new(&rig, fit, size).unwrap();
        let physical: [(&NetworkCamera, &Camera, _); 2] = [
            (&cameras.left, &rig.left, rig.left_from_ego),
            (&cameras.right, &rig.right, rig.right_from_left * rig.left_from_ego),
        ];
        for (camera, raw, raw_from_ego) in physical {
            if let Some(map) = &camera.map {
                prop_assert_eq!(map.size, size);
                prop_assert_eq!(map.source.len(), (width * height) as usize);
                let [right, bottom] =
                    [rig.image_size.width, rig.image_size.height].map(|n| (n - 1) as f32);
                let inside = |&[x, y]: &[f32; 2]| {
                    (0.0..=right).contains(&x) && (0.0..=bottom).contains(&y)
                };
                prop_assert!(map.source.iter().all(inside));
            }
            for &(x, y, depth_m) in &places {
                let [u, v] = [x % width, y % height];
                let ego_from_cam = camera.view.cam_from_ego.try_inverse().unwrap();
                let ray = camera.view.k.try_inverse().unwrap()
                    * Vector3::new(f64::from(u), f64::from(v), 1.0);
                let ego: Vector4<f64> = ego_from_cam * (ray * depth_m).push(1.0);
                let [raw_x, raw_y] = raw.project(&(raw_from_ego * ego).xyz()).unwrap();
                let found = entry(camera, u, v);
                prop_assert!((raw_x - found[0]).hypot(raw_y - found[1]) < 0.02);
            }
        }
        prop_assert_eq!(cameras.rectified_from_ego, cameras.left.view.cam_from_ego);
        if !rig.rectified {
            prop_assert_eq!(cameras.left.view.k, cameras.right.view.k);
            let k = cameras.left.view.k;
            for &(x, y, depth_m) in &places {
                let [x, y] = [x, y].map(|share| f64::from(share) * 1e-3 - 0.5);
                let in_left = Vector4::new(x * depth_m, y * depth_m, depth_m, 1.0);
                let ego = cameras.left.view.cam_from_ego.try_inverse().unwrap() * in_left;
                let left = k * in_left.xyz() / depth_m;
                let in_right = (cameras.right.view.cam_from_ego * ego).xyz();
                let right = k * in_right / in_right.z;
                prop_assert!((left.y - right.y).abs() < 1e-6);
                let disparity = k.m11 * cameras.baseline_m / depth_m;
                prop_assert!((left.x - right.x - disparity).abs() < 1e-6);
            }
        }
    }
}

/// Where a pixel of the network's image lies in the real one.
fn entry(camera: &NetworkCamera, u: u32, v: u32) -> [f64; 2] {
    match &camera.map {
        None => [f64::from(u), f64::from(v)],
        Some(map) => map.source[(v * map.size.width + u) as usize].map(f64::from),
    }
}
