//! The checks of a contract: its own fields, the tensors that follow from them, the graph.

use crate::{CONTRACT_VERSION, Contract, ContractError, DType, TensorSpec, hex, onnx};
use occdepth_geometry::projection::SamplingPattern;
use serde::de::Error as _;
use std::collections::BTreeSet;

/// Points P of sampling pattern `id`; `None` for an unknown pattern.
pub(crate) fn pattern_points(id: u8) -> Option<u64> {
    SamplingPattern::new(id).ok().map(|pattern| pattern.offsets().len() as u64)
}

/// Parses the document, version first: a newer major is refused by version rather than by the first
/// field that it changed, and what a newer minor added is ignored.
pub(crate) fn parse(json: &str, origin: &str) -> Result<Contract, ContractError> {
    let json_error = |source| ContractError::Json { origin: origin.into(), source };
    let mut document: serde_json::Value = serde_json::from_str(json).map_err(json_error)?;
    let Some(fields) = document.as_object_mut() else {
        return Err(json_error(serde_json::Error::custom("expected an object")));
    };
    let found = match fields.get("contract_version") {
        Some(serde_json::Value::String(version)) => version.clone(),
        Some(other) => other.to_string(),
        None => "none".into(),
    };
    let (our_major, our_minor) = version(CONTRACT_VERSION).expect("our own version is well formed");
    match version(&found) {
        Some((major, minor)) if major == our_major => {
            if minor > our_minor {
                fields.retain(|name, _| FIELDS.contains(&name.as_str()));
            }
        }
        _ => {
            return Err(ContractError::Version {
                origin: origin.into(),
                found,
                expected: CONTRACT_VERSION,
            });
        }
    }
    serde_json::from_value(document).map_err(json_error)
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

impl Contract {
    /// Checks every field, and that the listed tensors are those that follow from the fields.
    ///
    /// # Errors
    /// [`ContractError::Field`] for the first field that does not fit.
    pub fn validate(&self, origin: &str) -> Result<(), ContractError> {
        let check = Check { origin };
        check.named("preset", &self.preset)?;
        check.named("dataset", &self.dataset)?;
        check.printable("training.note", &self.training.note, MAX_NOTE_BYTES)?;
        check.named("exporter", &self.exporter)?;
        check.that((1..=2).contains(&self.views), "views", self.views, "1 or 2")?;
        check.that(
            !self.virtual_stereo || self.views == 1,
            "virtual_stereo",
            self.virtual_stereo,
            "false where views is 2: the virtual view is the second one",
        )?;
        for (field, pixels) in
            [("image.width", self.image.width), ("image.height", self.image.height)]
        {
            check.that(
                (1..=MAX_IMAGE_SIDE_PX).contains(&pixels),
                field,
                pixels,
                "1..=16384 pixels",
            )?;
        }
        self.validate_scales(&check)?;
        check.that(
            pattern_points(self.pattern).is_some(),
            "pattern",
            self.pattern,
            "a sampling pattern 0..=8",
        )?;
        self.validate_grid(&check)?;
        self.validate_depth(&check)?;
        self.validate_normalisation(&check)?;
        self.validate_classes(&check)?;
        self.validate_output_size(&check)?;
        if let Some(hash) = &self.source_checkpoint {
            check.that(
                hex::is_sha256(hash),
                "source_checkpoint",
                format!("{hash:?}"),
                "a SHA-256 in lower-case hex, or null",
            )?;
        }
        check.tensors("inputs", &self.inputs, &self.expected_inputs())?;
        check.tensors("outputs", &self.outputs, &self.expected_outputs())
    }

    /// Checks that the graph declares exactly the listed inputs and outputs, with static shapes.
    pub(crate) fn check_graph(
        &self,
        model: &onnx::ModelProto,
        origin: &str,
    ) -> Result<(), ContractError> {
        let check = Check { origin };
        let empty = onnx::GraphProto::default();
        let graph = model.graph.as_ref().unwrap_or(&empty);
        // Old exporters list constants among the inputs; nobody provides those.
        let constants: BTreeSet<&str> =
            graph.initializer.iter().map(|constant| constant.name.as_str()).collect();
        let inputs: Vec<&onnx::ValueInfoProto> =
            graph.input.iter().filter(|input| !constants.contains(input.name.as_str())).collect();
        check.declared("graph.input", &inputs, &self.inputs)?;
        let outputs: Vec<&onnx::ValueInfoProto> = graph.output.iter().collect();
        check.declared("graph.output", &outputs, &self.outputs)
    }

    fn validate_scales(&self, check: &Check<'_>) -> Result<(), ContractError> {
        let ascending = self.scales.windows(2).all(|pair| pair[0] < pair[1]);
        let powers = self.scales.iter().all(|scale| scale.is_power_of_two() && *scale <= 16);
        check.that(
            !self.scales.is_empty() && ascending && powers,
            "scales",
            format!("{:?}", self.scales),
            "ascending powers of two, 1 to 16",
        )
    }

    fn validate_grid(&self, check: &Check<'_>) -> Result<(), ContractError> {
        let grid = &self.grid;
        check.that(
            matches!(self.project_scale, 1 | 2 | 4),
            "project_scale",
            self.project_scale,
            "1, 2 or 4",
        )?;
        check.that(
            grid.dims.iter().all(|dim| {
                (1..=MAX_GRID_SIDE).contains(dim) && dim.is_multiple_of(self.project_scale)
            }),
            "grid.dims",
            format!("{:?}", grid.dims),
            &format!("three of 1..={MAX_GRID_SIDE}, multiples of project_scale"),
        )?;
        let voxels = grid.voxel_count();
        check.that(
            voxels <= MAX_VOXELS,
            "grid.dims",
            format!("{:?} ({voxels} voxels)", grid.dims),
            &format!("at most {MAX_VOXELS} voxels"),
        )?;
        check.named("grid.axes", &grid.axes)?;
        check.that(
            grid.voxel_size_m.is_finite() && grid.voxel_size_m > 0.0,
            "grid.voxel_size_m",
            grid.voxel_size_m,
            "a positive number of metres",
        )?;
        check.that(
            grid.origin_m.is_none_or(|origin| origin.iter().all(|m| m.is_finite())),
            "grid.origin_m",
            format!("{:?}", grid.origin_m),
            "three finite metres, or null",
        )
    }

    /// Positions in an output are 32-bit numbers (self-tests, label kernels).
    fn validate_output_size(&self, check: &Check<'_>) -> Result<(), ContractError> {
        let logits = self.grid.voxel_count() * self.classes.len() as u64;
        check.that(
            u32::try_from(logits).is_ok(),
            "grid.dims",
            format!("{logits} logits"),
            "below 2^32 logits: voxels times classes",
        )
    }

    fn validate_depth(&self, check: &Check<'_>) -> Result<(), ContractError> {
        let Some(depth) = self.depth else { return Ok(()) };
        let size = depth.sampling_size;
        let sides = 2..=MAX_IMAGE_SIDE_PX;
        check.that(
            sides.contains(&size.width) && sides.contains(&size.height),
            "depth.sampling_size",
            format!("{}x{}", size.width, size.height),
            "2..=16384 pixels a side",
        )?;
        check.that(
            depth.bins.count <= MAX_DEPTH_BINS,
            "depth.bins.count",
            depth.bins.count,
            "at most 4096",
        )?;
        if let Err(error) = depth.validate() {
            check.that(false, "depth", format!("{:?}", depth.bins), &error.to_string())?;
        }
        check.that(
            self.scales.contains(&8),
            "scales",
            format!("{:?}", self.scales),
            "8 among them: the depth net reads the features at 1/8",
        )
    }

    fn validate_normalisation(&self, check: &Check<'_>) -> Result<(), ContractError> {
        let Self { normalisation: values, .. } = self;
        check.that(
            values.mean.iter().all(|mean| mean.is_finite()),
            "normalisation.mean",
            format!("{:?}", values.mean),
            "three finite numbers",
        )?;
        check.that(
            values.std.iter().all(|std| std.is_finite() && *std > 0.0),
            "normalisation.std",
            format!("{:?}", values.std),
            "three positive numbers",
        )
    }

    fn validate_classes(&self, check: &Check<'_>) -> Result<(), ContractError> {
        check.that(
            (2..=255).contains(&self.classes.len()),
            "classes",
            self.classes.len(),
            "2..=255 classes",
        )?;
        let mut ids = BTreeSet::new();
        for (position, class) in self.classes.iter().enumerate() {
            let field = format!("classes[{position}].id");
            check.that(class.id != 255, &field, class.id, "0..=254 (255 is unknown)")?;
            check.that(ids.insert(class.id), &field, class.id, "ids that occur once")?;
            check.named(&format!("classes[{position}].name"), &class.name)?;
        }
        Ok(())
    }
}

/// One check after the other, with the file's name for the messages.
struct Check<'a> {
    origin: &'a str,
}

impl Check<'_> {
    #[allow(clippy::needless_pass_by_value, reason = "callers build the value for this call")]
    fn that(
        &self,
        holds: bool,
        field: &str,
        found: impl ToString,
        expected: &str,
    ) -> Result<(), ContractError> {
        if holds {
            return Ok(());
        }
        Err(ContractError::Field {
            origin: self.origin.into(),
            field: field.into(),
            found: found.to_string(),
            expected: expected.into(),
        })
    }

    fn named(&self, field: &str, name: &str) -> Result<(), ContractError> {
        self.printable(field, name, MAX_NAME_BYTES)
    }

    /// Texts are shown on terminals, which obey control characters.
    fn printable(&self, field: &str, text: &str, most: usize) -> Result<(), ContractError> {
        let plain = (1..=most).contains(&text.len()) && !text.contains(char::is_control);
        self.that(plain, field, format!("{text:?}"), &format!("1 to {most} printable bytes"))
    }

    fn tensors(
        &self,
        list: &str,
        found: &[TensorSpec],
        expected: &[TensorSpec],
    ) -> Result<(), ContractError> {
        self.that(
            found.len() == expected.len(),
            list,
            names(found.iter().map(|tensor| tensor.name.as_str())),
            &names(expected.iter().map(|tensor| tensor.name.as_str())),
        )?;
        for (position, (found, expected)) in found.iter().zip(expected).enumerate() {
            let field = format!("{list}[{position}]");
            self.that(found == expected, &field, describe(found), &describe(expected))?;
        }
        Ok(())
    }

    fn declared(
        &self,
        list: &str,
        found: &[&onnx::ValueInfoProto],
        expected: &[TensorSpec],
    ) -> Result<(), ContractError> {
        self.that(
            found.len() == expected.len(),
            list,
            names(found.iter().map(|value| value.name.as_str())),
            &names(expected.iter().map(|tensor| tensor.name.as_str())),
        )?;
        for (value, expected) in found.iter().zip(expected) {
            let field = format!("{list}.{}", value.name);
            let declared = value.static_tensor().and_then(|(elem_type, dims)| {
                let shape: Result<Vec<u64>, _> = dims.into_iter().map(u64::try_from).collect();
                let dtype = [DType::F32, DType::I32].into_iter().find(|t| t.onnx() == elem_type);
                Some(TensorSpec { name: value.name.clone(), shape: shape.ok()?, dtype: dtype? })
            });
            let found = declared
                .as_ref()
                .map_or_else(|| "no f32 or i32 tensor of static shape".into(), describe);
            self.that(declared.as_ref() == Some(expected), &field, found, &describe(expected))?;
        }
        Ok(())
    }
}

fn describe(tensor: &TensorSpec) -> String {
    let dtype = match tensor.dtype {
        DType::F32 => "f32",
        DType::I32 => "i32",
    };
    format!("{} {dtype} {:?}", tensor.name, tensor.shape)
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}

/// Bounds that keep every product of extents far below 2^63; larger values are damage, not networks.
const MAX_IMAGE_SIDE_PX: u32 = 16_384;
const MAX_GRID_SIDE: u32 = 4_096;
const MAX_DEPTH_BINS: u32 = 4_096;

/// Most voxels of the output grid, 128 times the published ones; presets have the same bound.
const MAX_VOXELS: u64 = 1 << 28;

/// Longest name.
const MAX_NAME_BYTES: usize = 256;

/// Longest note on the training: it may hold a file's name.
const MAX_NOTE_BYTES: usize = 2048;

/// The top-level fields of this version.
const FIELDS: [&str; 21] = [
    "contract_version",
    "preset",
    "dataset",
    "training",
    "views",
    "virtual_stereo",
    "image",
    "scales",
    "pattern",
    "project_scale",
    "grid",
    "depth",
    "fit",
    "normalisation",
    "classes",
    "inputs",
    "outputs",
    "precision",
    "quirks",
    "source_checkpoint",
    "exporter",
];
