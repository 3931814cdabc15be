//! How long it takes until a stream can be published, and until a reader has its first grid.

use crate::child::Message;
use crate::contender::{Contender, Failure};
use crate::iceoryx::Limits;
use crate::rounds::{SLOTS, as_late_as_the_ring, progress};
use crate::samples::Quantiles;
use crate::stream::{OUT_OF_TURN, Place, SOON, Setting};
use std::time::Duration;

/// One contender's starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Starts {
    /// From nothing to a writer that can publish.
    pub(crate) create: Quantiles,
    /// From nothing to an attached reader.
    pub(crate) attach: Quantiles,
    /// From nothing to a reader's first copy, while a grid is published every 100 ms.
    pub(crate) first_grid: Quantiles,
}

/// Starts iceoryx2 and the ring in turn.
pub(crate) fn measure(starts: usize) -> Result<[(Contender, Starts); 2], Failure> {
    let contenders = [Contender::Iceoryx2, Contender::Ring];
    let mut times = [const { Vec::new() }; 2];
    for start in 0..starts {
        for (contender, times) in contenders.into_iter().zip(&mut times) {
            times.push(one(contender, start).map_err(|error| format!("{contender:?}: {error}"))?);
        }
    }
    progress("start-up measured");
    let [iceoryx2, ring] = times.map(|times: Vec<[u64; 3]>| {
        let of = |part: usize| Quantiles::of_ns(times.iter().map(|times| times[part]));
        Starts { create: of(0), attach: of(1), first_grid: of(2) }
    });
    Ok([(Contender::Iceoryx2, iceoryx2), (Contender::Ring, ring)])
}

fn one(contender: Contender, start: usize) -> Result<[u64; 3], Failure> {
    let setting = Setting {
        contender,
        slots: SLOTS,
        // Its history offers the newest grid to those who come late, as the ring does.
        limits: Some(Limits { history: 1, ..as_late_as_the_ring(8) }),
        readers: 1,
        grids: 1,
        every_us: CAMERA_PERIOD_US,
        loaded: false,
    };
    let place = Place::new()?;
    let mut writer = setting.start_writer(&place, u64::MAX)?;
    let Message::Ready { create_ns } = writer.message(SOON)? else {
        return Err(OUT_OF_TURN.into());
    };
    writer.go_on()?;
    // A grid is there by then; and readers come at any time between two.
    let phase_us = start as u64 * 37_000 % CAMERA_PERIOD_US;
    std::thread::sleep(Duration::from_micros(CAMERA_PERIOD_US + 30_000 + phase_us));
    let reader = setting.start_reader(&place, 0)?;
    let Message::Attached { attach_ns } = reader.message(SOON)? else {
        return Err(OUT_OF_TURN.into());
    };
    let Message::Received(reception) = reader.message(SOON)? else {
        return Err(OUT_OF_TURN.into());
    };
    if reception.wrong > 0 {
        return Err("the first grid is not whole".into());
    }
    Ok([create_ns, attach_ns, reception.first_grid_ns])
}

const CAMERA_PERIOD_US: u64 = 100_000;
