//! The values of constant tensors.

use super::{TensorProto, data_type};
use half::f16;

/// Why the values of a constant cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// An extent is negative, or the element count does not fit in memory.
    #[error("constant `{name}`: impossible dims {dims:?}")]
    Dims {
        /// The constant.
        name: String,
        /// Its extents as stored.
        dims: Vec<i64>,
    },
    /// The element type is not one that this reader understands or that was asked for.
    #[error("constant `{name}`: element type {found}, expected {expected}")]
    Type {
        /// The constant.
        name: String,
        /// `TensorProto.DataType` number as stored.
        found: i32,
        /// What the reader can take.
        expected: &'static str,
    },
    /// There are more or fewer values than the shape says.
    #[error("constant `{name}`: {found} {unit}, expected {expected} by its dims")]
    Length {
        /// The constant.
        name: String,
        /// Values or bytes stored.
        found: usize,
        /// Values or bytes that the shape needs.
        expected: usize,
        /// "values" or "bytes".
        unit: &'static str,
    },
    /// The values are in another file.
    #[error("constant `{name}`: its values are in another file, expected them in the model")]
    External {
        /// The constant.
        name: String,
    },
}

impl TensorProto {
    /// An f32 constant. The product of `dims` is the number of `values`.
    pub fn from_f32(name: &str, dims: &[i64], values: &[f32]) -> Self {
        Self {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: data_type::FLOAT,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::default()
        }
    }

    /// An f16 constant of `values` rounded to the nearest half, ties to even; what is beyond 65504
    /// becomes infinite. The product of `dims` is the number of `values`.
    pub fn from_f16(name: &str, dims: &[i64], values: &[f32]) -> Self {
        Self {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: data_type::FLOAT16,
            raw_data: values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect(),
            ..Self::default()
        }
    }

    /// An i32 constant. The product of `dims` is the number of `values`.
    pub fn from_i32(name: &str, dims: &[i64], values: &[i32]) -> Self {
        Self {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: data_type::INT32,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::default()
        }
    }

    /// An i64 constant. The product of `dims` is the number of `values`.
    pub fn from_i64(name: &str, dims: &[i64], values: &[i64]) -> Self {
        Self {
            name: name.into(),
            dims: dims.to_vec(),
            data_type: data_type::INT64,
            raw_data: values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            ..Self::default()
        }
    }

    /// Number of elements by the dims; 1 for a scalar.
    ///
    /// # Errors
    /// [`TensorError::Dims`] when an extent is negative or the product overflows.
    pub fn element_count(&self) -> Result<usize, TensorError> {
        self.dims
            .iter()
            .try_fold(1_usize, |count, &dim| {
                usize::try_from(dim).ok().and_then(|dim| count.checked_mul(dim))
            })
            .ok_or_else(|| TensorError::Dims { name: self.name.clone(), dims: self.dims.clone() })
    }

    /// The values of an f32 or f16 constant, widened to f32, row-major.
    ///
    /// # Errors
    /// [`TensorError`] when the type is another or the values do not fit the dims.
    pub fn to_f32(&self) -> Result<Vec<f32>, TensorError> {
        match self.data_type {
            data_type::FLOAT if self.raw_data.is_empty() => {
                self.counted(self.float_data.len())?;
                Ok(self.float_data.clone())
            }
            data_type::FLOAT => Ok(self.raw_bytes::<4>()?.map(f32::from_le_bytes).collect()),
            data_type::FLOAT16 if self.raw_data.is_empty() => {
                self.counted(self.int32_data.len())?;
                // One half to an integer, in its lower bits.
                #[allow(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "the format stores 16 bits in 32"
                )]
                let halves = self.int32_data.iter().map(|&bits| f16::from_bits(bits as u16));
                Ok(halves.map(f32::from).collect())
            }
            data_type::FLOAT16 => {
                Ok(self.raw_bytes::<2>()?.map(f16::from_le_bytes).map(f32::from).collect())
            }
            _ => Err(self.type_error("1 (f32) or 10 (f16)")),
        }
    }

    /// The values of an i32 or i64 constant, widened to i64, row-major.
    ///
    /// # Errors
    /// [`TensorError`] when the type is another or the values do not fit the dims.
    pub fn to_i64(&self) -> Result<Vec<i64>, TensorError> {
        match self.data_type {
            data_type::INT32 if self.raw_data.is_empty() => {
                self.counted(self.int32_data.len())?;
                Ok(self.int32_data.iter().map(|&value| i64::from(value)).collect())
            }
            data_type::INT32 => {
                Ok(self.raw_bytes::<4>()?.map(|raw| i64::from(i32::from_le_bytes(raw))).collect())
            }
            data_type::INT64 if self.raw_data.is_empty() => {
                self.counted(self.int64_data.len())?;
                Ok(self.int64_data.clone())
            }
            data_type::INT64 => Ok(self.raw_bytes::<8>()?.map(i64::from_le_bytes).collect()),
            _ => Err(self.type_error("6 (i32) or 7 (i64)")),
        }
    }

    /// Checks that the values are in this file and as many as the dims say, for the types whose size
    /// is known here; other types are left to whoever uses them.
    ///
    /// # Errors
    /// [`TensorError`] as described.
    pub fn check(&self) -> Result<(), TensorError> {
        if self.data_location != 0 || !self.external_data.is_empty() {
            return Err(TensorError::External { name: self.name.clone() });
        }
        let typed = match self.data_type {
            data_type::FLOAT => self.float_data.len(),
            data_type::INT64 => self.int64_data.len(),
            data_type::DOUBLE => self.double_data.len(),
            data_type::INT32
            | data_type::FLOAT16
            | data_type::UINT8
            | data_type::INT8
            | data_type::BOOL => self.int32_data.len(),
            _ => {
                self.element_count()?;
                return Ok(());
            }
        };
        if self.raw_data.is_empty() {
            return self.counted(typed);
        }
        self.sized(usize::try_from(self.byte_count()?).ok())
    }

    /// Bytes that the values take as raw data, by the dims and the type.
    ///
    /// # Errors
    /// [`TensorError`] when the dims are impossible or the size of the type is not known here.
    pub fn byte_count(&self) -> Result<u64, TensorError> {
        let size = match self.data_type {
            data_type::DOUBLE | data_type::INT64 => 8,
            data_type::FLOAT | data_type::INT32 => 4,
            data_type::FLOAT16 => 2,
            data_type::UINT8 | data_type::INT8 | data_type::BOOL => 1,
            _ => return Err(self.type_error("a float, an integer or truth values")),
        };
        (self.element_count()? as u64)
            .checked_mul(size)
            .ok_or_else(|| TensorError::Dims { name: self.name.clone(), dims: self.dims.clone() })
    }

    fn raw_bytes<const SIZE: usize>(
        &self,
    ) -> Result<impl Iterator<Item = [u8; SIZE]> + '_, TensorError> {
        self.sized(self.element_count()?.checked_mul(SIZE))?;
        Ok(self.raw_data.as_chunks::<SIZE>().0.iter().copied())
    }

    fn sized(&self, expected: Option<usize>) -> Result<(), TensorError> {
        let Some(expected) = expected else {
            return Err(TensorError::Dims { name: self.name.clone(), dims: self.dims.clone() });
        };
        let found = self.raw_data.len();
        if found == expected {
            return Ok(());
        }
        Err(TensorError::Length { name: self.name.clone(), found, expected, unit: "bytes" })
    }

    fn counted(&self, found: usize) -> Result<(), TensorError> {
        let expected = self.element_count()?;
        if found == expected {
            return Ok(());
        }
        Err(TensorError::Length { name: self.name.clone(), found, expected, unit: "values" })
    }

    fn type_error(&self, expected: &'static str) -> TensorError {
        TensorError::Type { name: self.name.clone(), found: self.data_type, expected }
    }
}
