//! The calls of a frame allocate nothing on this side.
#![allow(unsafe_code, reason = "an allocator, and addresses that are handed to the binding")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_void;
use std::io::Write;
use std::path::Path;
use tensorrt_fake::{FakeTensorRt, FakeVersion, Onnx, OnnxType};
use tensorrt_rs::{Builder, Dims, NetworkTyping, Runtime, Search, TensorRt};

/// The system's allocator, which counts for each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is the system's allocator's; counting touches a thread-local that needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_frame_allocates_nothing() {
    for version in [FakeVersion::ALL[1], FakeVersion::ALL[3], FakeVersion::ALL[7]] {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let cache = if kept.is_dir() { kept } else { directory.path() };
        let fake = match FakeTensorRt::cached(version, cache, directory.path()) {
            Ok(fake) => fake,
            Err(error) => {
                let line = format!("SKIPPED a_frame_allocates_nothing: {error}\n");
                std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
                return;
            }
        };
        fake.load_cuda();
        let tensorrt = TensorRt::load(&Search::at(directory.path())).expect("the fake");
        let builder = Builder::new(tensorrt).expect("a builder");
        let weak = version.major < 11;
        let typing = if weak { NetworkTyping::Weak } else { NetworkTyping::Strong };
        let mut network = builder.create_network(typing).expect("a network");
        let onnx = Onnx::new()
            .input("x", OnnxType::Float, &[4])
            .node("relu", "Relu", &["x"], &["y"])
            .output("y", OnnxType::Float, &[4])
            .bytes();
        network.onnx_parser().expect("a parser").parse(&onnx, None).expect("it is parsed");
        let mut config = builder.create_config().expect("a configuration");
        let plan = builder.build_serialized(&network, &mut config).expect("a plan");
        let runtime = Runtime::new(tensorrt).expect("a runtime");
        let engine = runtime.deserialize(&plan).expect("an engine");
        let mut context = engine.create_context().expect("a context");
        let (mut x, mut y) = ([1.0_f32; 4], [0.0_f32; 4]);
        let addresses: [*mut c_void; 2] = [x.as_mut_ptr().cast(), y.as_mut_ptr().cast()];
        let shape = Dims::new(&[4]).expect("one extent");
        let before = ALLOCATIONS.get();
        for _ in 0..100 {
            context.set_input_shape(c"x", &shape).expect("a shape");
            for (name, address) in [c"x", c"y"].into_iter().zip(addresses) {
                // SAFETY: the buffers are of the tensors' sizes and live on.
                unsafe { context.set_tensor_address(name, address) }.expect("an address");
            }
            // SAFETY: the fake runs the work at once, on no stream.
            unsafe { context.enqueue(std::ptr::null_mut()) }.expect("a frame");
        }
        assert_eq!(ALLOCATIONS.get() - before, 0, "{version}");
        assert!(y.iter().any(|&value| value != 0.0), "the frames were run");
    }
}
