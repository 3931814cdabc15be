//! Sizes of types and places of members, on 64-bit Linux.

use super::declaration::{ClassDeclaration, Declarations, Derivation, Type};
use super::names::{Meaning, Names};

/// Size, alignment and members of a class.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) size: u64,
    pub(super) alignment: u64,
    /// Bytes up to the end of the last member: a derived class may begin there.
    used: u64,
    /// Name, offset and size of each member of the class itself.
    pub(super) members: Vec<(String, u64, u64)>,
}

/// What was measured so far: `None` not yet, an error for what the reader does not measure.
type Known = [Option<Result<Layout, NotMeasured>>];

#[derive(Clone, Copy, Debug)]
struct NotMeasured;

const POINTER_BYTES: u64 = 8;
/// A member of a member of a member: NVIDIA's classes go three deep.
const MAX_DEPTH: usize = 16;

/// The layout of each class, in the order of `declarations`. `None` for what the reader does not
/// measure: several bases, unions, bit fields, members of unknown types.
pub(super) fn layouts(
    declarations: &Declarations,
    names: &Names<'_>,
    is_dynamic: &[bool],
) -> Vec<Option<Layout>> {
    let mut layouts = vec![None; declarations.classes.len()];
    let ruler = Ruler { declarations, names, is_dynamic };
    (0..declarations.classes.len()).map(|class| ruler.class(class, &mut layouts, 0)).collect()
}

struct Ruler<'a> {
    declarations: &'a Declarations,
    names: &'a Names<'a>,
    /// Whether each class has a virtual table.
    is_dynamic: &'a [bool],
}

impl Ruler<'_> {
    fn class(&self, index: usize, known: &mut Known, depth: usize) -> Option<Layout> {
        if let Some(layout) = &known[index] {
            return layout.clone().ok();
        }
        let class = &self.declarations.classes[index];
        let layout =
            if depth > MAX_DEPTH { None } else { self.measure(index, class, known, depth) };
        known[index] = Some(layout.clone().ok_or(NotMeasured));
        layout
    }

    fn measure(
        &self,
        index: usize,
        class: &ClassDeclaration,
        known: &mut Known,
        depth: usize,
    ) -> Option<Layout> {
        if class.is_union || class.unreadable.is_some() || class.bases.len() > 1 {
            return None;
        }
        let mut end = 0;
        let mut alignment = 1;
        if let Some(base) = class.bases.first() {
            let outer = class.name.rsplit_once("::").map_or("", |(outer, _)| outer);
            let kind = Type { name: base.name.clone(), ..Type::default() };
            let Meaning::Class(base_index) = self.names.meaning(outer, &kind).0 else {
                return None;
            };
            let base_layout = self.class(base_index, known, depth + 1)?;
            // Where a base ends in padding or gets its first virtual table here, what follows
            // depends on more than is known here.
            let padded = base_layout.used != base_layout.size && !class.fields.is_empty();
            if padded || base.is_virtual || self.is_dynamic[base_index] != self.is_dynamic[index] {
                return None;
            }
            end = base_layout.used;
            alignment = base_layout.alignment;
        } else if self.is_dynamic[index] {
            end = POINTER_BYTES;
            alignment = POINTER_BYTES;
        }
        let mut members = Vec::new();
        for field in &class.fields {
            let (size, align) = self.extent(&class.name, field.kind.as_ref()?, known, depth)?;
            let offset = end.checked_next_multiple_of(align)?;
            end = offset.checked_add(size)?;
            alignment = alignment.max(align);
            members.push((field.name.clone(), offset, size));
        }
        let size = end.max(1).checked_next_multiple_of(alignment)?;
        Some(Layout { size, alignment, used: end, members })
    }

    /// Size and alignment of a type.
    fn extent(
        &self,
        scope: &str,
        kind: &Type,
        known: &mut Known,
        depth: usize,
    ) -> Option<(u64, u64)> {
        let (meaning, mut kind) = self.names.meaning(scope, kind);
        let mut count = 1_u64;
        while let Some(Derivation::Array { length }) = kind.derivations.last() {
            let length = self.names.evaluate(scope, length, &|_| None)?;
            count = count.checked_mul(u64::try_from(length).ok()?)?;
            kind.derivations.pop();
        }
        let (size, alignment) = if kind.derivations.is_empty() {
            match meaning {
                Meaning::Class(index) => {
                    let layout = self.class(index, known, depth + 1)?;
                    (layout.size, layout.alignment)
                }
                Meaning::Enumeration(index) => {
                    let declaration = &self.declarations.enumerations[index];
                    let bytes = match &declaration.underlying {
                        Some(kind) => built_in_bytes(&self.names.canonical(scope, kind).name)?,
                        None if declaration.is_scoped => 4,
                        None => return None,
                    };
                    (bytes, bytes)
                }
                Meaning::Declared(_) => return None,
                Meaning::Other => {
                    let bytes = built_in_bytes(&kind.name)?;
                    (bytes, bytes)
                }
            }
        } else {
            (POINTER_BYTES, POINTER_BYTES)
        };
        Some((size.checked_mul(count)?, alignment))
    }
}

fn built_in_bytes(name: &str) -> Option<u64> {
    Some(match name {
        "bool" | "char" | "signed char" | "unsigned char" | "int8_t" | "uint8_t" => 1,
        "short" | "unsigned short" | "int16_t" | "uint16_t" => 2,
        "int" | "unsigned int" | "int32_t" | "uint32_t" | "float" => 4,
        "long" | "unsigned long" | "long long" | "unsigned long long" | "int64_t" | "uint64_t"
        | "size_t" | "ptrdiff_t" | "intptr_t" | "uintptr_t" | "double" => 8,
        _ => return None,
    })
}
