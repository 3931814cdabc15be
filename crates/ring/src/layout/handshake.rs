//! The datagrams of the handshake, and of notification.

use super::field::fields;
use super::{ABI_MAJOR, AbiVersion};

/// Bytes of a hello as this version sends it. A writer accepts 32 to 256.
pub const HELLO_BYTES: usize = 64;

/// Bytes of a reply.
pub const REPLY_BYTES: usize = 64;

/// The first bytes of a reply, which mean the same in every major version: enough to learn of a refusal.
pub const COMMON_REPLY_BYTES: usize = 24;

/// Bytes of a notification.
pub const NOTIFICATION_BYTES: usize = 32;

/// The shortest hello that is understood.
pub const MIN_HELLO_BYTES: usize = 32;

/// The longest hello that is understood.
pub const MAX_HELLO_BYTES: usize = 256;

const HELLO_MAGIC_VALUE: [u8; 8] = *b"OCCDHELO";
const REPLY_MAGIC_VALUE: [u8; 8] = *b"OCCDRPLY";
const NOTIFICATION_MAGIC_VALUE: [u8; 8] = *b"OCCDNOTE";
const FLAG_NOTIFY: u64 = 1;

fields! {
    /// Every field of the hello, client to writer.
    HELLO_FIELDS:
    /// `OCCDHELO`.
    HELLO_MAGIC, "magic", 0, 8;
    /// u32. Major version of the client.
    HELLO_ABI_MAJOR, "abi_major", 8, 4;
    /// u32. Minor version of the client.
    HELLO_ABI_MINOR, "abi_minor", 12, 4;
    /// u64. Bit 0: send a notification for every grid. Unknown bits are ignored.
    HELLO_FLAGS, "flags", 16, 8;
    /// Zero.
    HELLO_RESERVED, "reserved", 24, 40;
}

fields! {
    /// Every field of the reply, writer to client.
    REPLY_FIELDS:
    /// `OCCDRPLY`.
    REPLY_MAGIC, "magic", 0, 8;
    /// u32. Major version of the writer.
    REPLY_ABI_MAJOR, "abi_major", 8, 4;
    /// u32. Minor version of the writer.
    REPLY_ABI_MINOR, "abi_minor", 12, 4;
    /// u32. 0: accepted, and the descriptor of the segment comes with it. Else why refused.
    REPLY_STATUS, "status", 16, 4;
    /// Zero.
    REPLY_RESERVED, "reserved", 20, 4;
    /// u64. Epoch of the segment; 0 in a refusal.
    REPLY_EPOCH, "epoch", 24, 8;
    /// u64. Size of the segment; 0 in a refusal.
    REPLY_SEGMENT_BYTES, "segment_bytes", 32, 8;
    /// Zero.
    REPLY_RESERVED_TAIL, "reserved", 40, 24;
}

fields! {
    /// Every field of the notification, writer to client.
    NOTIFICATION_FIELDS:
    /// `OCCDNOTE`.
    NOTIFICATION_MAGIC, "magic", 0, 8;
    /// u64. Epoch of the segment.
    NOTIFICATION_EPOCH, "epoch", 8, 8;
    /// u64. Number of the newest grid.
    NOTIFICATION_SEQUENCE, "sequence", 16, 8;
    /// Zero.
    NOTIFICATION_RESERVED, "reserved", 24, 8;
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The version that the client speaks.
    pub abi: AbiVersion,
    /// Whether it wants a datagram for every grid.
    pub notify: bool,
}

impl Hello {
    /// The datagram.
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        HELLO_MAGIC.put(&mut bytes, &HELLO_MAGIC_VALUE);
        HELLO_ABI_MAJOR.put(&mut bytes, &self.abi.major.to_le_bytes());
        HELLO_ABI_MINOR.put(&mut bytes, &self.abi.minor.to_le_bytes());
        let flags = if self.notify { FLAG_NOTIFY } else { 0 };
        HELLO_FLAGS.put(&mut bytes, &flags.to_le_bytes());
        bytes
    }

    /// Parses a datagram; `None` when it is no hello. Never panics.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let fits = (MIN_HELLO_BYTES..=MAX_HELLO_BYTES).contains(&bytes.len());
        if !fits || HELLO_MAGIC.array(bytes) != HELLO_MAGIC_VALUE {
            return None;
        }
        Some(Self {
            abi: AbiVersion {
                major: HELLO_ABI_MAJOR.u32(bytes),
                minor: HELLO_ABI_MINOR.u32(bytes),
            },
            notify: HELLO_FLAGS.u64(bytes) & FLAG_NOTIFY != 0,
        })
    }
}

/// Why a writer refused a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The client speaks another major version.
    Version,
    /// The first datagram was no hello, or there was none before the deadline.
    Hello,
    /// Neither the user nor any group of the client may read this stream.
    Access,
    /// The writer has as many clients as it takes, in all or of this user.
    TooManyClients,
    /// The writer has no descriptors left, or may not send another one.
    OutOfDescriptors,
    /// A reason of a newer minor version.
    Other(u32),
}

impl Refusal {
    fn code(self) -> u32 {
        match self {
            Self::Version => 1,
            Self::Hello => 2,
            Self::Access => 3,
            Self::TooManyClients => 4,
            Self::OutOfDescriptors => 5,
            Self::Other(code) => code,
        }
    }

    fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::Hello,
            3 => Self::Access,
            4 => Self::TooManyClients,
            5 => Self::OutOfDescriptors,
            code => Self::Other(code),
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version => f.write_str("another ABI major"),
            Self::Hello => f.write_str("no hello, or no valid one, before the deadline"),
            Self::Access => f.write_str("this user may not read the stream"),
            Self::TooManyClients => f.write_str("too many clients"),
            Self::OutOfDescriptors => f.write_str("the writer is out of descriptors"),
            Self::Other(code) => write!(f, "reason {code}"),
        }
    }
}

/// What a writer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The version that the writer speaks.
    pub abi: AbiVersion,
    /// Accepted with this segment, or refused.
    pub outcome: Result<Accepted, Refusal>,
}

/// The segment that an accepted client is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its epoch.
    pub epoch: u64,
    /// Its size.
    pub segment_bytes: u64,
}

impl Reply {
    /// The datagram.
    pub fn encode(&self) -> [u8; REPLY_BYTES] {
        let mut bytes = [0; REPLY_BYTES];
        REPLY_MAGIC.put(&mut bytes, &REPLY_MAGIC_VALUE);
        REPLY_ABI_MAJOR.put(&mut bytes, &self.abi.major.to_le_bytes());
        REPLY_ABI_MINOR.put(&mut bytes, &self.abi.minor.to_le_bytes());
        match self.outcome {
            Ok(accepted) => {
                REPLY_EPOCH.put(&mut bytes, &accepted.epoch.to_le_bytes());
                REPLY_SEGMENT_BYTES.put(&mut bytes, &accepted.segment_bytes.to_le_bytes());
            }
            Err(refusal) => REPLY_STATUS.put(&mut bytes, &refusal.code().to_le_bytes()),
        }
        bytes
    }

    /// Parses a datagram; `None` when it is no reply. Never panics.
    ///
    /// A reply of another major version is a refusal, even if it says that it accepts.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < COMMON_REPLY_BYTES || REPLY_MAGIC.array(bytes) != REPLY_MAGIC_VALUE {
            return None;
        }
        let abi =
            AbiVersion { major: REPLY_ABI_MAJOR.u32(bytes), minor: REPLY_ABI_MINOR.u32(bytes) };
        let outcome = match REPLY_STATUS.u32(bytes) {
            // What lies behind the common bytes is that version's own affair, and so is its length.
            0 if abi.major != ABI_MAJOR => Err(Refusal::Version),
            0 if bytes.len() < REPLY_BYTES => return None,
            0 => Ok(Accepted {
                epoch: REPLY_EPOCH.u64(bytes),
                segment_bytes: REPLY_SEGMENT_BYTES.u64(bytes),
            }),
            code => Err(Refusal::from_code(code)),
        };
        Some(Self { abi, outcome })
    }
}

/// Says that a grid was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Epoch of the segment.
    pub epoch: u64,
    /// Number of the newest grid.
    pub sequence: u64,
}

impl Notification {
    /// The datagram.
    pub fn encode(&self) -> [u8; NOTIFICATION_BYTES] {
        let mut bytes = [0; NOTIFICATION_BYTES];
        NOTIFICATION_MAGIC.put(&mut bytes, &NOTIFICATION_MAGIC_VALUE);
        NOTIFICATION_EPOCH.put(&mut bytes, &self.epoch.to_le_bytes());
        NOTIFICATION_SEQUENCE.put(&mut bytes, &self.sequence.to_le_bytes());
        bytes
    }

    /// Parses a datagram; `None` when it is no notification. Never panics.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < NOTIFICATION_BYTES
            || NOTIFICATION_MAGIC.array(bytes) != NOTIFICATION_MAGIC_VALUE
        {
            return None;
        }
        Some(Self {
            epoch: NOTIFICATION_EPOCH.u64(bytes),
            sequence: NOTIFICATION_SEQUENCE.u64(bytes),
        })
    }
}
