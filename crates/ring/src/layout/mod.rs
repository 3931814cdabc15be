//! Where every byte of the segment and of the handshake lies.
//!
//! `ABI.md` says the same for people who write a client in another language; a test compares the two.
//! Everything is little-endian. Every value that changes while the segment is shared is read and
//! written as an aligned 8-byte word, so nothing here is ever a Rust struct laid over shared memory:
//! headers are encoded into and decoded from owned bytes.
//!
//! ```text
//! segment:  | segment header (8 KiB)                              | slot 0 | slot 1 | ...
//!           | fixed fields | control: newest | ... | class table |
//! slot:     | slot header (256 B): lock, record, checksum | labels | confidence |
//! ```

mod field;
pub mod handshake;
pub mod segment;
pub mod slot;

pub use field::Field;

/// Major version of the layout and of the handshake. A reader refuses every other major, a writer
/// refuses every client of another major, and both name the two versions.
pub const ABI_MAJOR: u32 = 1;

/// Minor version. A minor only gives meaning to bytes that were reserved (and zero) before, so
/// every pair of minors of one major works together.
pub const ABI_MINOR: u32 = 1;

/// A version of the layout and of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AbiVersion {
    /// Incompatible changes.
    pub major: u32,
    /// Additions in reserved space.
    pub minor: u32,
}

impl AbiVersion {
    /// The version that this crate speaks.
    pub const CURRENT: Self = Self { major: ABI_MAJOR, minor: ABI_MINOR };
}

impl std::fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why bytes that claim to be a segment are not one that can be read.
///
/// Every variant but [`Version`](Self::Version) names the field as `ABI.md` names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The segment is smaller than its own header.
    #[error("the segment has {found} bytes, less than the {expected} of its header")]
    TooSmall {
        /// Bytes there are.
        found: u64,
        /// Bytes needed.
        expected: u64,
    },
    /// The first eight bytes are not the magic: this is no occupancy ring.
    #[error("magic: found {found:02x?}, expected {:02x?}", segment::MAGIC)]
    Magic {
        /// The bytes found.
        found: [u8; 8],
    },
    /// Another major version of the layout.
    #[error("the segment has ABI {segment}, this reader speaks {}", AbiVersion::CURRENT)]
    Version {
        /// The version of the segment.
        segment: AbiVersion,
    },
    /// A field contradicts the format, another field, or the size of the segment.
    #[error("{field}: found {found}, expected {expected}")]
    Field {
        /// The field.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it should hold.
        expected: &'static str,
    },
}
