//! From images to labels, by a network whose answers follow from a formula.

use crate::network::{self, PIXELS, VOXELS};
use occdepth::engine::{CpuEngine, Engine, EngineError};
use occdepth::grid::{GridError, GridOutput, LabelOptions};
use occdepth_geometry::network::{DepthInputs, GeometryInputs};

#[test]
fn labels_and_logits_follow_from_images_and_geometry() {
    let images = network::images();
    for threads in [1, 4] {
        let mut engine = engine(threads);
        // One rig after the other on the same engine; some voxels are seen by one view or none.
        let rigs = [
            network::geometry(|view, voxel| ((voxel * 5 + view * 3) % (PIXELS + 1)) as i32),
            network::geometry(|view, voxel| if voxel % 3 == view { PIXELS } else { voxel } as i32),
            network::geometry(|_, _| PIXELS as i32),
        ];
        for geometry in rigs {
            engine.bind(&geometry, LabelOptions::default()).unwrap();
            let expected = network::logits(&images, &geometry);
            for _ in 0..2 {
                let (labels, logits) = run(&mut engine, &images).unwrap();
                // Sums of a few hundred, to about seven digits.
                for (logit, expected) in logits.iter().zip(&expected) {
                    assert!((logit - expected).abs() <= 1e-4, "{logit} != {expected}");
                }
                assert_eq!(labels, network::labels(&logits));
            }
        }
    }
}

#[test]
fn a_run_before_a_rig_is_refused() {
    let error = run(&mut engine(1), &network::images()).unwrap_err();
    assert!(matches!(error, EngineError::Unbound), "{error}");
}

#[test]
fn images_and_outputs_of_another_length_are_refused() {
    let mut engine = bound();
    let images = network::images();
    let error = run(&mut engine, &images[1..]).unwrap_err();
    let expected = images.len();
    assert!(
        matches!(error, EngineError::Images { found, expected: e } if (found, e) == (expected - 1, expected)),
        "{error}"
    );
    let mut labels = vec![0; VOXELS + 1];
    let output = GridOutput { labels: &mut labels, confidence: None, logits: None };
    let error = engine.run(&images, output).unwrap_err();
    assert!(
        matches!(error, EngineError::Label(GridError::Output { field: "labels", .. })),
        "{error}"
    );
    // The engine is as good as before.
    assert!(run(&mut engine, &images).is_ok());
}

#[test]
fn a_network_that_computes_another_shape_than_it_promises_is_found_out() {
    let mut model = network::model(&network::contract());
    let graph = model.graph.as_mut().unwrap();
    let conv = graph.node.iter_mut().find(|node| node.name == "convolved").unwrap();
    conv.input[0] = "twice".into();
    let twice = occdepth_contract::onnx::NodeProto {
        op_type: "Concat".into(),
        name: "twice".into(),
        input: vec!["features".into(), "features".into()],
        output: vec!["twice".into()],
        attribute: vec![occdepth_contract::onnx::AttributeProto::int("axis", 2)],
        ..Default::default()
    };
    let place = graph.node.iter().position(|node| node.name == "convolved").unwrap();
    graph.node.insert(place, twice);
    graph.node.last_mut().unwrap().input[1] = "double grid".into();
    let shape = occdepth_contract::onnx::TensorProto::from_i64("double grid", &[4], &[3, 4, 3, 2]);
    graph.initializer.push(shape);

    let mut engine = CpuEngine::from_bytes(&model.to_bytes(), "file", Some(1)).unwrap();
    engine.bind(&network::geometry(|_, _| 0), LabelOptions::default()).unwrap();
    let error = run(&mut engine, &network::images()).unwrap_err();
    assert!(matches!(error, EngineError::Output { output: "ssc_logits", .. }), "{error}");
}

#[test]
fn geometry_that_does_not_fit_the_contract_is_refused_and_the_old_one_kept() {
    let mut engine = bound();
    let images = network::images();
    let before = run(&mut engine, &images).unwrap();
    let good = network::geometry(|_, voxel| voxel as i32);

    let mut short = good.clone();
    short.pixels.pop();
    let error = engine.bind(&short, LabelOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::GeometryLength { input: "pixels", .. }), "{error}");
    assert!(error.to_string().contains("23") && error.to_string().contains("24"), "{error}");

    for wrong in [-1, PIXELS as i32 + 1, i32::MIN, i32::MAX] {
        let mut outside = good.clone();
        outside.pixels[17] = wrong;
        let error = engine.bind(&outside, LabelOptions::default()).unwrap_err();
        let named =
            matches!(error, EngineError::GeometryValue { input: "pixels", element: 17, .. });
        assert!(named, "{error}");
    }

    let depth = DepthInputs { index: vec![], weight: vec![], pixel_size: vec![] };
    let with_depth = GeometryInputs { depth: Some(depth), ..good };
    let error = engine.bind(&with_depth, LabelOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::GeometryLength { input: "depth_index", .. }), "{error}");

    assert_eq!(run(&mut engine, &images).unwrap(), before);
}

fn engine(threads: usize) -> CpuEngine {
    let bytes = network::model(&network::contract()).to_bytes();
    CpuEngine::from_bytes(&bytes, "by hand", Some(threads)).unwrap()
}

fn bound() -> CpuEngine {
    let mut engine = engine(1);
    let geometry = network::geometry(|view, voxel| (voxel + view) as i32);
    engine.bind(&geometry, LabelOptions::default()).unwrap();
    engine
}

fn run(engine: &mut CpuEngine, images: &[f32]) -> Result<(Vec<u8>, Vec<f32>), EngineError> {
    let (mut labels, mut logits) = (vec![0; VOXELS], vec![0.0; 3 * VOXELS]);
    let output = GridOutput { labels: &mut labels, confidence: None, logits: Some(&mut logits) };
    engine.run(images, output)?;
    Ok((labels, logits))
}
