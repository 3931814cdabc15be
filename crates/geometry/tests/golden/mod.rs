//! Golden values of the reference implementation, read from `../shared` next to the workspace.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, unreachable_pub, reason = "every test binary uses a part of this module")]

use safetensors::{Dtype, SafeTensors};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Path of a file or folder in `../shared`; where it is not there, says that `test` was skipped.
pub fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let path = workspace.join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    // Not eprintln!, which the test harness captures where a test passes.
    let line = format!("SKIPPED {test}: {} is not there\n", path.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// The tensors of one file.
pub struct Golden {
    bytes: Vec<u8>,
}

impl Golden {
    /// Opens `../shared/golden/FILE`; where it is not there, says that `test` was skipped.
    pub fn open(test: &str, file: &str) -> Option<Self> {
        let path = shared(test, &format!("golden/{file}"))?;
        Some(Self { bytes: std::fs::read(path).unwrap() })
    }

    pub fn f32(&self, key: &str) -> Vec<f32> {
        self.values(key, Dtype::F32, f32::from_le_bytes)
    }

    pub fn f64(&self, key: &str) -> Vec<f64> {
        self.values(key, Dtype::F64, f64::from_le_bytes)
    }

    pub fn i32(&self, key: &str) -> Vec<i32> {
        self.values(key, Dtype::I32, i32::from_le_bytes)
    }

    pub fn i64(&self, key: &str) -> Vec<i64> {
        self.values(key, Dtype::I64, i64::from_le_bytes)
    }

    pub fn u8(&self, key: &str) -> Vec<u8> {
        self.values(key, Dtype::U8, u8::from_le_bytes)
    }

    fn values<T, const N: usize>(
        &self,
        key: &str,
        dtype: Dtype,
        from_le_bytes: fn([u8; N]) -> T,
    ) -> Vec<T> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let tensor = tensors.tensor(key).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_eq!(tensor.dtype(), dtype, "{key}");
        let (values, rest) = tensor.data().as_chunks::<N>();
        assert!(rest.is_empty(), "{key}");
        values.iter().map(|&bytes| from_le_bytes(bytes)).collect()
    }
}

/// `../shared/golden/data_values.json`.
pub fn values(test: &str) -> Option<serde_json::Value> {
    let path = shared(test, "golden/data_values.json")?;
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

/// Booleans as numpy's `packbits` stores them, most significant bit first.
/// x
pub fn packbits(bits: &[bool]) -> Vec<u8> {
    bits.chunks(8)
        .map(|bits| {
            bits.iter().enumerate().fold(0, |byte, (i, &bit)| byte | u8::from(bit) << (7 - i))
        })
        .collect()
}
