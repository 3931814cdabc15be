//! Pictures for people, by the pass that makes the network's input.

use super::{Rectifier, RectifyError};
use crate::capture::{Image, PixelFormat, YuvEncoding};
use nalgebra::{Matrix3, Matrix4};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::NetworkCamera;
use occdepth_geometry::network::View;
use occdepth_geometry::rectification::RemapTable;

/// Turns the images of one camera into RGB8 pictures.
#[derive(Clone, Debug)]
pub struct PictureMaker {
    rectifier: Rectifier,
    planes: Vec<f32>,
}

impl PictureMaker {
    /// Pictures of images of `source` pixels: through `map`, or as they are.
    ///
    /// # Errors
    /// As [`Rectifier::new`].
    pub fn new(
        source: ImageSize,
        format: PixelFormat,
        colour: YuvEncoding,
        map: Option<RemapTable>,
    ) -> Result<Self, RectifyError> {
        let size = map.as_ref().map_or(source, |map| map.size);
        // Only the map counts: nothing is projected through this camera.
        let view = View { k: Matrix3::identity(), cam_from_ego: Matrix4::identity() };
        let camera = NetworkCamera { view, map };
        let levels = Normalisation { mean: [0.0; 3], std: [1.0 / 255.0; 3] };
        let rectifier = Rectifier::new(source, format, colour, &camera, size, &levels)?;
        let planes = vec![0.0; rectifier.values()];
        Ok(Self { rectifier, planes })
    }

    /// Packed RGB8 of the picture, row by row.
    ///
    /// # Errors
    /// As [`Rectifier::rectify`].
    pub fn picture(&mut self, image: &Image<'_>) -> Result<Vec<u8>, RectifyError> {
        self.rectifier.rectify(image, &mut self.planes)?;
        let pixels = self.planes.len() / 3;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
        let channels = |i: usize| [0, 1, 2].map(|c| byte(self.planes[c * pixels + i]));
        Ok((0..pixels).flat_map(channels).collect())
    }
}
