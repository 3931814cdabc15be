//! A network of one view sees through the left camera of a stereo rig.

use crate::network::{self, PIXELS, VOXELS};
use occdepth::capture::synthetic::{Synthetic, SyntheticOptions};
use occdepth::capture::{Capture, FrameSource, Pacing};
use occdepth::daemon::GridConfig;
use occdepth::engine::{CpuEngine, Engine};
use occdepth::perception::Perception;
use occdepth::rectify::StereoRectifier;
use occdepth::rig::demo_rig;
use occdepth_contract::onnx::{ModelProto, TensorProto};
use occdepth_contract::{Contract, GridSpec};
use occdepth_geometry::network::GeometryInputs;
use std::time::Duration;

#[test]
fn logits_follow_from_the_left_image_alone() {
    let contract = contract();
    let bytes = model(&contract).to_bytes();
    let engine = CpuEngine::from_bytes(&bytes, "one view", Some(1)).unwrap();
    assert_eq!(engine.contract().views, 1);
    let rig = demo_rig().unwrap();
    let options = SyntheticOptions { pacing: Pacing::Unpaced, ..SyntheticOptions::default() };
    let mut source = Synthetic::open(&rig, &options).unwrap();
    let description = source.description().clone();
    let mut perception =
        Perception::new(&rig, &description, Box::new(engine), None, GridConfig::default()).unwrap();

    // What the network is given, from the same parts.
    let cameras = perception.cameras().clone();
    let spec = contract.geometry_spec(None).unwrap();
    let geometry = GeometryInputs::new(&spec, &[cameras.left.view]).unwrap();
    let seen = geometry.pixels.iter().filter(|&&pixel| pixel < PIXELS as i32).count();
    assert!(seen > 0 && geometry.pixels.len() == VOXELS, "{seen} of {VOXELS} voxels are seen");
    let mut rectifier = StereoRectifier::new(
        description.size,
        description.format,
        description.colour,
        &cameras,
        &contract.normalisation,
    )
    .unwrap();

    let Capture::Frame(frame) = source.next(Duration::from_secs(30)).unwrap() else {
        panic!("an unpaced source has a frame at once");
    };
    let mut images = vec![0.0; 2 * 3 * PIXELS];
    rectifier.rectify(&frame, &mut images).unwrap();
    let mut logits = vec![0.0; 3 * VOXELS];
    perception.perceive(&frame, Some(&mut logits)).unwrap();
    for class in 0..3 {
        for (voxel, &pixel) in geometry.pixels.iter().enumerate() {
            let pixel = pixel as usize;
            let value = if pixel == PIXELS { 0.0 } else { images[class * PIXELS + pixel] };
            let logit = logits[class * VOXELS + voxel];
            assert!((logit - 4.0 * value).abs() <= 1e-4, "{logit} != 4 * {value}");
        }
    }
    assert_eq!(perception.labels(), network::labels(&logits));
}

/// The network by hand for one view, its grid in front of the demo's vehicle.
fn contract() -> Contract {
    let two = network::contract();
    let grid = GridSpec { origin_m: Some([6.0, -1.5, -0.5]), ..two.grid.clone() };
    let mut contract = Contract { views: 1, grid, ..two };
    contract.inputs = contract.expected_inputs();
    contract
}

/// `logits[c][voxel] = 4 left[c][pixel of voxel]`: the left view in the place of both.
fn model(contract: &Contract) -> ModelProto {
    let mut model = network::model(contract);
    let graph = model.graph.as_mut().unwrap();
    graph.node.retain(|node| !node.name.starts_with("right"));
    for node in &mut graph.node {
        if node.name == "sum" {
            node.input[1] = "left".into();
        }
    }
    for constant in &mut graph.initializer {
        let dims = match constant.name.as_str() {
            "flat images" => vec![1, 3, PIXELS as i64],
            "flat pixels" => vec![1, VOXELS as i64],
            _ => continue,
        };
        *constant = TensorProto::from_i64(&constant.name, &[dims.len() as i64], &dims);
    }
    model
}
