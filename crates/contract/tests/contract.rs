//! What is accepted as a network of this project and what is refused, by field.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::float_cmp, reason = "numbers that are copied, not computed")]

use occdepth_contract::{
    CONTRACT_VERSION, Contract, ContractError, DType, GridSpec, METADATA_KEY, Normalisation,
    Precision, Quirks, TensorSpec, Training, classes, onnx,
};
use occdepth_geometry::{
    ImageSize,
    depth::{DepthBins, DepthVolume},
    fit::Fit,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The published network for `SemanticKITTI` (KITTI grid, b3 image size), as its contract.
fn kitti() -> Contract {
    let image = ImageSize { width: 1220, height: 370 };
    let mut contract = Contract {
        contract_version: CONTRACT_VERSION.into(),
        preset: "kitti-b3".into(),
        dataset: "semantic-kitti".into(),
        training: Training { trained: false, note: "for a test".into() },
        views: 2,
        virtual_stereo: false,
        image,
        scales: vec![1, 2, 4, 8],
        pattern: 1,
        project_scale: 2,
        grid: GridSpec {
            axes: "x forward, y left, z up".into(),
            origin_m: Some([0.0, -25.6, -2.0]),
            voxel_size_m: 0.2,
            dims: [256, 256, 32],
        },
        depth: Some(DepthVolume { bins: DepthBins::KITTI, sampling_size: image }),
        fit: Fit::Crop,
        normalisation: Normalisation::IMAGENET,
        classes: classes::semantic_kitti(),
        inputs: vec![],
        outputs: vec![],
        precision: Precision::Fp32,
        quirks: Quirks::default(),
        source_checkpoint: None,
        exporter: "test 1".into(),
    };
    contract.inputs = contract.expected_inputs();
    contract.outputs = contract.expected_outputs();
    contract
}

fn declare(spec: &TensorSpec) -> onnx::ValueInfoProto {
    let shape: Vec<i64> = spec.shape.iter().map(|&n| i64::try_from(n).unwrap()).collect();
    onnx::ValueInfoProto::tensor(&spec.name, spec.dtype.onnx(), &shape)
}

/// A model with this document whose graph declares the tensors of `contract`.
fn model(document: &str, contract: &Contract) -> onnx::ModelProto {
    onnx::ModelProto {
        ir_version: 8,
        metadata_props: vec![onnx::StringStringEntryProto {
            key: METADATA_KEY.into(),
            value: document.into(),
        }],
        graph: Some(onnx::GraphProto {
            node: vec![onnx::NodeProto { op_type: "Relu".into(), ..Default::default() }],
            initializer: vec![onnx::TensorProto::from_f32("w", &[2], &[1.0, 2.0])],
            input: contract.inputs.iter().map(declare).collect(),
            output: contract.outputs.iter().map(declare).collect(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn refused(document: &str, contract: &Contract) -> ContractError {
    Contract::from_model(&model(document, contract), "net.onnx").unwrap_err()
}

#[test]
fn shapes_follow_the_network_contract() {
    let contract = kitti();
    let shapes: Vec<(&str, &[u64], DType)> = contract
        .inputs
        .iter()
        .chain(&contract.outputs)
        .map(|tensor| (tensor.name.as_str(), &tensor.shape[..], tensor.dtype))
        .collect();
    // N = 256 * 256 * 32 / 2^3; pattern 1 has five points.
    let n = 262_144;
    assert_eq!(
        shapes,
        [
            ("images", &[2, 3, 370, 1220][..], DType::F32),
            ("pixels", &[2, 4, n, 5][..], DType::I32),
            ("depth_index", &[2, 8, n][..], DType::I32),
            ("depth_weight", &[2, 8, n][..], DType::F32),
            ("pixel_size", &[2, 1][..], DType::F32),
            ("ssc_logits", &[20, 256, 256, 32][..], DType::F32),
        ]
    );
}

#[test]
fn what_was_written_is_read_back() {
    let mut contract = kitti();
    let bytes = model(&contract.to_json(), &contract).to_bytes();
    let read = onnx::ModelProto::from_bytes(&bytes, "net.onnx").unwrap();
    assert_eq!(Contract::from_model(&read, "net.onnx").unwrap(), contract);

    // The optional outputs are part of the contract where they are listed.
    let occupancy =
        TensorSpec { name: "occ_logits".into(), shape: vec![2, 256, 256, 32], dtype: DType::F32 };
    contract.outputs.push(occupancy);
    let with_occupancy = model(&contract.to_json(), &contract);
    assert_eq!(Contract::from_model(&with_occupancy, "net.onnx").unwrap(), contract);
}

/// An RGB-D network takes one image and a depth image, and gathers from two views.
#[test]
fn virtual_stereo_adds_a_depth_image_and_a_view() {
    let mut contract = Contract { views: 1, virtual_stereo: true, depth: None, ..kitti() };
    contract.inputs = contract.expected_inputs();
    contract.validate("net.onnx").unwrap();
    let inputs: Vec<(&str, &[u64], DType)> = contract
        .inputs
        .iter()
        .map(|input| (input.name.as_str(), &input.shape[..], input.dtype))
        .collect();
    assert_eq!(
        inputs,
        [
            ("images", &[1, 3, 370, 1220][..], DType::F32),
            ("pixels", &[2, 4, 262_144, 5][..], DType::I32),
            ("depth_m", &[1, 1, 370, 1220][..], DType::F32),
            ("baseline_focal", &[1][..], DType::F32),
        ]
    );
    assert_eq!(Contract::from_json(&contract.to_json(), "net.onnx").unwrap(), contract);
    contract.views = 2;
    let error = contract.validate("net.onnx").unwrap_err().to_string();
    assert!(error.contains("`virtual_stereo`"), "{error}");
}

/// A document of version 1.0 has no such field, and means two cameras.
#[test]
fn documents_of_the_first_version_are_read() {
    let mut document: Value = serde_json::from_str(&kitti().to_json()).unwrap();
    document["contract_version"] = json!("1.0");
    document.as_object_mut().unwrap().remove("virtual_stereo").unwrap();
    let contract = Contract::from_json(&document.to_string(), "net.onnx").unwrap();
    assert!(!contract.virtual_stereo);
    assert_eq!(contract.inputs, kitti().inputs);
}

#[test]
fn geometry_needs_an_origin() {
    let mut contract = kitti();
    assert_eq!(contract.geometry_spec(None).unwrap().grid.origin_m, [0.0, -25.6, -2.0]);
    let moved = contract.geometry_spec(Some([1.0, 2.0, 3.0])).unwrap();
    assert_eq!(moved.grid.origin_m, [1.0, 2.0, 3.0]);
    contract.grid.origin_m = None;
    let error = contract.geometry_spec(None).unwrap_err().to_string();
    assert!(error.contains("grid.origin_m") && error.contains("per scene"), "{error}");
    assert!(contract.geometry_spec(Some([f64::NAN, 0.0, 0.0])).is_err());
}

#[test]
fn a_model_without_a_contract_is_refused() {
    let foreign = onnx::ModelProto::default();
    let error = Contract::from_model(&foreign, "resnet.onnx").unwrap_err();
    assert!(matches!(error, ContractError::Missing { .. }));
    assert!(error.to_string().starts_with("resnet.onnx"), "{error}");
}

#[test]
fn versions_decide_before_fields_do() {
    let contract = kitti();
    let mut document: Value = serde_json::from_str(&contract.to_json()).unwrap();
    for (version, accepted) in
        [("1.0", true), ("1.7", true), ("2.0", false), ("0.9", false), ("1", false), ("one", false)]
    {
        document["contract_version"] = json!(version);
        let result = Contract::from_json(&document.to_string(), "net.onnx");
        assert_eq!(result.is_ok(), accepted, "{version}");
        if let Err(error) = result {
            let text = error.to_string();
            assert!(text.contains(version) && text.contains(CONTRACT_VERSION), "{text}");
        }
    }
    // A newer major may have changed any field; the version is what the message is about.
    let newer = json!({"contract_version": "2.0", "cameras": 4});
    let error = Contract::from_json(&newer.to_string(), "net.onnx").unwrap_err();
    assert!(matches!(error, ContractError::Version { .. }), "{error}");

    // A newer minor may have added fields; ours may not have unknown ones.
    document["added_later"] = json!(true);
    document["contract_version"] = json!("1.7");
    assert!(Contract::from_json(&document.to_string(), "net.onnx").is_ok());
    document["contract_version"] = json!(CONTRACT_VERSION);
    let error = Contract::from_json(&document.to_string(), "net.onnx").unwrap_err();
    assert!(matches!(error, ContractError::Json { .. }), "{error}");
}

#[test]
fn every_field_out_of_range_is_named() {
    let contract = kitti();
    let valid: Value = serde_json::from_str(&contract.to_json()).unwrap();
    let cases = [
        ("/views", json!(3), "views"),
        ("/views", json!(0), "views"),
        ("/preset", json!(""), "preset"),
        ("/training/note", json!("trained\u{1b}]0;on nothing\u{7}"), "training.note"),
        ("/training/note", json!("x".repeat(2049)), "training.note"),
        ("/exporter", json!("occdepth-host\n0.1.0"), "exporter"),
        ("/grid/axes", json!("\u{9b}2J"), "grid.axes"),
        ("/image/width", json!(0), "image.width"),
        ("/image/height", json!(100_000), "image.height"),
        ("/scales", json!([]), "scales"),
        ("/scales", json!([2, 1]), "scales"),
        ("/scales", json!([1, 3]), "scales"),
        ("/scales", json!([1, 2, 4]), "scales"),
        ("/pattern", json!(9), "pattern"),
        ("/project_scale", json!(3), "project_scale"),
        ("/grid/dims", json!([256, 255, 32]), "grid.dims"),
        ("/grid/dims", json!([0, 256, 32]), "grid.dims"),
        // Two slices more than 2^28 voxels; then 2^28 voxels, and with 20 classes more than 2^32 logits.
        ("/grid/dims", json!([4096, 4096, 18]), "grid.dims"),
        ("/grid/dims", json!([4096, 4096, 16]), "grid.dims"),
        ("/grid/voxel_size_m", json!(-0.2), "grid.voxel_size_m"),
        ("/depth/bins/max_m", json!(1.0), "depth"),
        ("/depth/bins/count", json!(1), "depth"),
        ("/depth/sampling_size/width", json!(1), "depth.sampling_size"),
        ("/normalisation/std", json!([0.2, 0.0, 0.2]), "normalisation.std"),
        ("/classes/3/id", json!(2), "classes[3].id"),
        ("/classes/3/id", json!(255), "classes[3].id"),
        ("/classes/3/name", json!("a\nb"), "classes[3].name"),
        ("/source_checkpoint", json!("abc"), "source_checkpoint"),
        ("/inputs/1/shape", json!([2, 4, 262_144, 1]), "inputs[1]"),
        ("/inputs/0/dtype", json!("i32"), "inputs[0]"),
        ("/inputs", json!([]), "inputs"),
        ("/outputs/0/name", json!("logits"), "outputs[0]"),
        // Fields that the shapes follow from.
        ("/views", json!(1), "inputs[0]"),
        ("/depth", json!(null), "inputs"),
        ("/virtual_stereo", json!(true), "virtual_stereo"),
    ];
    for (pointer, value, expected) in cases {
        let mut document = valid.clone();
        *document.pointer_mut(pointer).unwrap() = value;
        let error = refused(&document.to_string(), &contract);
        let ContractError::Field { field, origin, .. } = &error else {
            panic!("{pointer}: {error}");
        };
        assert_eq!((field.as_str(), origin.as_str()), (expected, "net.onnx"), "{error}");
    }
}

/// The two bounds of a grid are inclusive: 2^28 voxels, and 2^32 - 1 logits.
#[test]
fn the_largest_grid_is_accepted() {
    let mut contract = kitti();
    contract.grid.dims = [4096, 4096, 16];
    assert_eq!(contract.grid.voxel_count(), 1 << 28);
    contract.classes.truncate(15);
    contract.inputs = contract.expected_inputs();
    contract.outputs = contract.expected_outputs();
    contract.validate("net.onnx").unwrap();
    contract.classes = classes::semantic_kitti();
    contract.classes.truncate(16);
    contract.outputs = contract.expected_outputs();
    let error = contract.validate("net.onnx").unwrap_err().to_string();
    assert!(error.contains("found 4294967296 logits"), "{error}");
}

#[test]
fn a_graph_that_declares_other_tensors_is_refused() {
    let contract = kitti();
    let document = contract.to_json();
    let field = |change: &dyn Fn(&mut onnx::GraphProto)| {
        let mut model = model(&document, &contract);
        change(model.graph.as_mut().unwrap());
        match Contract::from_model(&model, "net.onnx").unwrap_err() {
            ContractError::Field { field, found, .. } => (field, found),
            other => panic!("{other}"),
        }
    };
    let (name, _) = field(&|graph| graph.input.truncate(1));
    assert_eq!(name, "graph.input");
    let (name, _) = field(&|graph| graph.output.clear());
    assert_eq!(name, "graph.output");
    let (name, found) = field(&|graph| {
        graph.input[0] = onnx::ValueInfoProto::tensor("images", 1, &[2, 3, 370, 1221]);
    });
    assert_eq!(name, "graph.input.images");
    assert!(found.contains("1221"), "{found}");
    let (name, found) = field(&|graph| {
        let kind = graph.input[1].r#type.as_mut().unwrap().tensor_type.as_mut().unwrap();
        let dim = &mut kind.shape.as_mut().unwrap().dim[0];
        *dim = onnx::Dimension { dim_value: None, dim_param: Some("batch".into()) };
    });
    assert_eq!(name, "graph.input.pixels");
    assert!(found.contains("static"), "{found}");
    // Half precision inside is fine, at the edge it is not.
    let (name, _) = field(&|graph| {
        graph.output[0] = onnx::ValueInfoProto::tensor("ssc_logits", 10, &[20, 256, 256, 32]);
    });
    assert_eq!(name, "graph.output.ssc_logits");
}

proptest! {
    #[test]
    fn any_text_is_a_contract_or_an_error(text in ".{0,200}") {
        prop_assert!(Contract::from_json(&text, "net.onnx").is_err());
    }

    /// Replaces one value of the document by another JSON value: accepted or refused, never a panic,
    /// and what is accepted can be turned into a geometry.
    #[test]
    fn a_changed_document_never_panics(
        position in any::<prop::sample::Index>(),
        value in prop_oneof![
            any::<i64>().prop_map(|n| json!(n)),
            any::<f64>().prop_map(|x| json!(x)),
            any::<u8>().prop_map(|n| json!(n)),
            ".{0,9}".prop_map(|text| json!(text)),
            Just(json!(null)),
            Just(json!([])),
            Just(json!({})),
        ],
    ) {
        let mut document: Value = serde_json::from_str(&kitti().to_json()).unwrap();
        let pointers: Vec<String> = pointers(&document, "");
        *document.pointer_mut(position.get(&pointers[..]).as_str()).unwrap() = value;
        if let Ok(contract) = Contract::from_json(&document.to_string(), "net.onnx") {
            prop_assert!(contract.geometry_spec(Some([0.0; 3])).is_ok());
        }
    }

    #[test]
    fn a_truncated_model_is_refused(cut in any::<prop::sample::Index>()) {
        let contract = kitti();
        let bytes = model(&contract.to_json(), &contract).to_bytes();
        let read = onnx::ModelProto::from_bytes(&bytes[..cut.index(bytes.len())], "net.onnx");
        prop_assert!(read.map_or(true, |model| Contract::from_model(&model, "net.onnx").is_err()));
    }

    #[test]
    fn a_damaged_model_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let contract = kitti();
        let mut bytes = model(&contract.to_json(), &contract).to_bytes();
        for (position, byte) in damage {
            let position = position.index(bytes.len());
            bytes[position] = byte;
        }
        if let Ok(model) = onnx::ModelProto::from_bytes(&bytes, "net.onnx")
            && let Ok(contract) = Contract::from_model(&model, "net.onnx")
        {
            prop_assert!(contract.validate("net.onnx").is_ok());
        }
    }
}

/// The JSON pointers of every value in a document.
fn pointers(value: &Value, prefix: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect()
        }
        _ => vec![],
    };
    children
        .into_iter()
        .flat_map(|(name, value)| {
            let pointer = format!("{prefix}/{name}");
            let below = pointers(value, &pointer);
            std::iter::once(pointer).chain(below)
        })
        .collect()
}
