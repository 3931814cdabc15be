//! Whether a file is an export of a preset with these weights, as far as can be said without running
//! it.

use std::fmt::Debug;

use occdepth_contract::{
    Contract, Normalisation, Precision,
    onnx::{AttributeProto, GraphProto, ModelProto, NodeProto},
    tensor,
};

use super::VerifyError;
use crate::{
    export::{self, Options},
    preset::Preset,
    weights::Weights,
};

/// Every field of the contract that follows from the preset.
pub(super) fn contract(
    contract: &Contract,
    preset: &Preset,
    origin: &str,
) -> Result<(), VerifyError> {
    let quirk = preset.samples_right_with_left_pixels();
    let expected_classes = preset.dataset.classes();
    // The first that differs, not all of them.
    let classes = first_difference(&contract.classes, &expected_classes)
        .and_then(|(_, found, expected)| field("classes", &found, &expected));
    let depth = preset.depth.map(|depth| depth.volume);
    let fields = [
        field("preset", &contract.preset, &preset.name),
        field("dataset", &contract.dataset.as_str(), &preset.dataset.name()),
        field("views", &(contract.views as usize), &preset.views),
        field("virtual_stereo", &contract.virtual_stereo, &preset.virtual_stereo),
        field("image", &contract.image, &preset.image),
        field("scales", &contract.scales, &preset.scales),
        field("pattern", &contract.pattern, &preset.pattern),
        field("project_scale", &contract.project_scale, &preset.project_scale),
        field("grid.axes", &contract.grid.axes.as_str(), &export::AXES),
        field("grid.origin_m", &contract.grid.origin_m, &preset.grid.origin_m),
        field("grid.voxel_size_m", &contract.grid.voxel_size_m, &preset.grid.voxel_size_m),
        field("grid.dims", &contract.grid.dims, &preset.grid.dims),
        field("depth", &contract.depth, &depth),
        field("fit", &contract.fit, &preset.fit),
        field(
            "quirks.right_samples_left_pixels",
            &contract.quirks.right_samples_left_pixels,
            &quirk,
        ),
        field("normalisation", &contract.normalisation, &Normalisation::IMAGENET),
        classes,
    ];
    match fields.into_iter().flatten().next() {
        None => Ok(()),
        Some((field, found, expected)) => {
            Err(VerifyError::Field { origin: origin.into(), field, found, expected })
        }
    }
}

/// The weights fit the preset, are trained if the file says so, and, where both name one, are of the
/// checkpoint that the file was exported from.
pub(super) fn weights(
    contract: &Contract,
    preset: &Preset,
    weights: &Weights,
    origin: &str,
) -> Result<(), VerifyError> {
    if let (Some(found), Some(provenance)) = (&contract.source_checkpoint, weights.provenance())
        && *found != provenance.source_sha256
    {
        return Err(VerifyError::Field {
            origin: origin.into(),
            field: "source_checkpoint",
            found: found.clone(),
            expected: format!("{} as the weights have it", provenance.source_sha256),
        });
    }
    // What an export of these weights says.
    let trained = weights.provenance().is_some_and(|provenance| provenance.trained);
    if let Some((field, found, expected)) =
        field("training.trained", &contract.training.trained, &trained)
    {
        let expected = format!("{expected} as the weights have it");
        return Err(VerifyError::Field { origin: origin.into(), field, found, expected });
    }
    Ok(weights.check(preset)?)
}

/// The file's graph is node by node the one that this preset exports to; only the values of its
/// constants are not looked at.
///
/// A file that another version of the exporter has written may differ and be right all the same: its
/// numbers decide, and `false` says that it was not compared.
pub(super) fn graph(
    model: &ModelProto,
    contract: &Contract,
    preset: &Preset,
    origin: &str,
) -> Result<bool, VerifyError> {
    let has = |name: &str| contract.outputs.iter().any(|output| output.name == name);
    let options = Options {
        precision: contract.precision,
        occupancy_output: has(tensor::OCC_LOGITS),
        occluded_output: has(tensor::OCCLUDED_LOGITS),
        ..Options::untrained("")
    };
    if contract.precision == Precision::Int8 || contract.exporter != export::EXPORTER {
        return Ok(false);
    }
    let expected = export::outline(preset, &options)?;
    let empty = GraphProto::default();
    let found = model.graph.as_ref().unwrap_or(&empty);
    let differs = |element: String, found: String, expected: String| {
        let origin = origin.to_owned();
        Err(VerifyError::Graph { origin, element, found, expected })
    };
    if let Some((position, found, expected)) = first_difference(&found.node, &expected.node) {
        let parts = described(found).into_iter().zip(described(expected));
        let (found, expected) = parts.into_iter().find(|(a, b)| a != b).unwrap_or_default();
        return differs(format!("node {position}"), found, expected);
    }
    let constants = |graph: &GraphProto| {
        let constants = graph.initializer.iter();
        constants.map(|c| (c.name.clone(), c.dims.clone(), c.data_type)).collect::<Vec<_>>()
    };
    let (found, expected) = (constants(found), constants(&expected));
    if let Some((position, found, expected)) = first_difference(&found, &expected) {
        let described = |constant: Option<&(String, Vec<i64>, i32)>| match constant {
            Some((name, dims, data_type)) => format!("{name} {dims:?} of type {data_type}"),
            None => "nothing".into(),
        };
        return differs(format!("constant {position}"), described(found), described(expected));
    }
    Ok(true)
}

/// The first position at which two lists differ, and what they have there; a list that has ended has
/// nothing.
fn first_difference<'a, T: PartialEq>(
    found: &'a [T],
    expected: &'a [T],
) -> Option<(usize, Option<&'a T>, Option<&'a T>)> {
    let mut positions = 0..found.len().max(expected.len());
    let position = positions.find(|&position| found.get(position) != expected.get(position))?;
    Some((position, found.get(position), expected.get(position)))
}

/// What a node is, most telling first.
fn described(node: Option<&NodeProto>) -> [String; 5] {
    let Some(NodeProto { op_type, name, input, output, attribute, domain, doc_string }) = node
    else {
        return std::array::from_fn(|_| "nothing".into());
    };
    let values = attribute.iter().map(|attribute| {
        let AttributeProto { name, f, i, s, ints, .. } = attribute;
        format!("{name} {f:?} {i:?} {s:?} {ints:?}")
    });
    [
        format!("{op_type} {name}"),
        format!("{name} of {input:?}"),
        format!("{name} to {output:?}"),
        format!("{name} with {}", values.collect::<Vec<_>>().join(", ")),
        format!("{name} of domain {domain:?}, {doc_string:?}"),
    ]
}

/// A field that differs: name, found, expected.
fn field<T: PartialEq + Debug>(
    name: &'static str,
    found: &T,
    expected: &T,
) -> Option<(&'static str, String, String)> {
    (found != expected).then(|| (name, format!("{found:?}"), format!("{expected:?}")))
}
