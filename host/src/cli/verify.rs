//! `occdepth-host verify`: an exported file against the network that it was made from.

use std::{io::Write, path::PathBuf};

use clap::Args;
use occdepth_contract::{
    Contract,
    onnx::ModelFile,
    self_test::{SelfTest, path_beside},
};
use occdepth_host::{
    verify::{Options, Verification, VerifyError, frame::FrameFiles},
    weights::Weights,
};

use super::{Failure, Made, builtin, preset};

/// Runs an exported network and the network in burn side by side on one frame.
///
/// The file must be an export of the preset: its contract is compared field by field, its graph node
/// by node (if this version has written it), and then what it computes. Errors are shown as the largest, as a share of the largest
/// magnitude of the tensor, and as the root mean square as a share of the tensor's. Half-precision
/// files run with their rounded weights in single-precision arithmetic; how large their values get is
/// compared with what half precision can hold.
///
/// Where FILE.selftest.json lies beside the file, the file also has to meet that, with all its outputs.
///
/// The frame is random (--random) or from files (--left, --right, --rig).
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The exported network; external data lies beside it
    #[arg(value_name = "FILE.onnx")]
    network: PathBuf,

    /// What the file was exported with: a file that `occdepth-host import` has written, `hash` or
    /// `formula`
    #[arg(long, value_name = "FILE.safetensors|hash|formula")]
    weights: String,

    /// Seed of the weights `hash`; 1 when absent
    #[arg(long, value_name = "N")]
    seed: Option<u64>,

    /// A built-in preset or the path of a preset file (*.toml); by default the built-in one that the
    /// file's contract names
    #[arg(long, value_name = "NAME|FILE.toml")]
    preset: Option<String>,

    /// Seed of a frame made from integer hashes: images, cameras, and the depth image of an RGB-D
    /// network
    #[arg(long, default_value_t = 1, value_name = "SEED", conflicts_with = "left")]
    random: u64,

    /// Image of the left camera, PNG or JPEG
    #[arg(long, value_name = "FILE", requires = "rig")]
    left: Option<PathBuf>,

    /// Image of the right camera; not for networks of one view
    #[arg(long, value_name = "FILE", requires = "left")]
    right: Option<PathBuf>,

    /// The rig of the images: native TOML or a KITTI odometry calib.txt
    #[arg(long, value_name = "FILE", requires = "left")]
    rig: Option<PathBuf>,

    /// Origin of the voxel grid in metres, for networks whose grid has one per scene
    #[arg(
        long,
        value_name = "X,Y,Z",
        value_parser = parse_origin,
        allow_hyphen_values = true,
        requires = "left"
    )]
    origin: Option<[f64; 3]>,

    /// Largest error of an output that is right, as a share of its largest magnitude; by default 1e-3
    /// for fp32, for fp16 5e-2, or more where rounding the weights alone does more
    #[arg(long, value_name = "SHARE", value_parser = parse_share, allow_hyphen_values = true)]
    tolerance: Option<f32>,

    /// Root mean square error of an output that is right, as a share of the output's; by default 2e-4
    /// for fp32, for fp16 2e-2 or more as above
    #[arg(long, value_name = "SHARE", value_parser = parse_share, allow_hyphen_values = true)]
    rms_tolerance: Option<f32>,

    /// Also compare the values between the parts of the network, to find where an error enters
    #[arg(long)]
    stages: bool,

    /// Also measure the largest magnitude of every value inside the exported network (fp16 files
    /// always do)
    #[arg(long)]
    ranges: bool,

    /// Threads of the exported network; all cores when absent
    #[arg(long, value_name = "N")]
    threads: Option<usize>,

    /// Write inputs and native outputs to this folder as .npy, for `host/scripts/check_onnx.py`
    #[arg(long, value_name = "FOLDER")]
    dump: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let origin = self.network.display().to_string();
        let file = ModelFile::read(&self.network).map_err(Failure::configuration)?;
        let contract =
            Contract::from_model(&file.model, &origin).map_err(Failure::configuration)?;
        let preset = match &self.preset {
            Some(name) => preset(name)?,
            None => builtin(&contract.preset, &origin, "preset")?,
        };
        let weights = match Made::of(&self.weights, self.seed)? {
            Some(made) => made.weights(&preset),
            None => {
                Weights::read_safetensors(self.weights.as_ref()).map_err(Failure::configuration)?
            }
        };
        let beside = path_beside(&self.network);
        let self_test = if beside.exists() {
            let test = SelfTest::read(&beside).map_err(Failure::configuration)?;
            test.check_network(file.sha256, &beside.display().to_string())
                .map_err(Failure::configuration)?;
            Some(test)
        } else {
            None
        };
        let verification = Verification::new(file.model, &origin, preset, weights)
            .map_err(Failure::configuration)?;
        let frame = match (&self.left, &self.rig) {
            (Some(left), Some(rig)) => {
                let files = FrameFiles {
                    left: left.clone(),
                    right: self.right.clone(),
                    rig: rig.clone(),
                    origin_m: self.origin,
                };
                files.frame(verification.contract()).map_err(Failure::configuration)?
            }
            _ => verification.random_frame(self.random).map_err(Failure::configuration)?,
        };
        let options = Options {
            tolerance: self.tolerance,
            rms_tolerance: self.rms_tolerance,
            self_test,
            stages: self.stages,
            ranges: self.ranges,
            threads: self.threads,
            dump: self.dump.clone(),
        };
        let report = verification.run(&frame, &options).map_err(|error| match error {
            VerifyError::Cpu(_)
            | VerifyError::Dump(_)
            | VerifyError::Native { .. }
            | VerifyError::Length { .. } => Failure::execution(error),
            other => Failure::configuration(other),
        })?;
        let text = if self.json {
            serde_json::to_string_pretty(&report).map_err(Failure::execution)? + "\n"
        } else {
            report.to_string()
        };
        std::io::stdout().write_all(text.as_bytes()).map_err(Failure::execution)?;
        let failures = report.failures();
        match failures.first() {
            None => Ok(()),
            Some(first) => {
                let more = match failures.len() - 1 {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                Err(Failure::execution(format!(
                    "{origin} does not compute what the network computes: {first}{more}"
                )))
            }
        }
    }
}

fn parse_origin(text: &str) -> Result<[f64; 3], String> {
    let numbers: Result<Vec<f64>, _> = text.split(',').map(|part| part.trim().parse()).collect();
    let expected = || format!("found {text:?}, expected three numbers of metres, X,Y,Z");
    let numbers = numbers.map_err(|_| expected())?;
    <[f64; 3]>::try_from(numbers)
        .ok()
        .filter(|origin| origin.iter().all(|m| m.is_finite()))
        .ok_or_else(expected)
}

fn parse_share(text: &str) -> Result<f32, String> {
    let share = text.parse().ok().filter(|share: &f32| *share >= 0.0 && share.is_finite());
    share.ok_or_else(|| format!("found {text:?}, expected a number that is not negative"))
}

const EXAMPLES: &str = "Examples:
  An export of imported weights, on a random frame:
    occdepth-host verify kitti-b3.onnx --weights kitti-b3.safetensors
  On a real frame, part by part:
    occdepth-host verify kitti-b3.onnx --weights kitti-b3.safetensors --stages \\
      --left image_2/000000.png --right image_3/000000.png --rig calib.txt
  With ONNX Runtime on the same frame:
    occdepth-host verify nano.onnx --weights hash --dump frame/
    python host/scripts/check_onnx.py nano.onnx frame/";
