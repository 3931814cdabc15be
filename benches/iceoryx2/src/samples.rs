//! What is said of many samples.

/// Percentiles by nearest rank of unsorted samples, and the greatest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Quantiles {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Quantiles {
    /// Of at least one sample; zeros of none.
    pub(crate) fn of_ns(samples: impl IntoIterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = samples.into_iter().collect();
        sorted.sort_unstable();
        let Some(last) = sorted.len().checked_sub(1) else { return Self::default() };
        let at = |percent: usize| sorted[last * percent / 100] as f64 / 1e3;
        Self { p50_us: at(50), p99_us: at(99), max_us: at(100) }
    }

    /// Of several rounds: the medians, and the greatest of all.
    pub(crate) fn of_rounds(rounds: &[Self]) -> Self {
        Self {
            p50_us: median(rounds.iter().map(|round| round.p50_us)),
            p99_us: median(rounds.iter().map(|round| round.p99_us)),
            max_us: rounds.iter().map(|round| round.max_us).fold(0.0, f64::max),
        }
    }
}

/// The middle one, the mean of the middle two of an even number, and NaN of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_samples() {
        let quantiles = Quantiles::of_ns((1..=100).rev().map(|us| us * 1_000));
        let Quantiles { p50_us, p99_us, max_us } = quantiles;
        assert_eq!(format!("{p50_us} {p99_us} {max_us}"), "50 99 100");
        assert_eq!(format!("{} {}", median([3.0, 1.0, 2.0]), median([4.0, 1.0])), "2 2.5");
    }
}
