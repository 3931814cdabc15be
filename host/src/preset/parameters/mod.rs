//! Every parameter that a preset needs, by its published name: computed from the preset alone.

mod list;

use super::{DepthNet, EncoderBlock, Head, IMAGE_CHANNELS, Preset, UpBlock};
use list::{Bias, List};

/// One tensor of a network's weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name in the state dict of a published checkpoint.
    pub name: String,
    /// Row-major shape, as in `PyTorch`.
    pub shape: Vec<usize>,
    /// What it is for.
    pub kind: ParameterKind,
    /// How often the whole weight is applied per frame: output positions (input positions of a
    /// transposed convolution), over all views; 0 for anything but a weight.
    pub(super) positions: u64,
}

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Of a convolution `[out, in / groups, kernel...]` or a linear layer `[out, in]`.
    Weight,
    /// Of a transposed convolution `[in, out, kernel...]`.
    TransposedWeight {
        /// Its stride along every axis.
        stride: usize,
    },
    /// Added per output channel.
    Bias,
    /// Scale of a batch norm.
    NormWeight,
    /// Shift of a batch norm.
    NormBias,
    /// Running mean of a batch norm.
    NormMean,
    /// Running variance of a batch norm.
    NormVariance,
}

impl Parameter {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the parameter has no elements (no valid preset makes one).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether training changes it by gradient (running statistics are not counted as parameters).
    pub fn is_trainable(&self) -> bool {
        !matches!(self.kind, ParameterKind::NormMean | ParameterKind::NormVariance)
    }
}

impl Preset {
    /// Every parameter that the forward pass reads, in the order of the data.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut list = List::default();
        self.list_encoder(&mut list);
        self.list_decoder(&mut list);
        if let Some(depth) = &self.depth {
            self.list_depth_net(depth, &mut list);
        }
        self.list_unet(&mut list);
        self.list_head(&mut list);
        list.finish()
    }

    /// Parameters that published checkpoints of this shape also hold and that no forward pass
    /// reads: the batch norm after the encoder's head convolution, the pooled shortcuts of
    /// bottlenecks that do not halve, and up-blocks and `resize_output_*` of scales that no voxel
    /// gathers from.
    ///
    /// An import may drop these, the counters `*.num_batches_tracked` and the buffers
    /// `flosp_depth.voxel_*`; any other name that [`Preset::parameters`] lacks is an error.
    pub fn unused_parameters(&self) -> Vec<Parameter> {
        let mut list = List::default();
        list.norm(&format!("{ENCODER}.bn2"), self.encoder.head);
        for block in self.up_blocks().iter().filter(|block| !block.resized) {
            self.list_resize(block, 0, &mut list);
        }
        for block in self.unused_up_blocks() {
            list.up_block(&block, 0);
            self.list_resize(&block, 0, &mut list);
        }
        for (name, width) in self.plain_bottlenecks() {
            for shortcut in ["downsample2", "downsample3", "downsample4"] {
                list.pooled_shortcut(&format!("{name}.{shortcut}"), width / 4, width / 4, 0);
            }
        }
        list.finish()
    }

    /// Names and widths of the bottlenecks that keep their grid.
    fn plain_bottlenecks(&self) -> Vec<(String, usize)> {
        let mut names = Vec::new();
        for (level, width) in self.unet.names().process.into_iter().zip(self.unet.widths) {
            for index in 0..self.unet.dilations.len() {
                names.push((format!("{UNET}.{level}.0.main.{index}"), width));
            }
        }
        if self.relation_prior.is_some() {
            names.push((format!("{RELATION_PRIOR}.resize.1.main.0"), self.unet.widths[2]));
        }
        names
    }

    fn list_encoder(&self, list: &mut List) {
        let encoder = &self.encoder;
        let mut scale = 2;
        list.conv(
            &format!("{ENCODER}.conv_stem"),
            encoder.stem,
            IMAGE_CHANNELS,
            &[3, 3],
            Bias::No,
            self.pixels(scale),
        );
        list.norm(&format!("{ENCODER}.bn1"), encoder.stem);
        let mut last = encoder.stem;
        for block in encoder.blocks() {
            let input_pixels = self.pixels(scale);
            scale *= u32::try_from(block.stride).expect("a stride is 1 or 2");
            self.list_encoder_block(&block, input_pixels, self.pixels(scale), list);
            last = block.output;
        }
        let pixels = self.pixels(scale);
        list.conv(&format!("{ENCODER}.conv_head"), encoder.head, last, &[1, 1], Bias::No, pixels);
    }

    fn list_encoder_block(
        &self,
        block: &EncoderBlock,
        input_pixels: u64,
        pixels: u64,
        list: &mut List,
    ) {
        let name = format!("{ENCODER}.{}", block.name);
        let kernel = [block.kernel; 2];
        let (depthwise_norm, project, project_norm) = if block.expands {
            list.conv(
                &format!("{name}.conv_pw"),
                block.hidden,
                block.input,
                &[1, 1],
                Bias::No,
                input_pixels,
            );
            list.norm(&format!("{name}.bn1"), block.hidden);
            ("bn2", "conv_pwl", "bn3")
        } else {
            ("bn1", "conv_pw", "bn2")
        };
        list.conv(&format!("{name}.conv_dw"), block.hidden, 1, &kernel, Bias::No, pixels);
        list.norm(&format!("{name}.{depthwise_norm}"), block.hidden);
        if let Some(reduced) = block.reduced {
            let views = self.views as u64;
            list.conv(
                &format!("{name}.se.conv_reduce"),
                reduced,
                block.hidden,
                &[1, 1],
                Bias::Yes,
                views,
            );
            list.conv(
                &format!("{name}.se.conv_expand"),
                block.hidden,
                reduced,
                &[1, 1],
                Bias::Yes,
                views,
            );
        }
        list.conv(
            &format!("{name}.{project}"),
            block.output,
            block.hidden,
            &[1, 1],
            Bias::No,
            pixels,
        );
        list.norm(&format!("{name}.{project_norm}"), block.output);
    }

    fn list_decoder(&self, list: &mut List) {
        let decoder = &self.decoder;
        let coarsest = self.map_size(32);
        let padded =
            self.views as u64 * u64::from(coarsest.width + 2) * u64::from(coarsest.height + 2);
        let conv2 = format!("{DECODER}.conv2");
        list.conv(&conv2, decoder.bottleneck, self.encoder.head, &[1, 1], Bias::Yes, padded);
        for block in self.up_blocks() {
            let pixels = self.pixels(block.scale);
            list.up_block(&block, pixels);
            if block.resized {
                self.list_resize(&block, pixels, list);
            }
        }
    }

    fn list_resize(&self, block: &UpBlock, pixels: u64, list: &mut List) {
        let name = format!("{DECODER}.resize_output_1_{}", block.scale);
        list.conv(&name, self.unet.widths[0], block.output, &[1, 1], Bias::Yes, pixels);
    }

    fn list_depth_net(&self, depth: &DepthNet, list: &mut List) {
        let pixels = self.pixels(8);
        let views = self.views as u64;
        let width = depth.width;
        let name = |part: &str| format!("{DEPTH_NET}.{part}");
        list.conv(&name("reduce_conv.0"), width, self.unet.widths[0], &[3, 3], Bias::Yes, pixels);
        list.norm(&name("reduce_conv.1"), width);
        list.conv(&name("mlp.fc1"), width, 1, &[], Bias::Yes, views);
        list.conv(&name("mlp.fc2"), width, width, &[], Bias::Yes, views);
        list.conv(&name("se.conv_reduce"), width, width, &[1, 1], Bias::Yes, views);
        list.conv(&name("se.conv_expand"), width, width, &[1, 1], Bias::Yes, views);
        for block in 0..depth.blocks {
            for half in 1..=2 {
                let conv = name(&format!("depth_conv.{block}.conv{half}"));
                list.conv(&conv, width, width, &[3, 3], Bias::No, pixels);
                list.norm(&name(&format!("depth_conv.{block}.bn{half}")), width);
            }
        }
        let bins = depth.volume.bins.count as usize;
        list.conv(&name("depth_pred"), bins, width, &[1, 1], Bias::Yes, pixels);
    }

    fn list_unet(&self, list: &mut List) {
        let unet = &self.unet;
        let [w1, w2, w3] = unet.widths;
        let names = unet.names();
        for (level, (narrow, wide)) in [(1, (w1, w2)), (2, (w2, w3))] {
            let name = format!("{UNET}.{}", names.process[level - 1]);
            let (voxels, halved) = (self.voxels(level - 1), self.voxels(level));
            for index in 0..unet.dilations.len() {
                list.bottleneck(&format!("{name}.0.main.{index}"), narrow, narrow, voxels, voxels);
            }
            let halving = format!("{name}.1.main");
            list.bottleneck(&halving, narrow, wide, voxels, halved);
            list.pooled_shortcut(&format!("{halving}.downsample"), wide, narrow, halved);
            // The first of these runs when z and y are halved, the others when x is too.
            for (shortcut, voxels) in
                [("downsample2", halved * 2), ("downsample3", halved), ("downsample4", halved)]
            {
                let name = format!("{halving}.{shortcut}");
                list.pooled_shortcut(&name, narrow / 4, narrow / 4, voxels);
            }
        }
        if let Some(prior) = &self.relation_prior {
            let voxels = self.voxels(2);
            let mega = self.mega_voxels();
            list.aspp(&format!("{RELATION_PRIOR}.aspp"), w3, prior.dilations.len(), voxels);
            let name = format!("{RELATION_PRIOR}.mega_context.0");
            list.conv(&name, w3 * 2, w3, &[3; 3], Bias::Yes, mega as u64);
            for relation in 0..prior.relations {
                let name = format!("{RELATION_PRIOR}.context_prior_logits.{relation}.0");
                list.conv(&name, mega, w3, &[1; 3], Bias::Yes, voxels);
            }
            let resize = format!("{RELATION_PRIOR}.resize");
            let joined = w3 + w3 * 2 * prior.relations;
            list.conv(&format!("{resize}.0"), w3, joined, &[1; 3], Bias::No, voxels);
            list.bottleneck(&format!("{resize}.1.main.0"), w3, w3, voxels, voxels);
        }
        let kernel = unet.upsample_kernel;
        for (name, (wide, narrow), level) in
            [(names.up[0], (w3, w2), 2), (names.up[1], (w2, w1), 1)]
        {
            list.upsample(&format!("{UNET}.{name}"), wide, narrow, kernel, 2, self.voxels(level));
        }
        if let Head::Slim { dilations } = &self.head {
            for index in 0..dilations.len() {
                let voxels = self.voxels(0);
                list.bottleneck(&format!("{UNET}.refine.main.{index}"), w1, w1, voxels, voxels);
            }
        }
        if let (Some(name), Some(width)) = (names.up_full, unet.full_width) {
            let stride = self.project_scale as usize;
            list.upsample(&format!("{UNET}.{name}"), w1, width, kernel, stride, self.voxels(0));
        }
    }

    fn list_head(&self, list: &mut List) {
        let voxels = self.grid_dims().iter().product::<usize>() as u64;
        let width = self.head_width();
        let classes = self.dataset.class_count();
        let head = format!("{UNET}.{}", self.unet.names().head);
        let class_conv = format!("{head}.conv_classes");
        match &self.head {
            Head::Aspp { dilations, cascade, occluded } => {
                let branches = dilations.len();
                list.head_features(&head, width, branches, voxels);
                let mut input = width;
                if *cascade {
                    let name = format!("{head}.occ_classes");
                    list.conv(&name, 2, width, &[3; 3], Bias::Yes, voxels);
                    input += 2;
                }
                list.conv(&class_conv, classes, input, &[3; 3], Bias::Yes, voxels);
                if *occluded {
                    list.head_features(OCCLUDED_HEAD, width, branches, voxels);
                    let name = format!("{OCCLUDED_HEAD}.occ_classes");
                    list.conv(&name, 2, width, &[3; 3], Bias::Yes, voxels);
                }
            }
            Head::Slim { .. } => {
                list.conv(&class_conv, classes, width, &[1; 3], Bias::Yes, voxels);
            }
        }
    }

    /// Mega-voxels of the relation prior: floor(n / 2) along every axis of its grid.
    pub(crate) fn mega_voxels(&self) -> usize {
        self.projection_dims().iter().map(|n| n / 4 / 2).product()
    }

    /// Pixels of the map at `1 / scale`, over all views.
    fn pixels(&self, scale: u32) -> u64 {
        let size = self.map_size(scale);
        self.views as u64 * u64::from(size.width) * u64::from(size.height)
    }

    /// Voxels of the projection grid after `halvings`.
    pub(super) fn voxels(&self, halvings: usize) -> u64 {
        self.projection_dims().iter().map(|n| (n >> halvings) as u64).product()
    }
}

/// Prefixes of the published state dict.
pub(crate) const ENCODER: &str = "net_rgb.encoder.original_model";
pub(crate) const DECODER: &str = "net_rgb.decoder";
pub(crate) const DEPTH_NET: &str = "flosp_depth.depth_net.0";
pub(crate) const UNET: &str = "net_3d_decoder";
pub(crate) const RELATION_PRIOR: &str = "net_3d_decoder.CP_mega_voxels";
/// Also the beginning of `ssc_head_1_4`, the head of a network without a last upsampling.
pub(crate) const HEAD: &str = "net_3d_decoder.ssc_head";
pub(crate) const OCCLUDED_HEAD: &str = "net_3d_decoder.occluded_head";
