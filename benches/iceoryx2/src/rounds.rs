//! Cost and latency: all contenders in turn, round after round, so that whatever else the machine
//! does falls on all of them.

use crate::arguments::Plan;
use crate::child::Delay;
use crate::contender::{Contender, Failure, PublishCost};
use crate::iceoryx::Limits;
use crate::memory::Reserved;
use crate::samples::Quantiles;
use crate::stream::{Outcome, Setting};

/// What one measurement gave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// The publisher's calls.
    pub(crate) publish: Quantiles,
    pub(crate) write: Quantiles,
    pub(crate) send: Quantiles,
    pub(crate) notify: Quantiles,
    /// From the labels in the publisher's buffer to the copy in the reader's.
    pub(crate) copied: Quantiles,
    /// From there to a reference to the shared sample.
    pub(crate) received: Quantiles,
    /// From the labels in the loaned sample to the copy in the reader's buffer.
    pub(crate) written_to_copied: Quantiles,
    /// From the labels in the loaned sample to a reference to it.
    pub(crate) written_to_received: Quantiles,
    /// Grids that readers did not get, of `expected`.
    pub(crate) missed: u64,
    pub(crate) expected: u64,
    /// Grids that were not whole, or out of order.
    pub(crate) wrong: u64,
    /// What the stream's files took of the machine at the end, of what they may.
    pub(crate) reserved: Reserved,
}

impl Figures {
    fn of(outcome: &Outcome) -> Self {
        let costs =
            |part: fn(&PublishCost) -> u64| Quantiles::of_ns(outcome.costs.iter().map(part));
        let samples = || outcome.readers.iter().flat_map(|reader| &reader.samples);
        let delays = |part: fn(&Delay) -> u64| Quantiles::of_ns(samples().map(part));
        let expected = (outcome.costs.len() * outcome.readers.len()) as u64;
        Self {
            publish: costs(|cost| cost.total_ns),
            write: costs(|cost| cost.write_ns),
            send: costs(|cost| cost.send_ns),
            notify: costs(|cost| cost.notify_ns),
            copied: delays(|delay| delay.copied_ns),
            received: delays(|delay| delay.received_ns),
            written_to_copied: delays(|delay| delay.copied_ns - delay.written_ns),
            written_to_received: delays(|delay| delay.received_ns - delay.written_ns),
            missed: expected - samples().count() as u64,
            expected,
            wrong: outcome.readers.iter().map(|reader| reader.wrong).sum(),
            reserved: outcome.reserved,
        }
    }
}

/// All rounds under the same circumstances.
#[derive(Clone, Debug)]
pub(crate) struct Circumstances {
    pub(crate) readers: usize,
    pub(crate) loaded: bool,
    /// Of each round, in the order of [`Contender::ALL`].
    pub(crate) rounds: Vec<[Figures; 3]>,
}

impl Circumstances {
    /// One contender's figures, round by round.
    pub(crate) fn of(&self, contender: Contender) -> impl Iterator<Item = &Figures> {
        let place = Contender::ALL.iter().position(|other| *other == contender);
        let place = place.expect("all are measured");
        self.rounds.iter().map(move |round| &round[place])
    }
}

/// Measures all that the plan names.
pub(crate) fn measure(plan: &Plan) -> Result<Vec<Circumstances>, Failure> {
    let loads: &[bool] = if plan.load { &[false, true] } else { &[false] };
    let mut all: Vec<Circumstances> = loads
        .iter()
        .flat_map(|&loaded| plan.readers.iter().map(move |&readers| (loaded, readers)))
        .map(|(loaded, readers)| Circumstances { readers, loaded, rounds: Vec::new() })
        .collect();
    for round in 0..plan.rounds {
        for circumstances in &mut all {
            let mut figures = [None; Contender::ALL.len()];
            for turn in 0..Contender::ALL.len() {
                // Each comes first in its turn.
                let place = (round + turn) % Contender::ALL.len();
                let contender = Contender::ALL[place];
                let outcome = setting(plan, circumstances, contender)
                    .run()
                    .map_err(|error| format!("{contender:?}, {circumstances}: {error}"))?;
                figures[place] = Some(Figures::of(&outcome));
            }
            circumstances.rounds.push(figures.map(|figures| figures.expect("all had their turn")));
            progress(&format!("round {} of {}: {circumstances}", round + 1, plan.rounds));
        }
    }
    Ok(all)
}

impl std::fmt::Display for Circumstances {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let readers = if self.readers == 1 { "reader" } else { "readers" };
        let load = if self.loaded { "every core busy" } else { "idle" };
        write!(f, "{} {readers}, {load}", self.readers)
    }
}

fn setting(plan: &Plan, circumstances: &Circumstances, contender: Contender) -> Setting {
    Setting {
        contender,
        slots: SLOTS,
        limits: Some(as_late_as_the_ring(circumstances.readers)),
        readers: circumstances.readers,
        grids: plan.grids,
        every_us: plan.every_us,
        loaded: circumstances.loaded,
    }
}

/// iceoryx2 for as many readers, which may be as late as those of a ring of [`SLOTS`] slots. One
/// sample is in a reader's hand at a time: it copies.
pub(crate) fn as_late_as_the_ring(readers: usize) -> Limits {
    Limits { readers, buffered: SLOTS as usize - 1, borrowed: 1, history: 0, preallocated: None }
}

#[allow(clippy::print_stderr, reason = "a run takes minutes; the page comes at its end")]
pub(crate) fn progress(text: &str) {
    eprintln!("{text}");
}

/// The ring's default.
pub(crate) const SLOTS: u32 = 4;
