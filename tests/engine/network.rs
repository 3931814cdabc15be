//! A network small enough to compute by hand.

use occdepth_contract::onnx::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, ValueInfoProto,
};
use occdepth_contract::{
    Class, Contract, GridSpec, METADATA_KEY, Normalisation, Precision, Quirks, Training,
};
use occdepth_geometry::network::GeometryInputs;
use occdepth_geometry::{ImageSize, fit::Fit};

/// Columns and rows of its images.
pub(crate) const IMAGE: ImageSize = ImageSize { width: 8, height: 4 };
/// Pixels of an image; as an entry of `pixels`: not visible.
pub(crate) const PIXELS: usize = 32;
/// Voxels of its 2 x 3 x 2 grid.
pub(crate) const VOXELS: usize = 12;
/// Ids of its classes, by plane.
pub(crate) const CLASS_IDS: [u8; 3] = [0, 9, 40];

/// Its promise.
pub(crate) fn contract() -> Contract {
    let class = |id: u8| Class { id, name: format!("class {id}"), colour: [id; 3] };
    let mut contract = Contract {
        contract_version: occdepth_contract::CONTRACT_VERSION.into(),
        preset: "by hand".into(),
        dataset: "none".into(),
        training: Training { trained: false, note: "a test".into() },
        views: 2,
        virtual_stereo: false,
        image: IMAGE,
        scales: vec![1],
        pattern: 0,
        project_scale: 1,
        grid: GridSpec {
            axes: "x forward, y left, z up".into(),
            origin_m: Some([0.0; 3]),
            voxel_size_m: 1.0,
            dims: [2, 3, 2],
        },
        depth: None,
        fit: Fit::Rectify,
        normalisation: Normalisation::IMAGENET,
        classes: CLASS_IDS.map(class).to_vec(),
        inputs: vec![],
        outputs: vec![],
        precision: Precision::Fp32,
        quirks: Quirks::default(),
        source_checkpoint: None,
        exporter: "a test".into(),
    };
    contract.inputs = contract.expected_inputs();
    contract.outputs = contract.expected_outputs();
    contract
}

/// `logits[c][voxel] = 2 (left[c][pixel of voxel] + right[c][pixel of voxel])`, through a 3-D
/// convolution whose only weight is the 2 in its centre.
pub(crate) fn model(contract: &Contract) -> ModelProto {
    let op =
        |op_type: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>| NodeProto {
            op_type: op_type.into(),
            name: output.into(),
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            attribute,
            ..NodeProto::default()
        };
    let axis = |axis: i64| vec![AttributeProto::int("axis", axis)];
    let mut node = vec![
        op("Reshape", &["images", "flat images"], "flat", vec![]),
        op("Pad", &["flat", "one column"], "maps", vec![]),
        op("Reshape", &["pixels", "flat pixels"], "table", vec![]),
    ];
    for (view, index) in [("left", "zero"), ("right", "one")] {
        node.extend([
            op("Gather", &["maps", index], &format!("{view} map"), axis(0)),
            op("Gather", &["table", index], &format!("{view} table"), axis(0)),
            op("Gather", &[&format!("{view} map"), &format!("{view} table")], view, axis(1)),
        ]);
    }
    let ints = |name: &str, values: &[i64]| AttributeProto::ints(name, values);
    node.extend([
        op("Add", &["left", "right"], "sum", vec![]),
        op("Reshape", &["sum", "volume"], "features", vec![]),
        op(
            "Conv",
            &["features", "weights"],
            "convolved",
            vec![ints("kernel_shape", &[3; 3]), ints("pads", &[1; 6])],
        ),
        op("Reshape", &["convolved", "grid"], "ssc_logits", vec![]),
    ]);
    let mut weights = vec![0.0; 3 * 3 * 27];
    for channel in 0..3 {
        weights[(channel * 3 + channel) * 27 + 13] = 2.0;
    }
    let pixels = PIXELS as i64;
    let declare = |spec: &occdepth_contract::TensorSpec| {
        let shape: Vec<i64> = spec.shape.iter().map(|&extent| extent as i64).collect();
        ValueInfoProto::tensor(&spec.name, spec.dtype.onnx(), &shape)
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 17 }],
        graph: Some(GraphProto {
            node,
            name: "by hand".into(),
            initializer: vec![
                TensorProto::from_i64("flat images", &[3], &[2, 3, pixels]),
                TensorProto::from_i64("one column", &[6], &[0, 0, 0, 0, 0, 1]),
                TensorProto::from_i64("flat pixels", &[2], &[2, VOXELS as i64]),
                TensorProto::from_i64("zero", &[], &[0]),
                TensorProto::from_i64("one", &[], &[1]),
                TensorProto::from_i64("volume", &[5], &[1, 3, 2, 3, 2]),
                TensorProto::from_i64("grid", &[4], &[3, 2, 3, 2]),
                TensorProto::from_f32("weights", &[3, 3, 3, 3, 3], &weights),
            ],
            input: contract.inputs.iter().map(declare).collect(),
            output: contract.outputs.iter().map(declare).collect(),
            ..GraphProto::default()
        }),
        metadata_props: vec![StringStringEntryProto {
            key: METADATA_KEY.into(),
            value: contract.to_json(),
        }],
        ..ModelProto::default()
    }
}

/// A table: voxel v sees pixel `pixel(view, v)`.
pub(crate) fn geometry(pixel: impl Fn(usize, usize) -> i32) -> GeometryInputs {
    let each = (0..2).flat_map(|view| (0..VOXELS).map(move |voxel| (view, voxel)));
    GeometryInputs { pixels: each.map(|(view, voxel)| pixel(view, voxel)).collect(), depth: None }
}

/// Images `[2, 3, H, W]` of whole numbers, so that sums are exact.
pub(crate) fn images() -> Vec<f32> {
    (0..2 * 3 * PIXELS).map(|i| ((i * 37 + i / 5) % 101) as f32 - 50.0).collect()
}

/// The logits `[3, VOXELS]` by the formula of [`model`].
pub(crate) fn logits(images: &[f32], geometry: &GeometryInputs) -> Vec<f32> {
    let seen = |view: usize, class: usize, voxel: usize| {
        let pixel = geometry.pixels[view * VOXELS + voxel] as usize;
        if pixel == PIXELS { 0.0 } else { images[(view * 3 + class) * PIXELS + pixel] }
    };
    let each = (0..3).flat_map(|class| (0..VOXELS).map(move |voxel| (class, voxel)));
    each.map(|(class, voxel)| 2.0 * (seen(0, class, voxel) + seen(1, class, voxel))).collect()
}

/// Class ids by the greatest of [`logits`], the first among equals.
pub(crate) fn labels(logits: &[f32]) -> Vec<u8> {
    let of = |voxel: usize| {
        let best = (0..3).fold(0, |best, class| {
            if logits[class * VOXELS + voxel] > logits[best * VOXELS + voxel] {
                class
            } else {
                best
            }
        });
        CLASS_IDS[best]
    };
    (0..VOXELS).map(of).collect()
}
