//! The network that an engine is built from.

use super::BuildError;
use crate::board::Precision;
use crate::engine::recipe::RecipePrecision;
use crate::engine::{
    BUNDLED_NAME, BUNDLED_NETWORK, BUNDLED_SELF_TEST, BUNDLED_SELF_TEST_NAME, EngineError,
};
use crate::estimate::Estimate;
use occdepth_contract::Contract;
use occdepth_contract::onnx::{ModelFile, ModelProto, OnnxError};
use occdepth_contract::self_test::{self, SelfTest};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// A network, as far as building needs it: its bytes stay where they are.
#[derive(Debug)]
pub struct NetworkFile {
    /// The file; None: the bundled network.
    pub path: Option<PathBuf>,
    /// For people, and for the name of the plan: the file's name.
    pub name: String,
    /// What it promises.
    pub contract: Contract,
    /// SHA-256 of the file and its external data.
    pub sha256: [u8; 32],
    /// Size of both.
    pub bytes: u64,
    /// Inputs, outputs and values between layers of a running engine, bytes in fp32, fp16 and int8; none where an
    /// operator has no rule to count by.
    running: Option<[u64; 3]>,
}

impl NetworkFile {
    /// Opens the network at `path`, or the bundled one.
    ///
    /// # Errors
    /// A file that cannot be read, is no ONNX model, misses its external data, or has no contract that holds.
    pub fn open(path: Option<&Path>) -> Result<Self, EngineError> {
        let Some(path) = path else {
            let model = ModelProto::from_bytes(BUNDLED_NETWORK, BUNDLED_NAME)?;
            return Ok(Self {
                path: None,
                name: "nano.onnx".into(),
                contract: Contract::from_model(&model, BUNDLED_NAME)?,
                sha256: Sha256::digest(BUNDLED_NETWORK).into(),
                bytes: BUNDLED_NETWORK.len() as u64,
                running: running(&model),
            });
        };
        let file = ModelFile::read(path).map_err(|error| match error {
            OnnxError::Read { path, source } => EngineError::Read { path, source },
            other => other.into(),
        })?;
        Ok(Self {
            path: Some(path.to_owned()),
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            contract: Contract::from_model(&file.model, &path.display().to_string())?,
            sha256: file.sha256,
            bytes: file.bytes,
            running: running(&file.model),
        })
    }

    /// What an engine of `precision` holds beside its weights while it runs, bytes; 0 where that cannot be counted.
    pub fn running_bytes(&self, precision: RecipePrecision) -> u64 {
        self.running.map_or(0, |bytes| bytes[precision as usize])
    }

    /// The self-test beside it, which must be the one of this network.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or it belongs to another network.
    pub fn self_test(&self) -> Result<SelfTest, BuildError> {
        let (test, origin) = match &self.path {
            None => {
                let test = SelfTest::from_json(BUNDLED_SELF_TEST, BUNDLED_SELF_TEST_NAME)?;
                (test, BUNDLED_SELF_TEST_NAME.to_owned())
            }
            Some(path) => {
                let path = self_test::path_beside(path);
                (SelfTest::read(&path)?, path.display().to_string())
            }
        };
        test.check_network(self.sha256, &origin)?;
        Ok(test)
    }

    /// Checks that the file is still the one that was opened: `TensorRT`'s parser has read it for itself.
    pub(super) fn check_unchanged(&self) -> Result<(), BuildError> {
        let Some(path) = &self.path else { return Ok(()) };
        match ModelFile::read(path) {
            Ok(file) if file.sha256 == self.sha256 => Ok(()),
            _ => Err(BuildError::NetworkChanged { path: path.clone() }),
        }
    }
}

/// In the order of [`RecipePrecision`].
fn running(model: &ModelProto) -> Option<[u64; 3]> {
    let estimate = Estimate::of(model, "network").ok().filter(|known| known.unknown.is_empty())?;
    Some([Precision::Fp32, Precision::Fp16, Precision::Int8].map(|precision| {
        let memory = estimate.memory(precision);
        memory.inputs_outputs_bytes + memory.activations_peak_bytes
    }))
}
