//! Stage times: where the time between capture and publish went.
//!
//! Every frame carries its own [`StageTimes`]; [`StageStatistics`] keeps the last frames in memory
//! that is allocated once, so that recording on the frame path costs a few stores.

use std::time::Duration;

/// How long each stage of one frame took, as the frame thread saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Waiting for the source and taking its pair; with an engine that overlaps frames, waiting for the engine as well.
    pub capture: Duration,
    /// Camera pixels to the network's normalised planes, both views.
    pub rectify: Duration,
    /// Watching the calibration on the rectified pair; beside a network that runs elsewhere, what goes beyond that.
    pub watch: Duration,
    /// Images in to logits out.
    pub infer: Duration,
    /// Logits to labels.
    pub label: Duration,
    /// Labels into the ring.
    pub publish: Duration,
}

impl StageTimes {
    /// The names of the stages, in the order that data flows.
    pub const NAMES: [&'static str; 6] =
        ["capture", "rectify", "watch", "infer", "label", "publish"];

    /// The durations in the order of [`StageTimes::NAMES`].
    pub fn in_order(&self) -> [Duration; 6] {
        [self.capture, self.rectify, self.watch, self.infer, self.label, self.publish]
    }

    /// The time that the frame spent in work: everything but waiting for the camera.
    pub fn work(&self) -> Duration {
        self.rectify + self.watch + self.infer + self.label + self.publish
    }
}

/// Median, 99th percentile, maximum and mean of one stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Half of the frames took at most this long (nearest rank).
    pub p50: Duration,
    /// 99 of 100 frames took at most this long (nearest rank).
    pub p99: Duration,
    /// The slowest frame.
    pub max: Duration,
    /// The mean over the frames.
    pub mean: Duration,
}

impl Summary {
    /// Summarises `times`, which it sorts. No times: all zero.
    pub fn of(times: &mut [Duration]) -> Self {
        times.sort_unstable();
        let Some(&max) = times.last() else {
            return Self::default();
        };
        let nearest_rank = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
        Self {
            p50: nearest_rank(50),
            p99: nearest_rank(99),
            max,
            mean: times.iter().sum::<Duration>() / count,
        }
    }
}

/// Stage times of the most recent frames.
#[derive(Clone, Debug)]
pub struct StageStatistics {
    recent: Vec<StageTimes>,
    /// Frames recorded since the start; the next one goes to `frames % CAPACITY`.
    frames: u64,
}

impl Default for StageStatistics {
    fn default() -> Self {
        Self::new()
    }
}

impl StageStatistics {
    /// How many frames are kept: at 10 frames a second, the last seven minutes.
    pub const CAPACITY: usize = 4096;

    /// Allocates the memory for [`StageStatistics::CAPACITY`] frames.
    pub fn new() -> Self {
        Self { recent: Vec::with_capacity(Self::CAPACITY), frames: 0 }
    }

    /// Records one frame; the oldest gives way. Does not allocate.
    pub fn record(&mut self, times: StageTimes) {
        if self.recent.len() < Self::CAPACITY {
            self.recent.push(times);
        } else {
            let slot = usize::try_from(self.frames % Self::CAPACITY as u64).unwrap_or(0);
            self.recent[slot] = times;
        }
        self.frames += 1;
    }

    /// Frames recorded since the start, including those no longer kept.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// A summary of each stage over the kept frames, in the order of [`StageTimes::NAMES`].
    pub fn stages(&self) -> [Summary; 6] {
        std::array::from_fn(|stage| {
            let mut times: Vec<_> =
                self.recent.iter().map(|frame| frame.in_order()[stage]).collect();
            Summary::of(&mut times)
        })
    }

    /// A summary of the work of a frame: all stages but the wait for the camera.
    pub fn work(&self) -> Summary {
        Summary::of(&mut self.recent.iter().map(StageTimes::work).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: &[u64]) -> Vec<Duration> {
        values.iter().copied().map(Duration::from_millis).collect()
    }

    #[test]
    fn a_summary_uses_the_nearest_rank() {
        let summary = Summary::of(&mut millis(&(1..=200).rev().collect::<Vec<_>>()));
        assert_eq!(summary.p50, Duration::from_millis(100));
        assert_eq!(summary.p99, Duration::from_millis(198));
        assert_eq!(summary.max, Duration::from_millis(200));
        assert_eq!(summary.mean, Duration::from_micros(100_500));
    }

    #[test]
    fn no_frames_give_zeros() {
        assert_eq!(Summary::of(&mut []), Summary::default());
        assert_eq!(StageStatistics::new().work(), Summary::default());
    }

    #[test]
    fn the_oldest_frames_give_way() {
        let mut statistics = StageStatistics::new();
        for frame in 0..StageStatistics::CAPACITY as u64 + 10 {
            statistics
                .record(StageTimes { infer: Duration::from_nanos(frame), ..StageTimes::default() });
        }
        assert_eq!(statistics.frames(), StageStatistics::CAPACITY as u64 + 10);
        let nth = StageTimes::NAMES.iter().position(|name| *name == "infer");
        let infer = statistics.stages()[nth.expect("a stage")];
        assert_eq!(infer.max, Duration::from_nanos(StageStatistics::CAPACITY as u64 + 9));
        // Frames 10..CAPACITY+10 remain: their mean is exact.
        assert_eq!(
            infer.mean,
            Duration::from_nanos((StageStatistics::CAPACITY as u64 - 1) / 2 + 10)
        );
    }
}
