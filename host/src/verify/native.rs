//! The network in burn on one frame: outputs, and the values between its parts.

use std::{collections::BTreeMap, time::Instant};

use burn::tensor::{Device, Tensor, activation::softmax};
use occdepth_contract::{Contract, self_test::Frame, tensor};

use super::{VerifyError, stages::Stage};
use crate::{
    network::{Inputs, Network, Outputs, assignment, depth, unet3d, virtual_stereo},
    preset::{DEPTH_GAIN, Preset},
    weights::Weights,
};

/// What the native network computed.
pub(super) struct Native {
    tensors: BTreeMap<String, Vec<f32>>,
    /// Wall time of the forward pass.
    pub(super) seconds: f64,
}

impl Native {
    /// The output or stage `name`, row-major; empty where the network has none of that name.
    pub(super) fn tensor(&self, name: &str) -> &[f32] {
        self.tensors.get(name).map_or(&[], Vec::as_slice)
    }

    fn keep<const D: usize>(&mut self, name: &str, tensor: Tensor<D>) -> Result<(), VerifyError> {
        let values = tensor
            .into_data()
            .try_to_vec()
            .map_err(|source| VerifyError::Native { tensor: name.into(), source })?;
        self.tensors.insert(name.into(), values);
        Ok(())
    }
}

/// Runs the network of `preset` with `weights` on `frame`, on the CPU.
pub(super) fn run(
    preset: &Preset,
    weights: &Weights,
    contract: &Contract,
    frame: &Frame,
    stages: bool,
) -> Result<Native, VerifyError> {
    let device = Device::flex();
    let network = Network::new(preset, weights, &device)?;
    let inputs = Inputs::from_frame(preset, frame, &device)?;
    let mut native = Native { tensors: BTreeMap::new(), seconds: 0.0 };
    let start = Instant::now();
    let Outputs { ssc_logits, occ_logits, occluded_logits, .. } = if stages {
        run_in_parts(&network, preset, inputs, &mut native)?
    } else {
        network.forward(inputs)
    };
    native.keep(tensor::SSC_LOGITS, ssc_logits)?;
    let optional = [(tensor::OCC_LOGITS, occ_logits), (tensor::OCCLUDED_LOGITS, occluded_logits)];
    for (name, logits) in optional {
        let exported = contract.outputs.iter().any(|output| output.name == name);
        if let Some(logits) = logits.filter(|_| exported) {
            native.keep(name, logits)?;
        }
    }
    native.seconds = start.elapsed().as_secs_f64();
    Ok(native)
}

/// The forward pass part by part, keeping what is between the parts in the layout that the exported
/// graph has it in.
fn run_in_parts(
    network: &Network,
    preset: &Preset,
    inputs: Inputs,
    native: &mut Native,
) -> Result<Outputs, VerifyError> {
    let features = network.net_rgb.forward(inputs.images);
    for (scale, map) in &features.scales {
        native.keep(Stage::features(*scale), map.clone())?;
    }
    let lifted = match &inputs.rgbd {
        Some(rgbd) => {
            let both = virtual_stereo::with_right_view(&features, rgbd);
            assignment::assign(&both, &inputs.pixels)
        }
        None => assignment::assign(&features, &inputs.pixels),
    };
    native.keep(Stage::ASSIGNMENT, lifted.clone().transpose())?;
    let volume = match (&network.flosp_depth, inputs.depth) {
        (Some(net), Some(tables)) => {
            let eighth = features.scales.iter().find(|(scale, _)| *scale == 8);
            let (_, map) = eighth.expect("a valid preset with a depth net has scale 8");
            let probabilities = softmax(net.forward(map.clone(), tables.pixel_size), 1);
            native.keep(Stage::DEPTH, probabilities.clone())?;
            lifted * depth::lift(probabilities, &tables.index, tables.weight) * DEPTH_GAIN
        }
        _ => lifted,
    };
    let [width, _] = volume.dims();
    let [x, y, z] = preset.projection_dims();
    let arranged = unet3d::arrange(volume.clone().reshape([1, width, x, y, z]), preset.unet.axes);
    native.keep(Stage::VOLUME, arranged.clone())?;
    let ascent = network.net_3d_decoder.ascend(arranged);
    native.keep(Stage::QUARTER, ascent.quarter)?;
    native.keep(Stage::HALF, ascent.half)?;
    native.keep(Stage::PROJECTION, ascent.projection)?;
    Ok(network.complete(volume))
}
