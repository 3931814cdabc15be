//! Whole images for people: files, pictures, tests.

use super::{Rectifier, RectifyError};
use crate::capture::{Image, YuvEncoding};
use nalgebra::{Matrix3, Matrix4};
use occdepth_contract::Normalisation;
use occdepth_geometry::{fit::NetworkCamera, network::View};

/// The packed RGB8 bytes of an image in any format, `[height, width, 3]`, each colour rounded to the
/// nearest.
///
/// Allocates; not for the frame path.
///
/// # Errors
/// [`RectifyError::Layout`] for an image whose memory does not hold its pixels,
/// [`RectifyError::SourceSize`] for one that is too large.
pub fn packed_rgb8(image: &Image<'_>, colour: YuvEncoding) -> Result<Vec<u8>, RectifyError> {
    let view = View { k: Matrix3::identity(), cam_from_ego: Matrix4::identity() };
    let camera = NetworkCamera { view, map: None };
    let levels = Normalisation { mean: [0.0; 3], std: [1.0 / 255.0; 3] };
    let mut rectifier =
        Rectifier::new(image.size, image.format, colour, &camera, image.size, &levels)?;
    let mut planes = vec![0.0; rectifier.values()];
    rectifier.rectify(image, &mut planes)?;
    let pixels = planes.len() / 3;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the rectifier clamps to 0 and 255"
    )]
    let level = |value: f32| value.round() as u8;
    let rgb = (0..pixels).flat_map(|i| [0, 1, 2].map(|c| level(planes[c * pixels + i])));
    Ok(rgb.collect())
}
