//! Values of enumerations by major.

use crate::error::{Availability, Unsupported};
use crate::version::{Major, Version};

/// One value of an enumeration of NVIDIA's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnumValue {
    /// The enumeration, with its class or namespace where it has one beside `nvinfer1`:
    /// `BuilderFlag`, `ILogger::Severity`, `nvonnxparser::ErrorCode`.
    pub enumeration: &'static str,
    /// The name: `kTF32`.
    pub name: &'static str,
    /// The number.
    pub value: i32,
    /// The first version of the major that has it.
    pub since: Version,
}

/// Every value of every enumeration that this crate passes or reads, of one major.
pub fn enum_values(major: Major) -> Vec<EnumValue> {
    let mut values = Vec::new();
    crate::enums::append_all(major, &mut values);
    values
}

/// A value in one major.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    value: i32,
    /// The minor that brought it; `None` if the major has no such value.
    minor: Option<u32>,
}

impl Placement {
    /// Not in this major.
    pub(crate) const ABSENT: Self = Self { value: 0, minor: None };

    /// In every supported minor of this major.
    pub(crate) const fn at(value: i32) -> Self {
        Self { value, minor: Some(0) }
    }

    /// From a minor of this major on.
    pub(crate) const fn since(minor: u32, value: i32) -> Self {
        Self { value, minor: Some(minor) }
    }

    /// `TensorRT` for RTX 1.7 has what the last 11 has, under the same number.
    pub(crate) const fn in_rtx(self) -> Self {
        match self.minor {
            Some(_) => Self::at(self.value),
            None => Self::ABSENT,
        }
    }

    pub(crate) fn since_version(self, major: Major) -> Option<Version> {
        let oldest = major.oldest();
        self.minor.map(|minor| Version::new(oldest.major, minor.max(oldest.minor), 0))
    }
}

/// The number of a value in a version.
pub(crate) fn number(
    enumeration: &'static str,
    name: &'static str,
    placements: &[Placement; 4],
    version: Version,
) -> Result<i32, Unsupported> {
    let placement = Major::of(version).map(|major| (major, placements[major.index()]));
    placement
        .filter(|(major, placement)| {
            placement.since_version(*major).is_some_and(|since| version >= since)
        })
        .map(|(_, placement)| placement.value)
        .ok_or_else(|| Unsupported {
            class: enumeration,
            name,
            version,
            availability: Availability {
                since: Major::ALL.map(|major| placements[major.index()].since_version(major)),
            },
        })
}

/// Appends the values of one enumeration.
pub(crate) fn append<'a>(
    enumeration: &'static str,
    values: impl Iterator<Item = (&'static str, &'a [Placement; 4])>,
    major: Major,
    to: &mut Vec<EnumValue>,
) {
    to.extend(values.filter_map(|(name, placements)| {
        let placement = placements[major.index()];
        let since = placement.since_version(major)?;
        Some(EnumValue { enumeration, name, value: placement.value, since })
    }));
}

/// An enumeration with its numbers in 8.x, 10.x, 11.x and `TensorRT` for RTX, in this order. One number stands for all
/// four, and three say that the last is as 11.
macro_rules! enumeration {
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $enum:ident = $enumeration:literal {
            $($(#[$variant_attribute:meta])* $variant:ident = $name:literal [$($placement:expr),+];)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        $visibility enum $enum {
            $($(#[$variant_attribute])* $variant,)*
        }

        #[allow(dead_code, reason = "not every enumeration is both passed and read")]
        impl $enum {
            /// All of them.
            $visibility const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in NVIDIA's headers.
            $visibility const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            const fn placements(self) -> [$crate::table::Placement; 4] {
                match self {
                    $(Self::$variant => $crate::table::enumeration!(@four $($placement),+),)*
                }
            }

            /// The number that a version uses.
            ///
            /// # Errors
            /// The version has no such value.
            $visibility fn number(
                self,
                version: $crate::Version,
            ) -> Result<i32, $crate::Unsupported> {
                $crate::table::number($enumeration, self.name(), &self.placements(), version)
            }

            /// What a number stands for in a version, if anything that is known here.
            $visibility fn from_number(version: $crate::Version, number: i32) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.number(version) == Ok(number))
            }

            pub(crate) fn append_values(
                major: $crate::version::Major,
                to: &mut Vec<$crate::table::EnumValue>,
            ) {
                let placements = Self::ALL.iter().map(|value| (value.name(), value.placements()));
                for (name, placements) in placements {
                    $crate::table::append(
                        $enumeration,
                        std::iter::once((name, &placements)),
                        major,
                        to,
                    );
                }
            }
        }

        impl std::fmt::Display for $enum {
            /// The name in NVIDIA's headers without its leading k.
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.name().trim_start_matches('k'))
            }
        }
    };
    (@four $all:expr) => { [$crate::table::Placement::at($all); 4] };
    (@four $v8:expr, $v10:expr, $v11:expr) => { [$v8, $v10, $v11, $v11.in_rtx()] };
    (@four $v8:expr, $v10:expr, $v11:expr, $rtx:expr) => { [$v8, $v10, $v11, $rtx] };
}

pub(crate) use enumeration;
