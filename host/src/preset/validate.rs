//! Refusing presets that make no network, field by field.

use std::fmt::Debug;

use super::{Head, Preset, PresetError};

impl Preset {
    /// Checks every field; `origin` names the document in errors.
    ///
    /// # Errors
    /// [`PresetError::Field`] for the first value that makes no network.
    pub fn validate(&self, origin: &str) -> Result<(), PresetError> {
        let check = Check { origin };
        check.that(!self.name.is_empty(), "name", &self.name, "a name")?;
        check.within("views", self.views, 1, 2)?;
        check.that(
            !self.virtual_stereo || self.views == 1,
            "virtual_stereo",
            &self.virtual_stereo,
            "false for two views",
        )?;
        check.within("pattern", self.pattern as usize, 0, 8)?;
        check.that(
            !self.scales.is_empty()
                && self.scales.is_sorted_by(|a, b| a < b)
                && self.scales.iter().all(|&scale| is_scale(scale)),
            "scales",
            &self.scales,
            "ascending numbers out of 1, 2, 4, 8 and 16",
        )?;
        check.within("project_scale", self.project_scale as usize, 1, 2)?;
        check.that(
            self.right_samples_left_pixels != Some(true)
                || (self.project_scale == 1 && self.views == 2),
            "right_samples_left_pixels",
            &self.right_samples_left_pixels,
            "false unless project_scale is 1 and views is 2",
        )?;
        check.within("image.width", self.image.width as usize, 32, MAX_IMAGE)?;
        check.within("image.height", self.image.height as usize, 32, MAX_IMAGE)?;
        self.validate_grid(check)?;
        self.validate_image_network(check)?;
        self.validate_depth(check)?;
        self.validate_volume_network(check)
    }

    fn validate_grid(&self, check: Check<'_>) -> Result<(), PresetError> {
        let size = self.grid.voxel_size_m;
        check.that(
            size.is_finite() && size > 0.0,
            "grid.voxel_size_m",
            &size,
            "a positive number of metres",
        )?;
        check.that(
            self.grid.origin_m.iter().flatten().all(|m| m.is_finite()),
            "grid.origin_m",
            &self.grid.origin_m,
            "three finite numbers of metres, or none",
        )?;
        // Two halvings of the projection grid must come back to it exactly.
        let step = self.project_scale * 4;
        check.that(
            self.grid.dims.iter().all(|&n| n > 0 && n % step == 0 && n <= MAX_DIM),
            "grid.dims",
            &self.grid.dims,
            &format!("multiples of {step} (4 * project_scale) up to {MAX_DIM}"),
        )?;
        check.that(
            self.grid.dims.iter().map(|&n| u64::from(n)).product::<u64>() <= MAX_VOXELS,
            "grid.dims",
            &self.grid.dims,
            "at most 2^28 voxels",
        )
    }

    fn validate_image_network(&self, check: Check<'_>) -> Result<(), PresetError> {
        check.width("encoder.stem", self.encoder.stem)?;
        check.width("encoder.head", self.encoder.head)?;
        for stage in &self.encoder.stages {
            check.within("encoder.stages.blocks", stage.blocks, 1, 64)?;
            check.that(
                [3, 5].contains(&stage.kernel),
                "encoder.stages.kernel",
                &stage.kernel,
                "3 or 5",
            )?;
            check.within("encoder.stages.expansion", stage.expansion, 1, 16)?;
            check.width("encoder.stages.width", stage.width)?;
        }
        check.width("decoder.bottleneck", self.decoder.bottleneck)?;
        self.decoder.widths.iter().try_for_each(|&width| check.width("decoder.widths", width))?;
        let finest = self.scales.first().copied().unwrap_or(1);
        check.that(
            self.decoder.return_up_feats.is_none_or(|held| is_scale(held) && held <= finest),
            "decoder.return_up_feats",
            &self.decoder.return_up_feats,
            &format!("1, 2, 4, 8 or 16, not above {finest} (the finest of scales), or none"),
        )
    }

    fn validate_depth(&self, check: Check<'_>) -> Result<(), PresetError> {
        let Some(depth) = &self.depth else { return Ok(()) };
        check.that(
            self.scales.contains(&8),
            "scales",
            &self.scales,
            "a list with 8, which the depth net reads",
        )?;
        check.width("depth.width", depth.width)?;
        check.within("depth.blocks", depth.blocks, 0, 64)?;
        let bins = &depth.volume.bins;
        check.that(
            bins.min_m.is_finite() && bins.min_m >= 0.0,
            "depth.volume.bins.min_m",
            &bins.min_m,
            "a number of metres, 0 or more",
        )?;
        check.that(
            bins.max_m.is_finite() && bins.max_m > bins.min_m,
            "depth.volume.bins.max_m",
            &bins.max_m,
            "a number of metres above min_m",
        )?;
        check.within("depth.volume.bins.count", bins.count as usize, 2, 1024)?;
        let size = depth.volume.sampling_size;
        check.within("depth.volume.sampling_size.width", size.width as usize, 2, MAX_IMAGE)?;
        check.within("depth.volume.sampling_size.height", size.height as usize, 2, MAX_IMAGE)
    }

    fn validate_volume_network(&self, check: Check<'_>) -> Result<(), PresetError> {
        for &width in &self.unet.widths {
            check.width("unet.widths", width)?;
            check.that(width % 4 == 0, "unet.widths", &width, "multiples of 4 (bottlenecks)")?;
        }
        if let Some(width) = self.unet.full_width {
            check.width("unet.full_width", width)?;
        } else {
            check.that(
                self.project_scale == 1,
                "project_scale",
                &self.project_scale,
                "1 without unet.full_width (no last upsampling)",
            )?;
            check.that(
                matches!(self.head, Head::Aspp { occluded: false, .. }),
                "unet.full_width",
                &self.unet.full_width,
                "a number for a slim head, or for one with occluded = true",
            )?;
        }
        check.dilations("unet.dilations", &self.unet.dilations, 1)?;
        check.within("unet.upsample_kernel", self.unet.upsample_kernel, 2, 3)?;
        check.that(
            self.project_scale == 2 || self.unet.upsample_kernel == 3,
            "unet.upsample_kernel",
            &self.unet.upsample_kernel,
            "3 at project_scale 1, where the last layer keeps the grid",
        )?;
        if let Some(prior) = &self.relation_prior {
            check.within("relation_prior.relations", prior.relations, 1, 8)?;
            check.dilations("relation_prior.dilations", &prior.dilations, 1)?;
            check.that(
                self.projection_dims().iter().all(|n| n / 4 >= 2),
                "grid.dims",
                &self.grid.dims,
                "at least 8 * project_scale each (mega-voxels of the relation prior)",
            )?;
        }
        match &self.head {
            Head::Aspp { dilations, .. } => check.dilations("head.dilations", dilations, 1),
            Head::Slim { dilations } => check.dilations("head.dilations", dilations, 0),
        }
    }
}

#[derive(Clone, Copy)]
struct Check<'a> {
    origin: &'a str,
}

impl Check<'_> {
    fn that(
        self,
        ok: bool,
        field: &'static str,
        found: &impl Debug,
        expected: &str,
    ) -> Result<(), PresetError> {
        if ok {
            return Ok(());
        }
        Err(PresetError::Field {
            origin: self.origin.into(),
            field,
            found: format!("{found:?}"),
            expected: expected.into(),
        })
    }

    fn within(
        self,
        field: &'static str,
        found: usize,
        min: usize,
        max: usize,
    ) -> Result<(), PresetError> {
        self.that((min..=max).contains(&found), field, &found, &format!("{min} to {max}"))
    }

    fn width(self, field: &'static str, found: usize) -> Result<(), PresetError> {
        self.within(field, found, 1, MAX_WIDTH)
    }

    fn dilations(
        self,
        field: &'static str,
        found: &[usize],
        min_count: usize,
    ) -> Result<(), PresetError> {
        self.that(
            (min_count..=8).contains(&found.len()) && found.iter().all(|d| (1..=16).contains(d)),
            field,
            &found,
            &format!("{min_count} to 8 dilations of 1 to 16"),
        )
    }
}

fn is_scale(scale: u32) -> bool {
    [1, 2, 4, 8, 16].contains(&scale)
}

/// Bounds that keep every product of sizes far from overflow and memory within reach.
const MAX_IMAGE: usize = 8192;
const MAX_DIM: u32 = 1024;
const MAX_VOXELS: u64 = 1 << 28;
const MAX_WIDTH: usize = 4096;
