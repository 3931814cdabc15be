//! Self-test vectors: whether an engine computes what the network computes.
//!
//! An engine that a device has built from a network (another precision, other kernels, another
//! compiler) may be wrong without failing. Beside each exported `N.onnx` lies a small
//! `N.selftest.json` ([`path_beside`]): how to make one frame, and what the network as it was trained
//! says about it at some thousand places. No image is stored: the frame comes from integer hashes and
//! the geometry crate, bit for bit the same everywhere, and a checksum of every input says so.
//!
//! ```
//! use occdepth_contract::{Contract, self_test::{Frame, SelfTest}};
//! # use occdepth_contract::{GridSpec, Normalisation, Precision, Quirks, Training, classes};
//! # use occdepth_geometry::{ImageSize, fit::Fit};
//! # let mut contract = Contract {
//! #     contract_version: occdepth_contract::CONTRACT_VERSION.into(),
//! #     preset: "example".into(),
//! #     dataset: "semantic-kitti".into(),
//! #     training: Training { trained: false, note: "an example".into() },
//! #     views: 2,
//! #     virtual_stereo: false,
//! #     image: ImageSize { width: 64, height: 32 },
//! #     scales: vec![1, 2],
//! #     pattern: 0,
//! #     project_scale: 2,
//! #     grid: GridSpec {
//! #         axes: "x forward, y left, z up".into(),
//! #         origin_m: Some([0.0, -25.6, -2.0]),
//! #         voxel_size_m: 1.6,
//! #         dims: [32, 32, 4],
//! #     },
//! #     depth: None,
//! #     fit: Fit::Rectify,
//! #     normalisation: Normalisation::IMAGENET,
//! #     classes: classes::semantic_kitti(),
//! #     inputs: vec![],
//! #     outputs: vec![],
//! #     precision: Precision::Fp32,
//! #     quirks: Quirks::default(),
//! #     source_checkpoint: None,
//! #     exporter: "documentation".into(),
//! # };
//! # contract.inputs = contract.expected_inputs();
//! # contract.outputs = contract.expected_outputs();
//! # let run_the_trained_network = |_: &Frame| vec![0.5; 20 * 32 * 32 * 4];
//! # let run_the_engine = run_the_trained_network;
//! // The exporter ...
//! let mut test = SelfTest::new(&contract, [0xab; 32], 1);
//! let frame = test.seal(&contract)?;
//! test.expect("ssc_logits", &run_the_trained_network(&frame));
//! let json = test.to_json();
//!
//! // ... and whoever has built an engine.
//! let test = SelfTest::from_json(&json, "N.selftest.json")?;
//! let frame = test.frame(&contract, "N.selftest.json")?;
//! let comparison = test.compare("ssc_logits", &run_the_engine(&frame))?;
//! assert!(comparison.passed());
//! # Ok::<(), occdepth_contract::self_test::SelfTestError>(())
//! ```

mod error;
mod frame;
mod texture;

pub use error::SelfTestError;
pub use frame::{Camera, DepthImage, Frame, Values};

use crate::{
    Contract, Precision, hex,
    regular_file::{self, ReadError},
};
use error::Check;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// The format this crate writes and reads.
pub const FORMAT: &str = "occdepth-self-test 1";

/// One frame, and what the network says about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelfTest {
    /// [`FORMAT`]; any other is refused.
    pub format: String,
    /// Preset of the network, for people.
    pub preset: String,
    /// SHA-256 of the network's file (and its external data), lower-case hex.
    pub network_sha256: String,
    /// Seed of the images, and of the depth image of an RGB-D network.
    pub seed: u64,
    /// The cameras of the views, left first.
    pub cameras: Vec<Camera>,
    /// Baseline in metres of the virtual right view of an RGB-D network.
    pub baseline_m: Option<f64>,
    /// Minimum corner of the grid in metres, for networks whose grid is placed per scene.
    pub origin_m: Option<[f64; 3]>,
    /// A checksum of every input, in the order of the contract.
    pub inputs: Vec<InputChecksum>,
    /// Expected values of outputs.
    pub outputs: Vec<OutputSamples>,
    /// How far from them is right.
    pub tolerance: Tolerance,
}

/// Checksum of an input tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputChecksum {
    /// The input.
    pub name: String,
    /// CRC-32 (IEEE 802.3) of its values, little endian, row-major.
    pub crc32: u32,
}

/// Some values of an output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputSamples {
    /// The output.
    pub name: String,
    /// Row-major positions, strictly ascending.
    pub indices: Vec<u32>,
    /// The values there; as many as positions.
    #[serde(deserialize_with = "narrowed")]
    pub values: Vec<f32>,
}

/// How far from the expected values is right; both bounds hold.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Of any sample: its error as a share of the largest magnitude expected.
    pub largest: f32,
    /// Of all samples together: the root mean square of the errors as a share of that of the expected
    /// values.
    pub rms: f32,
}

impl Tolerance {
    /// What is right for an engine of `precision` on a network that amplifies errors no more than usual:
    /// about ten times what well-conditioned networks show (`benches/results/fp16.md`), far less than
    /// what a wrong layer does.
    pub const fn of(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Self { largest: 1e-3, rms: 2e-4 },
            Precision::Fp16 => Self { largest: 5e-2, rms: 2e-2 },
            Precision::Int8 => Self { largest: 3e-1, rms: 1.5e-1 },
        }
    }
}

/// What an engine computed beside what was expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The output.
    pub output: String,
    /// Values compared.
    pub samples: usize,
    /// Largest error, as a share of the largest magnitude expected; infinite where a value is not
    /// finite.
    pub largest: f32,
    /// Root mean square of the errors, as a share of that of the expected values.
    pub rms: f32,
    /// The sample with the largest error: position, found, expected.
    pub worst: (u32, f32, f32),
    /// What is allowed.
    pub tolerance: Tolerance,
}

impl Comparison {
    /// Whether both errors are within the tolerance.
    pub fn passed(&self) -> bool {
        self.largest <= self.tolerance.largest && self.rms <= self.tolerance.rms
    }
}

/// Where the self-test of the network at `network` lies: `N.selftest.json` beside `N.onnx`.
pub fn path_beside(network: &Path) -> PathBuf {
    network.with_extension("selftest.json")
}

impl SelfTest {
    /// A self-test of the network of `contract` without checksums and expected values yet:
    /// [`SelfTest::seal`] and [`SelfTest::expect`] add them.
    ///
    /// The cameras stand at the near end of the grid, look along x, and see most of it.
    pub fn new(contract: &Contract, network_sha256: [u8; 32], seed: u64) -> Self {
        let (cameras, baseline_m, origin_m) = frame::default_rig(contract);
        Self {
            format: FORMAT.into(),
            preset: contract.preset.clone(),
            network_sha256: hex::digits(&network_sha256),
            seed,
            cameras,
            baseline_m,
            origin_m,
            inputs: vec![],
            outputs: vec![],
            tolerance: Tolerance::of(contract.precision),
        }
    }

    /// Makes the frame and writes down the checksums of its inputs.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn seal(&mut self, contract: &Contract) -> Result<Frame, SelfTestError> {
        let frame = Frame::new(self, contract, &contract.preset)?;
        self.inputs = frame
            .inputs()
            .into_iter()
            .map(|(name, values)| InputChecksum { name: name.into(), crc32: values.crc32() })
            .collect();
        Ok(frame)
    }

    /// Writes down some values of an output: all of a small one, else [`SAMPLES`], one from each of as
    /// many equal parts.
    ///
    /// # Panics
    /// Never for an output of a contract, which has fewer than 2^32 values.
    pub fn expect(&mut self, output: &str, values: &[f32]) {
        let count = values.len().min(SAMPLES);
        let start = |part: usize| part * values.len() / count;
        let draws = (0..count).map(|part| {
            let width = (start(part + 1) - start(part)) as u64;
            let draw = texture::hash([self.seed, part as u64, SAMPLING, 0]) % width;
            start(part) + usize::try_from(draw).expect("a draw is below the width of its part")
        });
        let indices: Vec<usize> = draws.collect();
        let values = indices.iter().map(|&index| values[index]).collect();
        let indices = indices
            .into_iter()
            .map(|index| {
                u32::try_from(index).expect("outputs of a contract have below 2^32 values")
            })
            .collect();
        self.outputs.push(OutputSamples { name: output.into(), indices, values });
    }

    /// Reads and checks the self-test at `path`, a regular file of at most 16 MiB.
    ///
    /// # Errors
    /// [`SelfTestError`] with the file and the field.
    pub fn read(path: &Path) -> Result<Self, SelfTestError> {
        let origin = path.display().to_string();
        let failed = |source| SelfTestError::Read { path: path.into(), source };
        let bytes = regular_file::read(path, MAX_BYTES).map_err(|error| match error {
            ReadError::Io(source) => failed(source),
            ReadError::TooLarge(found) => {
                let check = Check { origin: &origin };
                check.failed("file size", &found.to_string(), "at most 16 MiB")
            }
        })?;
        let not_text = |error| failed(io::Error::new(io::ErrorKind::InvalidData, error));
        Self::from_json(&String::from_utf8(bytes).map_err(not_text)?, &origin)
    }

    /// Reads and checks a JSON document; `origin` is for error messages.
    ///
    /// # Errors
    /// [`SelfTestError`] with the origin and the field.
    pub fn from_json(json: &str, origin: &str) -> Result<Self, SelfTestError> {
        let test: Self = serde_json::from_str(json)
            .map_err(|source| SelfTestError::Json { origin: origin.into(), source })?;
        test.validate(origin)?;
        Ok(test)
    }

    /// The document as it is stored.
    ///
    /// # Panics
    /// Never: strings, numbers and lists always have a JSON form.
    pub fn to_json(&self) -> String {
        let json =
            serde_json::to_string(self).expect("strings, numbers and lists have a JSON form");
        json + "\n"
    }

    /// Makes the frame of this test for the network of `contract`, and checks that it is the one that
    /// the expected values were computed from.
    ///
    /// # Errors
    /// [`SelfTestError::Field`] when the test is not for this contract or an input has another
    /// checksum; [`SelfTestError::Geometry`] when the cameras cannot be projected.
    pub fn frame(&self, contract: &Contract, origin: &str) -> Result<Frame, SelfTestError> {
        let frame = Frame::new(self, contract, origin)?;
        let inputs = frame.inputs();
        let check = Check { origin };
        check.that(
            self.inputs.len() == inputs.len(),
            "inputs",
            self.inputs.len(),
            &format!("{} inputs of the network's contract", inputs.len()),
        )?;
        for (expected, (name, values)) in self.inputs.iter().zip(inputs) {
            check.that(expected.name == name, "inputs.name", &expected.name, name)?;
            let (crc32, field) = (values.crc32(), format!("inputs.{name}.crc32"));
            let found = format!("{:08x}", expected.crc32);
            check.that(
                expected.crc32 == crc32,
                &field,
                found,
                &format!("{crc32:08x} as computed here"),
            )?;
        }
        Ok(frame)
    }

    /// Checks that this is the self-test of the network with this SHA-256.
    ///
    /// # Errors
    /// [`SelfTestError::Field`] when it belongs to another one.
    pub fn check_network(&self, sha256: [u8; 32], origin: &str) -> Result<(), SelfTestError> {
        let network = hex::digits(&sha256);
        Check { origin }.that(
            self.network_sha256 == network,
            "network_sha256",
            &self.network_sha256,
            &format!("{network} (the self-test belongs to another network)"),
        )
    }

    /// Compares what an engine computed for `output`, all of it, with the expected samples.
    ///
    /// # Errors
    /// [`SelfTestError::Field`] when the test has no samples of this output, or samples that a file may
    /// not have, or `values` ends before the last of them.
    pub fn compare(&self, output: &str, values: &[f32]) -> Result<Comparison, SelfTestError> {
        let check = Check { origin: &self.preset };
        let samples = self.outputs.iter().find(|samples| samples.name == output);
        let Some(samples) = samples else {
            let names: Vec<&str> = self.outputs.iter().map(|other| other.name.as_str()).collect();
            return Err(check.failed("outputs", output, &format!("one of {}", names.join(", "))));
        };
        samples.check(&check)?;
        let last = samples.indices.last().map_or(0, |&index| index as usize);
        let expected = format!("more than {last} values");
        check.that(values.len() > last, &format!("outputs.{output}"), values.len(), &expected)?;

        let pairs = samples.indices.iter().zip(&samples.values);
        let mut worst =
            (samples.indices[0], values[samples.indices[0] as usize], samples.values[0]);
        let (mut largest, mut scale) = (-1.0_f64, 0.0_f64);
        let (mut error_power, mut power) = (0.0, 0.0);
        for (&index, &expected) in pairs {
            let found = values[index as usize];
            let error = f64::from(found) - f64::from(expected);
            let error = if error.is_finite() { error.abs() } else { f64::INFINITY };
            if error > largest {
                largest = error;
                worst = (index, found, expected);
            }
            scale = scale.max(f64::from(expected).abs());
            error_power += error * error;
            power += f64::from(expected).powi(2);
        }
        #[allow(clippy::cast_possible_truncation, reason = "shares, for people and a comparison")]
        let share =
            |error: f64, whole: f64| (if error == 0.0 { 0.0 } else { error / whole }) as f32;
        Ok(Comparison {
            output: output.into(),
            samples: samples.values.len(),
            largest: share(largest, scale),
            rms: share(error_power.sqrt(), power.sqrt()),
            worst,
            tolerance: self.tolerance,
        })
    }

    fn validate(&self, origin: &str) -> Result<(), SelfTestError> {
        let check = Check { origin };
        check.that(self.format == FORMAT, "format", &self.format, FORMAT)?;
        let hash = &self.network_sha256;
        check.that(
            hex::is_sha256(hash),
            "network_sha256",
            format!("{hash:?}"),
            "a SHA-256 in lower-case hex",
        )?;
        let baseline = self.baseline_m.is_none_or(|m| m.is_finite() && m > 0.0);
        check.that(
            baseline,
            "baseline_m",
            format!("{:?}", self.baseline_m),
            "a positive number of metres, or null",
        )?;
        check.that(
            !self.outputs.is_empty(),
            "outputs",
            "none",
            "samples of at least one output",
        )?;
        let mut names = BTreeSet::new();
        for samples in &self.outputs {
            check.that(
                names.insert(&samples.name),
                "outputs",
                &samples.name,
                "outputs once each",
            )?;
            samples.check(&check)?;
        }
        for (field, bound) in
            [("tolerance.largest", self.tolerance.largest), ("tolerance.rms", self.tolerance.rms)]
        {
            check.that((0.0..=1.0).contains(&bound), field, bound, "a share, 0 to 1")?;
        }
        Ok(())
    }
}

/// Numbers of a document as f32. One beyond its range becomes infinite, which the check of the field then names; read as
/// f32, `serde_json` would refuse the document at a position, if one of its features (`float_roundtrip`) is on.
#[expect(clippy::cast_possible_truncation, reason = "the point of it")]
fn narrowed<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    Ok(Vec::<f64>::deserialize(deserializer)?.into_iter().map(|value| value as f32).collect())
}

impl OutputSamples {
    /// Checks that there are samples, in order, of finite values.
    fn check(&self, check: &Check<'_>) -> Result<(), SelfTestError> {
        let field = |part: &str| format!("outputs.{}.{part}", self.name);
        let (indices, values) = (self.indices.len(), self.values.len());
        check.that(
            indices == values && (1..=MAX_SAMPLES).contains(&values),
            &field("values"),
            format!("{values} values at {indices} indices"),
            "as many of both, 1 to 1048576",
        )?;
        check.that(
            self.indices.is_sorted_by(|a, b| a < b),
            &field("indices"),
            "another order",
            "strictly ascending positions",
        )?;
        let finite = self.values.iter().all(|value| value.is_finite());
        check.that(finite, &field("values"), "one that is not finite", "finite numbers")
    }
}

/// Values that [`SelfTest::expect`] keeps of an output: enough that every channel of every part of the
/// grid is among them, and 80 kB as text.
pub const SAMPLES: usize = 4096;

/// Bounds of a file that is read.
const MAX_SAMPLES: usize = 1 << 20;
const MAX_BYTES: u64 = 16 << 20;

/// Keeps the draws of positions apart from those of textures.
const SAMPLING: u64 = 0x5341_4d50;
