//! Reference files: tensors by name, and comparison with tolerances.

use std::{fs, path::Path};

use burn::tensor::Tensor;
use safetensors::{Dtype, SafeTensors};

/// The tensors of one file.
pub struct Reference(Vec<u8>);

impl Reference {
    pub fn read(path: &Path) -> Self {
        Self(fs::read(path).unwrap())
    }

    /// A tensor's shape and values, whatever its type.
    pub fn tensor(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let file = SafeTensors::deserialize(&self.0).unwrap();
        let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let data = view.data();
        let values = match view.dtype() {
            Dtype::F32 => cast(data, |b| f64::from(f32::from_le_bytes(b))),
            Dtype::F64 => cast(data, f64::from_le_bytes),
            Dtype::I32 => cast(data, |b| f64::from(i32::from_le_bytes(b))),
            Dtype::U8 => cast(data, |b: [u8; 1]| f64::from(b[0])),
            other => panic!("{name}: {other:?}"),
        };
        (view.shape().to_vec(), values)
    }

    /// Compares a tensor with `name`, both without axes of size 1; prints and returns the largest
    /// error.
    pub fn assert_close<const D: usize>(&self, name: &str, found: Tensor<D>) -> f64 {
        let (mut shape, expected) = self.tensor(name);
        let mut found_shape = found.dims().to_vec();
        shape.retain(|&n| n != 1);
        found_shape.retain(|&n| n != 1);
        assert_eq!(found_shape, shape, "{name}");
        let found: Vec<f32> = found.into_data().try_to_vec().unwrap();
        let mut worst = (0.0, 0.0_f64);
        let mut largest = 0.0_f64;
        for (found, expected) in found.iter().map(|&x| f64::from(x)).zip(&expected) {
            let error = (found - expected).abs();
            let excess = error - (ATOL + RTOL * expected.abs());
            assert!(excess <= 0.0, "{name}: {found} instead of {expected}");
            if error > worst.0 {
                worst = (error, *expected);
            }
            largest = largest.max(expected.abs());
        }
        println!("{name}: largest error {:.2e}, largest value {largest:.3}", worst.0);
        worst.0
    }
}

/// Every `step`-th element along each of the last three axes of [C, X, Y, Z].
pub fn every(x: &Tensor<4>, step: usize) -> Tensor<4> {
    let [_, nx, ny, nz] = x.dims();
    let index = |n: usize| {
        let values: Vec<i32> = (0..n).step_by(step).map(|i| i32::try_from(i).unwrap()).collect();
        Tensor::<1, burn::tensor::Int>::from_data(values.as_slice(), &x.device())
    };
    x.clone().select(1, index(nx)).select(2, index(ny)).select(3, index(nz))
}

fn cast<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, rest) = data.as_chunks::<N>();
    assert!(rest.is_empty());
    chunks.iter().map(|&bytes| value(bytes)).collect()
}

/// Tolerances of the reference values (their README).
const ATOL: f64 = 2e-3;
const RTOL: f64 = 1e-3;
