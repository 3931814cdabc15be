//! Builder, network, parser, configuration, profiles, timing cache: what is called, and what fails how.

use crate::support::{Fake, for_each_version, onnx, parsed, skipped, typing};
use tensorrt_fake::{FakeVersion, Onnx, OnnxType, network_hash};
use tensorrt_rs::{
    Builder, BuilderFlag, DataType, DeviceType, Dims, HardwareCompatibility, LayerType, MemoryPool,
    NetworkTyping, ParserErrorCode, ParserFlag, ProfileSelector, ProfilingVerbosity, Runtime,
    TacticSource, TensorFormat, TensorRtError,
};

/// The number that a flag has in 8, 10 and 11, by NVIDIA's headers: not by the tables.
fn by_major<T: Copy>(version: FakeVersion, numbers: [T; 3]) -> T {
    numbers[match version.major {
        8 => 0,
        10 => 1,
        _ => 2,
    }]
}

fn has_8_6(version: FakeVersion) -> bool {
    (version.major, version.minor) != (8, 5)
}

#[test]
fn a_network_is_parsed_configured_and_built() {
    for_each_version("a_network_is_parsed_configured_and_built", |fake| {
        let version = fake.fake.version;
        let tensorrt = fake.load();
        let (builder, mut network, mut config) = parsed(tensorrt, 2);
        network.set_name("occupancy").expect("a name");
        config.set_flag(BuilderFlag::Tf32, false).expect("every version has TF32");
        config.set_memory_pool_limit(MemoryPool::Workspace, 1 << 28).expect("every version");
        config.set_profiling_verbosity(ProfilingVerbosity::Detailed).expect("every version");
        assert_eq!(config.memory_pool_limit(MemoryPool::Workspace).expect("it is set"), 1 << 28);
        assert!(builder.is_network_supported(&network, &config).expect("a check"));
        let plan = builder.build_serialized(&network, &mut config).expect("a plan");
        let text = String::from_utf8(plan.to_vec()).expect("the fake's plans are text");
        for line in [
            format!("version {version}"),
            format!("network {:016x}", network_hash(&onnx(2))),
            "name occupancy".to_owned(),
            // TF32, the only flag that is set at first, is gone.
            "flags 0".to_owned(),
            format!("network_flags {}", by_major(version, [1, 0, 0])),
            "workspace 268435456".to_owned(),
            "verbosity 2".to_owned(),
            "input x 0 3 2 3 4 2 3 4 2 3 4 2 3 4".to_owned(),
            // INT64 is INT32 before 10.
            format!("input index {} 1 5 5 5 5", by_major(version, [3, 8, 8])),
            "output y 0 2 2 7".to_owned(),
            "output h 1 2 2 9".to_owned(),
            "layer conv".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{version}: no {line:?} in\n{text}");
        }
        drop(plan);
        drop(builder);
        drop(config);
        drop(network);
        let tf32 = by_major(version, [7, 6, 6]);
        let calls = fake.calls();
        for call in [
            format!("IBuilderConfig::clearFlag {tf32}"),
            format!("IParser::parse {} null", onnx(2).len()),
        ] {
            assert!(calls.contains(&call), "{version}: {call} not in {calls:#?}");
        }
        // Whatever was dropped first, what came from the builder goes before it.
        let at = |call: &str| calls.iter().position(|found| found == call).expect(call);
        let last = at("IBuilder::~IBuilder");
        assert_eq!(last, calls.len() - 1, "{calls:#?}");
        assert!(at("IParser::~IParser") < at("INetworkDefinition::~INetworkDefinition"));
        assert!(at("IHostMemory::~IHostMemory") < last);
        fake.assert_no_violation();
    });
}

#[test]
fn flags_have_the_numbers_of_the_version() {
    for_each_version("flags_have_the_numbers_of_the_version", |fake| {
        let version = fake.fake.version;
        let (_builder, _network, mut config) = parsed(fake.load(), 2);
        // `None` where the version has no such flag.
        let gone_in_11 = |numbers: [i32; 2]| match version.major {
            8 => Some(numbers[0]),
            10 => Some(numbers[1]),
            _ => None,
        };
        for (flag, number) in [
            (BuilderFlag::Fp16, gone_in_11([0, 0])),
            (BuilderFlag::Int8, gone_in_11([1, 1])),
            (BuilderFlag::Debug, Some(2)),
            (BuilderFlag::GpuFallback, Some(3)),
            (BuilderFlag::Refit, Some(by_major(version, [5, 4, 4]))),
            (BuilderFlag::DisableTimingCache, Some(by_major(version, [6, 5, 5]))),
            (BuilderFlag::Tf32, Some(by_major(version, [7, 6, 6]))),
            (BuilderFlag::ObeyPrecisionConstraints, gone_in_11([10, 9])),
            (BuilderFlag::PreferPrecisionConstraints, gone_in_11([11, 10])),
            (
                BuilderFlag::VersionCompatible,
                has_8_6(version).then(|| by_major(version, [15, 13, 12])),
            ),
        ] {
            fake.fake.forget();
            match (config.set_flag(flag, true), number) {
                (Ok(()), Some(number)) => {
                    assert_eq!(fake.calls(), [format!("IBuilderConfig::setFlag {number}")]);
                    assert!(config.flag(flag).expect("the version has it"));
                    config.set_flag(flag, false).expect("the version has it");
                    assert!(!config.flag(flag).expect("the version has it"));
                }
                (Err(TensorRtError::Unsupported(error)), None) => {
                    assert_eq!(error.name, flag.name());
                    assert_eq!(fake.calls(), [""; 0], "nothing may be called");
                }
                (result, number) => panic!("{version}: {flag} {result:?}, expected {number:?}"),
            }
        }
    });
}

#[test]
fn what_a_version_lacks_is_named_with_those_that_have_it() {
    if skipped("what_a_version_lacks_is_named_with_those_that_have_it") {
        return;
    }
    let text = |version: usize, ask: &dyn Fn(&Fake) -> Result<(), TensorRtError>| {
        let fake = Fake::new(FakeVersion::ALL[version]);
        ask(&fake).expect_err("it is not there").to_string()
    };
    // 8.5 has no optimisation level.
    let error = text(0, &|fake| parsed(fake.load(), 2).2.set_optimization_level(4));
    assert_eq!(
        error,
        "TensorRT 8.5.2 has no VBuilderConfig::setBuilderOptimizationLevel (available in 8.6, 10.x, 11.x)"
    );
    // 11 has no weak typing.
    let error = text(7, &|fake| {
        let builder = Builder::new(fake.load())?;
        builder.create_network(NetworkTyping::Weak).map(drop)
    });
    assert_eq!(error, "TensorRT 11.4.0 has no BuilderFlag::kFP16 (available in 8.x, 10.x)");
    // 8.6 has no strong typing.
    let error = text(1, &|fake| {
        let builder = Builder::new(fake.load())?;
        builder.create_network(NetworkTyping::Strong).map(drop)
    });
    assert!(error.contains("kSTRONGLY_TYPED"), "{error}");
    // Host code: 8.5 plans have none; forbidding is no error, allowing is.
    let error = text(0, &|fake| {
        let mut runtime = Runtime::new(fake.load())?;
        runtime.set_engine_host_code_allowed(false).expect("there is nothing to forbid");
        runtime.set_engine_host_code_allowed(true)
    });
    assert!(error.contains("setEngineHostCodeAllowed"), "{error}");
}

#[test]
fn settings_arrive() {
    for_each_version("settings_arrive", |fake| {
        let version = fake.fake.version;
        let tensorrt = fake.load();
        fake.fake.control("dla=2");
        let (mut builder, network, mut config) = parsed(tensorrt, 2);
        assert_eq!(builder.dla_cores().expect("a number"), 2);
        assert_eq!(builder.max_dla_batch_size().expect("a number"), 4096);
        match builder.platform_has_fast_fp16() {
            Ok(fast) => assert!(fast && version.major < 11),
            Err(error) => assert!(version.major == 11, "{version}: {error}"),
        }
        fake.fake.forget();
        builder.set_max_threads(2).expect("a number of threads");
        assert!(builder.set_max_threads(0).is_err());
        config.set_default_device_type(DeviceType::Dla).expect("every version");
        config.set_dla_core(1).expect("every version");
        config.set_device_type(&network.layer(1).expect("gather"), DeviceType::Gpu).expect("every");
        config
            .set_tactic_sources(&[
                TacticSource::EdgeMaskConvolutions,
                TacticSource::JitConvolutions,
            ])
            .expect("every version has both");
        let mut expected = vec![
            "IBuilder::setMaxThreads 2".to_owned(),
            "IBuilder::setMaxThreads 0".to_owned(),
            "IBuilderConfig::setDefaultDeviceType 1".to_owned(),
            "IBuilderConfig::setDLACore 1".to_owned(),
            "IBuilderConfig::setDeviceType gather 0".to_owned(),
            format!("IBuilderConfig::setTacticSources {}", by_major(version, [24, 24, 3])),
        ];
        if has_8_6(version) {
            config.set_optimization_level(5).expect("from 8.6");
            assert!(config.set_optimization_level(6).is_err());
            config.set_hardware_compatibility(HardwareCompatibility::AmperePlus).expect("from 8.6");
            config.set_max_aux_streams(0).expect("from 8.6");
            expected.extend([
                "IBuilderConfig::setBuilderOptimizationLevel 5".to_owned(),
                "IBuilderConfig::setHardwareCompatibilityLevel 1".to_owned(),
                "IBuilderConfig::setMaxAuxStreams 0".to_owned(),
            ]);
        }
        assert_eq!(fake.calls(), expected, "{version}");
    });
}

#[test]
fn a_parsed_network_can_be_looked_at() {
    for_each_version("a_parsed_network_can_be_looked_at", |fake| {
        let version = fake.fake.version;
        let (_builder, network, config) = parsed(fake.load(), -1);
        assert_eq!(network.inputs().expect("a number"), 2);
        assert_eq!(network.outputs().expect("a number"), 2);
        assert_eq!(network.layers().expect("a number"), 3);
        let x = network.input(0).expect("x");
        assert_eq!(x.name().expect("a name"), "x");
        assert_eq!(x.shape().expect("a shape").as_slice(), [-1, 3, 4]);
        assert_eq!(x.data_type().expect("a type"), DataType::Float);
        let index = network.input(1).expect("index").data_type().expect("a type");
        assert_eq!(index, by_major(version, [DataType::Int32, DataType::Int64, DataType::Int64]));
        let h = network.output(1).expect("h");
        assert_eq!(h.data_type().expect("a type"), DataType::Half);
        for (bad, error) in
            [(network.input(2).map(drop), "getInput"), (network.layer(9).map(drop), "getLayer")]
        {
            assert!(bad.expect_err("there is none").to_string().contains(error));
        }
        let kinds = [LayerType::Convolution, LayerType::Gather, LayerType::SoftMax];
        for (index, (kind, name)) in kinds.into_iter().zip(["conv", "gather", "soft"]).enumerate() {
            let layer = network.layer(u32::try_from(index).expect("few")).expect("a layer");
            assert_eq!(layer.name().expect("a name"), name);
            assert_eq!(layer.layer_type().expect("a type"), kind, "{version}");
            assert_eq!(config.can_run_on_dla(&layer).expect("an answer"), name == "conv");
        }
        let gather = network.layer(1).expect("gather");
        assert_eq!((gather.inputs().expect("two"), gather.outputs().expect("one")), (2, 1));
        let input = gather.input(1).expect("an answer").expect("an input");
        assert_eq!(input.name().expect("a name"), "index");
        let output = gather.output(0).expect("an answer").expect("an output");
        assert_eq!(output.name().expect("a name"), "b");
        assert!(gather.output(7).expect("an answer").is_none());
        x.set_allowed_formats(&[TensorFormat::Linear]).expect("every version");
        // What 11 leaves to the network.
        for result in [
            h.set_data_type(DataType::Float),
            gather.set_precision(DataType::Half),
            gather.set_output_type(0, DataType::Half),
        ] {
            match result {
                Ok(()) => assert!(version.major < 11),
                Err(TensorRtError::Unsupported(_)) => assert_eq!(version.major, 11),
                Err(error) => panic!("{version}: {error}"),
            }
        }
        if version.major < 11 {
            assert_eq!(h.data_type().expect("a type"), DataType::Float);
            assert_eq!(output.data_type().expect("a type"), DataType::Half);
        }
    });
}

#[test]
fn layers_that_moved_have_the_same_names() {
    // Cast, Identity, Slice, Resize and the quantisation layers have other numbers in 8 than in 10.
    for_each_version("layers_that_moved_have_the_same_names", |fake| {
        let tensorrt = fake.load();
        let operators = [
            ("Identity", LayerType::Identity),
            ("Slice", LayerType::Slice),
            ("Resize", LayerType::Resize),
            ("QuantizeLinear", LayerType::Quantize),
            ("DequantizeLinear", LayerType::Dequantize),
            ("Cast", LayerType::Cast),
            ("ConvTranspose", LayerType::Deconvolution),
            ("Relu", LayerType::Activation),
        ];
        let mut onnx = Onnx::new().input("x", OnnxType::Float, &[1]);
        for (operator, _) in operators {
            onnx = onnx.node(operator, operator, &["x"], &[operator]);
        }
        let onnx = onnx.output("Relu", OnnxType::Float, &[1]).bytes();
        let builder = Builder::new(tensorrt).expect("a builder");
        let mut network = builder.create_network(typing(tensorrt)).expect("a network");
        network.onnx_parser().expect("a parser").parse(&onnx, None).expect("parsed");
        for (index, (operator, kind)) in (0..).zip(operators) {
            let layer = network.layer(index).expect("a layer");
            assert_eq!(layer.layer_type().expect("known"), kind, "{operator}");
        }
    });
}

#[test]
fn open_shapes_are_built_with_profiles() {
    for_each_version("open_shapes_are_built_with_profiles", |fake| {
        let version = fake.fake.version;
        let tensorrt = fake.load();
        let (builder, network, mut config) = parsed(tensorrt, -1);
        let error = builder.build_serialized(&network, &mut config).expect_err("no profile");
        assert!(error.to_string().contains("no optimization profile"), "{error}");
        let shape = |n| Dims::new(&[n, 3, 4]).expect("three extents");
        for (min, opt, max) in [(1, 2, 4), (5, 6, 7)] {
            let mut profile = builder.create_optimization_profile().expect("a profile");
            profile.set_dimensions("x", ProfileSelector::Min, &shape(min)).expect("a shape");
            assert!(!profile.is_valid().expect("an answer"));
            let error = config.add_optimization_profile(&profile).expect_err("it is not valid");
            assert!(error.to_string().contains("not valid"), "{error}");
            profile.set_dimensions("x", ProfileSelector::Max, &shape(max)).expect("a shape");
            let error = profile.set_dimensions("x", ProfileSelector::Opt, &shape(max + 1));
            let error = error.expect_err("larger than the largest").to_string();
            assert!(error.contains(&format!("x OPT {}x3x4", max + 1)), "{error}");
            profile.set_dimensions("x", ProfileSelector::Opt, &shape(opt)).expect("a shape");
            assert!(profile.is_valid().expect("an answer"));
            config.add_optimization_profile(&profile).expect("it is valid");
        }
        let plan = builder.build_serialized(&network, &mut config).expect("a plan");
        let runtime = Runtime::new(tensorrt).expect("a runtime");
        let engine = runtime.deserialize(&plan).expect("an engine");
        assert_eq!(engine.optimization_profiles().expect("a number"), 2);
        for (profile, selector, n) in [
            (0, ProfileSelector::Min, 1),
            (0, ProfileSelector::Max, 4),
            (1, ProfileSelector::Opt, 6),
        ] {
            assert_eq!(engine.profile_shape(c"x", profile, selector).expect("a shape"), shape(n));
        }
        assert!(engine.profile_shape(c"x", 2, ProfileSelector::Min).is_err());
        assert!(engine.profile_shape(c"no", 0, ProfileSelector::Min).is_err());
        // An extent that 8 cannot hold.
        let wide = Dims::new(&[1 << 40]).expect("one extent");
        let mut profile = builder.create_optimization_profile().expect("a profile");
        let set = profile.set_dimensions("x", ProfileSelector::Min, &wide);
        assert_eq!(set.is_err(), version.major == 8, "{set:?}");
        fake.assert_no_violation();
    });
}

#[test]
fn what_is_of_another_builder_is_refused() {
    if skipped("what_is_of_another_builder_is_refused") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[3]);
    let tensorrt = fake.load();
    let (builder, network, mut config) = parsed(tensorrt, 2);
    let (other, other_network, other_config) = parsed(tensorrt, 2);
    fake.fake.forget();
    assert!(builder.build_serialized(&other_network, &mut config).is_err());
    assert!(other.build_serialized(&other_network, &mut config).is_err());
    assert!(
        config
            .add_optimization_profile(&other.create_optimization_profile().expect("one"))
            .is_err()
    );
    let cache = other_config.create_timing_cache(&[]).expect("an empty one");
    let error = config.set_timing_cache(cache, false).expect_err("of another builder");
    assert!(error.to_string().contains("another builder"), "{error}");
    let calls = fake.calls();
    assert!(
        !calls.iter().any(|call| call.contains("build") || call.contains("setTiming")),
        "{calls:?}"
    );
    drop(network);
}

#[test]
fn timing_caches_are_kept_and_refused() {
    for_each_version("timing_caches_are_kept_and_refused", |fake| {
        let tensorrt = fake.load();
        let (builder, network, mut config) = parsed(tensorrt, 2);
        assert!(config.timing_cache().is_none());
        let cache = config.create_timing_cache(&[]).expect("an empty one");
        config.set_timing_cache(cache, false).expect("it is set");
        drop(builder.build_serialized(&network, &mut config).expect("a plan"));
        let kept = config.timing_cache().expect("it is set").serialize().expect("bytes").to_vec();
        assert!(kept.ends_with(b" 3\n"), "three layers: {}", String::from_utf8_lossy(&kept));

        let mut again = config.create_timing_cache(&kept).expect("its own bytes");
        let other = config.create_timing_cache(&kept).expect("its own bytes");
        again.combine(&other, false).expect("of the same device");
        assert!(again.serialize().expect("bytes").ends_with(b" 6\n"));
        again.reset().expect("it is emptied");
        assert!(again.serialize().expect("bytes").ends_with(b" 0\n"));

        let error = config.create_timing_cache(b"rubbish").expect_err("no timing cache");
        assert!(error.to_string().contains("no timing cache of this version"), "{error}");
        fake.fake.control("device=another");
        let error = config.set_timing_cache(other, false).expect_err("of another device");
        assert!(error.to_string().contains("another device"), "{error}");
        // The one that is set stays.
        assert!(config.timing_cache().is_some());
        let other = config.create_timing_cache(&kept).expect("its own bytes");
        config.set_timing_cache(other, true).expect("a mismatch is ignored");
        fake.fake.control("cache=null");
        let error = config.timing_cache().expect("it is set").serialize().expect_err("null");
        assert!(error.to_string().contains("ITimingCache::serialize failed"), "{error}");
        drop((config, network, builder, again));
        fake.assert_no_violation();
    });
}

#[test]
fn the_parser_names_every_node_that_it_refuses() {
    for_each_version("the_parser_names_every_node_that_it_refuses", |fake| {
        let version = fake.fake.version;
        let tensorrt = fake.load();
        fake.fake.control("parse.unsupported=Gather,Softmax");
        let builder = Builder::new(tensorrt).expect("a builder");
        let mut network = builder.create_network(typing(tensorrt)).expect("a network");
        let mut parser = network.onnx_parser().expect("a parser");
        assert!(parser.supports_operator("Conv").expect("an answer"));
        assert!(!parser.supports_operator("Gather").expect("an answer"));
        let path = std::path::Path::new("/somewhere/net.onnx");
        let error = parser.parse(&onnx(2), Some(path)).expect_err("two operators");
        let text = error.to_string();
        let TensorRtError::Parse(error) = error else { panic!("{text}") };
        assert_eq!(error.path.as_deref(), Some(path));
        let nodes: Vec<_> = error.errors.iter().map(|error| error.node).collect();
        assert_eq!(nodes, [Some(1), Some(2)]);
        let gather = &error.errors[0];
        assert_eq!(gather.code, Some(ParserErrorCode::UnsupportedNode));
        assert!(gather.description.contains("Gather"));
        assert_eq!(
            (gather.source_file.as_str(), gather.source_line),
            ("fake/cpp/onnxparser.cpp", 108)
        );
        // Before 10 a node has only a number.
        let named = version.major >= 10;
        assert_eq!(gather.node_name.as_deref(), named.then_some("gather"));
        assert_eq!(gather.operator.as_deref(), named.then_some("Gather"));
        for part in ["/somewhere/net.onnx", "node 1", "node 2", "UNSUPPORTED_NODE"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(text.contains("(soft), operator Softmax"), named, "{text}");
        // The errors were taken: the next parse has its own.
        let error = parser.parse(b"\x0f\x0f", None).expect_err("no network");
        let TensorRtError::Parse(error) = error else { panic!("{error}") };
        assert_eq!(error.errors.len(), 1, "{error}");
        assert_eq!(error.errors[0].code, Some(ParserErrorCode::ModelDeserializeFailed));
        assert_eq!(error.errors[0].node, None);
        assert!(error.to_string().starts_with("the network: the graph"), "{error}");
    });
}

#[test]
fn files_are_parsed_with_what_lies_beside_them() {
    for_each_version("files_are_parsed_with_what_lies_beside_them", |fake| {
        let tensorrt = fake.load();
        let file = fake.directory.path().join("net.onnx");
        let onnx = Onnx::new()
            .input("x", OnnxType::Float, &[1])
            .input("w", OnnxType::Float, &[1])
            .external_weights("w", "net.data")
            .node("mul", "Mul", &["x", "w"], &["y"])
            .output("y", OnnxType::Float, &[1])
            .bytes();
        std::fs::write(&file, &onnx).expect("a file");
        let builder = Builder::new(tensorrt).expect("a builder");
        for by_file in [false, true] {
            let parse = || {
                let mut network = builder.create_network(typing(tensorrt)).expect("a network");
                let mut parser = network.onnx_parser().expect("a parser");
                let parsed = if by_file {
                    parser.parse_file(&file)
                } else {
                    parser.parse(&onnx, Some(&file))
                };
                drop(parser);
                parsed.map(|()| network.inputs().expect("a number"))
            };
            let error = parse().expect_err("the weights are not there");
            let text = error.to_string();
            assert!(text.contains("net.data") && text.contains("net.onnx"), "{text}");
            let weights = fake.directory.path().join("net.data");
            std::fs::write(&weights, [0; 4]).expect("a file");
            // Weights are no input of the network, though ONNX may list them.
            assert_eq!(parse().expect("the weights are there"), 1);
            std::fs::remove_file(weights).expect("it is there");
        }
        let missing = fake.directory.path().join("none.onnx");
        let mut network = builder.create_network(typing(tensorrt)).expect("a network");
        let error = network.onnx_parser().expect("a parser").parse_file(&missing);
        assert!(error.expect_err("no file").to_string().contains("none.onnx"));
    });
}

#[test]
fn the_parser_may_refuse_without_a_word() {
    if skipped("the_parser_may_refuse_without_a_word") {
        return;
    }
    for version in FakeVersion::ALL {
        let fake = Fake::new(version);
        let tensorrt = fake.load();
        let builder = Builder::new(tensorrt).expect("a builder");
        let mut network = builder.create_network(typing(tensorrt)).expect("a network");
        let mut parser = network.onnx_parser().expect("a parser");
        fake.fake.control("parse=silent");
        let error = parser.parse(&onnx(2), None).expect_err("it refuses");
        assert!(error.to_string().contains("the ONNX parser refuses it"), "{error}");
        fake.fake.control("parse=fail");
        let error = parser.parse(&onnx(2), None).expect_err("it refuses");
        assert!(error.to_string().contains("told to fail (INTERNAL_ERROR)"), "{error}");
        match parser.set_flag(ParserFlag::NativeInstanceNorm) {
            Ok(()) => assert!(fake.calls().contains(&"IParser::setFlag 0".to_owned())),
            Err(TensorRtError::Unsupported(_)) => assert!(!has_8_6(version)),
            Err(error) => panic!("{version}: {error}"),
        }
    }
}

#[test]
fn every_step_of_building_may_fail() {
    for_each_version("every_step_of_building_may_fail", |fake| {
        let tensorrt = fake.load();
        let failure = |settings: &str| -> TensorRtError {
            fake.fake.control(settings);
            let build = || {
                let builder = Builder::new(tensorrt)?;
                let mut network = builder.create_network(typing(tensorrt))?;
                network.onnx_parser()?.parse(&onnx(2), None)?;
                builder.create_optimization_profile()?;
                let mut config = builder.create_config()?;
                config.set_tactic_sources(&[])?;
                builder.build_serialized(&network, &mut config)?;
                Ok(())
            };
            build().expect_err(settings)
        };
        for (settings, call, message) in [
            ("builder=null", "createInferBuilder", "CUDA initialization failure"),
            ("network=null", "createNetworkV2", "flags are not valid"),
            ("parser=null", "createNvOnnxParser", ""),
            ("profile=null", "createOptimizationProfile", ""),
            ("config=null", "createBuilderConfig", ""),
            ("tactics=false", "setTacticSources", ""),
            (
                "build=fail",
                "buildSerializedNetwork",
                "could not find any implementation for node conv",
            ),
            ("build=oom", "buildSerializedNetwork", "out of memory: requested 4294967296 bytes"),
        ] {
            let error = failure(settings);
            let TensorRtError::Failed(failure) = &error else { panic!("{settings}: {error}") };
            assert!(failure.call.contains(call), "{settings}: {error}");
            let text = error.to_string();
            assert!(text.contains(message), "{settings}: {text}");
            assert!(text.contains(&fake.fake.version.to_string()), "{settings}: {text}");
            if !message.is_empty() {
                assert!(error.messages().iter().any(|logged| logged.contains(message)), "{text}");
            }
        }
        // An empty network.
        fake.fake.control("");
        let builder = Builder::new(tensorrt).expect("a builder");
        let network = builder.create_network(typing(tensorrt)).expect("a network");
        let mut config = builder.create_config().expect("a configuration");
        let error = builder.build_serialized(&network, &mut config).expect_err("no outputs");
        assert!(error.to_string().contains("has no outputs"), "{error}");
        assert!(network.outputs().expect("a number") == 0);
        drop((network, config, builder));
        fake.assert_no_violation();
    });
}

#[test]
fn names_with_a_nul_are_refused_here() {
    if skipped("names_with_a_nul_are_refused_here") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[4]);
    let (builder, mut network, _config) = parsed(fake.load(), 2);
    fake.fake.forget();
    assert!(network.set_name("a\0b").is_err());
    let mut profile = builder.create_optimization_profile().expect("a profile");
    let dims = Dims::new(&[1]).expect("one extent");
    let error = profile.set_dimensions("a\0b", ProfileSelector::Min, &dims).expect_err("a NUL");
    assert!(error.to_string().contains("without a NUL"), "{error}");
    assert_eq!(fake.calls(), ["IBuilder::createOptimizationProfile"]);
}
