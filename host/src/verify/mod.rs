//! Verification: an exported network and the network in burn, side by side on one frame.
//!
//! An export is right when it computes what the network computes that it was made from. So both run
//! here: the file as the runtime runs it (on `occdepth-cpu`), and the preset with the weights in burn,
//! on the same [`Frame`], and the report says how far apart they are.
//!
//! | module | job |
//! |---|---|
//! | `check` | the file is an export of this preset: field by field, then node by node |
//! | [`frame`] | a frame from image files and a rig |
//! | `stages` | the places between the parts of the network, by their names in the graph |
//! | `native` | the network in burn, with the values at those places |
//! | `exported` | the file, with the values at the same places, and how large its values get |
//! | `self_test` | the self-test that lies beside the file |
//! | [`compare`] | two tensors: errors, labels |
//! | [`report`] | what came out of it |
//! | `dump` | inputs and outputs as `.npy`, for other runtimes |
//!
//! ```
//! use occdepth_host::{
//!     export::{self, Options},
//!     preset::Preset,
//!     verify::{self, Verification},
//!     weights::Weights,
//! };
//!
//! let preset = Preset::builtin("nano")?;
//! let weights = Weights::initialise(&preset, 1);
//! let model = export::export(&preset, &weights, &Options::untrained("by integer hash"))?;
//!
//! let verification = Verification::new(model, "nano.onnx", preset, weights)?;
//! let frame = verification.random_frame(7)?;
//! let report = verification.run(&frame, &verify::Options::default())?;
//! assert!(report.failures().is_empty());
//! println!("{report}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
pub mod compare;
mod dump;
mod exported;
pub mod frame;
mod native;
pub mod report;
mod self_test;
mod stages;

use std::path::PathBuf;

use burn::tensor::DataError;
use occdepth_contract::{
    Contract, ContractError, Precision,
    onnx::ModelProto,
    self_test::{Frame, SelfTest, SelfTestError, Tolerance},
};
use occdepth_cpu::CpuError;

use crate::{
    export::{self, AMPLIFICATION, ExportError, MOST_ALLOWED, WriteError},
    network::InputsError,
    preset::Preset,
    weights::{Weights, WeightsError},
};
use compare::Comparison;
use report::Report;

/// A file and the network that it should be.
#[derive(Debug)]
pub struct Verification {
    model: ModelProto,
    origin: String,
    contract: Contract,
    preset: Preset,
    weights: Weights,
    graph_compared: bool,
}

/// How to verify.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The bound of [`Tolerance::largest`]; none: that of [`Tolerance::of`] the file's precision, and
    /// for half precision at least [`AMPLIFICATION`] times what rounding the weights does to the native
    /// network, as the file's self-test has it. The native network then runs twice.
    pub tolerance: Option<f32>,
    /// The bound of [`Tolerance::rms`]; none: as above, for the other measure.
    pub rms_tolerance: Option<f32>,
    /// Also compare the values between the parts of the network. The exported graph then has more
    /// outputs, which keeps a runtime from fusing across them.
    pub stages: bool,
    /// Also measure the largest magnitude of every float value in the exported graph. Half-precision
    /// networks always do: on the CPU they are widened, where nothing overflows.
    pub ranges: bool,
    /// The self-test that was exported with the file: the file runs once more, on its frame.
    pub self_test: Option<SelfTest>,
    /// Threads of the exported network; none: one for each core.
    pub threads: Option<usize>,
    /// A folder for inputs and native outputs as `.npy`, and the tolerance.
    pub dump: Option<PathBuf>,
}

/// Why a file cannot be verified. A file that is compared and found different is no error but a
/// [`Report`] with failures.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file has no contract, or one that it does not keep.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// A field of the file's contract is not the preset's or the weights'.
    #[error("{origin}: field `{field}`: found {found}, expected {expected}")]
    Field {
        /// The file.
        origin: String,
        /// The field of the contract.
        field: &'static str,
        /// Its value in the file.
        found: String,
        /// Its value by the preset or the weights.
        expected: String,
    },
    /// The file carries a contract, but its graph is not the one that this preset exports to.
    #[error(
        "{origin}: not an export of this preset: {element}: found {found}, expected {expected}"
    )]
    Graph {
        /// The file.
        origin: String,
        /// The first element that differs.
        element: String,
        /// What is there.
        found: String,
        /// What an export has there.
        expected: String,
    },
    /// The preset cannot be exported, so that nothing can be an export of it.
    #[error(transparent)]
    Preset(#[from] ExportError),
    /// A tensor that the preset needs is missing or has another shape.
    #[error("the weights do not fit the preset")]
    Weights(#[from] WeightsError),
    /// The frame cannot be made.
    #[error("the frame cannot be made")]
    Frame(#[from] SelfTestError),
    /// The frame does not fit the network.
    #[error("the frame does not fit the network")]
    Inputs(#[from] InputsError),
    /// The file does not run.
    #[error("the exported network does not run")]
    Cpu(#[from] CpuError),
    /// A tensor of the network in burn cannot be read.
    #[error("native {tensor}: not f32 values: {source:?}")]
    Native {
        /// The tensor.
        tensor: String,
        /// Why.
        source: DataError,
    },
    /// The two networks give tensors of different sizes: a defect of one of them.
    #[error("{tensor}: the exported network gives {found} values, the native one {expected}")]
    Length {
        /// The output or stage.
        tensor: String,
        /// Exported.
        found: usize,
        /// Native.
        expected: usize,
    },
    /// Inputs and outputs could not be written.
    #[error(transparent)]
    Dump(#[from] WriteError),
}

impl Verification {
    /// Takes a model (`origin` names it in messages) that should be the export of `preset` with
    /// `weights`, and checks what can be checked without running it: its contract, the contract
    /// against the preset, the weights against both, and its graph against the one that the preset
    /// exports to.
    ///
    /// # Errors
    /// [`VerifyError`] for the first field, node or tensor that does not fit.
    pub fn new(
        model: ModelProto,
        origin: &str,
        preset: Preset,
        weights: Weights,
    ) -> Result<Self, VerifyError> {
        let contract = Contract::from_model(&model, origin)?;
        check::contract(&contract, &preset, origin)?;
        check::weights(&contract, &preset, &weights, origin)?;
        let graph_compared = check::graph(&model, &contract, &preset, origin)?;
        Ok(Self { model, origin: origin.into(), contract, preset, weights, graph_compared })
    }

    /// The contract of the file.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// A frame from a seed: the one that a self-test of this network with this seed has. Images (and
    /// the depth image of an RGB-D network) from integer hashes, cameras that look into the grid.
    ///
    /// # Errors
    /// [`VerifyError::Frame`] when the cameras cannot be projected.
    pub fn random_frame(&self, seed: u64) -> Result<Frame, VerifyError> {
        let test = SelfTest::new(&self.contract, [0; 32], seed);
        Ok(Frame::new(&test, &self.contract, &self.origin)?)
    }

    /// Runs both networks on `frame`, first the native one, and compares.
    ///
    /// # Errors
    /// [`VerifyError`] when one of them does not run.
    pub fn run(self, frame: &Frame, options: &Options) -> Result<Report, VerifyError> {
        let Self { model, origin, contract, preset, weights, graph_compared } = self;
        let ranges = options.ranges || contract.precision == Precision::Fp16;
        let stages = match (&model.graph, options.stages) {
            (Some(graph), true) => stages::find(graph, &preset),
            _ => Vec::new(),
        };
        let self_test = options
            .self_test
            .as_ref()
            .map(|test| self_test::run(&model, &origin, &contract, test, options.threads))
            .transpose()?;
        let native = native::run(&preset, &weights, &contract, frame, options.stages)?;
        let given = options.tolerance.is_some() && options.rms_tolerance.is_some();
        let rounding = match contract.precision {
            Precision::Fp16 if !given => {
                let rounded = export::rounded(&preset, &weights);
                let rounded = native::run(&preset, &rounded, &contract, frame, false)?;
                let moved = contract.outputs.iter().map(|output| {
                    let [found, expected] = [&rounded, &native].map(|of| of.tensor(&output.name));
                    Comparison::new(&output.name, found, expected, None)
                });
                moved.collect()
            }
            _ => Vec::new(),
        };
        drop(weights);
        let default = tolerance(contract.precision, &rounding);
        let tolerance = Tolerance {
            largest: options.tolerance.unwrap_or(default.largest),
            rms: options.rms_tolerance.unwrap_or(default.rms),
        };
        if let Some(folder) = &options.dump {
            dump::write(folder, &contract, frame, &native, tolerance)?;
        }
        let exported =
            exported::run(model, &origin, &contract, frame, &stages, ranges, options.threads)?;

        let compared = |name: &str, value: &str, classes: Option<usize>| {
            let expected = native.tensor(name);
            let found = exported.tensor(value);
            if found.len() != expected.len() {
                let (tensor, found, expected) = (name.into(), found.len(), expected.len());
                return Err(VerifyError::Length { tensor, found, expected });
            }
            Ok(Comparison::new(name, found, expected, classes))
        };
        let outputs = contract.outputs.iter().map(|output| {
            let classes = usize::try_from(output.shape[0]).ok().filter(|&classes| classes > 1);
            compared(&output.name, &output.name, classes)
        });
        let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
        let stages = stages.iter().map(|stage| compared(stage.label, &stage.value, None));
        let stages = stages.collect::<Result<Vec<_>, _>>()?;
        Ok(Report {
            file: origin,
            preset: preset.name,
            precision: contract.precision,
            exporter: contract.exporter,
            graph_compared,
            engine: exported.engine,
            tolerance,
            rounding,
            outputs,
            self_test,
            stages,
            ranges: exported.ranges,
            native_seconds: native.seconds,
            load_seconds: exported.load_seconds,
            exported_seconds: exported.run_seconds,
        })
    }
}

/// The precision's own tolerance, or more where rounding the weights alone does more.
fn tolerance(precision: Precision, rounding: &[Comparison]) -> Tolerance {
    let Tolerance { largest, rms } = Tolerance::of(precision);
    #[allow(clippy::cast_possible_truncation, reason = "shares, for people and a comparison")]
    let at_least = |bound: f32, moved: f64| {
        if moved.is_finite() {
            (moved as f32 * AMPLIFICATION).clamp(bound, MOST_ALLOWED)
        } else {
            bound
        }
    };
    rounding.iter().fold(Tolerance { largest, rms }, |tolerance, moved| Tolerance {
        largest: at_least(tolerance.largest, moved.relative()),
        rms: at_least(tolerance.rms, moved.rms),
    })
}
