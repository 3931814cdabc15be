//! Changes to good bytes, as a script says them.

use crate::abi;
use crate::script::Script;
use occdepth_ring::layout::segment::{
    CLASS_BYTES, CLASS_CAPACITY, CLASS_FIELDS, CLASS_TABLE_OFFSET, FIELDS,
};
use occdepth_ring::layout::{Field, slot};

/// Changes a segment in at most [`MOST`] places.
pub(crate) fn segment(bytes: &mut Vec<u8>, script: &mut Script<'_>) {
    for _ in 0..MOST {
        match script.u8() {
            0 => return,
            1 => put(bytes, 0, script.below(FIELDS.len()), FIELDS, script),
            2 => nudge(bytes, 0, script.below(FIELDS.len()), FIELDS, script),
            3 => {
                let at = abi::slot_offset(bytes, script.u8().into());
                put(bytes, at, script.below(slot::FIELDS.len()), slot::FIELDS, script);
            }
            4 => {
                let at = abi::slot_offset(bytes, script.u8().into());
                nudge(bytes, at, script.below(slot::FIELDS.len()), slot::FIELDS, script);
            }
            5 => {
                let entry = usize::from(script.u8()) % CLASS_CAPACITY;
                let at = CLASS_TABLE_OFFSET + entry * CLASS_BYTES;
                put(bytes, at, script.below(CLASS_FIELDS.len()), CLASS_FIELDS, script);
            }
            6 => overwrite(bytes, script.u16().into(), &[script.u8()]),
            7 => overwrite(bytes, usize::from(script.u16()) * 8, &script.u64().to_le_bytes()),
            8 => {
                let dims = [script.u8(), script.u8(), script.u8()].map(u32::from);
                let voxels: u64 = dims.iter().copied().map(u64::from).product();
                overwrite(bytes, 192, dims.map(u32::to_le_bytes).as_flattened());
                overwrite(bytes, 88, &voxels.to_le_bytes());
                if script.u8() & 1 != 0 {
                    overwrite(bytes, 104, &voxels.to_le_bytes());
                }
            }
            9 => abi::seal(bytes, script.u8().into()),
            10 => {
                let size = usize::from(script.u16()) * 8 + usize::from(script.u8() % 8);
                bytes.resize(size, 0);
                overwrite(bytes, 16, &(size as u64).to_le_bytes());
            }
            11 => {
                let (at, length) = (script.u16().into(), script.u8());
                overwrite(bytes, at, &vec![script.u8(); length.into()]);
            }
            _ => {
                let (at, length) = (script.u16().into(), script.u8());
                overwrite(bytes, at, script.take(length.into()));
            }
        }
    }
}

/// Changes a datagram of the handshake, whose fields are `fields`, or makes another one of it.
pub(crate) fn datagram(bytes: &mut Vec<u8>, fields: &[Field], script: &mut Script<'_>) {
    for _ in 0..MOST {
        match script.u8() {
            0 => return,
            1 => put(bytes, 0, script.below(fields.len()), fields, script),
            2 => nudge(bytes, 0, script.below(fields.len()), fields, script),
            3 => bytes.resize(script.u16() as usize % 600, 0),
            4 => overwrite(bytes, script.u8().into(), &[script.u8()]),
            _ => {
                let length = script.u8();
                *bytes = script.take(length.into()).to_vec();
            }
        }
    }
}

/// Gives a field another value: eight bytes of it at most.
fn put(bytes: &mut [u8], at: usize, index: usize, fields: &[Field], script: &mut Script<'_>) {
    let field = fields[index];
    let value = script.u64().to_le_bytes();
    overwrite(bytes, at + field.offset, &value[..field.bytes.min(8)]);
}

/// Adds a small number to a field: what is just beyond a bound.
fn nudge(bytes: &mut [u8], at: usize, index: usize, fields: &[Field], script: &mut Script<'_>) {
    let field = fields[index];
    let offset = at + field.offset;
    let change = i64::from(script.u8().cast_signed());
    let value = abi::u64_at(bytes, offset).wrapping_add_signed(change).to_le_bytes();
    overwrite(bytes, offset, &value[..field.bytes.min(8)]);
}

/// As much of `new` as lies within `bytes`.
fn overwrite(bytes: &mut [u8], at: usize, new: &[u8]) {
    if let Some(old) = bytes.get_mut(at..) {
        let length = old.len().min(new.len());
        old[..length].copy_from_slice(&new[..length]);
    }
}

const MOST: usize = 12;
