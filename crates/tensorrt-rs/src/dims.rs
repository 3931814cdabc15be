//! Shapes of tensors.

use crate::error::TensorRtError;
use std::fmt;

/// Most dimensions of a tensor (`Dims::MAX_DIMS`, 8 in every version).
pub const MAX_DIMS: usize = 8;

/// A shape: up to eight extents, -1 for one that is only known at run time.
///
/// TensorRT stores extents in 32 bits before 10.0 and in 64 from then on; this is 64 on all.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    length: usize,
    extents: [i64; MAX_DIMS],
}

impl Dims {
    /// A shape from its extents, outermost first.
    ///
    /// # Errors
    /// More than eight of them.
    pub fn new(extents: &[i64]) -> Result<Self, TensorRtError> {
        if extents.len() > MAX_DIMS {
            return Err(TensorRtError::Argument {
                call: "Dims",
                argument: "number of extents",
                found: extents.len().to_string(),
                expected: "8 at most",
            });
        }
        let mut stored = [0; MAX_DIMS];
        stored[..extents.len()].copy_from_slice(extents);
        Ok(Self { length: extents.len(), extents: stored })
    }

    /// The extents, outermost first.
    pub fn as_slice(&self) -> &[i64] {
        &self.extents[..self.length]
    }

    /// Number of elements; `None` while an extent is -1, and where the product does not fit.
    pub fn volume(&self) -> Option<usize> {
        self.as_slice().iter().try_fold(1_usize, |product, &extent| {
            usize::try_from(extent).ok().and_then(|extent| product.checked_mul(extent))
        })
    }

    /// Whether an extent is only known at run time.
    pub fn is_dynamic(&self) -> bool {
        self.as_slice().iter().any(|&extent| extent < 0)
    }

    pub(crate) fn to_32(self, call: &'static str) -> Result<Dims32, TensorRtError> {
        let mut d = [0_i32; MAX_DIMS];
        for (narrow, &wide) in d.iter_mut().zip(&self.extents) {
            *narrow = i32::try_from(wide).map_err(|_| TensorRtError::Argument {
                call,
                argument: "an extent",
                found: wide.to_string(),
                expected: "at most 2147483647 before TensorRT 10",
            })?;
        }
        Ok(Dims32 { nb_dims: self.rank(), d })
    }

    pub(crate) fn to_64(self) -> Dims64 {
        Dims64 { nb_dims: self.rank(), d: self.extents }
    }

    /// `None` where TensorRT answers with a rank that no tensor has: -1 is "no such tensor".
    pub(crate) fn from_32(dims: &Dims32) -> Option<Self> {
        let length = usize::try_from(dims.nb_dims).ok().filter(|&length| length <= MAX_DIMS)?;
        Some(Self { length, extents: dims.d.map(i64::from) }.trimmed())
    }

    pub(crate) fn from_64(dims: &Dims64) -> Option<Self> {
        let length = usize::try_from(dims.nb_dims).ok().filter(|&length| length <= MAX_DIMS)?;
        Some(Self { length, extents: dims.d }.trimmed())
    }

    /// What lies beyond the rank is unspecified in TensorRT's struct and would break equality.
    fn trimmed(mut self) -> Self {
        self.extents[self.length..].fill(0);
        self
    }

    fn rank(self) -> i32 {
        i32::try_from(self.length).expect("at most eight")
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, extent) in self.as_slice().iter().enumerate() {
            if index > 0 {
                formatter.write_str("x")?;
            }
            write!(formatter, "{extent}")?;
        }
        if self.length == 0 { formatter.write_str("scalar") } else { Ok(()) }
    }
}

/// `nvinfer1::Dims` of 8.x (`Dims32` of `NvInferRuntimeCommon.h`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Dims32 {
    pub(crate) nb_dims: i32,
    pub(crate) d: [i32; MAX_DIMS],
}

/// `nvinfer1::Dims` from 10.0 (`Dims64` of `NvInferRuntimeBase.h`).
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Dims64 {
    pub(crate) nb_dims: i32,
    pub(crate) d: [i64; MAX_DIMS],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_say_what_they_hold() {
        let dims = Dims::new(&[2, 3, 370, 1220]).expect("four extents");
        assert_eq!(dims.to_string(), "2x3x370x1220");
        assert_eq!(dims.volume(), Some(2 * 3 * 370 * 1220));
        let dynamic = Dims::new(&[-1, 3]).expect("two extents");
        assert!(dynamic.is_dynamic());
        assert_eq!(dynamic.volume(), None);
        assert_eq!(Dims::new(&[]).expect("none").volume(), Some(1));
        assert!(Dims::new(&[1; 9]).is_err());
        assert_eq!(Dims::new(&[i64::MAX, 3]).expect("two").volume(), None);
    }

    #[test]
    fn rubbish_beyond_the_rank_does_not_count() {
        let mut raw = Dims::new(&[4, 5]).expect("two").to_64();
        raw.d[7] = 99;
        assert_eq!(Dims::from_64(&raw), Some(Dims::new(&[4, 5]).expect("two")));
        raw.nb_dims = -1;
        assert_eq!(Dims::from_64(&raw), None);
        raw.nb_dims = 9;
        assert_eq!(Dims::from_64(&raw), None);
        assert!(Dims::new(&[1 << 40]).expect("one").to_32("test").is_err());
    }
}
