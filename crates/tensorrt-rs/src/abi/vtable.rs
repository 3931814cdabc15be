//! Which slot of its virtual table a method has: the Itanium C++ ABI, 2.5
//! (<https://itanium-cxx-abi.github.io/cxx-abi/abi.html#vtable>), which Linux uses on x86-64 and on
//! aarch64.
//!
//! Slots are in the order of declaration, those of the primary base first. A method that overrides
//! one of the primary base has its slot and takes none. A virtual destructor takes two, one that
//! destroys and one that also frees. A virtual destructor that is not declared comes last; it takes
//! slots only if the primary base has none for it.

use super::declaration::{ClassDeclaration, Declarations, Derivation, Method, Type};
use super::lexer::Place;
use super::names::{Meaning, Names};

/// A slot, with the declaration that fills it last.
#[derive(Clone, Debug)]
pub(super) struct TableSlot {
    pub(super) kind: SlotKind,
    /// Index of the class.
    pub(super) class: usize,
    pub(super) name: String,
    pub(super) returns: Type,
    pub(super) parameters: Vec<Type>,
    pub(super) is_const: bool,
    pub(super) reference: &'static str,
    pub(super) place: Place,
}

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlotKind {
    /// A method.
    Method,
    /// The destructor that leaves the memory alone.
    CompleteDestructor,
    /// The destructor that frees the memory too: what `delete` calls.
    DeletingDestructor,
}

/// Why a class has no slots here.
#[derive(Clone, Debug)]
pub(super) struct NoTable {
    pub(super) place: Place,
    pub(super) reason: String,
    /// Whether the reason lies in a base.
    inherited: bool,
}

/// The virtual table of each class, in the order of `declarations`; empty for a class without.
pub(super) fn tables(
    declarations: &Declarations,
    names: &Names<'_>,
) -> Vec<Result<Vec<TableSlot>, NoTable>> {
    let known = Known { tables: vec![None; declarations.classes.len()], slots: 0 };
    let mut builder = Builder { declarations, names, known };
    (0..declarations.classes.len())
        .map(|class| builder.build(class, 0).map(|table| table.primary))
        .collect()
}

/// NVIDIA's classes derive four times.
const MAX_DEPTH: usize = 16;
/// NVIDIA's largest class, the network definition, has 80.
const MAX_SLOTS: usize = 4096;
/// NVIDIA's classes together have less than 2000.
const MAX_SLOTS_TOGETHER: usize = 100_000;

struct Builder<'a> {
    declarations: &'a Declarations,
    names: &'a Names<'a>,
    known: Known,
}

/// The virtual functions of a class.
#[derive(Clone, Debug, Default)]
struct Table {
    /// Those of its own table.
    primary: Vec<TableSlot>,
    /// Those of bases that lie further back in the object: a method that overrides one is virtual, and
    /// has a slot of its own in the primary table.
    others: Vec<TableSlot>,
}

/// What was built so far.
struct Known {
    tables: Vec<Option<Result<Table, NoTable>>>,
    /// Of all tables together.
    slots: usize,
}

impl Builder<'_> {
    fn build(&mut self, index: usize, depth: usize) -> Result<Table, NoTable> {
        if let Some(table) = &self.known.tables[index] {
            return table.clone();
        }
        let declarations = self.declarations;
        let class = &declarations.classes[index];
        let refused = |reason: String| NoTable { place: class.place, reason, inherited: false };
        let table = if depth > MAX_DEPTH {
            Err(refused("derives from itself".to_owned()))
        } else if self.known.slots > MAX_SLOTS_TOGETHER {
            Err(refused(format!("is one of classes with more than {MAX_SLOTS_TOGETHER} slots")))
        } else {
            self.derive(index, class, depth)
        };
        self.known.slots += table.as_ref().map_or(0, |t| t.primary.len() + t.others.len());
        self.known.tables[index] = Some(table.clone());
        table
    }

    fn derive(
        &mut self,
        index: usize,
        class: &ClassDeclaration,
        depth: usize,
    ) -> Result<Table, NoTable> {
        let no_table = |place, reason: String| NoTable { place, reason, inherited: false };
        if let Some(unreadable) = &class.unreadable {
            let reason = format!("found {}, expected {}", unreadable.found, unreadable.expected);
            return Err(no_table(unreadable.place, reason));
        }
        let mut slots: Vec<TableSlot> = Vec::new();
        let mut others: Vec<TableSlot> = Vec::new();
        for base in &class.bases {
            let reason = |why: &str| format!("its base {} {why}", base.name);
            if base.is_virtual {
                return Err(no_table(class.place, reason("is virtual")));
            }
            let outer = class.name.rsplit_once("::").map_or("", |(outer, _)| outer);
            let kind = Type { name: base.name.clone(), ..Type::default() };
            let Meaning::Class(base_index) = self.names.meaning(outer, &kind).0 else {
                return Err(no_table(class.place, reason("is not defined in these headers")));
            };
            let inherited = self.build(base_index, depth + 1).map_err(|inner| NoTable {
                // One level is enough to find the place.
                reason: if inner.inherited {
                    inner.reason
                } else {
                    reason(&format!("cannot be read: {}", inner.reason))
                },
                place: inner.place,
                inherited: true,
            })?;
            others.extend(inherited.others);
            // The first base with a table is the primary one.
            if slots.is_empty() {
                slots = inherited.primary;
            } else {
                others.extend(inherited.primary);
            }
        }
        for method in &class.methods {
            if slots.len() + others.len() > MAX_SLOTS {
                return Err(no_table(method.place, format!("has more than {MAX_SLOTS} slots")));
            }
            self.add(&mut slots, &others, index, class, method)?;
        }
        if !class.methods.iter().any(|m| m.is_destructor) {
            let inherits = |slots: &[TableSlot]| slots.iter().any(|s| s.kind != SlotKind::Method);
            if inherits(&slots) || inherits(&others) {
                let name = class.name.rsplit("::").next().unwrap_or(&class.name);
                let implicit = Method {
                    is_destructor: true,
                    name: format!("~{name}"),
                    returns: Type::default(),
                    parameters: Vec::new(),
                    is_const: false,
                    reference: "",
                    is_virtual: true,
                    overrides: false,
                    place: class.place,
                };
                self.add(&mut slots, &others, index, class, &implicit)?;
            }
        }
        Ok(Table { primary: slots, others })
    }

    /// Gives a method of `class` the slot that it overrides, or a new one if it is virtual.
    fn add(
        &self,
        slots: &mut Vec<TableSlot>,
        others: &[TableSlot],
        index: usize,
        class: &ClassDeclaration,
        method: &Method,
    ) -> Result<(), NoTable> {
        let canonical = |kind: &Type| self.names.canonical(&class.name, kind);
        let slot = |kind| TableSlot {
            kind,
            class: index,
            name: method.name.clone(),
            returns: canonical(&method.returns),
            parameters: method.parameters.iter().map(|p| canonical(p).into_parameter()).collect(),
            is_const: method.is_const,
            reference: method.reference,
            place: method.place,
        };
        let kinds: &[SlotKind] = if method.is_destructor {
            &[SlotKind::CompleteDestructor, SlotKind::DeletingDestructor]
        } else {
            &[SlotKind::Method]
        };
        let mut overrides = false;
        for &kind in kinds {
            let new = slot(kind);
            if let Some(own) = slots.iter_mut().find(|old| new.overrides(old)) {
                *own = new;
                overrides = true;
            } else if method.is_virtual || others.iter().any(|old| new.overrides(old)) {
                slots.push(new);
                overrides |= others.iter().any(|old| slot(kind).overrides(old));
            }
        }
        if method.overrides && !overrides {
            let reason = format!("{} overrides nothing in its bases", method.name);
            return Err(NoTable { place: method.place, reason, inherited: false });
        }
        Ok(())
    }
}

impl TableSlot {
    fn overrides(&self, other: &Self) -> bool {
        if self.kind != SlotKind::Method || other.kind != SlotKind::Method {
            return self.kind == other.kind;
        }
        self.name == other.name
            && self.is_const == other.is_const
            && self.reference == other.reference
            && self.parameters.len() == other.parameters.len()
            && self.parameters.iter().zip(&other.parameters).all(|(a, b)| same(a, b))
    }
}

/// Whether two types without aliases are one.
fn same(a: &Type, b: &Type) -> bool {
    a.is_const == b.is_const
        && built_in(&a.name) == built_in(&b.name)
        && a.derivations.len() == b.derivations.len()
        && a.derivations.iter().zip(&b.derivations).all(|pair| match pair {
            (Derivation::Pointer { is_const: a }, Derivation::Pointer { is_const: b }) => a == b,
            (Derivation::Reference, Derivation::Reference)
            | (Derivation::RvalueReference, Derivation::RvalueReference)
            | (Derivation::Array { .. }, Derivation::Array { .. }) => true,
            _ => false,
        })
}

/// What the standard integers are on 64-bit Linux.
fn built_in(name: &str) -> &str {
    match name {
        "int8_t" => "signed char",
        "uint8_t" => "unsigned char",
        "int16_t" => "short",
        "uint16_t" => "unsigned short",
        "int32_t" => "int",
        "uint32_t" => "unsigned int",
        "int64_t" | "ptrdiff_t" | "intptr_t" => "long",
        "uint64_t" | "size_t" | "uintptr_t" => "unsigned long",
        other => other,
    }
}
