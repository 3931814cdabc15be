//! Values and pixels, on their way to the device and back.
#![allow(unsafe_code, reason = "floats as the bytes that are copied into them")]

use super::CameraImage;
use super::network::ValueKind;
use crate::error::CudaError;
use crate::kernels::{CameraFormat, RectifyPlan};
use crate::memory::DeviceBuffer;
use crate::stream::Stream;
use half::f16;

/// Copies both images into `staging`, row by row without their padding.
pub(super) fn stage_pair(
    plan: &RectifyPlan,
    images: &[CameraImage<'_>; 2],
    staging: &mut [u8],
) -> Result<(), CudaError> {
    let layout = plan.staging();
    let (row_bytes, stride) = (plan.format.row_bytes(plan.source[0]), plan.stride());
    let height = plan.source[1] as usize;
    for (view, image) in images.iter().enumerate() {
        let mut rows =
            |plane: &'static str, data: &[u8], from_stride: usize, rows: usize, at: usize| {
                let needed = (rows - 1).saturating_mul(from_stride).saturating_add(row_bytes);
                if from_stride < row_bytes || data.len() < needed {
                    return Err(CudaError::Shape {
                        what: format!("{plane} of view {view}"),
                        found: format!("{} bytes in rows of {from_stride}", data.len()),
                        expected: format!("{needed} in rows of at least {row_bytes}"),
                    });
                }
                let out = &mut staging[at..];
                if from_stride == stride {
                    out[..needed].copy_from_slice(&data[..needed]);
                    return Ok(());
                }
                for (from, to) in data.chunks(from_stride).zip(out.chunks_mut(stride)).take(rows) {
                    to[..row_bytes].copy_from_slice(&from[..row_bytes]);
                }
                Ok(())
            };
        rows("pixels", image.pixels, image.stride, height, layout.pixels[view])?;
        match (plan.format, image.chroma) {
            (CameraFormat::Nv12, Some((chroma, chroma_stride))) => {
                rows("chroma", chroma, chroma_stride, height / 2, layout.chroma[view])?;
            }
            (CameraFormat::Nv12, None) => {
                return Err(CudaError::Shape {
                    what: format!("view {view}"),
                    found: "no chroma".into(),
                    expected: "a plane of chroma".into(),
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The bytes of `values` as `kind`.
pub(super) fn to_kind(values: &[f32], kind: ValueKind) -> Vec<u8> {
    match kind {
        ValueKind::F16 => {
            values.iter().flat_map(|&value| f16::from_f32(value).to_ne_bytes()).collect()
        }
        _ => values.iter().flat_map(|value| value.to_ne_bytes()).collect(),
    }
}

/// Downloads `out.len()` values of `kind` from value `first` on, as f32.
pub(super) fn from_kind(
    stream: &Stream,
    buffer: &DeviceBuffer,
    kind: ValueKind,
    first: usize,
    out: &mut [f32],
) -> Result<(), CudaError> {
    let found = buffer.bytes() / kind.bytes();
    if first.saturating_add(out.len()) > found {
        return Err(CudaError::Shape {
            what: "values to download".into(),
            found: format!("{} from {first} on", out.len()),
            expected: format!("at most {found}"),
        });
    }
    // SAFETY: an f32 may have any bits, and four bytes fill each; `out` is not used before the borrow ends.
    let bytes =
        unsafe { std::slice::from_raw_parts_mut(out.as_mut_ptr().cast::<u8>(), size_of_val(out)) };
    if kind != ValueKind::F16 {
        return stream.download_now(buffer, first * kind.bytes(), bytes);
    }
    // Into the first half of the result's memory, and widened from the last one on: needs no memory of its own.
    let values = bytes.len() / 4;
    stream.download_now(buffer, first * kind.bytes(), &mut bytes[..2 * values])?;
    for nth in (0..values).rev() {
        let half = f16::from_ne_bytes([bytes[2 * nth], bytes[2 * nth + 1]]);
        bytes[4 * nth..][..4].copy_from_slice(&half.to_f32().to_ne_bytes());
    }
    Ok(())
}
