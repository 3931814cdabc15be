//! What the states do with made-up surveys. The thresholds are 1 px and 4 px; a survey looks at half a second.

use super::*;

const THRESHOLDS: Thresholds = Thresholds {
    suspect_px: 1.0,
    lost_px: 4.0,
    suspect_focal: 0.0025,
    alarm_after_s: 1.0,
    recover_after_s: 4.0,
    stale_after_s: 10.0,
};

fn measured(value: f64, sigma: f64) -> Outcome {
    Outcome::Measured {
        error_px: Measured { value, sigma },
        focal: Measured::default(),
        finding: Finding::None,
    }
}

/// A hysteresis, and the time.
struct Rig {
    hysteresis: Hysteresis,
    now_ns: u64,
}

impl Rig {
    fn new() -> Self {
        Self { hysteresis: Hysteresis::new(&THRESHOLDS), now_ns: 0 }
    }

    /// A rig that was found to be ok.
    fn good() -> Self {
        let mut rig = Self::new();
        assert_eq!(rig.measure(5, 0.1, 0.1), State::Ok);
        rig
    }

    fn lost() -> Self {
        let mut rig = Self::good();
        assert_eq!(rig.measure(3, 9.0, 0.1), State::Lost);
        rig
    }

    fn suspect() -> Self {
        let mut rig = Self::good();
        assert_eq!(rig.measure(3, 2.0, 0.1), State::Suspect);
        rig
    }

    fn pass(&mut self, seconds: f64) -> State {
        self.now_ns += nanoseconds(seconds);
        self.hysteresis.pass(self.now_ns);
        self.hysteresis.state()
    }

    fn survey(&mut self, span_s: f64, outcome: Outcome) -> State {
        self.now_ns += nanoseconds(span_s);
        self.hysteresis.survey(self.now_ns, nanoseconds(span_s), outcome);
        self.pass(0.0)
    }

    /// Surveys of half a second.
    fn measure(&mut self, surveys: u32, value: f64, sigma: f64) -> State {
        for _ in 0..surveys {
            self.survey(0.5, measured(value, sigma));
        }
        self.hysteresis.state()
    }
}

#[test]
fn an_alarm_takes_its_time_and_two_surveys() {
    let mut rig = Rig::good();
    assert_eq!(rig.measure(1, 2.0, 0.1), State::Ok);
    assert_eq!(rig.measure(1, 2.0, 0.1), State::Suspect);
    // At thirty frames a second a survey takes 0.15 s.
    let mut rig = Rig::good();
    let bad = measured(2.0, 0.1);
    for _ in 0..6 {
        assert_eq!(rig.survey(0.15, bad), State::Ok);
    }
    assert_eq!(rig.survey(0.15, bad), State::Suspect);
    // At one frame in two seconds, ten; but one survey is no series.
    let mut rig = Rig::good();
    assert_eq!(rig.survey(8.0, bad), State::Ok);
    assert_eq!(rig.survey(8.0, bad), State::Suspect);
}

#[test]
fn surveys_that_cannot_tell_slow_an_alarm_and_do_not_stop_it() {
    let mut rig = Rig::good();
    // Every second one is sure: 1.4 +- 0.1 is, 1.1 +- 0.1 is not.
    let states: Vec<_> =
        (0..6).map(|i| rig.measure(1, if i % 2 == 0 { 1.4 } else { 1.1 }, 0.1)).collect();
    assert_eq!(states.iter().position(|state| *state == State::Suspect), Some(4), "{states:?}");
    // One in ten is chance.
    let mut rig = Rig::good();
    for _ in 0..50 {
        assert_eq!(rig.measure(1, 1.4, 0.1), State::Ok);
        assert_eq!(rig.measure(9, 0.95, 0.1), State::Ok);
    }
}

#[test]
fn a_flicker_around_a_threshold_changes_nothing() {
    for start in [Rig::good, Rig::suspect] {
        let mut rig = start();
        let before = rig.hysteresis.state();
        for _ in 0..200 {
            assert_eq!(rig.measure(1, 1.3, 0.1), before);
            assert_eq!(rig.measure(1, 0.5, 0.1), before);
        }
    }
}

#[test]
fn an_imprecise_survey_of_a_perfect_rig_still_says_ok() {
    // A sigma of a third of the threshold, the largest that is accepted, and what noise alone then shows.
    for value in [0.1, 1.0 / 3.0, 0.6] {
        let mut rig = Rig::new();
        assert_eq!(rig.measure(3, value, 1.0 / 3.0), State::Ok);
        let mut rig = Rig::suspect();
        assert_eq!(rig.measure(9, value, 1.0 / 3.0), State::Ok);
    }
}

#[test]
fn between_release_and_threshold_a_rig_keeps_its_state_and_a_new_one_is_ok() {
    let mut rig = Rig::new();
    assert_eq!(rig.measure(3, 0.9, 0.05), State::Ok);
    assert_eq!(rig.measure(100, 0.9, 0.05), State::Ok);
    let mut rig = Rig::suspect();
    assert_eq!(rig.measure(100, 0.9, 0.05), State::Suspect);
    assert_eq!(rig.measure(9, 0.7, 0.05), State::Ok);
}

#[test]
fn an_error_that_cannot_be_told_from_the_threshold_is_not_vouched_for() {
    let mut rig = Rig::new();
    assert_eq!(rig.measure(50, 1.2, 0.2), State::Unknown);
    assert!(rig.hysteresis.is_overdue(rig.now_ns));
    let mut rig = Rig::good();
    assert_eq!(rig.measure(19, 1.2, 0.2), State::Ok);
    assert_eq!(rig.measure(1, 1.2, 0.2), State::Unknown);
}

#[test]
fn suspect_gets_lost_and_lost_gets_better_in_steps() {
    let mut rig = Rig::suspect();
    assert_eq!(rig.measure(1, 9.0, 0.1), State::Suspect);
    assert_eq!(rig.measure(1, 9.0, 0.1), State::Lost);
    // Between the thresholds: no longer lost, after the time of a recovery.
    assert_eq!(rig.measure(7, 2.0, 0.1), State::Lost);
    assert_eq!(rig.measure(1, 2.0, 0.1), State::Suspect);
    assert_eq!(rig.measure(7, 0.2, 0.1), State::Suspect);
    assert_eq!(rig.measure(1, 0.2, 0.1), State::Ok);
    // All at once.
    let mut rig = Rig::lost();
    assert_eq!(rig.measure(7, 0.2, 0.1), State::Lost);
    assert_eq!(rig.measure(1, 0.2, 0.1), State::Ok);
}

#[test]
fn ok_is_no_older_than_what_speaks_for_it() {
    let mut rig = Rig::good();
    assert_eq!(rig.pass(9.9), State::Ok);
    assert!(!rig.hysteresis.is_overdue(rig.now_ns));
    assert_eq!(rig.pass(0.1), State::Unknown);
    assert!(rig.hysteresis.is_overdue(rig.now_ns));
    // It has to be shown anew; one look is not enough.
    assert_eq!(rig.measure(1, 0.1, 0.1), State::Unknown);
    assert!(rig.hysteresis.is_overdue(rig.now_ns));
    assert_eq!(rig.measure(1, 0.1, 0.1), State::Ok);
    assert!(!rig.hysteresis.is_overdue(rig.now_ns));
}

#[test]
fn a_start_is_not_overdue_and_a_long_one_is() {
    let mut rig = Rig::new();
    assert_eq!(rig.pass(9.9), State::Unknown);
    assert!(!rig.hysteresis.is_overdue(rig.now_ns));
    assert_eq!(rig.pass(0.1), State::Unknown);
    assert!(rig.hysteresis.is_overdue(rig.now_ns));
}

#[test]
fn an_alarm_outlives_its_evidence() {
    for start in [Rig::suspect, Rig::lost] {
        let mut rig = start();
        let before = rig.hysteresis.state();
        assert_eq!(rig.pass(1e6), before);
        assert_eq!(rig.measure(7, 0.1, 0.1), before);
        assert_eq!(rig.measure(1, 0.1, 0.1), State::Ok);
    }
}

#[test]
fn surveys_hours_apart_are_no_series() {
    let bad = measured(9.0, 0.1);
    let mut rig = Rig::good();
    for _ in 0..20 {
        rig.survey(0.9, bad);
        assert_ne!(rig.hysteresis.state(), State::Lost);
        rig.pass(3600.0);
    }
    assert_eq!(rig.hysteresis.state(), State::Unknown);
}

#[test]
fn views_that_do_not_match_are_suspect_and_never_lost() {
    let mut rig = Rig::good();
    assert_eq!(rig.survey(3.0, Outcome::Unmatched), State::Ok);
    assert_eq!(rig.survey(3.0, Outcome::Unmatched), State::Suspect);
    for _ in 0..20 {
        assert_eq!(rig.survey(3.0, Outcome::Unmatched), State::Suspect);
    }
    assert_eq!(rig.measure(8, 0.1, 0.1), State::Ok);
    let mut rig = Rig::lost();
    assert_eq!(rig.survey(30.0, Outcome::Unmatched), State::Lost);
}

#[test]
fn a_finding_counts_whatever_the_rows_say() {
    let outcome = |finding| Outcome::Measured {
        error_px: Measured { value: 0.1, sigma: 0.1 },
        focal: Measured::default(),
        finding,
    };
    let mut rig = Rig::good();
    rig.survey(0.5, outcome(Finding::NegativeDisparity));
    assert_eq!(rig.survey(0.5, outcome(Finding::NegativeDisparity)), State::Suspect);
    rig.survey(0.5, outcome(Finding::Swapped));
    assert_eq!(rig.survey(0.5, outcome(Finding::Swapped)), State::Lost);
}

#[test]
fn times_that_are_no_numbers_are_none() {
    assert_eq!([f64::NAN, -1.0, f64::NEG_INFINITY].map(nanoseconds), [0; 3]);
    assert_eq!(nanoseconds(f64::INFINITY), 3_000_000_000_000_000_000);
    assert_eq!(nanoseconds(1.5), 1_500_000_000);
}

#[test]
fn an_error_of_focal_length_is_suspect_however_few_pixels_it_makes() {
    let outcome = |value| Outcome::Measured {
        error_px: Measured { value: 0.1, sigma: 0.1 },
        focal: Measured { value, sigma: 0.0004 },
        finding: Finding::None,
    };
    for sign in [-1.0, 1.0] {
        let mut rig = Rig::good();
        // Not by two standard deviations.
        for _ in 0..10 {
            assert_eq!(rig.survey(0.5, outcome(0.003 * sign)), State::Ok);
        }
        rig.survey(0.5, outcome(0.005 * sign));
        assert_eq!(rig.survey(0.5, outcome(0.005 * sign)), State::Suspect);
        rig.survey(4.0, outcome(0.0));
        assert_eq!(rig.survey(4.0, outcome(0.0)), State::Ok);
    }
}
