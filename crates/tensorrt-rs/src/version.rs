//! Versions of TensorRT.

use std::fmt;

/// A version as `getInferLibVersion` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// 8, 10 or 11 where this crate can use it; 1 of `TensorRT` for RTX.
    pub major: u32,
    /// Methods are appended with these.
    pub minor: u32,
    /// The third number of a release.
    pub patch: u32,
}

impl Version {
    /// A version from its three numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Takes apart the number that `getInferLibVersion` returns: `major * 1000 + minor * 100 + patch`
    /// up to 9.x, `major * 10000 + minor * 100 + patch` from 10.0 (the macro
    /// `NV_TENSORRT_VERSION_INT` of `NvInferVersion.h` and `NvInferRuntimeBase.h`). `None` for what no
    /// release has: zero, and negative numbers.
    pub fn from_library_number(number: i32) -> Option<Self> {
        let number = u32::try_from(number).ok().filter(|&number| number > 0)?;
        let major_step = if number < 10_000 { 1_000 } else { 10_000 };
        let rest = number % major_step;
        Some(Self::new(number / major_step, rest / 100, rest % 100))
    }

    /// Whether this crate has tables for it: 8.5 and later 8.x, 10.x, 11.x; 1.7 and later 1.x of `TensorRT` for RTX.
    pub const fn is_supported(self) -> bool {
        Major::of(self).is_some()
    }
}

/// What [`Version::is_supported`] accepts, for people.
pub(crate) const SUPPORTED: &str = "8.5, 8.6, 10.x and 11.x";

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The four families of tables. Within one no method ever moved, between two nearly all did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Major {
    /// 8.5 and 8.6.
    V8,
    /// 10.0 and later.
    V10,
    /// 11.0 and later.
    V11,
    /// `TensorRT` for RTX 1.7 and later 1.x: a library of its own, with the entry points of 11, most of its classes, and
    /// a count of versions of its own. It is only used where it is asked for ([`Search::allow_rtx`](crate::Search::allow_rtx)).
    Rtx1,
}

impl Major {
    /// All of them, oldest first; `TensorRT` for RTX last.
    pub const ALL: [Self; 4] = [Self::V8, Self::V10, Self::V11, Self::Rtx1];

    /// The family of a version, if it is supported.
    pub const fn of(version: Version) -> Option<Self> {
        match (version.major, version.minor) {
            (8, 5..) => Some(Self::V8),
            (10, _) => Some(Self::V10),
            (11, _) => Some(Self::V11),
            (1, 7..) => Some(Self::Rtx1),
            _ => None,
        }
    }

    /// The number: 8, 10 or 11; 1 of `TensorRT` for RTX.
    pub const fn number(self) -> u32 {
        match self {
            Self::V8 => 8,
            Self::V10 => 10,
            Self::V11 => 11,
            Self::Rtx1 => 1,
        }
    }

    /// The oldest version of the family that this crate can use.
    pub const fn oldest(self) -> Version {
        match self {
            Self::V8 => Version::new(8, 5, 0),
            Self::V10 => Version::new(10, 0, 0),
            Self::V11 => Version::new(11, 0, 0),
            Self::Rtx1 => Version::new(1, 7, 0),
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::V8 => 0,
            Self::V10 => 1,
            Self::V11 => 2,
            Self::Rtx1 => 3,
        }
    }
}

impl fmt::Display for Major {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_numbers_of_published_releases() {
        // 8.5.2 (JetPack 5.1), 8.6.2 (JetPack 6.0), 9.3.0, 10.3.0 (JetPack 6.1), 10.16.1, 11.4.0.
        for (number, expected) in [
            (8_502, (8, 5, 2)),
            (8_602, (8, 6, 2)),
            (9_300, (9, 3, 0)),
            (100_300, (10, 3, 0)),
            (101_601, (10, 16, 1)),
            (110_400, (11, 4, 0)),
        ] {
            let version = Version::from_library_number(number).expect("a release");
            assert_eq!((version.major, version.minor, version.patch), expected);
        }
        assert_eq!(Version::from_library_number(0), None);
        assert_eq!(Version::from_library_number(-1), None);
    }

    #[test]
    fn support_ends_where_the_tables_do() {
        for (major, minor, supported) in [
            (7, 2, false),
            (8, 4, false),
            (8, 5, true),
            (8, 6, true),
            (9, 3, false),
            (10, 0, true),
            (10, 99, true),
            (11, 0, true),
            (12, 0, false),
        ] {
            let version = Version::new(major, minor, 0);
            assert_eq!(version.is_supported(), supported, "{version}");
            assert_eq!(Major::of(version).is_some(), supported, "{version}");
        }
    }
}
