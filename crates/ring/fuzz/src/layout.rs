//! The parsers, called directly: by far the fastest, so this one goes deepest.

use crate::abi::{self, u32_at, u64_at};
use crate::damage;
use crate::good::{LARGEST, SEGMENTS, reply};
use crate::script::Script;
use crate::support;
use occdepth_ring::layout::handshake::{
    HELLO_FIELDS, Hello, NOTIFICATION_FIELDS, Notification, REPLY_FIELDS, Refusal, Reply,
};
use occdepth_ring::layout::segment::SegmentHeader;

/// Runs one input.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    match script.u8() {
        0 => hello(&mut script),
        1 => answer(&mut script),
        2 => notification(&mut script),
        3 => {
            let bytes = script.take(usize::MAX);
            segment(bytes, bytes.len() as u64);
        }
        4 => {
            let mut bytes = LARGEST.clone();
            damage::segment(&mut bytes, &mut script);
            segment(&bytes, u64_at(&bytes, 16));
        }
        base => {
            let mut bytes = SEGMENTS[usize::from(base) % 3].clone();
            damage::segment(&mut bytes, &mut script);
            segment(&bytes, bytes.len() as u64);
        }
    }
}

/// The first bytes of a segment of `size` bytes.
fn segment(bytes: &[u8], size: u64) {
    decode(&bytes[..bytes.len().min(8191)], size);
    decode(bytes, size.wrapping_add(64));
    let Some(header) = decode(bytes, size) else { return };

    abi::assert_describes(bytes, &header.description);
    assert_eq!((header.abi.major, header.abi.minor), (u32_at(bytes, 8), u32_at(bytes, 12)));
    assert_eq!(header.epoch, u64_at(bytes, 112));
    assert_eq!(header.created_time_ns, u64_at(bytes, 120));
    assert_eq!(header.created_wall_offset_ns.cast_unsigned(), u64_at(bytes, 128));
    let places = header.places;
    let found = [
        places.segment_bytes,
        places.control_offset,
        places.slots_offset,
        places.slot_bytes,
        places.labels_offset,
        places.labels_bytes,
        places.confidence_offset,
        places.confidence_bytes,
    ];
    let expected = [16, 32, 56, 64, 80, 88, 96, 104].map(|offset| u64_at(bytes, offset));
    assert_eq!(found.map(|place| place as u64), expected);
    assert_eq!(places.slot_count, u32_at(bytes, 72));

    // Reserved bytes, and classes that are not in use, say nothing.
    let mut other = bytes.to_vec();
    for reserved in [136..192, 440..512, 708..1024, 1032..1152, 1168..2048, 6144..8192] {
        other[reserved].fill(0xa5);
    }
    other[2048 + 64 * header.description.classes.len()..6144].fill(0xa5);
    assert_eq!(decode(&other, size), Some(header));
}

fn hello(script: &mut Script<'_>) {
    let mut bytes = support::hello(1, 0, u64::from(script.u8() & 1));
    damage::datagram(&mut bytes, HELLO_FIELDS, script);
    let hello = Hello::decode(&bytes);
    let is_hello = (32..=256).contains(&bytes.len()) && bytes.starts_with(b"OCCDHELO");
    assert_eq!(hello.is_some(), is_hello);
    if let Some(hello) = hello {
        assert_eq!((hello.abi.major, hello.abi.minor), (u32_at(&bytes, 8), u32_at(&bytes, 12)));
        assert_eq!(hello.notify, u64_at(&bytes, 16) & 1 == 1);
        let mut known = bytes[..16].to_vec();
        known.extend((u64_at(&bytes, 16) & 1).to_le_bytes());
        known.resize(64, 0);
        assert_eq!(hello.encode(), *known);
    }
}

fn answer(script: &mut Script<'_>) {
    let mut bytes = reply(&SEGMENTS[0]);
    damage::datagram(&mut bytes, REPLY_FIELDS, script);
    let reply = Reply::decode(&bytes);
    let (major, status) = (u32_at(&bytes, 8), u32_at(&bytes, 16));
    // The first 24 bytes mean the same in every major version; of another one there is nothing but refusals.
    let least = if status == 0 && major == 1 { 64 } else { 24 };
    assert_eq!(reply.is_some(), bytes.len() >= least && bytes.starts_with(b"OCCDRPLY"));
    let Some(reply) = reply else { return };
    assert_eq!((reply.abi.major, reply.abi.minor), (u32_at(&bytes, 8), u32_at(&bytes, 12)));
    let mut known = bytes[..20].to_vec();
    if major != 1 && status == 0 {
        assert_eq!(reply.outcome, Err(Refusal::Version));
        return;
    }
    match (status, reply.outcome) {
        (0, Ok(accepted)) => {
            let [epoch, size] = [24, 32].map(|offset| u64_at(&bytes, offset));
            assert_eq!((accepted.epoch, accepted.segment_bytes), (epoch, size));
            known.extend([0; 4]);
            known.extend(&bytes[24..40]);
        }
        (1, Err(Refusal::Version))
        | (2, Err(Refusal::Hello))
        | (3, Err(Refusal::Access))
        | (4, Err(Refusal::TooManyClients))
        | (5, Err(Refusal::OutOfDescriptors)) => {}
        (code, Err(Refusal::Other(other))) => assert_eq!(code, other),
        (code, outcome) => panic!("status {code} as {outcome:?}"),
    }
    known.resize(64, 0);
    assert_eq!(reply.encode(), *known);
}

fn notification(script: &mut Script<'_>) {
    let mut bytes = b"OCCDNOTE".to_vec();
    bytes.resize(32, 1);
    damage::datagram(&mut bytes, NOTIFICATION_FIELDS, script);
    let notification = Notification::decode(&bytes);
    assert_eq!(notification.is_some(), bytes.len() >= 32 && bytes.starts_with(b"OCCDNOTE"));
    if let Some(notification) = notification {
        let mut known = bytes[..24].to_vec();
        known.resize(32, 0);
        assert_eq!(notification.encode(), *known);
    }
}

fn decode(bytes: &[u8], size: u64) -> Option<SegmentHeader> {
    let header = SegmentHeader::decode(bytes, size);
    assert_eq!(header.is_ok(), abi::is_segment(bytes, size), "{header:?}");
    header.inspect_err(|error| assert!(!error.to_string().is_empty())).ok()
}
