//! What is called, as data: virtual slots, values of enumerations and layouts of structs, by major.
//!
//! The calls of this crate are made through these same tables, so that whoever compares them with NVIDIA's
//! headers ([`slots`], [`enum_values`], [`layouts`]) compares what is really called.
//!
//! Sources: NVIDIA's public headers of 8.5 to 11.4 (`NvInferImpl.h`, `NvInfer.h`, `NvInferRuntime.h`,
//! `NvInferRuntimeBase.h`, `NvOnnxParser.h`). Within a major methods are only appended, so one slot holds
//! for all its minors from the one that brought it.

mod layouts;
mod methods;
mod rtx;
mod v10;
mod v11;
mod v8;
mod values;

pub use layouts::{Layout, layouts};
pub use values::{EnumValue, enum_values};

pub(crate) use methods::{Calls, Methods};
pub(crate) use values::{Placement, append, enumeration, number};

use crate::error::{Availability, Unsupported};
use crate::version::{Major, Version};

pub use crate::object::Target;

/// A virtual function that this crate calls or, where `class` is `ILogger`, `IProfiler` or
/// `IProgressMonitor`, provides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The class whose table it is in, as NVIDIA's headers name it: `VRuntime`, `IParser`.
    pub class: &'static str,
    /// The method: `setDLACore`. Of a destructor, `~IRuntime`, the *deleting* one is meant, which is one
    /// slot after the complete one.
    pub method: &'static str,
    /// Its place in the table, counted from 0.
    pub index: u16,
    /// The first version of the major that has it.
    pub since: Version,
    /// Whose table `class` is.
    pub target: Target,
}

/// Every slot of a major.
pub fn slots(major: Major) -> Vec<Slot> {
    let mut all = Methods::of(major).slots();
    all.extend(crate::callback::slots(major));
    all
}

/// The types that a method is called with, as Rust writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// As in [`Slot`].
    pub class: &'static str,
    /// As in [`Slot`].
    pub method: &'static str,
    /// As in [`Slot`].
    pub index: u16,
    /// The arguments after the object.
    pub parameters: &'static [&'static str],
    /// The result; `()` where it is not looked at.
    pub returns: &'static str,
}

/// The signature of every method that is called in a major.
pub fn signatures(major: Major) -> Vec<Signature> {
    Methods::of(major).signatures()
}

/// Where a method is in the tables of one major.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    index: u16,
    since: Option<Version>,
}

impl Entry {
    pub(crate) const ABSENT: Self = Self { index: 0, since: None };

    /// The same slot since `version`, if there is one.
    const fn since(self, version: Version) -> Self {
        match self.since {
            Some(_) => Self { index: self.index, since: Some(version) },
            None => self,
        }
    }
}

/// What identifies a method in all majors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    pub(crate) class: &'static str,
    pub(crate) name: &'static str,
    pub(crate) target: Target,
}

impl Method {
    /// The slot in the tables of `version`, or since when there is one.
    pub(crate) fn slot(
        self,
        version: Version,
        entry: impl Fn(&Methods) -> Entry,
    ) -> Result<u16, Unsupported> {
        let installed = Major::of(version).map(|major| entry(Methods::of(major)));
        match installed {
            Some(Entry { index, since: Some(since) }) if version >= since => Ok(index),
            _ => Err(self.unsupported(version, entry)),
        }
    }

    #[cold]
    fn unsupported(self, version: Version, entry: impl Fn(&Methods) -> Entry) -> Unsupported {
        Unsupported {
            class: self.class,
            name: self.name,
            version,
            availability: Availability {
                since: Major::ALL.map(|major| entry(Methods::of(major)).since),
            },
        }
    }
}
