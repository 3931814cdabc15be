//! Every stage of a forward pass by the name it has in the reference files, and the comparison.

use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, activation::softmax};
use occdepth_host::{
    network::{Inputs, Network, assignment, decoder::Features, depth, unet3d, virtual_stereo},
    preset::{DEPTH_GAIN, Preset},
    weights::Weights,
};

use crate::common::reference::{Array, Reference};

/// The stages of one frame, in the reference's names and axes.
pub(crate) struct Stages(BTreeMap<String, Array>);

impl Stages {
    /// Runs `preset` with `weights`, part by part through the public face.
    pub(crate) fn run(
        preset: &Preset,
        weights: &Weights,
        inputs: &Inputs,
        device: &Device,
    ) -> Self {
        let mut stages = Self(BTreeMap::new());
        let network = Network::new(preset, weights, device).unwrap();
        let features = stages.image_network(preset, weights, inputs, device);
        let volume = stages.lift(&network, preset, features, inputs);
        stages.unet(&network, preset, volume);
        stages.whole(&network, preset, inputs);
        stages
    }

    /// Compares every stage that `expected` holds but inputs and sampling grids (which the geometry
    /// crate's own tests compare), prints a row of the equality table for each, and checks the
    /// classes.
    ///
    /// Panics for a stage of `expected` that was not run.
    pub(crate) fn assert_equal(&self, expected: &Reference) {
        let names = expected.names();
        let compared: BTreeSet<&String> = names
            .iter()
            .filter(|name| !name.starts_with("in.") && !name.starts_with("depth.grid."))
            .collect();
        assert!(compared.len() > 4, "{}: {compared:?}", expected.case());
        for name in compared {
            let (base, mut steps) = strides(name);
            if (expected.case(), base) == ("kitti_b3_formula_eval", "enc.view0.features1") {
                // Strided as its shape has it, though its name does not say so.
                steps = &[4, 4];
            }
            let Some(found) = self.0.get(base) else {
                panic!("{}: {name} is compared with nothing", expected.case());
            };
            let error = expected.assert_close(name, &found.every(steps));
            if base == "out.ssc_logit" {
                expected.assert_labels(name, &found.every(steps), error);
            }
        }
    }

    pub(crate) fn array(&self, name: &str) -> &Array {
        &self.0[name]
    }

    fn keep<const D: usize>(&mut self, name: impl Into<String>, tensor: Tensor<D>) {
        self.0.insert(name.into(), Array::new(tensor));
    }

    /// Encoder and decoder, with the features at 1/16 that only the reference computes.
    fn image_network(
        &mut self,
        preset: &Preset,
        weights: &Weights,
        inputs: &Inputs,
        device: &Device,
    ) -> Features {
        let all = Preset { scales: vec![1, 2, 4, 8, 16], ..preset.clone() };
        let formula = Weights::formula(&all);
        let weights = if weights.check(&all).is_ok() { weights } else { &formula };
        let network = Network::new(&all, weights, device).unwrap().net_rgb;
        let images = inputs.images.clone();
        let stem = network.encoder.stem(images.clone());
        let taps = network.encoder.forward(images.clone());
        for view in 0..preset.views {
            let mut keep = |number: usize, map: &Tensor<4>| {
                let name = format!("enc.view{view}.features{number}");
                self.keep(name, map.clone().narrow(0, view, 1));
            };
            keep(1, &stem);
            for (number, map) in [4, 5, 6, 8].into_iter().zip(&taps.stages) {
                keep(number, map);
            }
            keep(11, &taps.head);
        }
        let mut features = network.decoder.forward(images, taps);
        for (scale, map) in &features.scales {
            for view in 0..preset.views {
                let map = map.clone().narrow(0, view, 1);
                self.keep(format!("feat.view{view}.1_{scale}"), map);
            }
        }
        features.scales.retain(|(scale, _)| preset.scales.contains(scale));
        features
    }

    /// Image features to the volume [1, C, ...] that the 3-D network reads, in its axes.
    fn lift(
        &mut self,
        network: &Network,
        preset: &Preset,
        features: Features,
        inputs: &Inputs,
    ) -> Tensor<5> {
        let [x, y, z] = preset.projection_dims();
        let width = preset.unet.widths[0];
        let volume = |lifted: Tensor<2>| {
            unet3d::arrange(lifted.reshape([1, width, x, y, z]), preset.unet.axes)
        };
        let eighth = features.scales.iter().find(|(scale, _)| *scale == 8).unwrap().1.clone();
        let features = match &inputs.rgbd {
            Some(rgbd) => {
                let both = virtual_stereo::with_right_view(&features, rgbd);
                for (scale, map) in &both.scales {
                    self.keep(format!("virtual.1_{scale}"), map.clone().narrow(0, 1, 1));
                }
                both
            }
            None => features,
        };
        for (index, (scale, map)) in features.scales.iter().enumerate() {
            let pixels = inputs.pixels.clone().narrow(1, index, 1).squeeze_dim(1);
            let lifted = assignment::assign_scale(map.clone(), pixels);
            self.keep(format!("sfa.{scale}"), volume(lifted));
        }
        let mut lifted = assignment::assign(&features, &inputs.pixels);
        if let (Some(net), Some(tables)) = (&network.flosp_depth, &inputs.depth) {
            self.keep("depth.scaled_pixel_size", tables.pixel_size.clone());
            let logits = net.forward(eighth, tables.pixel_size.clone());
            self.keep("depth.logits", logits.clone());
            let probabilities = softmax(logits, 1);
            self.keep("depth.prob", probabilities.clone());
            let occupied = depth::lift(probabilities, &tables.index, tables.weight.clone());
            self.keep("depth.voxel", occupied.clone().reshape([x, y, z]));
            lifted = lifted * occupied * DEPTH_GAIN;
        }
        let volume = volume(lifted);
        self.keep("net3d.x3d_in", volume.clone());
        volume
    }

    /// The 3-D network, in its own axes.
    fn unet(&mut self, network: &Network, preset: &Preset, volume: Tensor<5>) {
        let unet = &network.net_3d_decoder;
        let names = preset.unet.names();
        let half = unet.process_l1.forward(volume.clone());
        self.keep(format!("net3d.{}", names.process[0]), half.clone());
        let quarter = unet.process_l2.forward(half);
        self.keep(format!("net3d.{}", names.process[1]), quarter.clone());
        if let Some(prior) = &unet.relation_prior {
            let (aspp, mega) = prior.context(quarter);
            self.keep("crp.aspp", aspp);
            self.keep("crp.mega_context", mega);
        }
        let ascent = unet.ascend(volume.clone());
        self.keep("out.x3d_l3", ascent.quarter.clone());
        self.keep(format!("net3d.{}", names.up[0]), unet.up_13_l2.forward(ascent.quarter));
        self.keep("out.x3d_l2", ascent.half.clone());
        self.keep(format!("net3d.{}", names.up[1]), unet.up_12_l1.forward(ascent.half));
        self.keep("out.x3d_l1", ascent.projection.clone());
        if let (Some(name), Some(upsample)) = (names.up_full, &unet.up_l1_lfull) {
            self.keep(format!("net3d.{name}"), upsample.forward(ascent.projection));
        }
        let outputs = unet.forward(volume);
        if let Some(logits) = outputs.relation_logits {
            self.keep("out.P_logits", logits);
        }
        if let Some(logits) = outputs.occ_logits {
            self.keep("out.occ_logit", logits);
        }
        self.keep("out.ssc_logit", outputs.ssc_logits);
    }

    /// The whole network at once gives what its parts gave, x-major.
    fn whole(&mut self, network: &Network, preset: &Preset, inputs: &Inputs) {
        let outputs = network.forward(inputs.clone());
        let [x, y, z] = preset.grid_dims();
        assert_eq!(outputs.ssc_logits.dims(), [preset.dataset.class_count(), x, y, z]);
        let stored = unet3d::arrange(outputs.ssc_logits.unsqueeze(), preset.unet.axes);
        assert_eq!(Array::new(stored).values, self.array("out.ssc_logit").values);
        if let Some(logits) = outputs.occ_logits {
            let stored = unet3d::arrange(logits.unsqueeze(), preset.unet.axes);
            assert_eq!(Array::new(stored).values, self.array("out.occ_logit").values);
        }
    }
}

/// The stage that a name of the reference means, and the steps along its last axes.
fn strides(name: &str) -> (&str, &'static [usize]) {
    // Not in the README: as the shape [28, 405] of 196 mega-voxels by 2025 voxels has it.
    if let Some(base) = name.strip_suffix(".sub") {
        return (base, &[7, 5]);
    }
    if let Some(base) = name.strip_suffix(".sub2") {
        return (base, &[2, 2, 2]);
    }
    match name.strip_suffix(".sub4") {
        Some(base) => (base, &[4, 4]),
        None => (name, &[]),
    }
}
