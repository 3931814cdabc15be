//! Reference files: tensors by name, and comparison with tolerances.

use std::{fs, path::Path};

use burn::tensor::Tensor;
use nalgebra::{Matrix3, Matrix4};
use occdepth_contract::self_test::Frame;
use occdepth_geometry::network::{GeometryInputs, View};
use occdepth_host::preset::Preset;
use safetensors::{Dtype, SafeTensors};

/// The tensors of one file.
pub struct Reference {
    case: String,
    bytes: Vec<u8>,
}

/// A tensor as plain numbers, row-major, without axes of size 1.
pub struct Array {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Array {
    pub fn new<const D: usize>(tensor: Tensor<D>) -> Self {
        let shape = tensor.dims().into_iter().filter(|&n| n != 1).collect();
        Self { shape, values: tensor.into_data().try_to_vec().unwrap() }
    }

    /// Every so many elements along the last axes, all along the others.
    pub fn every(&self, steps: &[usize]) -> Self {
        let mut all = vec![1; self.shape.len()];
        let first = all.len() - steps.len();
        all[first..].copy_from_slice(steps);
        let shape: Vec<usize> =
            self.shape.iter().zip(&all).map(|(&n, &step)| n.div_ceil(step)).collect();
        let values = (0..shape.iter().product())
            .map(|mut at: usize| {
                let mut index = 0;
                let mut unit = 1;
                for axis in (0..shape.len()).rev() {
                    index += at % shape[axis] * all[axis] * unit;
                    at /= shape[axis];
                    unit *= self.shape[axis];
                }
                self.values[index]
            })
            .collect();
        Self { shape, values }
    }
}

impl Reference {
    pub fn read(path: &Path) -> Self {
        let case = path.file_stem().unwrap().to_string_lossy().into_owned();
        Self { case, bytes: fs::read(path).unwrap() }
    }

    /// The same values under another name in the equality table.
    pub fn named(self, case: &str) -> Self {
        Self { case: case.into(), ..self }
    }

    /// The file's name without its ending.
    pub fn case(&self) -> &str {
        &self.case
    }

    /// Names of all tensors.
    pub fn names(&self) -> Vec<String> {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
        file.names().into_iter().map(String::from).collect()
    }

    /// A tensor's shape and values, whatever its type.
    pub fn tensor(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let file = SafeTensors::deserialize(&self.bytes).unwrap();
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

    /// The first views of `kitti_tiny_inputs`, as many as `preset` has.
    #[allow(clippy::cast_possible_truncation, reason = "stored as f32")]
    pub fn frame(&self, preset: &Preset) -> Frame {
        let (_, k) = self.tensor("cam_k");
        let (_, pose) = self.tensor("T_velo_2_cam");
        let views: Vec<View> = (0..preset.views)
            .map(|view| View {
                k: Matrix3::from_row_slice(&k[view * 9..][..9]),
                cam_from_ego: Matrix4::from_row_slice(&pose[view * 16..][..16]),
            })
            .collect();
        let (shape, images) = self.tensor("img");
        let per_view: usize = shape[1..].iter().product();
        Frame {
            images: images[..preset.views * per_view].iter().map(|&x| x as f32).collect(),
            geometry: GeometryInputs::new(&preset.geometry(None).unwrap(), &views).unwrap(),
            depth: None,
        }
    }

    /// Compares an array with `name`, prints a row of the equality table (case, stage, largest
    /// error, that error relative to the stage's largest value, largest value), and returns the
    /// largest error.
    pub fn assert_close(&self, name: &str, found: &Array) -> f64 {
        let (mut shape, expected) = self.tensor(name);
        shape.retain(|&n| n != 1);
        assert_eq!(found.shape, shape, "{}: {name}", self.case);
        let largest = expected.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
        // Where a stage's values are small, an error of ATOL would be no equality.
        let absolute = ATOL.min(RTOL * largest);
        let mut worst = 0.0_f64;
        for (at, (&found, &expected)) in found.values.iter().zip(&expected).enumerate() {
            let error = (f64::from(found) - expected).abs();
            assert!(
                error <= absolute + RTOL * expected.abs(),
                "{}: {name}[{at}]: {found} instead of {expected}",
                self.case
            );
            worst = worst.max(error);
        }
        println!(
            "| {} | {name} | {worst:.1e} | {:.1e} | {largest:.3} |",
            self.case,
            worst / largest
        );
        worst
    }

    /// The same class wins as in the logits `name` [classes, ...] wherever the reference's margin is
    /// more than the errors of both logits; that must be nearly everywhere.
    pub fn assert_labels(&self, name: &str, found: &Array, error: f64) {
        let (shape, expected) = self.tensor(name);
        let [_, classes, ref grid @ ..] = shape[..] else { panic!("{shape:?}") };
        let voxels: usize = grid.iter().product();
        let mut decided = 0;
        for voxel in 0..voxels {
            let at = |class: usize| class * voxels + voxel;
            let first = (0..classes).max_by(|&a, &b| expected[at(a)].total_cmp(&expected[at(b)]));
            let first = first.unwrap();
            let second = (0..classes)
                .filter(|&class| class != first)
                .fold(f64::NEG_INFINITY, |second, class| second.max(expected[at(class)]));
            if expected[at(first)] - second > 2.0 * error {
                let label = (0..classes)
                    .max_by(|&a, &b| found.values[at(a)].total_cmp(&found.values[at(b)]));
                assert_eq!(label, Some(first), "{}: {name}, voxel {voxel}", self.case);
                decided += 1;
            }
        }
        println!(
            "| {} | arg-max of {name} | {decided} of {voxels} decided, all equal | | |",
            self.case
        );
        assert!(decided * 1000 > voxels * 995, "{decided} of {voxels}");
    }
}

fn cast<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let (chunks, rest) = data.as_chunks::<N>();
    assert!(rest.is_empty());
    chunks.iter().map(|&bytes| value(bytes)).collect()
}

/// Tolerances of the reference values (their README, for logits).
const ATOL: f64 = 2e-3;
const RTOL: f64 = 1e-3;
