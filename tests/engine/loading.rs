//! What is no network, or not one for this engine, is refused by file and field.

use crate::network;
use occdepth::engine::{CpuEngine, EngineError};
use occdepth_contract::onnx::{ModelProto, OnnxError, ValueInfoProto, data_type};
use occdepth_contract::{Contract, ContractError};
use occdepth_cpu::CpuError;
use proptest::prelude::*;
use std::path::Path;

#[test]
fn a_missing_file_and_a_directory_are_named() {
    for path in [Path::new("no/such/network.onnx"), Path::new(env!("CARGO_MANIFEST_DIR"))] {
        let error = CpuEngine::open(path, Some(1)).unwrap_err();
        assert!(matches!(error, EngineError::Read { .. }), "{error}");
        assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn other_files_are_no_networks() {
    let refused = |bytes: &[u8]| CpuEngine::from_bytes(bytes, "file.onnx", Some(1)).unwrap_err();
    assert!(matches!(refused(b""), EngineError::Model(OnnxError::Empty { .. })));
    let text = refused(b"# a configuration, not a network\n");
    assert!(matches!(text, EngineError::Model(_)), "{text}");
    assert!(text.to_string().contains("file.onnx"), "{text}");
}

#[test]
fn a_file_reads_back_what_was_written() {
    let bytes = network::model(&network::contract()).to_bytes();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("network.onnx");
    std::fs::write(&path, &bytes).unwrap();
    assert!(CpuEngine::open(&path, Some(1)).is_ok());

    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = CpuEngine::open(&path, Some(1)).unwrap_err();
    assert!(matches!(error, EngineError::Model(_)), "{error}");
    assert!(error.to_string().contains("network.onnx"), "{error}");
}

#[test]
fn a_network_without_a_contract_is_refused() {
    let mut model = network::model(&network::contract());
    model.metadata_props.clear();
    let error = refused(&model);
    assert!(matches!(error, EngineError::Contract(ContractError::Missing { .. })), "{error}");
}

#[test]
fn another_major_version_is_refused_by_version() {
    let contract = Contract { contract_version: "2.0".into(), ..network::contract() };
    let error = refused(&network::model(&contract));
    assert!(matches!(error, EngineError::Contract(ContractError::Version { .. })), "{error}");
}

#[test]
fn a_graph_that_declares_other_shapes_than_its_contract_is_refused_by_tensor() {
    let mut model = network::model(&network::contract());
    let graph = model.graph.as_mut().unwrap();
    graph.input[0] = ValueInfoProto::tensor("images", data_type::FLOAT, &[2, 3, 4, 9]);
    let error = refused(&model);
    assert!(matches!(error, EngineError::Contract(ContractError::Field { .. })), "{error}");
    assert!(error.to_string().contains("images"), "{error}");
}

#[test]
fn a_network_that_needs_a_depth_camera_says_so() {
    let mut contract = Contract { views: 1, virtual_stereo: true, ..network::contract() };
    contract.inputs = contract.expected_inputs();
    let error = refused(&network::model(&contract));
    assert_eq!(field(&error), "virtual_stereo");
    assert!(error.to_string().contains("depth camera"), "{error}");
}

#[test]
fn an_operator_that_the_runtime_does_not_have_is_refused_by_name() {
    let mut model = network::model(&network::contract());
    model.graph.as_mut().unwrap().node.last_mut().unwrap().op_type = "NoSuchOperator".into();
    let error = refused(&model);
    assert!(matches!(error, EngineError::Cpu(CpuError::Node { .. })), "{error}");
    assert!(error.to_string().contains("NoSuchOperator"), "{error}");
}

#[test]
fn a_convolution_without_stored_weights_is_refused_by_node() {
    let mut model = network::model(&network::contract());
    model.graph.as_mut().unwrap().initializer.retain(|constant| constant.name != "weights");
    let error = refused(&model);
    assert!(matches!(error, EngineError::Cpu(CpuError::Node { .. })), "{error}");
    assert!(error.to_string().contains("`convolved`"), "{error}");
    assert!(error.to_string().contains("`weights`"), "{error}");
}

#[test]
fn the_number_of_threads_has_bounds() {
    let bytes = network::model(&network::contract()).to_bytes();
    for threads in [0, 1_000_000] {
        let error = CpuEngine::from_bytes(&bytes, "file", Some(threads)).unwrap_err();
        assert!(
            matches!(error, EngineError::Cpu(CpuError::Threads { found }) if found == threads),
            "{error}"
        );
    }
    let engine = CpuEngine::from_bytes(&bytes, "file", Some(3)).unwrap();
    assert!(occdepth::engine::Engine::description(&engine).name.contains("3 threads"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn no_truncated_network_is_accepted(kept in 0.0..1.0_f64) {
        let bytes = network::model(&network::contract()).to_bytes();
        let kept = (bytes.len() as f64 * kept) as usize;
        prop_assert!(CpuEngine::from_bytes(&bytes[..kept], "file", Some(1)).is_err());
    }

    #[test]
    fn random_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(CpuEngine::from_bytes(&bytes, "file", Some(1)).is_err());
    }
}

fn refused(model: &ModelProto) -> EngineError {
    CpuEngine::from_bytes(&model.to_bytes(), "file.onnx", Some(1)).unwrap_err()
}

fn field(error: &EngineError) -> &str {
    match error {
        EngineError::Field { field, .. } => field,
        other => panic!("expected a field, found {other}"),
    }
}
