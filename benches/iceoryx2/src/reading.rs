//! A process that reads.

use crate::child::{Delay, Message, ReaderOrder, Reception, say, settle, wait_for_word};
use crate::contender::{Arrival, Contender, Failure, GridReader};
use crate::content;
use crate::iceoryx::IceoryxReader;
use crate::memory::ProcessMemory;
use crate::ring::RingReader;
use occdepth_ring::monotonic_now_ns;

pub(crate) fn run(order: &ReaderOrder) -> Result<(), Failure> {
    settle(order.uid)?;
    let start_ns = monotonic_now_ns();
    let mut reader = attach(order)?;
    say(&Message::Attached { attach_ns: monotonic_now_ns() - start_ns })?;

    let mut reception = Reception::default();
    let mut last: Option<u64> = None;
    while last.is_none_or(|frame| frame < order.last_frame) {
        let Arrival { frame, started_ns, written_ns, received_ns, copied_ns } = reader.next()?;
        if last.is_none() {
            reception.first_grid_ns = copied_ns - start_ns;
        }
        // After the clock was read: what is checked here is the benchmark, not the contender.
        let whole = content::is_whole(reader.labels(), frame);
        let in_order = last.is_none_or(|last| last < frame);
        reception.wrong += u64::from(!whole || !in_order);
        last = Some(frame);
        reception.samples.push(Delay {
            frame,
            written_ns: written_ns - started_ns,
            received_ns: received_ns - started_ns,
            copied_ns: copied_ns - started_ns,
        });
    }
    reception.memory = ProcessMemory::of_this_process()?;
    say(&Message::Received(reception))?;
    // Stays attached until all are done.
    wait_for_word()
}

fn attach(order: &ReaderOrder) -> Result<Box<dyn GridReader>, Failure> {
    Ok(match order.contender {
        Contender::Ring => Box::new(RingReader::connect(&order.meeting, true)?),
        Contender::RingUnverified => Box::new(RingReader::connect(&order.meeting, false)?),
        Contender::Iceoryx2 => Box::new(IceoryxReader::open(&order.meeting)?),
    })
}
