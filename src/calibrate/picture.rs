//! What a calibration looks like: a rectified pair with lines along its rows, and under it where corners were found in both
//! views, with what is left between them and the calibration, magnified.

use crate::capture::{Image, PixelFormat, YuvEncoding};
use crate::rectify::{PictureMaker, RectifyError};
use occdepth_calibration::bundle::Pair;
use occdepth_calibration::quality::Calibration;
use occdepth_geometry::ImageSize;
use occdepth_geometry::rectification::{Crop, RectificationError, RemapTable, StereoRectification};

/// An RGB8 picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width and height, pixels.
    pub size: ImageSize,
    /// Packed, row by row.
    pub rgb: Vec<u8>,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The rig cannot be rectified.
    #[error(transparent)]
    Rectification(#[from] RectificationError),
    /// The images are not those of the rig.
    #[error(transparent)]
    Images(#[from] RectifyError),
}

/// Residuals are drawn so many times longer than they are.
pub const MAGNIFIED: f64 = 50.0;

/// Draws `calibration`: two images wide and two high, left beside right. `example` are packed RGB8 images of one pair, at the
/// rig's size; `pairs` are those that the calibration was made from.
///
/// Above, the example rectified: what lies on a line on the left lies on it on the right. Below, every corner (white; red
/// where it was left out) with its residual, magnified [`MAGNIFIED`] times.
///
/// # Errors
/// [`PictureError`].
pub fn report(
    calibration: &Calibration,
    pairs: &[Pair],
    example: [&[u8]; 2],
) -> Result<Picture, PictureError> {
    let rig = &calibration.rig;
    let ImageSize { width, height } = rig.image_size;
    let size = ImageSize { width: 2 * width, height: 2 * height };
    let mut canvas =
        Canvas { size, rgb: BACKGROUND.repeat(size.width as usize * size.height as usize) };
    let crop =
        if rig.left.distortion.is_fisheye() { Crop::Balance(0.0) } else { Crop::Alpha(-1.0) };
    let rectification = StereoRectification::new(rig, crop, rig.image_size)?;
    let maps = [rectification.left_map(rig), rectification.right_map(rig)];
    for ((map, rgb), left) in maps.into_iter().zip(example).zip([0, width]) {
        let rectified = rectified(rig.image_size, map, rgb)?;
        canvas.place(&rectified, rig.image_size, [left, 0]);
    }
    for line in 1..LINES {
        canvas.row(line * height / LINES);
    }
    let adjustment = &calibration.adjustment;
    for (index, pair) in pairs.iter().enumerate() {
        for (view, corners) in [&pair.left, &pair.right].into_iter().enumerate() {
            let origin = [[0, width][view], height].map(f64::from);
            for (corner, &[x, y]) in corners.iter().enumerate() {
                let [dx, dy] = adjustment.residuals_px[index][view][corner];
                let kept = adjustment.kept[index][view][corner];
                let from = [origin[0] + x, origin[1] + y];
                if kept {
                    canvas.line(
                        from,
                        [from[0] + MAGNIFIED * dx, from[1] + MAGNIFIED * dy],
                        RESIDUAL,
                    );
                }
                canvas.dot(from, if kept { CORNER } else { OUTLIER });
            }
        }
    }
    Ok(Picture { size, rgb: canvas.rgb })
}

fn rectified(size: ImageSize, map: RemapTable, rgb: &[u8]) -> Result<Vec<u8>, PictureError> {
    let image = Image::packed(PixelFormat::Rgb8, size, rgb).map_err(RectifyError::from)?;
    let mut maker = PictureMaker::new(size, PixelFormat::Rgb8, YuvEncoding::default(), Some(map))?;
    Ok(maker.picture(&image)?)
}

struct Canvas {
    size: ImageSize,
    rgb: Vec<u8>,
}

impl Canvas {
    fn place(&mut self, rgb: &[u8], size: ImageSize, [left, top]: [u32; 2]) {
        let bytes = 3 * size.width as usize;
        for (row, line) in rgb.chunks_exact(bytes).enumerate() {
            let start = 3 * ((top as usize + row) * self.size.width as usize + left as usize);
            self.rgb[start..start + bytes].copy_from_slice(line);
        }
    }

    /// Blends a line over a whole row, so that what is under it stays visible.
    fn row(&mut self, y: u32) {
        let bytes = 3 * self.size.width as usize;
        let row = &mut self.rgb[y as usize * bytes..][..bytes];
        for pixel in row.as_chunks_mut::<3>().0 {
            for (channel, line) in pixel.iter_mut().zip(ROW) {
                *channel = channel.midpoint(line);
            }
        }
    }

    fn dot(&mut self, [x, y]: [f64; 2], colour: [u8; 3]) {
        for dy in -1..=1 {
            for dx in -1..=1 {
                self.set([x + f64::from(dx), y + f64::from(dy)], colour);
            }
        }
    }

    fn line(&mut self, [x0, y0]: [f64; 2], [x1, y1]: [f64; 2], colour: [u8; 3]) {
        let steps = (x1 - x0).abs().max((y1 - y0).abs()).ceil().max(1.0);
        let mut step = 0.0;
        while step <= steps {
            let share = step / steps;
            self.set([x0 + share * (x1 - x0), y0 + share * (y1 - y0)], colour);
            step += 1.0;
        }
    }

    /// Outside of the canvas nothing is drawn.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    fn set(&mut self, [x, y]: [f64; 2], colour: [u8; 3]) {
        let (x, y) = (x.round(), y.round());
        let inside = (0.0..f64::from(self.size.width)).contains(&x)
            && (0.0..f64::from(self.size.height)).contains(&y);
        if inside {
            let index = 3 * (y as usize * self.size.width as usize + x as usize);
            self.rgb[index..index + 3].copy_from_slice(&colour);
        }
    }
}

const LINES: u32 = 20;
const BACKGROUND: [u8; 3] = [24, 24, 28];
const ROW: [u8; 3] = [0, 220, 120];
const CORNER: [u8; 3] = [235, 235, 235];
const RESIDUAL: [u8; 3] = [255, 170, 40];
const OUTLIER: [u8; 3] = [240, 60, 60];
