//! Time as the frames tell it: never backwards, whatever their stamps do.

/// Adds up what passes between capture stamps.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    now_ns: u64,
    /// The previous stamp and the latest one so far, nanoseconds; None before the first.
    stamps: Option<[u64; 2]>,
}

impl Clock {
    /// Takes the stamp of a frame and returns how much time has passed, nanoseconds.
    ///
    /// A stamp before the previous one passes none. One that is back where the latest was, as after a single
    /// wrong stamp, counts from there; a replay that starts over goes on with its own steps.
    pub(super) fn advance(&mut self, stamp_ns: u64) -> u64 {
        let [previous, latest] = self.stamps.unwrap_or([stamp_ns; 2]);
        let step = stamp_ns.saturating_sub(if stamp_ns >= latest { latest } else { previous });
        self.stamps = Some([stamp_ns, latest.max(stamp_ns)]);
        self.now_ns = self.now_ns.saturating_add(step);
        step
    }

    /// Nanoseconds since the first frame.
    pub(super) fn now_ns(&self) -> u64 {
        self.now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(stamps: &[u64]) -> Vec<u64> {
        let mut clock = Clock::default();
        let steps: Vec<_> = stamps.iter().map(|&stamp| clock.advance(stamp)).collect();
        assert_eq!(
            clock.now_ns(),
            steps.iter().fold(0, |sum: u64, step| sum.saturating_add(*step))
        );
        steps
    }

    #[test]
    fn ordinary_stamps_pass_their_differences() {
        assert_eq!(steps(&[1000, 1100, 1200, 1200, 1350]), [0, 100, 100, 0, 150]);
    }

    #[test]
    fn one_stamp_from_the_past_costs_nothing() {
        assert_eq!(steps(&[1000, 1100, 3, 1300]), [0, 100, 0, 200]);
    }

    #[test]
    fn a_replay_that_starts_over_goes_on() {
        assert_eq!(steps(&[1000, 1100, 0, 100, 200]), [0, 100, 0, 100, 100]);
        // Past the place where it started over, without a jump.
        assert_eq!(steps(&[100, 200, 300, 100, 220, 340]), [0, 100, 100, 0, 120, 40]);
    }

    #[test]
    fn the_ends_of_the_range_do_not_overflow() {
        assert_eq!(steps(&[0, u64::MAX, 0, u64::MAX, 7, 9]), [0, u64::MAX, 0, 0, 0, 2]);
    }
}
