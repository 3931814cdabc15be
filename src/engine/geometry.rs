//! Checking geometry inputs against a contract, before anything indexes with them.

use super::EngineError;
use occdepth_contract::{Contract, TensorSpec, tensor};
use occdepth_geometry::network::GeometryInputs;

/// A geometry input of the network, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct GeometryTensor<'a> {
    /// Its name in the graph.
    pub(super) name: &'static str,
    /// Its values, row-major.
    pub(super) values: GeometryValues<'a>,
}

/// The values of a geometry input.
#[derive(Clone, Copy, Debug)]
pub(super) enum GeometryValues<'a> {
    I32(&'a [i32]),
    F32(&'a [f32]),
}

/// The tensors of `geometry` that the network of `contract` takes, with every length, index and weight
/// checked: an index outside of what it indexes is undefined on some runtimes.
pub(super) fn checked<'a>(
    contract: &Contract,
    geometry: &'a GeometryInputs,
) -> Result<Vec<GeometryTensor<'a>>, EngineError> {
    let mut tensors = vec![GeometryTensor {
        name: tensor::PIXELS,
        values: GeometryValues::I32(&geometry.pixels),
    }];
    match (&contract.depth, &geometry.depth) {
        (None, None) => {}
        (Some(_), Some(depth)) => tensors.extend([
            GeometryTensor { name: tensor::DEPTH_INDEX, values: GeometryValues::I32(&depth.index) },
            GeometryTensor {
                name: tensor::DEPTH_WEIGHT,
                values: GeometryValues::F32(&depth.weight),
            },
            GeometryTensor {
                name: tensor::PIXEL_SIZE,
                values: GeometryValues::F32(&depth.pixel_size),
            },
        ]),
        (wanted, _) => {
            let [found, expected] = if wanted.is_some() {
                ["nothing", "the tensors of a depth net"]
            } else {
                ["tensors of a depth net", "none: the network has no depth net"]
            };
            return Err(EngineError::GeometryLength {
                input: tensor::DEPTH_INDEX,
                found: found.into(),
                expected: expected.into(),
            });
        }
    }
    for tensor in &tensors {
        let spec = spec(contract, tensor.name)?;
        let (found, expected) = (tensor.values.len(), spec.element_count());
        if u64::try_from(found) != Ok(expected) {
            return Err(EngineError::GeometryLength {
                input: tensor.name,
                found: format!("{found} values"),
                expected: format!("{expected} ({:?})", spec.shape),
            });
        }
        tensor.check_values(contract, spec)?;
    }
    Ok(tensors)
}

/// What the contract says of input `name`.
pub(super) fn spec<'a>(
    contract: &'a Contract,
    name: &'static str,
) -> Result<&'a TensorSpec, EngineError> {
    contract.inputs.iter().find(|input| input.name == name).ok_or_else(|| {
        EngineError::GeometryLength {
            input: name,
            found: "a value".into(),
            expected: "nothing".into(),
        }
    })
}

impl GeometryTensor<'_> {
    fn check_values(&self, contract: &Contract, spec: &TensorSpec) -> Result<(), EngineError> {
        match self.values {
            GeometryValues::I32(values) if self.name == tensor::PIXELS => {
                // [V, S, N, P]: the entries of scale s are pixels of its map, or one past the last.
                let voxels_and_points = spec.shape[2..].iter().product::<u64>();
                let run = usize::try_from(voxels_and_points).unwrap_or(usize::MAX).max(1);
                for (nth, values) in values.chunks(run).enumerate() {
                    let scale = contract.scales[nth % contract.scales.len()];
                    let [width, height] = [contract.image.width, contract.image.height]
                        .map(|side| i64::from(side.div_ceil(scale)));
                    self.check_indices(values, nth * run, width * height)?;
                }
                Ok(())
            }
            GeometryValues::I32(values) => {
                let Some(depth) = &contract.depth else { return Ok(()) };
                let cells =
                    depth.shape(contract.image).iter().map(|&n| i64::from(n)).product::<i64>();
                self.check_indices(values, 0, cells - 1)
            }
            GeometryValues::F32(values) => match values.iter().position(|value| !value.is_finite())
            {
                None => Ok(()),
                Some(element) => Err(EngineError::GeometryValue {
                    input: self.name,
                    element,
                    found: values[element].to_string(),
                    expected: "a finite number".into(),
                }),
            },
        }
    }

    fn check_indices(&self, values: &[i32], first: usize, last: i64) -> Result<(), EngineError> {
        match values.iter().position(|&value| !(0..=last).contains(&i64::from(value))) {
            None => Ok(()),
            Some(element) => Err(EngineError::GeometryValue {
                input: self.name,
                element: first + element,
                found: values[element].to_string(),
                expected: format!("0 to {last}"),
            }),
        }
    }
}

impl GeometryValues<'_> {
    fn len(self) -> usize {
        match self {
            Self::I32(values) => values.len(),
            Self::F32(values) => values.len(),
        }
    }
}
