//! The three that are compared, and what they have in common.

use serde::{Deserialize, Serialize};
use std::error::Error;
use std::path::PathBuf;

/// Why a process of the benchmark cannot go on.
pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// What carries the grids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Contender {
    /// Our ring as it comes: writer and readers compute the checksum.
    Ring,
    /// Our ring with readers that trust its sequence lock alone.
    RingUnverified,
    /// iceoryx2's publish-subscribe, its readers woken by its event service.
    Iceoryx2,
}

impl Contender {
    /// All, in the order of the tables.
    pub(crate) const ALL: [Self; 3] = [Self::Iceoryx2, Self::Ring, Self::RingUnverified];
}

/// Where the processes of one stream meet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Meeting {
    /// A directory of this stream's own.
    pub(crate) directory: PathBuf,
    /// How the names of iceoryx2's shared memory start: this stream's own, too.
    pub(crate) prefix: String,
}

/// Publishes grids.
pub(crate) trait GridWriter {
    /// Publishes the labels of grid `frame`.
    fn publish(&mut self, frame: u64, labels: &[u8]) -> Result<PublishCost, Failure>;
}

/// Receives grids into a buffer of its own.
pub(crate) trait GridReader {
    /// Waits for the next grid and copies it.
    fn next(&mut self) -> Result<Arrival, Failure>;
    /// The copy that the last [`next`](Self::next) made.
    fn labels(&self) -> &[u8];
}

/// How long a publisher's calls took, ns.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct PublishCost {
    /// All of them.
    pub(crate) total_ns: u64,
    /// iceoryx2: loan a sample and copy the labels into it.
    pub(crate) write_ns: u64,
    /// iceoryx2: send it.
    pub(crate) send_ns: u64,
    /// iceoryx2: wake the readers.
    pub(crate) notify_ns: u64,
}

/// When a grid was where, `CLOCK_MONOTONIC` ns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) frame: u64,
    /// Right before the publisher's first call, with the labels in a buffer of its own.
    pub(crate) started_ns: u64,
    /// With the labels in the loaned sample; the ring has none, and says when it started.
    pub(crate) written_ns: u64,
    /// With a reference to the shared sample in the reader's hand; the ring gives none, and says
    /// when it was copied.
    pub(crate) received_ns: u64,
    /// With the whole grid in the reader's own buffer.
    pub(crate) copied_ns: u64,
}

/// What failed and why, all the way down.
pub(crate) fn failed(step: &str, error: &dyn Error) -> Failure {
    let mut text = format!("{step}: {error}");
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text.into()
}
