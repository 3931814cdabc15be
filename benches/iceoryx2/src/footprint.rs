//! How much memory a stream reserves, and what its processes have.

use crate::contender::{Contender, Failure};
use crate::iceoryx::Limits;
use crate::memory::{ProcessMemory, Reserved};
use crate::rounds::{SLOTS, as_late_as_the_ring, progress};
use crate::stream::Setting;

/// One way to set up a stream.
#[derive(Clone, Debug)]
pub(crate) struct Footprint {
    pub(crate) name: &'static str,
    /// What the settings admit.
    pub(crate) most_readers: &'static str,
    /// By how many grids a reader may be late and still get all.
    pub(crate) late_grids: u32,
    pub(crate) reserved: Reserved,
    pub(crate) writer: ProcessMemory,
    /// The middle one of the readers, by PSS.
    pub(crate) reader: ProcessMemory,
}

/// Sets up each way in turn, with [`READERS`] readers attached.
pub(crate) fn measure() -> Result<Vec<Footprint>, Failure> {
    let ring = |slots| (Contender::Ring, slots, None);
    let iceoryx2 = |limits| (Contender::Iceoryx2, SLOTS, limits);
    let late = as_late_as_the_ring(READERS);
    let least = Limits { buffered: 1, ..late };
    // Full buffers hold the same newest samples, so this much suffices even when all readers
    // have stopped: those, one in the hand of each reader, and one being written.
    let overridden = Limits { preallocated: Some(late.buffered + READERS + 1), ..late };
    let ways = [
        ("ring, 4 slots (default)", "256", 3, ring(4)),
        ("ring, 3 slots", "256", 2, ring(3)),
        ("ring, 2 slots (least)", "256", 1, ring(2)),
        ("iceoryx2, default settings", "8", 2, iceoryx2(None)),
        ("iceoryx2, as late as 4 slots", "8", 3, iceoryx2(Some(late))),
        ("iceoryx2, least that serves 8 readers", "8", 1, iceoryx2(Some(least))),
        (
            "iceoryx2, as late as 4 slots, 12 samples preallocated",
            "8",
            3,
            iceoryx2(Some(overridden)),
        ),
        ("iceoryx2, as late as 4 slots", "64", 3, iceoryx2(Some(as_late_as_the_ring(64)))),
    ];
    let mut all = Vec::new();
    for (name, most_readers, late_grids, (contender, slots, limits)) in ways {
        let setting = Setting {
            contender,
            slots,
            limits,
            readers: READERS,
            grids: 10,
            every_us: 20_000,
            loaded: false,
        };
        let outcome = setting.run().map_err(|error| format!("{name}: {error}"))?;
        if outcome.readers.iter().any(|reader| reader.wrong > 0) {
            return Err(format!("{name}: a grid is not whole").into());
        }
        let mut readers: Vec<_> = outcome.readers.iter().map(|reader| reader.memory).collect();
        readers.sort_unstable_by_key(|memory| memory.pss_bytes);
        let reader = readers[readers.len() / 2];
        let (reserved, writer) = (outcome.reserved, outcome.writer_memory);
        all.push(Footprint { name, most_readers, late_grids, reserved, writer, reader });
    }
    progress("memory measured");
    Ok(all)
}

/// Readers that are attached.
pub(crate) const READERS: usize = 8;
