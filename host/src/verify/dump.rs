//! The frame, the native outputs and what is allowed, for other runtimes
//! (`host/scripts/check_onnx.py`).

use std::{fs, io, path::Path};

use npyz::{AutoSerialize, WriterBuilder as _};
use occdepth_contract::{
    Contract, TensorSpec,
    self_test::{Frame, Tolerance, Values},
};

use super::native::Native;
use crate::export::{WriteError, write_atomically};

/// Writes `in.NAME.npy` for every input and `out.NAME.npy` for every output of the contract, and
/// `tolerance.json`.
pub(super) fn write(
    folder: &Path,
    contract: &Contract,
    frame: &Frame,
    native: &Native,
    tolerance: Tolerance,
) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(|source| WriteError { path: folder.into(), source })?;
    for (name, values) in frame.inputs() {
        let spec = contract.inputs.iter().find(|spec| spec.name == name);
        let spec = spec.expect("a frame has the inputs of the contract that it was made for");
        write_one(&folder.join(format!("in.{name}.npy")), spec, values)?;
    }
    for spec in &contract.outputs {
        let values = Values::F32(native.tensor(&spec.name));
        write_one(&folder.join(format!("out.{}.npy", spec.name)), spec, values)?;
    }
    let path = folder.join("tolerance.json");
    let json = serde_json::to_vec(&tolerance)
        .map_err(|error| WriteError { path: path.clone(), source: error.into() })?;
    write_atomically(&path, &json)
}

fn write_one(path: &Path, spec: &TensorSpec, values: Values<'_>) -> Result<(), WriteError> {
    let npy = match values {
        Values::F32(values) => npy(&spec.shape, values),
        Values::I32(values) => npy(&spec.shape, values),
    };
    let bytes = npy.map_err(|source| WriteError { path: path.into(), source })?;
    write_atomically(path, &bytes)
}

fn npy<T: AutoSerialize + Copy>(shape: &[u64], values: &[T]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape);
    let mut writer = options.writer(&mut bytes).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    Ok(bytes)
}
