//! Import: checkpoints that real `PyTorch` wrote, the published names, and bad input.
//!
//! `host/tests/fixtures/make.py` wrote the checkpoints and says with which releases.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "small known numbers, and values that are equal to the bit"
)]

#[path = "../common/mod.rs"]
mod common;

mod archives;
mod formats;
mod fuzz;
mod presets;
mod program;
mod refusals;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use occdepth_host::preset::Preset;
use serde_json::{Map, Value, json};

/// A file that `make.py` wrote.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The network of the fixtures.
fn small() -> Preset {
    Preset::read(&fixture("small.toml")).unwrap()
}

/// Element `i` of the tensor `name` in the fixtures' network, as `make.py` documents it.
fn small_value(name: &str, i: usize) -> f32 {
    (crc32fast::hash(name.as_bytes()) % 1000) as f32 + i as f32 / 64.0
}

/// The pickle of `{"a": tensor}`, where the tensor has this shape and these strides (pickled) in a
/// storage "0" of four float32.
fn tensor_pickle(shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let storage = b"((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ";
    [
        &b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n"[..],
        storage,
        b"K\x00",
        shape,
        strides,
        b"\x89}tRs.",
    ]
    .concat()
}

/// A safetensors file with these names and shapes, all zeros, that takes no space on disk; `metadata`
/// is its `__metadata__`, if any.
fn sparse(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, Vec<usize>)>,
    metadata: Option<Value>,
) {
    let mut entries = Map::new();
    entries.extend(metadata.map(|metadata| ("__metadata__".into(), metadata)));
    let mut start = 0;
    for (name, shape) in tensors {
        let (dtype, size) = if name.ends_with("num_batches_tracked") || name.ends_with("voxel_num")
        {
            ("I64", 8)
        } else {
            ("F32", 4)
        };
        let end = start + size * shape.iter().product::<usize>();
        entries.insert(name, json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]}));
        start = end;
    }
    let header = Value::Object(entries).to_string();
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + start) as u64).unwrap();
}
