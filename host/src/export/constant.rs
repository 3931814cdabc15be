//! The values of constants in the type of the network.

use super::ExportError;
use occdepth_contract::onnx::{TensorProto, data_type::FLOAT16};

/// A constant of `values` in `elem_type` (f32 or f16).
///
/// # Errors
/// A value that is not finite; in f16, one that is beyond its range, or so many below it that the
/// tensor is no longer what it was.
pub(super) fn floats(
    name: &str,
    dims: &[i64],
    values: &[f32],
    elem_type: i32,
) -> Result<TensorProto, ExportError> {
    if let Some(found) = values.iter().find(|value| !value.is_finite()) {
        return Err(ExportError::NotFinite { tensor: name.into(), found: *found });
    }
    if elem_type != FLOAT16 {
        return Ok(TensorProto::from_f32(name, dims, values));
    }
    // Halfway between the largest half and the next power of two is the first to round to infinity.
    if let Some(found) = values.iter().find(|value| value.abs() >= F16_OVERFLOW) {
        return Err(ExportError::Overflow { tensor: name.into(), found: *found });
    }
    let constant = TensorProto::from_f16(name, dims, values);
    let rounded = constant.to_f32().expect("it was made from floats");
    let power = |x: f64| x * x;
    let (lost, whole) = values.iter().zip(&rounded).fold((0.0, 0.0), |(lost, whole), (&x, &y)| {
        (lost + power(f64::from(x) - f64::from(y)), whole + power(f64::from(x)))
    });
    let share = if whole > 0.0 { (lost / whole).sqrt() } else { 0.0 };
    if share > MAX_LOSS {
        return Err(ExportError::Underflow { tensor: name.into(), lost: share });
    }
    Ok(constant)
}

/// 65504 + 16: rounds to infinity, everything below to 65504 or less.
const F16_OVERFLOW: f32 = 65520.0;

/// The share of a tensor (root of the sum of squares) that rounding may take. Rounding to 11 bits
/// takes 2e-4 wherever the values are normal halves (6e-5 and above); this much goes only when most of
/// a tensor lies below, which is a network that should be rescaled rather than exported. A few dead
/// channels cost nothing.
const MAX_LOSS: f64 = 1.0 / 128.0;
