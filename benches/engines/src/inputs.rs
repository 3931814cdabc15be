//! Inputs for a network, from an integer hash: the same as `against_onnxruntime.py` makes.

use occdepth_contract::{Contract, tensor};
use occdepth_cpu::{Input, Values};
use std::error::Error;

/// The inputs of a network, in the order of its contract.
pub struct Inputs(Vec<Tensor>);

struct Tensor {
    name: String,
    shape: Vec<usize>,
    values: Stored,
}

enum Stored {
    F32(Vec<f32>),
    I32(Vec<i32>),
}

impl Inputs {
    /// Images of noise, and tables in which two thirds of the points are visible, as on KITTI.
    pub fn new(contract: &Contract) -> Result<Self, Box<dyn Error>> {
        let mut tensors = Vec::new();
        for (seed, spec) in (0..).zip(&contract.inputs) {
            let shape: Vec<usize> = spec.shape.iter().map(|&extent| extent as usize).collect();
            let count: usize = shape.iter().product();
            let random = (0..count as u32).map(|at| hashed(seed, at));
            let values = match (spec.name.as_str(), contract.depth) {
                (tensor::IMAGES, _) => {
                    Stored::F32(random.map(|r| (r % 1000) as f32 / 250.0 - 2.0).collect())
                }
                (tensor::PIXELS, _) => {
                    let per_scale: usize = shape[2..].iter().product();
                    let pixel = |(at, r): (usize, u32)| {
                        let scale = contract.scales[at / per_scale % contract.scales.len()];
                        let [width, height] = [contract.image.width, contract.image.height];
                        let pixels = width.div_ceil(scale) * height.div_ceil(scale);
                        (if r % 3 > 0 { r / 3 % pixels } else { pixels }) as i32
                    };
                    Stored::I32(random.enumerate().map(pixel).collect())
                }
                (tensor::DEPTH_INDEX, Some(depth)) => {
                    let cells: u32 = depth.shape(contract.image).iter().product();
                    Stored::I32(random.map(|r| (r % cells) as i32).collect())
                }
                (tensor::DEPTH_WEIGHT, _) => {
                    Stored::F32(random.map(|r| (r % 1000) as f32 / 8000.0).collect())
                }
                (tensor::PIXEL_SIZE, _) => Stored::F32(vec![1.0; count]),
                (other, _) => return Err(format!("unknown input {other}").into()),
            };
            tensors.push(Tensor { name: spec.name.clone(), shape, values });
        }
        Ok(Self(tensors))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Input<'_>> {
        self.0.iter().map(|tensor| Input {
            name: &tensor.name,
            shape: &tensor.shape,
            values: match &tensor.values {
                Stored::F32(values) => Values::F32(values),
                Stored::I32(values) => Values::I32(values),
            },
        })
    }
}

/// 31-bit values: the finaliser of MurmurHash3 (32 bits) of `at + seed * 2^28`.
fn hashed(seed: u32, at: u32) -> u32 {
    let mut x = at.wrapping_add(seed << 28);
    x = (x ^ (x >> 16)).wrapping_mul(0x85eb_ca6b);
    x = (x ^ (x >> 13)).wrapping_mul(0xc2b2_ae35);
    (x ^ (x >> 16)) >> 1
}
