//! Weights and inputs that do not fit.

use burn::tensor::Device;
use occdepth_geometry::network::GeometryInputs;
use occdepth_host::{
    network::{DepthImage, Inputs, InputsError, Network},
    weights::{Weights, WeightsError},
};

use crate::{common::nyu_tiny, small};

#[test]
fn weights_that_do_not_fit_are_refused_by_name() {
    let preset = small();
    let device = Device::flex();
    let complete = Weights::initialise(&preset, 0);
    let name = "net_3d_decoder.process_l2.1.main.conv4.weight";
    let shape = complete.find(name).unwrap().shape.clone();

    let mut missing = Weights::default();
    for (other, tensor) in complete.iter().filter(|(other, _)| *other != name) {
        missing.insert(other, tensor.shape.clone(), tensor.values.clone()).unwrap();
    }
    match Network::new(&preset, &missing, &device) {
        Err(WeightsError::Missing { name: found, expected }) => {
            assert_eq!((found.as_str(), &expected), (name, &shape));
        }
        other => panic!("{:?}", other.err()),
    }

    let mut wrong = complete;
    wrong.insert(name, vec![1], vec![0.0]).unwrap();
    match Network::new(&preset, &wrong, &device) {
        Err(WeightsError::Shape { name: found, found: shape, .. }) => {
            assert_eq!((found.as_str(), shape), (name, vec![1]));
        }
        other => panic!("{:?}", other.err()),
    }
}

#[test]
fn inputs_that_do_not_fit_are_refused_by_name() {
    let preset = small();
    let device = Device::flex();
    let geometry = GeometryInputs { pixels: vec![0; 3], depth: None };
    let images = 2 * 3 * 96 * 320;
    let error = |images, geometry: &GeometryInputs| {
        Inputs::new(&preset, vec![0.0; images], geometry, &device).unwrap_err()
    };
    assert!(matches!(error(1, &geometry), InputsError::Length { tensor: "images", .. }));
    assert!(matches!(error(images, &geometry), InputsError::Length { tensor: "pixels", .. }));
    let pixels = vec![0; 2 * 4 * preset.projection_voxels()];
    let geometry = GeometryInputs { pixels, depth: None };
    assert!(matches!(error(images, &geometry), InputsError::NoDepth { .. }));
}

/// A preset with virtual stereo has to have a depth image, of its size; another must not.
#[test]
fn depth_images_that_do_not_fit_are_refused_by_name() {
    let device = Device::flex();
    let image = |values| DepthImage { depth_m: vec![1.0; values], baseline_focal: 1.0 };
    let rgbd = nyu_tiny();
    let pixels = vec![0; 2 * 4 * rgbd.projection_voxels()];
    let geometry = GeometryInputs { pixels, depth: None };
    let images = || vec![0.0; 3 * 120 * 160];

    let error = Inputs::new(&rgbd, images(), &geometry, &device).unwrap_err();
    assert!(matches!(error, InputsError::NoDepthImage { .. }), "{error}");
    let with = |depth| Inputs::with_depth_image(&rgbd, images(), depth, &geometry, &device);
    assert!(with(image(120 * 160)).is_ok());
    let error = with(image(120 * 159)).unwrap_err();
    assert!(matches!(error, InputsError::Length { tensor: "depth_m", .. }), "{error}");

    for depth_m in [f32::NEG_INFINITY, f32::NAN, f32::INFINITY] {
        let mut bad = image(120 * 160);
        bad.depth_m[7] = depth_m;
        let error = with(bad).unwrap_err();
        assert!(matches!(error, InputsError::Depth { at: 7, .. }), "{error}");
    }
    let bad = DepthImage { baseline_focal: f32::NAN, ..image(120 * 160) };
    let error = with(bad).unwrap_err();
    assert!(matches!(error, InputsError::BaselineFocal { .. }), "{error}");

    let error = Inputs::with_depth_image(&small(), vec![], image(1), &geometry, &device);
    assert!(matches!(error.unwrap_err(), InputsError::UnexpectedDepthImage { .. }));
}
