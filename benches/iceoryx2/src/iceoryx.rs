//! Their side, by the book: a sample is loaned, written, sent, and an event notified; a reader
//! blocks on the event and then takes samples until there are none.

use crate::contender::{Arrival, Failure, GridReader, GridWriter, Meeting, PublishCost, failed};
use crate::content::GRID_BYTES;
use iceoryx2::config::Config;
use iceoryx2::node::{Node, NodeBuilder};
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::{
    Alignment, FileName, Path, SemanticString, ServiceName, SignalHandlingMode, ZeroCopySend, ipc,
};
use occdepth_ring::monotonic_now_ns;
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What a service must hold. Its data segment has
/// `readers * (buffered + borrowed) + history + 1 loaned` samples, whoever comes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Limits {
    /// Most subscribers.
    pub(crate) readers: usize,
    /// Samples that wait for a subscriber: how late it may be.
    pub(crate) buffered: usize,
    /// Samples that a subscriber may hold at once.
    pub(crate) borrowed: usize,
    /// Samples for those who come late.
    pub(crate) history: usize,
    /// Samples to allocate at most, where that shall be fewer than the worst case.
    pub(crate) preallocated: Option<usize>,
}

pub(crate) struct IceoryxWriter {
    publisher: Publisher<ipc::Service, [Line], Stamp>,
    notifier: Notifier<ipc::Service>,
    _node: Node<ipc::Service>,
}

impl IceoryxWriter {
    /// Creates both services; `None` leaves all settings as they come.
    pub(crate) fn create(meeting: &Meeting, limits: Option<Limits>) -> Result<Self, Failure> {
        let node = node(meeting)?;
        let grids = node
            .service_builder(&name(GRIDS)?)
            .publish_subscribe::<[Line]>()
            .user_header::<Stamp>()
            .payload_alignment(Alignment::ALIGN_64);
        let wakes = node.service_builder(&name(WAKES)?).event();
        let (grids, wakes) = match limits {
            None => (grids, wakes),
            Some(limits) => (
                grids
                    .max_publishers(1)
                    .max_subscribers(limits.readers)
                    .subscriber_max_buffer_size(limits.buffered)
                    .subscriber_max_borrowed_samples(limits.borrowed)
                    .history_size(limits.history)
                    .max_nodes(limits.readers + 1),
                wakes
                    .max_notifiers(1)
                    .max_listeners(limits.readers)
                    .event_id_max_value(0)
                    .max_nodes(limits.readers + 1),
            ),
        };
        let grids = grids.create().map_err(|error| failed("create the grids' service", &error))?;
        let wakes = wakes.create().map_err(|error| failed("create the event service", &error))?;
        let mut publisher =
            grids.publisher_builder().initial_max_slice_len(GRID_BYTES / LINE_BYTES);
        if let Some(limits) = limits {
            publisher = publisher.max_loaned_samples(1);
            if let Some(samples) = limits.preallocated {
                publisher = publisher.override_sample_preallocation(move |_| samples);
            }
        }
        Ok(Self {
            publisher: publisher
                .create()
                .map_err(|error| failed("create the publisher", &error))?,
            notifier: wakes
                .notifier_builder()
                .create()
                .map_err(|error| failed("create the notifier", &error))?,
            _node: node,
        })
    }
}

impl GridWriter for IceoryxWriter {
    fn publish(&mut self, frame: u64, labels: &[u8]) -> Result<PublishCost, Failure> {
        let (lines, _) = labels.as_chunks();
        let started_ns = monotonic_now_ns();
        let sample = self.publisher.loan_slice_uninit(lines.len())?;
        let mut sample = sample.write_from_slice(lines);
        let written_ns = monotonic_now_ns();
        *sample.user_header_mut() = Stamp { frame, started_ns, written_ns };
        sample.send()?;
        let sent_ns = monotonic_now_ns();
        self.notifier.notify()?;
        let end_ns = monotonic_now_ns();
        Ok(PublishCost {
            total_ns: end_ns - started_ns,
            write_ns: written_ns - started_ns,
            send_ns: sent_ns - written_ns,
            notify_ns: end_ns - sent_ns,
        })
    }
}

pub(crate) struct IceoryxReader {
    subscriber: Subscriber<ipc::Service, [Line], Stamp>,
    listener: Listener<ipc::Service>,
    _node: Node<ipc::Service>,
    labels: Vec<u8>,
}

impl IceoryxReader {
    /// Opens both services, with what history they have.
    pub(crate) fn open(meeting: &Meeting) -> Result<Self, Failure> {
        let node = node(meeting)?;
        let grids = node
            .service_builder(&name(GRIDS)?)
            .publish_subscribe::<[Line]>()
            .user_header::<Stamp>()
            .payload_alignment(Alignment::ALIGN_64)
            .open()
            .map_err(|error| failed("open the grids' service", &error))?;
        let wakes = node
            .service_builder(&name(WAKES)?)
            .event()
            .open()
            .map_err(|error| failed("open the event service", &error))?;
        // The listener first: a grid that is sent in between would otherwise wake nobody.
        let listener = wakes
            .listener_builder()
            .create()
            .map_err(|error| failed("create the listener", &error))?;
        let subscriber = grids
            .subscriber_builder()
            .create()
            .map_err(|error| failed("create the subscriber", &error))?;
        Ok(Self { subscriber, listener, _node: node, labels: Vec::new() })
    }
}

impl GridReader for IceoryxReader {
    fn next(&mut self) -> Result<Arrival, Failure> {
        loop {
            if let Some(sample) = self.subscriber.receive()? {
                let received_ns = monotonic_now_ns();
                self.labels.clear();
                self.labels.extend_from_slice(sample.as_flattened());
                let copied_ns = monotonic_now_ns();
                let Stamp { frame, started_ns, written_ns } = *sample.user_header();
                return Ok(Arrival { frame, started_ns, written_ns, received_ns, copied_ns });
            }
            self.listener.blocking_wait(|_| {})?;
        }
    }

    fn labels(&self) -> &[u8] {
        &self.labels
    }
}

/// Where its files are: services, nodes and sockets. Its shared memory is in /dev/shm.
pub(crate) fn root(meeting: &Meeting) -> PathBuf {
    meeting.directory.join("iceoryx2")
}

/// Labels as they lie in a sample. Of single bytes, an alignment to 64 would make 64 bytes each.
type Line = [u8; LINE_BYTES];

/// What goes with every grid.
#[derive(Clone, Copy, Debug, Default, ZeroCopySend)]
#[repr(C)]
pub(crate) struct Stamp {
    frame: u64,
    started_ns: u64,
    written_ns: u64,
}

fn node(meeting: &Meeting) -> Result<Node<ipc::Service>, Failure> {
    // Its console shall not write between the measurements; errors come back from the calls.
    iceoryx2::prelude::set_log_level(iceoryx2::prelude::LogLevel::Fatal);
    let mut config = Config::default();
    config.global.prefix = FileName::new(meeting.prefix.as_bytes())
        .map_err(|error| format!("prefix {}: {error:?}", meeting.prefix))?;
    let root = root(meeting);
    let path = Path::new(root.as_os_str().as_bytes())
        .map_err(|error| format!("{}: {error:?}", root.display()))?;
    config.global.set_root_path(&path);
    NodeBuilder::new()
        .config(&config)
        .signal_handling_mode(SignalHandlingMode::Disabled)
        .create::<ipc::Service>()
        .map_err(|error| failed("create the node", &error))
}

fn name(name: &str) -> Result<ServiceName, Failure> {
    Ok(name.try_into()?)
}

const LINE_BYTES: usize = 64;
const GRIDS: &str = "grids";
const WAKES: &str = "wakes";
