//! A process that publishes.

use crate::child::{Message, WriterOrder, say, settle, wait_for_word};
use crate::contender::{Contender, Failure, GridWriter};
use crate::content::{self, GRID_BYTES};
use crate::iceoryx::IceoryxWriter;
use crate::memory::{ProcessMemory, Reserved};
use crate::ring::RingWriter;
use occdepth_ring::monotonic_now_ns;
use std::time::{Duration, Instant};

pub(crate) fn run(order: &WriterOrder) -> Result<(), Failure> {
    settle(order.uid)?;
    let start_ns = monotonic_now_ns();
    let mut writer = create(order)?;
    say(&Message::Ready { create_ns: monotonic_now_ns() - start_ns })?;

    wait_for_word()?;
    let mut labels = vec![0; GRID_BYTES];
    let mut costs = Vec::new();
    let period = Duration::from_micros(order.every_us);
    let mut next = Instant::now();
    for frame in 0..=order.last_frame {
        content::fill(&mut labels, frame);
        // One that is late does not catch up by a burst: a camera would not either.
        let now = Instant::now();
        next = (next + period).max(now);
        std::thread::sleep(next - now);
        costs.push(writer.publish(frame, &labels)?);
    }
    let memory = ProcessMemory::of_this_process()?;
    let reserved = Reserved::by_this_writer(order.contender, &order.meeting)?;
    say(&Message::Published { costs, memory, reserved })?;
    wait_for_word()
}

fn create(order: &WriterOrder) -> Result<Box<dyn GridWriter>, Failure> {
    Ok(match order.contender {
        Contender::Ring | Contender::RingUnverified => {
            Box::new(RingWriter::create(&order.meeting, order.slots, order.allowed_uid)?)
        }
        Contender::Iceoryx2 => Box::new(IceoryxWriter::create(&order.meeting, order.limits)?),
    })
}
