//! Tensors of a checkpoint: what their types are, where they lie, and their values as float32.

use std::fmt;

use half::{bf16, f16};
use safetensors::Dtype as SafetensorsDtype;

use super::pickle::{Id, Node, Pickle};

/// Element types of tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dtype {
    /// IEEE 754, 64 bits.
    F64,
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// The upper half of a float32.
    Bf16,
    /// Two's complement, 64 bits.
    I64,
    /// Two's complement, 32 bits.
    I32,
    /// Two's complement, 16 bits.
    I16,
    /// Two's complement, 8 bits.
    I8,
    /// Unsigned, 8 bits.
    U8,
    /// One byte, 0 or 1.
    Bool,
}

/// A tensor as it is stored: a strided view of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredTensor {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Elements from one index to the next along each axis.
    pub(super) strides: Vec<usize>,
    /// First element in the storage.
    pub(super) offset: usize,
    /// Key of the storage.
    pub(super) storage: String,
}

/// A storage as a pickle refers to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StorageReference<'a> {
    pub(super) key: &'a str,
    /// None: bytes without a type.
    pub(super) dtype: Option<Dtype>,
    /// Elements (bytes, without a type).
    pub(super) len: usize,
}

impl Dtype {
    /// Bytes per element.
    pub const fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether weights can be of this type.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::Bf16)
    }

    /// The type of a safetensors file, if it is one of these.
    pub(super) fn from_safetensors(dtype: SafetensorsDtype) -> Option<Self> {
        Some(match dtype {
            SafetensorsDtype::F64 => Self::F64,
            SafetensorsDtype::F32 => Self::F32,
            SafetensorsDtype::F16 => Self::F16,
            SafetensorsDtype::BF16 => Self::Bf16,
            SafetensorsDtype::I64 => Self::I64,
            SafetensorsDtype::I32 => Self::I32,
            SafetensorsDtype::I16 => Self::I16,
            SafetensorsDtype::I8 => Self::I8,
            SafetensorsDtype::U8 => Self::U8,
            SafetensorsDtype::BOOL => Self::Bool,
            _ => return None,
        })
    }

    /// The type that a class of storages or a `torch.dtype` names.
    fn from_global(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("torch.")? {
            "DoubleStorage" | "float64" => Self::F64,
            "FloatStorage" | "float32" => Self::F32,
            "HalfStorage" | "float16" => Self::F16,
            "BFloat16Storage" | "bfloat16" => Self::Bf16,
            "LongStorage" | "int64" => Self::I64,
            "IntStorage" | "int32" => Self::I32,
            "ShortStorage" | "int16" => Self::I16,
            "CharStorage" | "int8" => Self::I8,
            "ByteStorage" | "uint8" => Self::U8,
            "BoolStorage" | "bool" => Self::Bool,
            _ => return None,
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U8 => "uint8",
            Self::Bool => "bool",
        })
    }
}

impl StoredTensor {
    /// A tensor that fills its storage in row-major order.
    pub(super) fn contiguous(dtype: Dtype, shape: Vec<usize>, storage: String) -> Self {
        let mut strides = vec![1_usize; shape.len()];
        for axis in (1..shape.len()).rev() {
            // Wraps for shapes whose number of elements does; those do not fit their storage.
            strides[axis - 1] = strides[axis].wrapping_mul(shape[axis]);
        }
        Self { dtype, shape, strides, offset: 0, storage }
    }

    /// The tensor that `id` is in a pickle: a call of one of `torch`'s functions that rebuild one.
    ///
    /// # Errors
    /// What `id` is instead, or what is wrong with it.
    pub(super) fn from_pickle(pickle: &Pickle, mut id: Id) -> Result<Self, String> {
        let described = |id| Err(pickle.describe(id));
        let Some((name, call)) = pickle.call(id) else { return described(id) };
        let (mut name, mut call_arguments) = (name, call.arguments);
        // A parameter wraps a tensor, and so may a tensor with attributes.
        for _ in 0..MAX_WRAPPERS {
            let arguments = pickle.items(call_arguments).unwrap_or_default();
            match (name, arguments) {
                (
                    "torch._utils._rebuild_parameter"
                    | "torch._utils._rebuild_parameter_with_state",
                    &[data, ..],
                ) => {
                    id = data;
                    let Some((inner, call)) = pickle.call(id) else { return described(id) };
                    (name, call_arguments) = (inner, call.arguments);
                }
                ("torch._tensor._rebuild_from_type_v2", &[function, _, arguments, _]) => {
                    let Some(function) = pickle.global(function) else { return described(id) };
                    (name, call_arguments) = (function, arguments);
                }
                _ => return Self::rebuild(pickle, name, arguments),
            }
        }
        described(id)
    }

    /// The arguments of `name`, which are a storage, an offset, a shape, strides and, for `_v3`, a
    /// type at the end.
    fn rebuild(pickle: &Pickle, name: &str, arguments: &[Id]) -> Result<Self, String> {
        let is_typed = match name {
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => false,
            "torch._utils._rebuild_tensor_v3" => true,
            _ => return Err(format!("a call of {name}")),
        };
        let bad = || format!("{name} with other arguments than PyTorch writes");
        let (&[storage, offset, shape, strides], rest) =
            arguments.split_first_chunk::<4>().ok_or_else(bad)?;
        let sizes = |id| {
            let axes = pickle.items(id).ok_or_else(bad)?;
            // A pickle can name the same long tuple in many tensors; each of them would copy it.
            if axes.len() > MAX_AXES {
                return Err(format!("a tensor of {} axes", axes.len()));
            }
            axes.iter().map(|&item| pickle.size(item)).collect::<Option<Vec<_>>>().ok_or_else(bad)
        };
        let storage = StorageReference::from_pickle(pickle, storage)?;
        let offset = pickle.size(offset).ok_or_else(bad)?;
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        let dtype = if is_typed {
            let name = rest.get(2).and_then(|&id| pickle.global(id)).ok_or_else(bad)?;
            Some(Dtype::from_global(name).ok_or_else(|| format!("a tensor of {name}"))?)
        } else {
            storage.dtype
        };
        let dtype = dtype.ok_or_else(|| "a tensor without a type".to_owned())?;
        if shape.len() != strides.len() || storage.dtype.is_some_and(|stored| stored != dtype) {
            return Err(bad());
        }
        let tensor = Self { dtype, shape, strides, offset, storage: storage.key.to_owned() };
        let storage_bytes =
            storage.dtype.map_or(Some(storage.len), |d| storage.len.checked_mul(d.size()));
        if tensor.byte_range().is_none_or(|(_, end)| storage_bytes.is_none_or(|len| end > len)) {
            return Err("a tensor that does not fit its storage".into());
        }
        Ok(tensor)
    }

    /// Number of elements; none if that overflows.
    pub(super) fn len(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |len, &n| len.checked_mul(n))
    }

    /// First byte in the storage and one past the last; none if that overflows.
    pub(super) fn byte_range(&self) -> Option<(usize, usize)> {
        let mut elements = 1_usize;
        for (&n, &stride) in self.shape.iter().zip(&self.strides) {
            elements = match n {
                0 => return Some((0, 0)),
                n => elements.checked_add((n - 1).checked_mul(stride)?)?,
            };
        }
        let start = self.offset.checked_mul(self.dtype.size())?;
        let end = self.offset.checked_add(elements)?.checked_mul(self.dtype.size())?;
        Some((start, end))
    }

    /// The values in row-major order from the bytes of [`Self::byte_range`]; empty for a type that
    /// is not a floating-point one.
    pub(super) fn decode(&self, bytes: &[u8]) -> Vec<f32> {
        #[allow(clippy::cast_possible_truncation, reason = "weights are float32")]
        match self.dtype {
            Dtype::F64 => self.gather(bytes, |b| f64::from_le_bytes(b) as f32),
            Dtype::F32 => self.gather(bytes, f32::from_le_bytes),
            Dtype::F16 => self.gather(bytes, |b| f16::from_le_bytes(b).to_f32()),
            Dtype::Bf16 => self.gather(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            _ => Vec::new(),
        }
    }

    fn gather<const N: usize>(&self, bytes: &[u8], value: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (elements, _) = bytes.as_chunks::<N>();
        let len = self.shape.iter().product();
        let mut values = Vec::with_capacity(len);
        let mut index = vec![0; self.shape.len()];
        let mut at = 0;
        for _ in 0..len {
            values.push(value(elements[at]));
            // The next index: the last axis first.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.shape[axis] {
                    break;
                }
                at -= self.strides[axis] * self.shape[axis];
                index[axis] = 0;
            }
        }
        values
    }
}

impl<'a> StorageReference<'a> {
    /// The storage that `id` is in a pickle: `('storage', class, key, device, length[, view])`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pickle(pickle: &'a Pickle, id: Id) -> Result<Self, String> {
        let bad = || "a storage in another form than PyTorch writes".to_owned();
        let Node::Persistent(id) = pickle.node(id) else { return Err(bad()) };
        let (&[kind, class, key, _device, len], view) =
            pickle.items(*id).and_then(<[Id]>::split_first_chunk::<5>).ok_or_else(bad)?;
        if pickle.text(kind) != Some("storage") {
            return Err(bad());
        }
        // Views of storages were last written by PyTorch 0.3.
        if view.iter().any(|&view| !matches!(pickle.node(view), Node::None)) {
            return Err("a view of a storage".into());
        }
        let class = pickle.global(class).ok_or_else(bad)?;
        let dtype = match class {
            "torch.UntypedStorage" | "torch.storage.UntypedStorage" => None,
            _ => Some(Dtype::from_global(class).ok_or_else(|| format!("a storage of {class}"))?),
        };
        let key = pickle.text(key).ok_or_else(bad)?;
        Ok(Self { key, dtype, len: pickle.size(len).ok_or_else(bad)? })
    }
}

/// Wrappers around one tensor; `torch` writes two at most.
const MAX_WRAPPERS: usize = 8;
/// Weights have five axes at most.
const MAX_AXES: usize = 16;
