//! The places between the parts of the network, by what they are called in the exported graph.

use occdepth_contract::onnx::{GraphProto, NodeProto};

use crate::preset::{
    Head, Preset,
    parameters::{DECODER, DEPTH_NET, UNET},
};

/// A value that both networks have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    /// What the report calls it.
    pub(super) label: &'static str,
    /// Its name in the graph.
    pub(super) value: String,
}

impl Stage {
    /// Voxel features [N, C], before the depth volume.
    pub(super) const ASSIGNMENT: &'static str = "assignment";
    /// Depth distribution [V, D, h, w].
    pub(super) const DEPTH: &'static str = "depth distribution";
    /// What the 3-D network reads [1, C, ...].
    pub(super) const VOLUME: &'static str = "volume";
    /// At a quarter of the projection grid, after the relation prior.
    pub(super) const QUARTER: &'static str = "up from 1/4";
    /// At half, on the way up.
    pub(super) const HALF: &'static str = "up to 1/2";
    /// At the projection grid, on the way up.
    pub(super) const PROJECTION: &'static str = "up to 1/1";

    /// Features [V, C, h, w] of an image scale.
    pub(super) const fn features(scale: u32) -> &'static str {
        match scale {
            1 => "features 1/1",
            2 => "features 1/2",
            4 => "features 1/4",
            8 => "features 1/8",
            _ => "features 1/16",
        }
    }
}

/// Every stage of `graph`, which is an export of `preset`, in the order of the data. A place that the
/// graph has no value for is left out.
pub(super) fn find(graph: &GraphProto, preset: &Preset) -> Vec<Stage> {
    let node = |name: &str| graph.node.iter().find(|node| node.name == name);
    let made_by = |name: &str| node(name).and_then(|node| node.output.first());
    let read_by = |name: &str| node(name).and_then(|node| node.input.first());
    let names = preset.unet.names();
    let scales = preset.scales.iter().map(|&scale| {
        let value = made_by(&format!("{DECODER}.resize_output_1_{scale}/Conv"));
        (Stage::features(scale), value)
    });
    let first_conv = format!("{UNET}.{}.0.main.0.conv1/Conv", names.process[0]);
    let upsample = |name: &str| format!("{UNET}.{name}.main.0/ConvTranspose");
    let after_projection = match (&preset.head, names.up_full) {
        (Head::Slim { dilations }, _) if !dilations.is_empty() => {
            format!("{UNET}.refine.main.0.conv1/Conv")
        }
        (_, Some(up_full)) => upsample(up_full),
        (_, None) => format!("{UNET}.{}.conv0/Conv", names.head),
    };
    let others = [
        (Stage::ASSIGNMENT, assigned(graph, preset)),
        (Stage::DEPTH, made_by(&format!("{DEPTH_NET}/Softmax"))),
        (Stage::VOLUME, read_by(&first_conv)),
        (Stage::QUARTER, read_by(&upsample(names.up[0]))),
        (Stage::HALF, read_by(&upsample(names.up[1]))),
        (Stage::PROJECTION, read_by(&after_projection)),
    ];
    let found = scales
        .chain(others)
        .filter_map(|(label, value)| Some(Stage { label, value: value?.clone() }));
    found.collect()
}

/// Where the depth volume is multiplied in: the last product below its path. Without a depth net the
/// assignment is the volume.
fn assigned<'g>(graph: &'g GraphProto, preset: &Preset) -> Option<&'g String> {
    preset.depth.as_ref()?;
    let is_product =
        |node: &&NodeProto| node.op_type == "Mul" && node.name.starts_with("flosp_depth/");
    graph.node.iter().rev().find(is_product).and_then(|node| node.input.first())
}
