//! One camera's count and clock: a counter that never wraps, and times that can be trusted.

use super::statistics::Period;
use crate::v4l2::Filled;

/// An image of one camera, as pairing sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The camera's count, never wrapping; gaps are images that were not delivered.
    pub(super) sequence: u64,
    /// The driver's time, `CLOCK_MONOTONIC` ns, where it can be trusted.
    pub(super) driver_ns: Option<u64>,
    /// Whether the driver's time is that of the start of exposure.
    pub(super) start_of_exposure: bool,
    /// When this process had it, `CLOCK_MONOTONIC` ns.
    pub(super) arrival_ns: u64,
    /// It may have waited so long before.
    pub(super) waited_ns: u64,
}

impl Moment {
    /// Whether the image lay in the driver's queue for longer than permitted. An old time alone does not say so: a
    /// camera with a long pipeline delivers nothing younger. It must also be possible that the image was there before.
    pub(super) fn is_stale(&self, max_age_ns: u64, now_ns: u64) -> bool {
        let old = |since_ns: u64| now_ns.saturating_sub(since_ns) > max_age_ns;
        let there_since_ns = self.arrival_ns.saturating_sub(self.waited_ns);
        old(there_since_ns) && old(self.driver_ns.unwrap_or(there_since_ns))
    }
}

/// What became of the counter with an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It followed, after so many that were not delivered.
    Forward {
        /// Images missing before it.
        missing: u64,
    },
    /// The driver counts anew, although the stream was not rebuilt.
    Restarted,
    /// The driver gave the number of the image before: it does not count. Ours goes up by one.
    Uncounted,
}

/// Extends the driver's 32 bits, over wraps and restarts, and judges its times.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// The driver's count and ours of the newest image of this stream.
    newest: Option<(u32, u64)>,
    /// The last number given; survives rebuilds of the stream.
    last_given: Option<u64>,
    /// When that was; `CLOCK_MONOTONIC` ns.
    last_seen_ns: u64,
    /// Images in a row whose time was far in the past.
    past_in_a_row: u32,
    period: Period,
    /// By the moments of arrival, of those images that were watched coming.
    arrivals: Period,
}

impl Timeline {
    /// The stream was built anew: its count starts anywhere.
    pub(super) fn rebuilt(&mut self) {
        self.newest = None;
        self.past_in_a_row = 0;
        self.forget_periods();
    }

    fn forget_periods(&mut self) {
        (self.period, self.arrivals) = (Period::default(), Period::default());
    }

    /// Numbers and times an image that was had at `now_ns`, after the queue was seen empty at `empty_ns`.
    pub(super) fn place(
        &mut self,
        filled: &Filled,
        now_ns: u64,
        empty_ns: u64,
        nominal_period_ns: u64,
    ) -> (Moment, Step) {
        let (sequence, step) = self.number(filled.sequence, now_ns, nominal_period_ns);
        self.newest = Some((filled.sequence, sequence));
        self.last_given = Some(sequence);
        self.last_seen_ns = now_ns;
        let driver_ns = filled.time_ns.filter(|&time_ns| self.trust(time_ns, now_ns));
        let waited_ns = now_ns.saturating_sub(empty_ns);
        if matches!(step, Step::Forward { .. }) {
            if let Some(time_ns) = driver_ns {
                self.period.record(sequence, time_ns);
            } else if waited_ns <= WATCHED_NS {
                self.arrivals.record(sequence, now_ns);
            }
        } else {
            // Numbers that skip nothing tell no period.
            self.forget_periods();
        }
        let moment = Moment {
            sequence,
            driver_ns,
            start_of_exposure: filled.start_of_exposure,
            arrival_ns: now_ns,
            waited_ns,
        };
        (moment, step)
    }

    pub(super) fn period(&self) -> &Period {
        &self.period
    }

    /// Nanoseconds from image to image as measured, by whatever times there are; `None` until `images` were seen.
    pub(super) fn measured_ns(&self, images: u64) -> Option<f64> {
        self.period.ns_of(images).or_else(|| self.arrivals.ns_of(images))
    }

    fn number(&self, raw: u32, now_ns: u64, nominal_period_ns: u64) -> (u64, Step) {
        let Some((raw_before, before)) = self.newest else {
            // A new stream. The images that the outage cost are estimated, so that the gap tells of them.
            let next = self.last_given.map_or_else(
                || u64::from(raw),
                |last| {
                    let silence_ns = now_ns.saturating_sub(self.last_seen_ns);
                    last.saturating_add((silence_ns / nominal_period_ns.max(1)).max(1))
                },
            );
            return (next, Step::Forward { missing: 0 });
        };
        match raw.wrapping_sub(raw_before) {
            ahead @ 1..=JUMP_MAX => {
                let ahead = u64::from(ahead);
                (before.saturating_add(ahead), Step::Forward { missing: ahead - 1 })
            }
            0 => (before.saturating_add(1), Step::Uncounted),
            _ => (before.saturating_add(1), Step::Restarted),
        }
    }

    /// Whether a driver's time can be of our clock: not in the future; and if far in the past, then only for as many
    /// images as a queue can hold.
    fn trust(&mut self, time_ns: u64, now_ns: u64) -> bool {
        let past = now_ns.saturating_sub(time_ns) > PAST_NS;
        self.past_in_a_row = if past { self.past_in_a_row.saturating_add(1) } else { 0 };
        time_ns <= now_ns.saturating_add(FUTURE_NS) && self.past_in_a_row <= QUEUE_MAX
    }
}

/// A step of more images than this is a counter that started anew: at 120 images a second it would be nine minutes of
/// silence, and a camera is given up long before.
const JUMP_MAX: u32 = 1 << 16;
/// A driver that estimates times from a camera's clock may be ahead by this much.
const FUTURE_NS: u64 = 100_000_000;
/// No image takes so long from exposure to arrival unless it lay in a queue.
const PAST_NS: u64 = 10_000_000_000;
/// `VIDEO_MAX_FRAME`: no V4L2 queue is longer.
const QUEUE_MAX: u32 = 32;
/// An image that may have waited no longer was watched coming.
const WATCHED_NS: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image(sequence: u32, time_ns: Option<u64>) -> Filled {
        Filled { index: 0, sequence, time_ns, start_of_exposure: false, damaged: false }
    }

    const NOW: u64 = 100_000_000_000;
    const PERIOD: u64 = 25_000_000;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Over any wrap the distances are those of the driver.
        #[test]
        fn a_wrap_is_not_seen(start in any::<u32>(), steps in prop::collection::vec(1_u32..1000, 1..50)) {
            let mut timeline = Timeline::default();
            let (first, _) = timeline.place(&image(start, Some(NOW)), NOW, NOW, PERIOD);
            prop_assert_eq!(first.sequence, u64::from(start));
            let (mut raw, mut expected) = (start, u64::from(start));
            for step in steps {
                raw = raw.wrapping_add(step);
                expected += u64::from(step);
                let (moment, what) = timeline.place(&image(raw, Some(NOW)), NOW, NOW, PERIOD);
                prop_assert_eq!(moment.sequence, expected);
                prop_assert_eq!(what, Step::Forward { missing: u64::from(step) - 1 });
            }
        }

        /// Whatever a driver counts, ours goes up, and nothing panics.
        #[test]
        fn the_count_only_grows(images in prop::collection::vec((any::<u32>(), any::<Option<u64>>(), any::<bool>()), 1..100)) {
            let mut timeline = Timeline::default();
            let mut last = None;
            for (raw, time_ns, rebuilt) in images {
                if rebuilt {
                    timeline.rebuilt();
                }
                let (moment, _) = timeline.place(&image(raw, time_ns), NOW, NOW, PERIOD);
                prop_assert!(last.is_none_or(|last| moment.sequence > last));
                last = Some(moment.sequence);
            }
        }
    }

    #[test]
    fn a_restart_is_not_a_wrap() {
        let mut timeline = Timeline::default();
        timeline.place(&image(3_000_000_000, None), NOW, NOW, PERIOD);
        let (moment, step) = timeline.place(&image(0, None), NOW, NOW, PERIOD);
        assert_eq!((moment.sequence, step), (3_000_000_001, Step::Restarted));
        // A driver that does not count does not start anew with each image.
        for n in 2..5 {
            let (moment, step) = timeline.place(&image(0, None), NOW, NOW, PERIOD);
            assert_eq!((moment.sequence, step), (3_000_000_000 + n, Step::Uncounted));
        }
        // A rebuild: ten periods of silence are ten images.
        timeline.rebuilt();
        let later = NOW + 10 * PERIOD;
        let (moment, step) = timeline.place(&image(0, None), later, later, PERIOD);
        assert_eq!((moment.sequence, step), (3_000_000_014, Step::Forward { missing: 0 }));
    }

    #[test]
    fn times_of_another_clock_are_not_trusted() {
        let mut timeline = Timeline::default();
        let mut trusted = |time_ns| {
            timeline.place(&image(1, Some(time_ns)), NOW, NOW, PERIOD).0.driver_ns.is_some()
        };
        assert!(trusted(NOW - 30_000_000));
        // What vivid's "Wrap Timestamp" gives: 2^63 ns less 16 s; and the end of time.
        assert!(!trusted((1 << 63) - 16_000_000_000));
        assert!(!trusted(u64::MAX));
        // A queue of old images, then a clock that counts from somewhere else.
        for _ in 0..QUEUE_MAX {
            assert!(trusted(1));
        }
        assert!(!trusted(1));
        assert!(trusted(NOW));
    }
}
