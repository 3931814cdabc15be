//! The network that comes with the program.

use nalgebra::{Matrix3, Matrix4};
use occdepth::engine::{BUNDLED_NETWORK, CpuEngine, Engine, EngineError};
use occdepth::grid::{GridOutput, LabelOptions};
use occdepth_geometry::network::{GeometryInputs, View};
use sha2::{Digest, Sha256};

#[test]
fn it_serves_a_stereo_rig_from_images_to_labels() {
    let mut engine = CpuEngine::bundled(Some(2)).unwrap();
    let contract = engine.contract().clone();
    assert_eq!(contract.views, 2);
    assert!(contract.grid.origin_m.is_some(), "the grid has a place");
    assert_eq!(engine.description().network_sha256[..], Sha256::digest(BUNDLED_NETWORK)[..]);

    let geometry = geometry(&engine);
    engine.bind(&geometry, LabelOptions::default()).unwrap();
    let values = |name: &str| -> usize {
        let inputs = contract.inputs.iter().chain(&contract.outputs);
        inputs
            .filter(|tensor| tensor.name == name)
            .map(|tensor| tensor.element_count() as usize)
            .sum()
    };
    let images: Vec<f32> =
        (0..values("images")).map(|i| ((i * 7919) % 1000) as f32 / 250.0 - 2.0).collect();
    let voxels: usize = contract.grid.dims.iter().map(|&dim| dim as usize).product();
    let mut runs = (0..2).map(|_| {
        let (mut labels, mut logits) = (vec![77; voxels], vec![f32::NAN; values("ssc_logits")]);
        let output =
            GridOutput { labels: &mut labels, confidence: None, logits: Some(&mut logits) };
        engine.run(&images, output).unwrap();
        (labels, logits)
    });
    let (labels, logits) = runs.next().unwrap();
    assert!(logits.iter().all(|logit| logit.is_finite()));
    assert!(labels.iter().all(|label| contract.classes.iter().any(|class| class.id == *label)));
    assert_eq!(runs.next().unwrap(), (labels, logits), "the same images give the same grid");
}

#[test]
fn it_refuses_geometry_out_of_range() {
    let mut engine = CpuEngine::bundled(Some(1)).unwrap();
    let good = geometry(&engine);
    let mut outside = good.clone();
    *outside.pixels.last_mut().unwrap() = i32::MAX;
    let error = engine.bind(&outside, LabelOptions::default()).unwrap_err();
    let last = good.pixels.len() - 1;
    assert!(
        matches!(error, EngineError::GeometryValue { input: "pixels", element, .. } if element == last),
        "{error}"
    );
    let volume = engine.contract().depth.expect("the bundled network has a depth net");
    let cells: u32 = volume.shape(engine.contract().image).iter().product();
    let mut beyond = good.clone();
    beyond.depth.as_mut().unwrap().index[5] = cells as i32;
    let error = engine.bind(&beyond, LabelOptions::default()).unwrap_err();
    assert!(
        matches!(error, EngineError::GeometryValue { input: "depth_index", element: 5, .. }),
        "{error}"
    );
    let mut infinite = good.clone();
    infinite.depth.as_mut().unwrap().weight[3] = f32::NAN;
    let error = engine.bind(&infinite, LabelOptions::default()).unwrap_err();
    assert!(
        matches!(error, EngineError::GeometryValue { input: "depth_weight", element: 3, .. }),
        "{error}"
    );
    let error =
        engine.bind(&GeometryInputs { depth: None, ..good }, LabelOptions::default()).unwrap_err();
    assert!(matches!(error, EngineError::GeometryLength { input: "depth_index", .. }), "{error}");
}

/// Two cameras half a metre apart, 1.5 m above the ground, looking ahead.
fn geometry(engine: &CpuEngine) -> GeometryInputs {
    let spec = engine.contract().geometry_spec(None).unwrap();
    let [width, height] = [spec.image.width, spec.image.height].map(f64::from);
    let focal_px = width / 2.0;
    let k = Matrix3::new(focal_px, 0.0, width / 2.0, 0.0, focal_px, height / 2.0, 0.0, 0.0, 1.0);
    let view = |right_m: f64| View {
        k,
        cam_from_ego: Matrix4::new(
            0.0, -1.0, 0.0, -right_m, //
            0.0, 0.0, -1.0, 0.0, //
            1.0, 0.0, 0.0, 0.0, //
            0.0, 0.0, 0.0, 1.0,
        ),
    };
    GeometryInputs::new(&spec, &[view(0.0), view(0.5)]).unwrap()
}
