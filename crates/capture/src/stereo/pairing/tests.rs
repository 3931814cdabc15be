#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use proptest::prelude::*;

const PERIOD: u64 = 25_000_000;
const START: u64 = 1_000_000_000_000;

fn moment(sequence: u64, time_ns: u64) -> Moment {
    Moment {
        sequence,
        driver_ns: Some(time_ns),
        start_of_exposure: false,
        arrival_ns: time_ns,
        waited_ns: 0,
    }
}

fn matcher(policy: Pairing) -> Matcher {
    let rules = Rules { policy, max_skew_ns: PERIOD / 2, max_age_ns: 2 * PERIOD };
    Matcher::new(rules, [3, 3])
}

fn ignore(_: Side, _: usize, _: Release) {}

/// One camera's images: sequence numbers and times, some of them missing.
fn stream(side: Side) -> impl Strategy<Value = Vec<(Side, u64, u64)>> {
    let jitter = 0..PERIOD / 20;
    prop::collection::vec((prop::bool::weighted(0.8), jitter), 5..60).prop_map(move |images| {
        let images = images.into_iter().zip(0_u64..).filter(|((kept, _), _)| *kept);
        images.map(|((_, jitter), n)| (side, n, START + n * PERIOD + jitter)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Every buffer that goes in comes out once; pairs are of one exposure, in order, and the newest that there is.
    #[test]
    fn pairs_are_of_one_moment(
        left in stream(Side::Left),
        right in stream(Side::Right),
        phase in 0..PERIOD / 3,
        base in 0_u64..1 << 40,
        by_sequence in any::<bool>(),
        takes in prop::collection::vec(any::<bool>(), 120),
    ) {
        let policy = if by_sequence { Pairing::Sequence } else { Pairing::Timestamp };
        let mut matcher = matcher(policy);
        let mut images: Vec<(Side, u64, u64)> = left;
        images.extend(right.into_iter().map(|(side, n, time)| (side, n, time + phase)));
        images.sort_by_key(|&(.., time)| time);
        let (mut inside, mut last) = (std::collections::HashSet::new(), None);
        for ((side, n, time), take) in images.into_iter().zip(takes) {
            // A buffer is known by side and exposure; the right camera counts from elsewhere.
            let sequence = if side == Side::Left { n } else { n + base };
            let buffer = usize::try_from(n).unwrap();
            inside.insert((side as usize, buffer));
            let mut twice = false;
            let mut release = |side: Side, buffer: usize, _| {
                twice |= !inside.remove(&(side as usize, buffer));
            };
            matcher.insert(side, buffer, moment(sequence, time), &mut release);
            let found = if take { matcher.take(time, &mut release) } else { Match::Nothing };
            prop_assert!(!twice, "released twice");
            if let Match::Pair(pair) = found {
                let [left, right] = pair.images.map(|image| image.buffer);
                prop_assert_eq!(left, right, "of two exposures");
                prop_assert!(last.is_none_or(|last| left > last), "backwards");
                last = Some(left);
                prop_assert!(inside.remove(&(0, left)) && inside.remove(&(1, right)));
                prop_assert!(pair.skew_ns.unwrap().unsigned_abs() <= PERIOD / 2);
                // Nothing newer could have been had.
                let newer = |n: &usize| inside.contains(&(0, *n)) && inside.contains(&(1, *n));
                prop_assert!(!(left + 1..left + 9).any(|n| newer(&n)));
            }
        }
        matcher.flush(&mut |side, buffer, _| { inside.remove(&(side as usize, buffer)); });
        prop_assert!(inside.is_empty(), "kept {inside:?}");
    }

    /// Whatever times there are: no panic, and no pair beyond the limit.
    #[test]
    fn no_times_make_a_wrong_pair(
        images in prop::collection::vec((any::<bool>(), any::<u64>(), any::<Option<u64>>(), any::<bool>(), any::<u64>()), 1..80),
        policy in prop::sample::select(vec![Pairing::Timestamp, Pairing::Sequence, Pairing::Arrival]),
        now in any::<u64>(),
    ) {
        let mut matcher = matcher(policy);
        for (index, (left, sequence, driver_ns, start_of_exposure, waited_ns)) in images.into_iter().enumerate() {
            let side = if left { Side::Left } else { Side::Right };
            let moment = Moment { sequence, driver_ns, start_of_exposure, arrival_ns: index as u64 * 1000, waited_ns };
            matcher.insert(side, index, moment, &mut ignore);
            if let Match::Pair(pair) = matcher.take(now, &mut ignore) {
                let within = |skew: i64| skew.unsigned_abs() <= PERIOD / 2;
                prop_assert!(pair.skew_ns.is_none_or(within));
                prop_assert!(pair.skew_ns.is_some() || policy == Pairing::Sequence);
            }
        }
    }
}

#[test]
fn the_newest_image_does_not_take_an_older_ones_partner() {
    let rules = Rules { policy: Pairing::Timestamp, max_skew_ns: PERIOD, max_age_ns: 2 * PERIOD };
    let mut matcher = Matcher::new(rules, [3, 3]);
    matcher.insert(Side::Left, 0, moment(0, START), &mut ignore);
    matcher.insert(Side::Right, 0, moment(0, START + 10_000_000), &mut ignore);
    matcher.insert(Side::Left, 1, moment(1, START + PERIOD), &mut ignore);
    let Match::Pair(pair) = matcher.take(START + PERIOD, &mut ignore) else {
        unreachable!("a pair")
    };
    assert_eq!(pair.images.map(|image| image.buffer), [0, 0]);
    assert_eq!(pair.skew_ns, Some(10_000_000));
}

#[test]
fn stamps_of_different_moments_fall_back_to_arrival() {
    let mut matcher = matcher(Pairing::Timestamp);
    let early = Moment { start_of_exposure: true, ..moment(0, START) };
    matcher.insert(Side::Left, 0, early, &mut ignore);
    let mut flushed = 0;
    matcher.insert(Side::Right, 0, moment(0, START), &mut |_, _, why| {
        flushed += u32::from(why == Release::Flushed);
    });
    assert_eq!(matcher.mistrust(), Some(Mistrust::DifferentMoments));
    assert_eq!((matcher.pairing(), flushed), (Pairing::Arrival, 1));
    // An image that may have waited in its queue has no moment.
    let waited = Moment { waited_ns: PERIOD, ..moment(1, START) };
    matcher.insert(Side::Left, 1, waited, &mut |_, _, why| assert_eq!(why, Release::Stale));
    assert_eq!(matcher.take(START, &mut ignore), Match::Nothing);
}

#[test]
fn a_contradicted_offset_is_found_anew() {
    let mut matcher = matcher(Pairing::Sequence);
    let mut pair = |left: u64, right: u64, at: u64| {
        let time = START + at * PERIOD;
        matcher.insert(Side::Left, 0, moment(left, time), &mut ignore);
        matcher.insert(Side::Right, 0, moment(right, time), &mut ignore);
        (matcher.take(time, &mut ignore), matcher.contradicted())
    };
    assert!(matches!(pair(10, 3, 0), (Match::Pair(_), 0)));
    assert!(matches!(pair(11, 4, 1), (Match::Pair(_), 0)));
    // The right camera lost an image and did not count it.
    assert!(matches!(pair(13, 5, 3), (Match::Nothing, 0)));
    assert!(matches!(pair(14, 6, 4), (_, 1)));
    assert!(matches!(pair(15, 7, 5), (Match::Pair(_), 1)));
}

#[test]
fn what_lay_in_a_queue_is_given_up() {
    let mut matcher = matcher(Pairing::Timestamp);
    let now = START + 10 * PERIOD;
    let queued = Moment { arrival_ns: now, waited_ns: 9 * PERIOD, ..moment(0, START) };
    matcher.insert(Side::Left, 0, queued, &mut ignore);
    matcher.insert(Side::Right, 0, queued, &mut ignore);
    assert_eq!(matcher.take(now, &mut ignore), Match::Stale);
    // As old, but seen coming: a camera with a long pipeline.
    let slow = Moment { arrival_ns: now, waited_ns: PERIOD, ..moment(1, START) };
    matcher.insert(Side::Left, 1, slow, &mut ignore);
    matcher.insert(Side::Right, 1, slow, &mut ignore);
    assert!(matches!(matcher.take(now, &mut ignore), Match::Pair(_)));
}
