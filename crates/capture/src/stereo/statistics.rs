//! Skew of pairs, and drift of one camera's clock against the other's, in constant memory.

/// Right time minus left time of pairs, nanoseconds. Zeros when there was no pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Skew {
    /// How many pairs.
    pub count: u64,
    /// The last pair's.
    pub last_ns: i64,
    /// Least.
    pub min_ns: i64,
    /// Greatest.
    pub max_ns: i64,
    /// Mean.
    pub mean_ns: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
}

impl Skew {
    /// Standard deviation of the pairs seen, nanoseconds.
    pub fn std_ns(&self) -> f64 {
        if self.count == 0 { 0.0 } else { (self.squares / self.count as f64).sqrt() }
    }

    /// Welford's update: B. P. Welford, "Note on a method for calculating corrected sums of squares and products",
    /// Technometrics 4 (1962).
    pub(super) fn record(&mut self, skew_ns: i64) {
        if self.count == 0 {
            (self.min_ns, self.max_ns) = (skew_ns, skew_ns);
        }
        self.count += 1;
        self.last_ns = skew_ns;
        self.min_ns = self.min_ns.min(skew_ns);
        self.max_ns = self.max_ns.max(skew_ns);
        let distance = skew_ns as f64 - self.mean_ns;
        self.mean_ns += distance / self.count as f64;
        self.squares += distance * (skew_ns as f64 - self.mean_ns);
    }
}

/// The period of a camera, by least squares of its times over its image counter. The counter numbers dropped images
/// too, so drops do not bend the line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Period {
    origin: Option<(u64, u64)>,
    count: u64,
    mean_sequence: f64,
    mean_time_ns: f64,
    sequence_squares: f64,
    products: f64,
}

impl Period {
    pub(super) fn record(&mut self, sequence: u64, time_ns: u64) {
        let &mut (sequence_0, time_0) = self.origin.get_or_insert((sequence, time_ns));
        let x = sequence.saturating_sub(sequence_0) as f64;
        let y = time_ns.saturating_sub(time_0) as f64;
        self.count += 1;
        let count = self.count as f64;
        let distance = x - self.mean_sequence;
        self.mean_sequence += distance / count;
        self.mean_time_ns += (y - self.mean_time_ns) / count;
        self.sequence_squares += distance * (x - self.mean_sequence);
        self.products += distance * (y - self.mean_time_ns);
    }

    /// Nanoseconds from image to image, once enough were seen to tell drift.
    pub(super) fn ns(&self) -> Option<f64> {
        self.ns_of(IMAGES_MIN)
    }

    /// Nanoseconds from image to image, once `images` were seen.
    pub(super) fn ns_of(&self, images: u64) -> Option<f64> {
        let enough = self.count >= images && self.sequence_squares > 0.0;
        enough.then(|| self.products / self.sequence_squares).filter(|&ns| ns > 0.0)
    }
}

/// How much shorter the right camera's period is than the left's, parts per million.
pub(super) fn drift_ppm(left: &Period, right: &Period) -> Option<f64> {
    Some((left.ns()? / right.ns()? - 1.0) * 1e6)
}

/// With fewer images, the jitter of their times is more than any drift.
const IMAGES_MIN: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against the definition, in two passes.
        #[test]
        fn skew_is_summarised(skews in prop::collection::vec(-50_000_000_i64..50_000_000, 1..200)) {
            let mut summary = Skew::default();
            for &skew in &skews {
                summary.record(skew);
            }
            let count = skews.len() as f64;
            let mean = skews.iter().sum::<i64>() as f64 / count;
            let variance = skews.iter().map(|&s| (s as f64 - mean).powi(2)).sum::<f64>() / count;
            prop_assert_eq!(Some(summary.min_ns), skews.iter().min().copied());
            prop_assert_eq!(Some(summary.max_ns), skews.iter().max().copied());
            prop_assert!((summary.mean_ns - mean).abs() < 1e-3);
            prop_assert!((summary.std_ns() - variance.sqrt()).abs() < 1e-2);
        }

        /// Whatever images are missing, the drift is that of the clocks.
        #[test]
        fn drift_ignores_drops(kept in prop::collection::vec(any::<bool>(), 400..600)) {
            prop_assume!(kept.iter().filter(|&&kept| kept).count() >= 150);
            let (mut left, mut right) = (Period::default(), Period::default());
            for (sequence, &kept) in kept.iter().enumerate() {
                let sequence = sequence as u64;
                left.record(sequence, 1_000_000_000_000 + sequence * 25_000_000);
                if kept {
                    // 40 ppm slow.
                    right.record(7 + sequence, 1_000_003_000_000 + sequence * 25_001_000);
                }
            }
            let drift = drift_ppm(&left, &right).ok_or_else(|| TestCaseError::fail("enough"))?;
            prop_assert!((drift + 40.0).abs() < 0.1, "{}", drift);
        }
    }

    #[test]
    fn a_few_images_tell_no_drift() {
        let mut period = Period::default();
        (0..20).for_each(|n| period.record(n, n * 10));
        assert_eq!(drift_ppm(&period, &period), None);
    }
}
