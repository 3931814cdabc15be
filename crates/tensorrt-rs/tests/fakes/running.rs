//! Runtime, engine, context: what is called, what comes out, and what fails how.

use crate::support::{Fake, engine, for_each_version, onnx, plan, skipped};
use std::ffi::c_void;
use std::sync::Arc;
use tensorrt_fake::{FakeVersion, expected_output, network_hash};
use tensorrt_rs::{
    DataType, Dims, Engine, ExecutionContext, InformationFormat, ProfilingVerbosity, Runtime,
    TensorFormat, TensorIoMode, TensorRtError,
};

/// Buffers for the tensors of `onnx(2)`: in the fakes device memory is host memory.
struct Buffers {
    x: Vec<f32>,
    index: Vec<u8>,
    y: Vec<u8>,
    h: Vec<u8>,
}

impl Buffers {
    fn new(major: u32) -> Self {
        let x = (0_u16..24).map(|value| f32::from(value) * 0.37 - 3.0).collect();
        // Five INT64, which are INT32 before 10.
        let index = (0_u8..if major == 8 { 20 } else { 40 }).collect();
        Self { x, index, y: vec![0xee; 2 * 7 * 4], h: vec![0xee; 2 * 9 * 2] }
    }

    fn bind(&mut self, context: &mut ExecutionContext) {
        let addresses: [(_, *mut c_void); 4] = [
            (c"x", self.x.as_mut_ptr().cast()),
            (c"index", self.index.as_mut_ptr().cast()),
            (c"y", self.y.as_mut_ptr().cast()),
            (c"h", self.h.as_mut_ptr().cast()),
        ];
        for (name, address) in addresses {
            // SAFETY: the buffers are of the tensors' sizes and live until the frames are done.
            unsafe { context.set_tensor_address(name, address) }.expect("an address");
        }
    }

    fn x_bytes(&self) -> Vec<u8> {
        self.x.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

fn enqueue(context: &mut ExecutionContext) -> Result<(), TensorRtError> {
    // SAFETY: the fake runs the work at once, on no stream.
    unsafe { context.enqueue(std::ptr::dangling_mut::<c_void>()) }
}

#[test]
fn an_engine_says_what_it_takes_and_gives() {
    for_each_version("an_engine_says_what_it_takes_and_gives", |fake| {
        let version = fake.fake.version;
        let engine = engine(fake.load());
        let tensors = engine.io_tensors().expect("four tensors");
        let names: Vec<_> =
            tensors.iter().map(|tensor| tensor.display_name().into_owned()).collect();
        assert_eq!(names, ["x", "index", "y", "h"]);
        let modes: Vec<_> = tensors.iter().map(|tensor| tensor.mode).collect();
        let (input, output) = (TensorIoMode::Input, TensorIoMode::Output);
        assert_eq!(modes, [input, input, output, output]);
        let types: Vec<_> = tensors.iter().map(|tensor| tensor.data_type).collect();
        let index = if version.major == 8 { DataType::Int32 } else { DataType::Int64 };
        assert_eq!(types, [DataType::Float, index, DataType::Float, DataType::Half]);
        assert_eq!(tensors[0].shape.as_slice(), [2, 3, 4]);
        assert_eq!(tensors[3].shape.as_slice(), [2, 9]);
        assert!(tensors.iter().all(|tensor| tensor.format == TensorFormat::Linear));
        assert_eq!(tensors[0].linear_bytes(), Some(96));
        assert_eq!(tensors[3].linear_bytes(), Some(36));
        assert_eq!(engine.layers().expect("a number"), 3);
        assert_eq!(engine.name().expect("a name"), "unnamed");
        assert_eq!(engine.optimization_profiles().expect("a number"), 1);
        let error = engine.tensor_shape(c"none").expect_err("there is none");
        assert!(error.to_string().contains("getTensorShape failed for none"), "{error}");

        fake.fake.control("memory=123456789");
        fake.fake.forget();
        assert_eq!(engine.device_memory_bytes().expect("a number"), 123_456_789);
        let second = version.major == 11 || (version.major == 10 && version.minor >= 1);
        let call = if second { "getDeviceMemorySizeV2" } else { "getDeviceMemorySize" };
        assert_eq!(fake.calls(), [format!("ICudaEngine::{call}")]);

        let inspector = engine.inspector().expect("an inspector");
        assert_eq!(inspector.layer(2, InformationFormat::OneLine).expect("a layer"), "soft");
        assert_eq!(
            inspector.engine(InformationFormat::Json).expect("all layers"),
            r#"{"Layers": ["conv", "gather", "soft"]}"#
        );
        let error = inspector.layer(3, InformationFormat::Json).expect_err("there are three");
        assert!(error.to_string().contains("there is no layer 3"), "{error}");
        // A format or type that nobody knows is an error, and not undefined behaviour.
        fake.fake.control("format=99");
        let error = engine.io_tensors().expect_err("no such format");
        assert!(error.to_string().contains("99, which is no TensorFormat"), "{error}");
        fake.fake.control("dtype=-3");
        let error = engine.io_tensors().expect_err("no such type");
        assert!(error.to_string().contains("-3, which is no DataType"), "{error}");
        fake.fake.control("inspector=null");
        assert!(engine.inspector().is_err());
    });
}

#[test]
fn a_frame_goes_through() {
    for_each_version("a_frame_goes_through", |fake| {
        let version = fake.fake.version;
        let engine = engine(fake.load());
        let mut context = engine.create_context().expect("a context");
        let mut buffers = Buffers::new(version.major);
        assert!(context.all_input_dimensions_specified().expect("an answer"));
        let error = enqueue(&mut context).expect_err("nothing has an address");
        assert!(error.to_string().contains("x has no address"), "{error}");
        buffers.bind(&mut context);
        for frame in 0_u8..3 {
            buffers.x[0] = f32::from(frame);
            enqueue(&mut context).expect("a frame");
            let x = buffers.x_bytes();
            let inputs: [(&str, &[u8]); 2] = [("x", &x), ("index", &buffers.index)];
            let network = network_hash(&onnx(2));
            assert_eq!(buffers.y, expected_output(network, &inputs, 0, 0, 14), "{version}");
            assert_eq!(buffers.h, expected_output(network, &inputs, 1, 1, 18), "{version}");
        }
        // f16 outputs are numbers of [0, 1).
        assert!(buffers.h.chunks(2).all(|half| u16::from_le_bytes([half[0], half[1]]) < 0x3c00));
        let error = {
            // SAFETY: the call fails before the address counts.
            unsafe { context.set_tensor_address(c"none", std::ptr::null_mut()) }
        };
        assert!(error.expect_err("no such tensor").to_string().contains("for none"));
        drop(context);
        drop(engine);
        fake.assert_no_violation();
    });
}

#[test]
fn open_shapes_are_set_for_each_context() {
    for_each_version("open_shapes_are_set_for_each_context", |fake| {
        use tensorrt_rs::ProfileSelector::{Max, Min, Opt};
        let tensorrt = fake.load();
        let (builder, network, mut config) = crate::support::parsed(tensorrt, -1);
        let shape = |n| Dims::new(&[n, 3, 4]).expect("three extents");
        for (min, max) in [(1, 4), (5, 8)] {
            let mut profile = builder.create_optimization_profile().expect("a profile");
            for (selector, n) in [(Min, min), (Opt, min), (Max, max)] {
                profile.set_dimensions("x", selector, &shape(n)).expect("a shape");
            }
            config.add_optimization_profile(&profile).expect("it is valid");
        }
        let plan = builder.build_serialized(&network, &mut config).expect("a plan");
        let engine =
            Runtime::new(tensorrt).and_then(|it| it.deserialize(&plan)).expect("an engine");
        assert!(engine.tensor_shape(c"y").expect("a shape").is_dynamic());
        let mut context = engine.create_context().expect("a context");
        assert!(!context.all_input_dimensions_specified().expect("an answer"));
        context.set_input_shape(c"x", &shape(3)).expect("within the profile");
        assert!(context.all_input_dimensions_specified().expect("an answer"));
        assert_eq!(context.tensor_shape(c"x").expect("a shape"), shape(3));
        assert_eq!(context.tensor_shape(c"y").expect("a shape").as_slice(), [3, 7]);
        let error = context.set_input_shape(c"x", &shape(5)).expect_err("outside");
        assert!(error.to_string().contains("x as 5x3x4"), "{error}");
        assert!(error.to_string().contains("not within the optimization profile"), "{error}");
        assert!(context.set_input_shape(c"y", &shape(3)).is_err(), "y is an output");
        assert!(context.tensor_shape(c"none").is_err());
        // SAFETY: the fake has no streams.
        unsafe { context.set_optimization_profile_async(1, std::ptr::null_mut()) }
            .expect("it is there");
        context.set_input_shape(c"x", &shape(5)).expect("within the other profile");
        // SAFETY: as above.
        let error = unsafe { context.set_optimization_profile_async(2, std::ptr::null_mut()) };
        assert!(error.expect_err("there are two").to_string().contains("profile 2"));
    });
}

#[test]
fn whatever_is_dropped_first_parents_go_last() {
    for_each_version("whatever_is_dropped_first_parents_go_last", |fake| {
        let tensorrt = fake.load();
        let plan = plan(tensorrt);
        fake.fake.forget();
        let runtime = Runtime::new(tensorrt).expect("a runtime");
        let engine = runtime.deserialize(&plan).expect("an engine");
        let context = engine.create_context().expect("a context");
        let inspector = engine.inspector().expect("an inspector");
        let memory = engine.serialize().expect("a plan");
        assert_eq!(*memory, *plan);
        drop(runtime);
        drop(engine);
        assert!(!fake.calls().iter().any(|call| call.contains('~')));
        drop(context);
        drop(inspector);
        drop(memory);
        let calls = fake.calls();
        let destroyed: Vec<_> =
            calls.iter().filter(|call| call.contains('~')).map(String::as_str).collect();
        assert_eq!(
            destroyed,
            [
                "IExecutionContext::~IExecutionContext",
                "IEngineInspector::~IEngineInspector",
                "ICudaEngine::~ICudaEngine",
                "IRuntime::~IRuntime",
                "IHostMemory::~IHostMemory",
            ]
        );
    });
}

#[test]
fn the_runtime_is_set_up() {
    for_each_version("the_runtime_is_set_up", |fake| {
        let version = fake.fake.version;
        fake.fake.control("dla=2");
        let mut runtime = Runtime::new(fake.load()).expect("a runtime");
        assert_eq!(runtime.dla_cores().expect("a number"), 2);
        fake.fake.forget();
        runtime.set_dla_core(1).expect("there are two");
        let error = runtime.set_dla_core(2).expect_err("there are two");
        assert!(error.to_string().contains("2 on a device with 2"), "{error}");
        runtime.set_engine_host_code_allowed(false).expect("every version");
        let mut expected = vec!["IRuntime::setDLACore 1".to_owned()];
        let directory = fake.directory.path();
        if (version.major, version.minor) == (8, 5) {
            assert!(runtime.set_temporary_directory(directory).is_err());
        } else {
            runtime.set_temporary_directory(directory).expect("from 8.6");
            expected.push("IRuntime::setEngineHostCodeAllowed 0".to_owned());
            expected.push(format!("IRuntime::setTemporaryDirectory {}", directory.display()));
        }
        assert_eq!(fake.calls(), expected, "{version}");
    });
}

#[test]
fn plans_that_do_not_fit_are_refused_with_the_reason() {
    for_each_version("plans_that_do_not_fit_are_refused_with_the_reason", |fake| {
        let tensorrt = fake.load();
        let plan = plan(tensorrt);
        let runtime = Runtime::new(tensorrt).expect("a runtime");
        let refused = |plan: &[u8]| {
            let error = runtime.deserialize(plan).expect_err("it does not fit");
            let TensorRtError::Failed(failure) = &error else { panic!("{error}") };
            assert_eq!(failure.call, "IRuntime::deserializeCudaEngine");
            assert!(
                error.to_string().contains(&format!("a plan of {} bytes", plan.len())),
                "{error}"
            );
            error.to_string()
        };
        assert!(refused(b"").contains("no engine plan"));
        assert!(refused(b"rubbish").contains("no engine plan"));
        assert!(refused(&plan[..plan.len() / 2]).contains("truncated"));
        let mut damaged = plan.clone();
        let layer = damaged.windows(4).position(|it| it == b"conv").expect("a layer");
        damaged[layer] ^= 1;
        assert!(refused(&damaged).contains("damaged"));
        fake.fake.control("device=another");
        assert!(refused(&plan).contains("built for the device fake"));
        fake.fake.control("deserialize=oom");
        assert!(refused(&plan).contains("out of memory"));
        fake.fake.control("deserialize=fail");
        assert!(refused(&plan).contains("refused"));
        fake.fake.control("");
        runtime.deserialize(&plan).expect("the plan is good");
        // Of another version.
        let other = FakeVersion::ALL
            .into_iter()
            .find(|other| *other != fake.fake.version)
            .expect("there are eight");
        let other = crate::support::plan(Fake::new(other).load());
        assert!(refused(&other).contains("please rebuild"));
    });
}

#[test]
fn every_step_of_running_may_fail() {
    for_each_version("every_step_of_running_may_fail", |fake| {
        let tensorrt = fake.load();
        let plan = plan(tensorrt);
        fake.fake.control("runtime=null");
        let error = Runtime::new(tensorrt).expect_err("null");
        assert!(error.to_string().contains("CUDA initialization failure"), "{error}");
        fake.fake.control("");
        let engine =
            Runtime::new(tensorrt).and_then(|it| it.deserialize(&plan)).expect("an engine");
        fake.fake.control("context=null");
        let error = engine.create_context().expect_err("null");
        assert!(error.to_string().contains("out of memory (CUDA error 2)"), "{error}");
        fake.fake.control("enqueue.fail_after=2");
        let mut context = engine.create_context().expect("a context");
        let mut buffers = Buffers::new(fake.fake.version.major);
        buffers.bind(&mut context);
        enqueue(&mut context).expect("the first");
        enqueue(&mut context).expect("the second");
        let error = enqueue(&mut context).expect_err("the third");
        assert!(error.to_string().contains("enqueueV3 failed"), "{error}");
        assert!(error.to_string().contains("CUDA error 719"), "{error}");
        fake.fake.control("address=false");
        // SAFETY: the call fails before the address counts.
        let set = unsafe { context.set_tensor_address(c"x", std::ptr::null_mut()) };
        assert!(set.is_err());
        context.set_nvtx_verbosity(ProfilingVerbosity::None).expect("less than was built");
        assert!(context.set_nvtx_verbosity(ProfilingVerbosity::Detailed).is_err());
        context.set_persistent_cache_limit(1 << 20).expect("every version");
        assert!(
            fake.calls().contains(&"IExecutionContext::setPersistentCacheLimit 1048576".to_owned())
        );
    });
}

#[test]
fn outputs_may_come_from_files() {
    if skipped("outputs_may_come_from_files") {
        return;
    }
    let fake = Fake::new(FakeVersion::ALL[3]);
    let engine = engine(fake.load());
    let mut context = engine.create_context().expect("a context");
    let mut buffers = Buffers::new(10);
    buffers.bind(&mut context);
    std::fs::write(fake.directory.path().join("y.bin"), [7; 56]).expect("a file");
    std::fs::write(fake.directory.path().join("h.bin"), [9; 36]).expect("a file");
    fake.fake.control(&format!("outputs={}", fake.directory.path().display()));
    enqueue(&mut context).expect("a frame");
    assert_eq!((buffers.y, buffers.h), (vec![7; 56], vec![9; 36]));
}

#[test]
fn threads_have_contexts_of_their_own() {
    for_each_version("threads_have_contexts_of_their_own", |fake| {
        let major = fake.fake.version.major;
        let engine = Arc::new(engine(fake.load()));
        let run = |engine: &Engine| {
            let mut context = engine.create_context().expect("a context");
            let mut buffers = Buffers::new(major);
            buffers.bind(&mut context);
            for _ in 0..20 {
                enqueue(&mut context).expect("a frame");
                engine.io_tensors().expect("four tensors");
            }
            buffers.y
        };
        let outputs = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| run(&engine))).collect();
            threads.into_iter().map(|it| it.join().expect("no panic")).collect::<Vec<_>>()
        });
        assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
        // A context may go to another thread.
        let context = engine.create_context().expect("a context");
        std::thread::spawn(move || drop(context)).join().expect("no panic");
        drop(engine);
        fake.assert_no_violation();
    });
}
