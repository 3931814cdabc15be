//! Rectification on a GPU: everything that depends on the rig alone, computed here, once.
//!
//! The kernel does what [`Rectifier`](super::Rectifier) does, with the same coefficients and the same positions.

use super::normalise::Normaliser;
use super::table::device_samples;
use super::unpack::Unpacker;
use super::{MAX_SIDE_PX, RectifyError};
use crate::capture::{BayerOrder, Image, PixelFormat, StereoFrame, YuvEncoding};
use occdepth_contract::Normalisation;
use occdepth_cuda::{CameraFormat, CameraImage, RectifyPlan};
use occdepth_geometry::ImageSize;
use occdepth_geometry::fit::{NetworkCamera, NetworkCameras};

/// Checks the pairs that go to a GPU.
#[derive(Clone, Copy, Debug)]
pub struct DeviceRectifier {
    source: ImageSize,
    format: PixelFormat,
}

impl DeviceRectifier {
    /// The plan for a GPU that rectifies both cameras; `source` and `format` are what both deliver.
    ///
    /// # Errors
    /// As [`StereoRectifier::new`](super::StereoRectifier::new).
    pub fn new(
        source: ImageSize,
        format: PixelFormat,
        colour: YuvEncoding,
        cameras: &NetworkCameras,
        normalisation: &Normalisation,
    ) -> Result<(Self, RectifyPlan), RectifyError> {
        let output = cameras.size;
        let samples = |view, camera: &NetworkCamera| {
            view_samples(source, format, camera, output)
                .map_err(|error| RectifyError::in_view(view, error))
        };
        let samples = [samples("left", &cameras.left)?, samples("right", &cameras.right)?];
        let unpacker = Unpacker::new(format, colour, &Normaliser::new(normalisation)?);
        let (scale, offset) = unpacker.factors();
        let plan = RectifyPlan {
            format: camera_format(format),
            source: [source.width, source.height],
            output: [output.width, output.height],
            scale,
            offset,
            black: unpacker.black(),
            yuv: unpacker.yuv(),
            samples,
        };
        Ok((Self { source, format }, plan))
    }

    /// Both images of `frame`, checked, as they are copied to the GPU.
    ///
    /// # Errors
    /// Images of another format or size, or with less memory than their size needs, inside [`RectifyError::View`].
    pub fn pair<'a>(&self, frame: &StereoFrame<'a>) -> Result<[CameraImage<'a>; 2], RectifyError> {
        let view =
            |view, image| self.image(image).map_err(|error| RectifyError::in_view(view, error));
        Ok([view("left", &frame.left)?, view("right", &frame.right)?])
    }

    fn image<'a>(&self, image: &Image<'a>) -> Result<CameraImage<'a>, RectifyError> {
        if image.format != self.format {
            return Err(RectifyError::Format { found: image.format, expected: self.format });
        }
        if image.size != self.source {
            return Err(RectifyError::ImageSize { found: image.size, expected: self.source });
        }
        image.check()?;
        Ok(CameraImage {
            pixels: image.plane.data,
            stride: image.plane.stride_bytes,
            chroma: image.chroma.map(|chroma| (chroma.data, chroma.stride_bytes)),
        })
    }
}

/// The positions of one view; none where it takes the top left of the image.
fn view_samples(
    source: ImageSize,
    format: PixelFormat,
    camera: &NetworkCamera,
    output: ImageSize,
) -> Result<Option<Vec<u64>>, RectifyError> {
    format.check_size(source)?;
    if source.width.max(source.height) > MAX_SIDE_PX {
        return Err(RectifyError::SourceSize { found: source });
    }
    match &camera.map {
        Some(map) => device_samples(map, source, output).map(Some),
        None if output.width > source.width || output.height > source.height => {
            Err(RectifyError::Crop { source_size: source, output })
        }
        None => Ok(None),
    }
}

fn camera_format(format: PixelFormat) -> CameraFormat {
    let red = |order: BayerOrder| order.red().map(|at| u32::from(at != 0));
    match format {
        PixelFormat::Rgb8 => CameraFormat::Rgb8,
        PixelFormat::Bgr8 => CameraFormat::Bgr8,
        PixelFormat::Grey8 => CameraFormat::Grey8,
        PixelFormat::Grey10 => CameraFormat::Grey10,
        PixelFormat::Grey16 => CameraFormat::Grey16,
        PixelFormat::Yuyv => CameraFormat::Yuyv,
        PixelFormat::Uyvy => CameraFormat::Uyvy,
        PixelFormat::Nv12 => CameraFormat::Nv12,
        PixelFormat::Bayer8(order) => CameraFormat::Bayer8(red(order)),
        PixelFormat::Bayer10(order) => CameraFormat::Bayer10(red(order)),
        PixelFormat::Bayer12(order) => CameraFormat::Bayer12(red(order)),
    }
}
