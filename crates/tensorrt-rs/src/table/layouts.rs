//! Structs that cross the boundary by value or by address.

use crate::callback::InterfaceInfo;
use crate::dims::{Dims32, Dims64};
use crate::version::Major;
use std::mem::offset_of;

/// A struct of NVIDIA's headers as this crate lays it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its name there.
    pub name: &'static str,
    /// In bytes.
    pub size: usize,
    /// In bytes.
    pub alignment: usize,
    /// Name and offset in bytes of each field.
    pub fields: &'static [(&'static str, usize)],
}

/// Every struct of a major.
pub fn layouts(major: Major) -> &'static [Layout] {
    const DIMS_32: Layout = Layout {
        name: "Dims32",
        size: size_of::<Dims32>(),
        alignment: align_of::<Dims32>(),
        fields: &[("nbDims", offset_of!(Dims32, nb_dims)), ("d", offset_of!(Dims32, d))],
    };
    const DIMS_64: Layout = Layout {
        name: "Dims64",
        size: size_of::<Dims64>(),
        alignment: align_of::<Dims64>(),
        fields: &[("nbDims", offset_of!(Dims64, nb_dims)), ("d", offset_of!(Dims64, d))],
    };
    const INTERFACE_INFO: Layout = Layout {
        name: "InterfaceInfo",
        size: size_of::<InterfaceInfo>(),
        alignment: align_of::<InterfaceInfo>(),
        fields: &[
            ("kind", offset_of!(InterfaceInfo, kind)),
            ("major", offset_of!(InterfaceInfo, major)),
            ("minor", offset_of!(InterfaceInfo, minor)),
        ],
    };
    match major {
        Major::V8 => &[DIMS_32],
        Major::V10 | Major::V11 | Major::Rtx1 => &[DIMS_64, INTERFACE_INFO],
    }
}
