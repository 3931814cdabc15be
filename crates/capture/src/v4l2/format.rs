//! Formats, sizes and rates: what a device offers, and what it settles on when asked.

use super::abi;
use super::device::{Device, QueueKind, text};
use super::error::DeviceError;
use occdepth_geometry::ImageSize;
use rustix::io::Errno;
use std::fmt;

/// The kernel's four characters for a pixel format: `YUYV`, `NV12`, `RG10`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FourCc(pub [u8; 4]);

impl FourCc {
    pub(super) fn from_u32(code: u32) -> Self {
        Self(code.to_le_bytes())
    }

    pub(super) fn to_u32(self) -> u32 {
        u32::from_le_bytes(self.0)
    }
}

impl std::str::FromStr for FourCc {
    type Err = FourCcError;

    /// One to four printable ASCII characters, as the kernel writes them (`yuyv` is not `YUYV`), padded with spaces:
    /// the kernel's `Y10 `.
    fn from_str(code: &str) -> Result<Self, FourCcError> {
        let wrong = || FourCcError { found: code.to_owned() };
        let trimmed = code.trim_end_matches(' ').as_bytes();
        let printable = trimmed.iter().all(u8::is_ascii_graphic);
        if trimmed.is_empty() || trimmed.len() > 4 || !printable {
            return Err(wrong());
        }
        let mut padded = [b' '; 4];
        padded[..trimmed.len()].copy_from_slice(trimmed);
        Ok(Self(padded))
    }
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The top bit of the last byte marks big-endian variants.
        let big_endian = self.0[3] & 0x80 != 0;
        let mut bytes = self.0;
        bytes[3] &= 0x7f;
        let shown = String::from_utf8_lossy(&bytes);
        let shown: String = shown.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        f.write_str(shown.trim_end())?;
        if big_endian { f.write_str("-BE") } else { Ok(()) }
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

/// Not a pixel format's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pixel format: found {found:?}, expected one to four characters such as \"YUYV\"")]
pub struct FourCcError {
    /// What was found.
    pub found: String,
}

/// A format that a device offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedFormat {
    /// Its code.
    pub code: FourCc,
    /// The driver's words.
    pub description: String,
    /// A stream of compressed images.
    pub compressed: bool,
    /// Made by software from another format.
    pub emulated: bool,
}

/// A size, or a range of sizes, that a device offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferedSize {
    /// One size.
    Exact(ImageSize),
    /// Every size from `least` to `greatest` in steps.
    Range {
        /// Smallest.
        least: ImageSize,
        /// Largest.
        greatest: ImageSize,
        /// Width and height of a step.
        step: ImageSize,
    },
}

/// What a device delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Pixel format.
    pub code: FourCc,
    /// Pixels.
    pub size: ImageSize,
    /// The memory planes of one image: one, or what a multi-planar driver has.
    pub planes: Vec<PlaneLayout>,
    /// Fields are not interlaced.
    pub progressive: bool,
    /// How luma and chroma mean colours, as far as the driver says.
    pub colour: ColourTags,
}

/// One memory plane of a [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaneLayout {
    /// Bytes from row to row; 0 for compressed formats.
    pub stride_bytes: u32,
    /// Bytes that the driver reserves for an image.
    pub size_bytes: u32,
}

/// The kernel's colour description: numbers of `enum v4l2_colorspace`, `v4l2_ycbcr_encoding` and
/// `v4l2_quantization`, 0 = default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColourTags {
    /// `enum v4l2_colorspace`.
    pub colorspace: u32,
    /// `enum v4l2_ycbcr_encoding`.
    pub ycbcr_encoding: u32,
    /// `enum v4l2_quantization`.
    pub quantization: u32,
}

impl ColourTags {
    /// Whether luma and chroma follow BT.709 (else BT.601). The defaults are those of the kernel's
    /// `V4L2_MAP_YCBCR_ENC_DEFAULT`.
    pub fn is_bt709(self) -> bool {
        match self.ycbcr_encoding {
            abi::YCBCR_ENC_DEFAULT => {
                [abi::COLORSPACE_REC709, abi::COLORSPACE_DCI_P3].contains(&self.colorspace)
            }
            encoding => [abi::YCBCR_ENC_709, abi::YCBCR_ENC_XV709].contains(&encoding),
        }
    }

    /// Whether luma and chroma use all of 0 to 255 (else 16 to 235 and 240). The default is that of the kernel's
    /// `V4L2_MAP_QUANTIZATION_DEFAULT` for YUV.
    pub fn is_full_range(self) -> bool {
        match self.quantization {
            abi::QUANTIZATION_FULL_RANGE => true,
            abi::QUANTIZATION_LIM_RANGE => false,
            _ => self.colorspace == abi::COLORSPACE_JPEG,
        }
    }

    /// Whether the encoding is one of those that [`ColourTags::is_bt709`] tells apart.
    pub fn is_known(self) -> bool {
        use abi::{
            YCBCR_ENC_601, YCBCR_ENC_709, YCBCR_ENC_DEFAULT, YCBCR_ENC_SYCC, YCBCR_ENC_XV601,
            YCBCR_ENC_XV709,
        };
        // What the default means where it is neither: the kernel's `V4L2_MAP_YCBCR_ENC_DEFAULT`.
        let others = [abi::COLORSPACE_SMPTE240M, abi::COLORSPACE_BT2020];
        if self.ycbcr_encoding == YCBCR_ENC_DEFAULT {
            return !others.contains(&self.colorspace);
        }
        [YCBCR_ENC_601, YCBCR_ENC_709, YCBCR_ENC_XV601, YCBCR_ENC_XV709, YCBCR_ENC_SYCC]
            .contains(&self.ycbcr_encoding)
    }
}

impl Device {
    /// Every pixel format that the device offers.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn formats(&self) -> Result<Vec<OfferedFormat>, DeviceError> {
        let mut formats = Vec::new();
        for index in 0..ENUMERATION_MAX {
            let mut description = abi::FormatDescription {
                index,
                type_: self.queue_kind().buffer_type(),
                ..abi::FormatDescription::ZERO
            };
            match self.try_call(&abi::ENUM_FMT, &mut description) {
                Ok(()) => formats.push(OfferedFormat {
                    code: FourCc::from_u32(description.pixelformat),
                    description: text(&description.description),
                    compressed: description.flags & abi::FMT_FLAG_COMPRESSED != 0,
                    emulated: description.flags & abi::FMT_FLAG_EMULATED != 0,
                }),
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(self.error(&abi::ENUM_FMT, errno)),
            }
        }
        Ok(formats)
    }

    /// The sizes in which the device offers `code`; empty for drivers that do not say.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn sizes(&self, code: FourCc) -> Result<Vec<OfferedSize>, DeviceError> {
        let mut sizes = Vec::new();
        for index in 0..ENUMERATION_MAX {
            let mut size =
                abi::FrameSize { index, pixel_format: code.to_u32(), ..abi::FrameSize::ZERO };
            match self.try_call(&abi::ENUM_FRAMESIZES, &mut size) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::NOTTY) => break,
                Err(errno) => return Err(self.error(&abi::ENUM_FRAMESIZES, errno)),
            }
            let [a, b, c, d, e, f] = size.size;
            let of = |width, height| ImageSize { width, height };
            if size.type_ == abi::SIZE_DISCRETE {
                sizes.push(OfferedSize::Exact(of(a, b)));
            } else {
                let (least, greatest, step) = (of(a, d), of(b, e), of(c, f));
                sizes.push(OfferedSize::Range { least, greatest, step });
                break;
            }
        }
        Ok(sizes)
    }

    /// The rates, images a second, at which the device offers a format and size: one by one, or the lowest and the
    /// highest of a range; empty for drivers that do not say.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn rates(&self, code: FourCc, size: ImageSize) -> Result<Vec<f64>, DeviceError> {
        let mut rates = Vec::new();
        for index in 0..ENUMERATION_MAX {
            let mut interval = abi::FrameInterval {
                index,
                pixel_format: code.to_u32(),
                width: size.width,
                height: size.height,
                ..abi::FrameInterval::ZERO
            };
            match self.try_call(&abi::ENUM_FRAMEINTERVALS, &mut interval) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::NOTTY) => break,
                Err(errno) => return Err(self.error(&abi::ENUM_FRAMEINTERVALS, errno)),
            }
            if interval.type_ == abi::SIZE_DISCRETE {
                rates.extend(rate(interval.interval[0]));
            } else {
                rates.extend(rate(interval.interval[1]));
                rates.extend(rate(interval.interval[0]));
                break;
            }
        }
        Ok(rates)
    }

    /// What the device delivers at present.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn format(&self) -> Result<Format, DeviceError> {
        let mut format =
            abi::Format { type_: self.queue_kind().buffer_type(), ..abi::Format::ZERO };
        self.call(&abi::G_FMT, &mut format)?;
        Ok(decode(&format, self.queue_kind()))
    }

    /// Asks for `size` pixels of `code` and returns what the device settled on, which may be something else.
    ///
    /// # Errors
    /// [`DeviceError::Busy`] while anybody holds buffers of it.
    pub fn set_format(&self, code: FourCc, size: ImageSize) -> Result<Format, DeviceError> {
        let mut format =
            abi::Format { type_: self.queue_kind().buffer_type(), ..abi::Format::ZERO };
        let head = [size.width, size.height, code.to_u32(), abi::FIELD_NONE];
        format.fmt[..4].copy_from_slice(&head);
        if self.queue_kind() == QueueKind::SinglePlanar {
            format.fmt[7] = abi::PIX_FMT_PRIV_MAGIC;
        }
        self.call(&abi::S_FMT, &mut format)?;
        Ok(decode(&format, self.queue_kind()))
    }

    /// Images a second, where the driver says.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn rate(&self) -> Result<Option<f64>, DeviceError> {
        let mut parameters = abi::StreamParameters {
            type_: self.queue_kind().buffer_type(),
            ..abi::StreamParameters::ZERO
        };
        match self.try_call(&abi::G_PARM, &mut parameters) {
            Ok(()) => Ok(rate(parameters.timeperframe)),
            Err(Errno::NOTTY | Errno::INVAL) => Ok(None),
            Err(errno) => Err(self.error(&abi::G_PARM, errno)),
        }
    }

    /// Asks for `hz` images a second (to a thousandth) and returns what the device settled on; `None` where its rate
    /// cannot be set.
    ///
    /// # Errors
    /// When the device is gone, or refuses while it streams.
    pub fn set_rate(&self, hz: f64) -> Result<Option<f64>, DeviceError> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let denominator = (hz * 1000.0).round().clamp(1.0, 4e9) as u32;
        let mut parameters = abi::StreamParameters {
            type_: self.queue_kind().buffer_type(),
            timeperframe: abi::Fraction { numerator: 1000, denominator },
            ..abi::StreamParameters::ZERO
        };
        match self.try_call(&abi::S_PARM, &mut parameters) {
            Ok(()) if parameters.capability & abi::CAP_TIMEPERFRAME == 0 => Ok(None),
            Ok(()) => Ok(rate(parameters.timeperframe)),
            Err(Errno::NOTTY | Errno::INVAL) => Ok(None),
            Err(errno) => Err(self.error(&abi::S_PARM, errno)),
        }
    }
}

fn decode(format: &abi::Format, queue: QueueKind) -> Format {
    match queue {
        QueueKind::SinglePlanar => {
            let pix = format.pix();
            // Without the magic the driver knows nothing of the fields after it.
            let extended = pix.private == abi::PIX_FMT_PRIV_MAGIC;
            let tag = |value| if extended { value } else { 0 };
            Format {
                code: FourCc::from_u32(pix.pixelformat),
                size: ImageSize { width: pix.width, height: pix.height },
                planes: vec![PlaneLayout {
                    stride_bytes: pix.bytesperline,
                    size_bytes: pix.sizeimage,
                }],
                progressive: pix.field == abi::FIELD_NONE,
                colour: ColourTags {
                    colorspace: pix.colorspace,
                    ycbcr_encoding: tag(pix.ycbcr_enc),
                    quantization: tag(pix.quantization),
                },
            }
        }
        QueueKind::MultiPlanar => {
            let pix = format.pix_mplane();
            let count = usize::from(pix.num_planes).min(abi::MAX_PLANES);
            let planes = pix.plane_fmt[..count].iter().map(|plane| PlaneLayout {
                stride_bytes: plane.bytesperline,
                size_bytes: plane.sizeimage,
            });
            Format {
                code: FourCc::from_u32(pix.pixelformat),
                size: ImageSize { width: pix.width, height: pix.height },
                planes: planes.collect(),
                progressive: pix.field == abi::FIELD_NONE,
                colour: ColourTags {
                    colorspace: pix.colorspace,
                    ycbcr_encoding: pix.ycbcr_enc.into(),
                    quantization: pix.quantization.into(),
                },
            }
        }
    }
}

/// The rate of an interval; `None` for a driver's zeros.
fn rate(interval: abi::Fraction) -> Option<f64> {
    let abi::Fraction { numerator, denominator } = interval;
    (numerator > 0 && denominator > 0).then(|| f64::from(denominator) / f64::from(numerator))
}

/// Longer lists are those of a driver that never ends them.
const ENUMERATION_MAX: u32 = 1024;
