//! Notices that both cameras deliver and no pair comes of it.
//!
//! That is no fault of either camera: they run in different phases, or at different rates, or the permitted skew is too
//! small for them. Without this the source would be `running` and silent for ever.

use super::health::SourceState;
use super::supervision::Retry;
use std::time::Duration;

/// How long there has been no pair, and what was said of it.
#[derive(Debug)]
pub(super) struct Drought {
    silence_ns: u64,
    lost_after_ns: u64,
    state: SourceState,
    /// The worst that was said since it was last over.
    said: SourceState,
    /// Time in which pairs were looked for in vain, since the last one.
    waited_ns: u64,
    looked_ns: Option<u64>,
    /// When the first pair came of a series without long holes.
    series_since_ns: Option<u64>,
}

/// What is known of the cause, for the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Distances {
    /// The least between images of the two cameras since the last pair.
    pub(super) nearest_ns: Option<u64>,
    pub(super) max_skew_ns: u64,
}

impl Drought {
    /// By `retry`: degraded after its `silence`, lost after its `lost_after`.
    pub(super) fn new(retry: &Retry) -> Self {
        let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            silence_ns: ns(retry.silence),
            lost_after_ns: ns(retry.lost_after.max(retry.silence)),
            state: SourceState::Running,
            said: SourceState::Running,
            waited_ns: 0,
            looked_ns: None,
            series_since_ns: None,
        }
    }

    pub(super) fn state(&self) -> SourceState {
        self.state
    }

    /// How recent a good image of each camera has to be for the lack of pairs to be nobody's fault.
    pub(super) fn silence_ns(&self) -> u64 {
        self.silence_ns
    }

    /// A pair was looked for in vain at `now_ns`. `both_deliver`: neither camera is why.
    pub(super) fn nothing(
        &mut self,
        origin: &str,
        both_deliver: bool,
        distances: Distances,
        now_ns: u64,
    ) {
        // Somebody who does not look misses nothing.
        let since_ns = self.looked_ns.replace(now_ns).map_or(0, |at| now_ns.saturating_sub(at));
        self.waited_ns = self.waited_ns.saturating_add(since_ns.min(LOOK_MAX_NS));
        if !both_deliver {
            self.waited_ns = 0;
            return;
        }
        if self.waited_ns > self.silence_ns {
            self.series_since_ns = None;
        }
        let state = match self.waited_ns {
            ns if ns > self.lost_after_ns => SourceState::Lost,
            ns if ns > self.silence_ns => SourceState::Degraded,
            _ => return,
        };
        self.state = self.state.max(state);
        if state > self.said {
            self.said = state;
            let ms = |ns: u64| ns as f64 / 1e6;
            let waited_ms = self.waited_ns / 1_000_000;
            match distances.nearest_ns {
                Some(nearest_ns) => log::warn!(
                    "{origin}: {state}: both cameras deliver and there was no pair for {waited_ms} ms: their images are \
                     {:.3} ms apart at best, {:.3} ms are permitted",
                    ms(nearest_ns),
                    ms(distances.max_skew_ns)
                ),
                None => log::warn!(
                    "{origin}: {state}: both cameras deliver and there was no pair for {waited_ms} ms"
                ),
            }
        }
    }

    /// There was a pair at `now_ns`.
    pub(super) fn pair(&mut self, origin: &str, now_ns: u64) {
        self.looked_ns = Some(now_ns);
        self.waited_ns = 0;
        if self.state == SourceState::Running {
            return;
        }
        // Now and then a pair is better than none.
        self.state = SourceState::Degraded;
        let since_ns = *self.series_since_ns.get_or_insert(now_ns);
        if now_ns.saturating_sub(since_ns) >= self.silence_ns {
            log::warn!("{origin}: running: there are pairs again");
            (self.state, self.said) = (SourceState::Running, SourceState::Running);
            self.series_since_ns = None;
        }
    }

    /// There was a pair, too old to be given out: images belong together, and somebody looks too seldom.
    pub(super) fn stale_pair(&mut self) {
        self.waited_ns = 0;
    }

    /// A camera is away; that is told otherwise.
    pub(super) fn pause(&mut self) {
        self.waited_ns = 0;
        self.looked_ns = None;
    }
}

/// From look to look no more than this is waiting: the caller was away.
const LOOK_MAX_NS: u64 = 100_000_000;
