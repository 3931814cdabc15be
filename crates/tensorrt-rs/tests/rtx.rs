//! NVIDIA's own builder, parser and runtime: `TensorRT` for RTX, which builds on any machine, where `TENSORRT_RTX_DIR`
//! names a directory with `libtensorrt_rtx.so.1` and its parser: `tests/rtx.sh` fetches them. Their licence forbids to
//! ship them. Of its 282 slots and numbers that this crate uses, 280 are those of 11.
#![allow(clippy::print_stdout, reason = "tests/rtx.sh shows what the library says")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tensorrt_rs::{
    Builder, BuilderConfig, BuilderFlag, DataType, Dims, Feature, LayerType, LoadError, Major,
    MemoryPool, Network, NetworkTyping, ProfileSelector, ProfilingVerbosity, ProgressMonitor,
    Runtime, Search, TensorFormat, TensorIoMode, TensorRt, TensorRtError, Version, cuda,
};

/// The network that the workspace ships: 5 inputs, one output.
const NANO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../engines/nano.onnx");

fn directory(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("TENSORRT_RTX_DIR").map(PathBuf::from);
    if found.is_none() {
        skip(test, "TENSORRT_RTX_DIR names no directory (see tests/rtx.sh)");
    }
    found
}

/// Says that a test is skipped, past the harness, which keeps what passing tests print.
fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
}

fn load(test: &str) -> Option<TensorRt> {
    let search = Search::at(directory(test)?).allow_rtx();
    Some(TensorRt::load(&search).expect("TensorRT for RTX is loaded"))
}

/// Builder, the bundled network as the parser made it, and a configuration.
fn parsed(tensorrt: TensorRt) -> (Builder, Network, BuilderConfig) {
    let builder = Builder::new(tensorrt).expect("a builder, without a GPU too");
    let mut network = builder.create_network(NetworkTyping::Strong).expect("a network");
    network
        .onnx_parser()
        .and_then(|mut parser| parser.parse_file(Path::new(NANO)))
        .expect("NVIDIA's parser takes the bundled network");
    let mut config = builder.create_config().expect("a configuration");
    config.set_flag(BuilderFlag::Tf32, false).expect("fp32 is meant");
    (builder, network, config)
}

#[test]
fn it_is_taken_where_it_is_asked_for() {
    let Some(directory) = directory("it_is_taken_where_it_is_asked_for") else { return };
    let error = TensorRt::load(&Search::at(&directory)).expect_err("nobody asked for it");
    assert!(matches!(error, LoadError::NotInstalled { .. }), "{error}");
    let tensorrt = TensorRt::load(&Search::at(&directory).allow_rtx()).expect("it is there");
    assert_eq!(tensorrt.major(), Major::Rtx1);
    assert!(tensorrt.version() >= Version::new(1, 7, 0), "{}", tensorrt.version());
    println!("{} is TensorRT for RTX {}", tensorrt.path().display(), tensorrt.version());
    let file = directory.join("libtensorrt_rtx.so.1");
    assert_eq!(TensorRt::load(&Search::at(file)).expect("a file").version(), tensorrt.version());
    for feature in [Feature::Builder, Feature::ProgressMonitor, Feature::StronglyTyped] {
        assert!(tensorrt.has(feature), "{feature:?}");
    }
    assert!(!tensorrt.has(Feature::WeaklyTyped));
    let error = Builder::new(tensorrt)
        .expect("a builder")
        .create_network(NetworkTyping::Weak)
        .expect_err("as in 11");
    assert!(matches!(error, TensorRtError::Unsupported(_)), "{error}");
}

/// Whatever is read of a network: names, types, shapes and connections are those of the file.
#[test]
fn the_parser_makes_the_network_of_the_file() {
    let Some(tensorrt) = load("the_parser_makes_the_network_of_the_file") else { return };
    let (builder, mut network, config) = parsed(tensorrt);
    let shape = |dims: &[i64]| Dims::new(dims).expect("few dimensions");
    let mut inputs = Vec::new();
    for index in 0..network.inputs().expect("a count") {
        let input = network.input(index).expect("an input");
        inputs.push((
            input.name().expect("a name"),
            input.data_type().expect("a type"),
            input.shape().expect("a shape"),
        ));
    }
    // By the contract in the file's metadata: nano has two views of 320 x 96 pixels.
    assert_eq!(inputs[0], ("images".into(), DataType::Float, shape(&[2, 3, 96, 320])));
    assert_eq!(inputs.len(), 5, "{inputs:?}");
    assert_eq!(network.outputs().expect("a count"), 1);
    let output = network.output(0).expect("the output");
    assert_eq!(output.name().expect("a name"), "ssc_logits");
    let dims = output.shape().expect("a shape");
    assert_eq!(dims.as_slice().last_chunk(), Some(&[128, 128, 16]), "{dims:?}");
    output.set_allowed_formats(&[TensorFormat::Linear]).expect("a slot that differs from 11's");
    network.set_name("occupancy").expect("the other one");

    let layers = network.layers().expect("a count");
    assert!(layers > 100, "{layers} layers");
    let mut kinds = std::collections::BTreeMap::new();
    for index in 0..layers {
        let layer = network.layer(index).expect("a layer");
        let kind = layer.layer_type().expect("a type that is known");
        *kinds.entry(kind).or_insert(0) += 1;
        assert!(!layer.name().expect("a name").is_empty());
        for nth in 0..layer.outputs().expect("a count") {
            let output = layer.output(nth).expect("an output").expect("nothing is optional");
            assert!(!output.name().expect("a name").is_empty());
        }
        for nth in 0..layer.inputs().expect("a count") {
            layer.input(nth).expect("an input, or none where it is optional");
        }
    }
    println!("{layers} layers: {kinds:?}");
    assert!(kinds[&LayerType::Convolution] > 20 && kinds[&LayerType::Deconvolution] > 0);
    assert!(builder.is_network_supported(&network, &config).expect("a check"));
}

/// What the monitor was told.
#[derive(Default)]
struct Seen {
    started: Vec<(String, Option<String>, u32)>,
    finished: Vec<String>,
    steps: u32,
}

struct Watch {
    seen: Arc<Mutex<Seen>>,
    /// Stop at the first step.
    cancel: bool,
}

impl ProgressMonitor for Watch {
    fn phase_start(&self, phase: &str, parent: Option<&str>, steps: u32) {
        let mut seen = self.seen.lock().expect("not poisoned");
        seen.started.push((phase.to_owned(), parent.map(str::to_owned), steps));
    }

    fn step_complete(&self, _: &str, _: u32) -> bool {
        self.seen.lock().expect("not poisoned").steps += 1;
        !self.cancel
    }

    fn phase_finish(&self, phase: &str) {
        self.seen.lock().expect("not poisoned").finished.push(phase.to_owned());
    }
}

#[test]
fn a_plan_is_built_and_its_building_watched() {
    let Some(tensorrt) = load("a_plan_is_built_and_its_building_watched") else { return };
    let (builder, network, mut config) = parsed(tensorrt);
    assert!(!config.flag(BuilderFlag::Tf32).expect("it was cleared"));
    config.set_flag(BuilderFlag::Tf32, true).expect("a flag");
    assert!(config.flag(BuilderFlag::Tf32).expect("it was set"));
    config.set_memory_pool_limit(MemoryPool::Workspace, 1 << 28).expect("a limit");
    assert_eq!(config.memory_pool_limit(MemoryPool::Workspace).expect("a limit"), 1 << 28);
    config.set_optimization_level(2).expect("a level");
    config.set_profiling_verbosity(ProfilingVerbosity::Detailed).expect("a verbosity");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let watch = Watch { seen: Arc::clone(&seen), cancel: false };
    config.set_progress_monitor(Box::new(watch)).expect("a monitor");
    let plan = builder.build_serialized(&network, &mut config).expect("a plan");
    assert!(plan.len() > 1 << 20, "{} bytes: less than its weights", plan.len());
    let seen = seen.lock().expect("not poisoned");
    println!("{} bytes; {} phases, {} steps", plan.len(), seen.started.len(), seen.steps);
    assert!(!seen.started.is_empty() && seen.steps > 0);
    assert_eq!(seen.started.len(), seen.finished.len(), "{:?} {:?}", seen.started, seen.finished);
    for (phase, parent, _) in &seen.started {
        assert!(seen.finished.contains(phase), "{phase}");
        if let Some(parent) = parent {
            assert!(seen.started.iter().any(|(known, ..)| known == parent), "{parent}");
        }
    }
}

#[test]
fn a_monitor_stops_the_builder() {
    let Some(tensorrt) = load("a_monitor_stops_the_builder") else { return };
    let (builder, network, mut config) = parsed(tensorrt);
    let seen = Arc::new(Mutex::new(Seen::default()));
    config
        .set_progress_monitor(Box::new(Watch { seen: Arc::clone(&seen), cancel: true }))
        .expect("a monitor");
    let error = builder.build_serialized(&network, &mut config).expect_err("it was stopped");
    assert!(matches!(error, TensorRtError::Failed(_)), "{error}");
    println!("{error}");
    assert!(seen.lock().expect("not poisoned").steps >= 1);
}

#[test]
fn a_timing_cache_is_made_kept_and_combined() {
    let Some(tensorrt) = load("a_timing_cache_is_made_kept_and_combined") else { return };
    let (builder, network, mut config) = parsed(tensorrt);
    let cache = config.create_timing_cache(&[]).expect("an empty cache");
    config.set_timing_cache(cache, false).expect("it is of this device");
    builder.build_serialized(&network, &mut config).expect("a plan");
    let bytes = config.timing_cache().expect("it was set").serialize().expect("bytes").to_vec();
    println!("{} bytes of timing cache", bytes.len());
    let mut again = config.create_timing_cache(&bytes).expect("its own bytes");
    let other = config.create_timing_cache(&[]).expect("an empty cache");
    again.combine(&other, false).expect("of the same device");
    again.reset().expect("a cache");
}

#[test]
fn errors_of_the_parser_name_the_node() {
    let Some(tensorrt) = load("errors_of_the_parser_name_the_node") else { return };
    let builder = Builder::new(tensorrt).expect("a builder");
    let parse = |bytes: &[u8]| {
        let mut network = builder.create_network(NetworkTyping::Strong).expect("a network");
        let mut parser = network.onnx_parser().expect("a parser");
        assert!(parser.supports_operator("Conv").expect("an answer"));
        assert!(!parser.supports_operator("NoSuchOperator").expect("an answer"));
        parser.parse(bytes, None).expect_err("no network")
    };
    let whole = std::fs::read(NANO).expect("the bundled network");
    for bytes in [&b"rubbish"[..], &whole[..whole.len() / 2]] {
        let error = parse(bytes);
        assert!(matches!(error, TensorRtError::Parse(_)), "{error}");
        println!("{error}");
    }
    // An operator that nobody has, in place of the first ReLU: field 4 of a node (onnx.proto, `op_type`), 4 bytes long.
    let at = whole.windows(6).position(|field| field == b"\x22\x04Relu");
    let mut changed = whole;
    changed[at.expect("the network has activations") + 2] = b'X';
    let error = parse(&changed);
    println!("{error}");
    let TensorRtError::Parse(error) = error else {
        return assert_eq!(error.to_string(), "of a node");
    };
    let first = error.errors.first().expect("the parser says which");
    let operator = first.operator.as_deref().unwrap_or_default();
    assert_eq!(operator, "Xelu", "{first:?}");
    assert!(first.node_name.as_deref().is_some_and(|name| !name.is_empty()), "{first:?}");
}

/// The bundled network leaves no shape open, so a profile can be filled in and checked here, but not built with.
#[test]
fn a_profile_takes_shapes() {
    let Some(tensorrt) = load("a_profile_takes_shapes") else { return };
    let builder = Builder::new(tensorrt).expect("a builder");
    let mut profile = builder.create_optimization_profile().expect("a profile");
    let shape = Dims::new(&[2, 3, 96, 320]).expect("few dimensions");
    for selector in [ProfileSelector::Min, ProfileSelector::Opt, ProfileSelector::Max] {
        profile.set_dimensions("images", selector, &shape).expect("a shape");
    }
    assert!(profile.is_valid().expect("an answer"));
}

#[test]
fn a_runtime_says_why_it_takes_no_plan() {
    let Some(tensorrt) = load("a_runtime_says_why_it_takes_no_plan") else { return };
    let mut runtime = Runtime::new(tensorrt).expect("a runtime, without a GPU too");
    runtime.set_engine_host_code_allowed(false).expect("a setting");
    let directory = tempfile::tempdir().expect("a directory");
    runtime.set_temporary_directory(directory.path()).expect("a directory");
    for plan in [&b""[..], b"rubbish", &[0; 4096]] {
        let error = runtime.deserialize(plan).expect_err("it is no plan");
        assert!(matches!(error, TensorRtError::Failed(_)), "{error}");
        println!("{error}");
    }
}

/// On a GPU: a plan that was just built is taken, or refused with the GPU's kind as the reason.
#[test]
fn a_plan_is_taken_on_a_gpu() {
    const TEST: &str = "a_plan_is_taken_on_a_gpu";
    let Some(tensorrt) = load(TEST) else { return };
    if let Err(error) = cuda::probe() {
        skip(TEST, &error.to_string());
        return;
    }
    let (builder, network, mut config) = parsed(tensorrt);
    let plan = match builder.build_serialized(&network, &mut config) {
        Ok(plan) => plan,
        Err(error) => return skip(TEST, &format!("this GPU is none that it builds for: {error}")),
    };
    let runtime = Runtime::new(tensorrt).expect("a runtime");
    let engine = match runtime.deserialize(&plan) {
        Ok(engine) => engine,
        Err(error) => return skip(TEST, &format!("this GPU is none that it runs on: {error}")),
    };
    let tensors = engine.io_tensors().expect("tensors");
    assert_eq!(tensors.len(), 6);
    let inputs = tensors.iter().filter(|tensor| tensor.mode == TensorIoMode::Input).count();
    assert_eq!(inputs, 5, "{tensors:?}");
    println!(
        "{} layers, {} bytes of device memory",
        engine.layers().expect("a count"),
        engine.device_memory_bytes().expect("a size")
    );
    let context = engine.create_context().expect("a context");
    assert!(context.all_input_dimensions_specified().expect("an answer"));
    let images = context.tensor_shape(c"images").expect("a shape");
    assert_eq!(images.as_slice(), [2, 3, 96, 320]);
    engine.inspector().expect("an inspector");
}
