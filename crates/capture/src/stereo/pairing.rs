//! Which image of the left camera belongs to which of the right.
//!
//! Each camera's newest images wait in a [`Window`] of up to three buffers. Of the pairs that the windows hold, the
//! newest wins; whatever is older than it goes back to its driver. Nothing here waits, allocates or fails: what comes
//! in at [`Matcher::insert`] leaves through [`Matcher::take`], or through the `release` that is passed to both.
//!
//! Times are compared, never sequence numbers alone: a pair by sequence number whose times are further apart than the
//! permitted skew is refused, and the offset between the counters is found anew. Where the drivers' times cannot be used,
//! those of arrival are compared, and an image that was not watched coming has none: counters miss losses that a driver
//! does not count, and an offset that is wrong would stay wrong.

use super::health::{Mistrust, Pairing};
use super::timeline::Moment;
use std::cmp::Reverse;

/// Left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Side {
    pub(super) const BOTH: [Self; 2] = [Self::Left, Self::Right];

    pub(super) fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// An image that waits for its partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// The driver's buffer.
    pub(super) buffer: usize,
    pub(super) moment: Moment,
    /// It could have been paired, had it been asked for in time.
    had_partner: bool,
}

/// Why an image goes back to its driver without having been lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// A newer pair won.
    Superseded,
    /// No partner came.
    Unpaired,
    /// It lay in the driver's queue for too long.
    Stale,
    /// The stream of one of the cameras was rebuilt, or pairs are found in another way from now on.
    Flushed,
}

/// Two images of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Left and right.
    pub(super) images: [Waiting; 2],
    /// Right time minus left time, where both times mean the same.
    pub(super) skew_ns: Option<i64>,
}

/// What [`Matcher::take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// A pair; its buffers are the caller's now.
    Pair(Pair),
    /// A pair that had waited for too long; it is released.
    Stale,
    /// None.
    Nothing,
}

/// How images are matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) policy: Pairing,
    pub(super) max_skew_ns: u64,
    /// Pairs that are older were lying in a queue.
    pub(super) max_age_ns: u64,
}

/// Finds pairs.
#[derive(Debug)]
pub(super) struct Matcher {
    rules: Rules,
    windows: [Window; 2],
    /// Right sequence minus left sequence of images that belong together.
    offset: Option<i128>,
    mistrust: Option<Mistrust>,
    /// Images in a row, of either camera, whose times can be used.
    trusted_in_a_row: u32,
    start_of_exposure: [Option<bool>; 2],
    contradicted: u64,
    /// The least distance between two images since the last pair, ns.
    nearest_ns: Option<u64>,
}

impl Matcher {
    /// `depths`: how many images of each camera may wait, one to three.
    pub(super) fn new(rules: Rules, depths: [usize; 2]) -> Self {
        Self {
            rules,
            windows: depths.map(Window::new),
            offset: None,
            mistrust: None,
            trusted_in_a_row: 0,
            start_of_exposure: [None; 2],
            contradicted: 0,
            nearest_ns: None,
        }
    }

    /// What applies from now on.
    pub(super) fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// How pairs are found at present.
    pub(super) fn pairing(&self) -> Pairing {
        match self.rules.policy {
            Pairing::Timestamp if self.mistrust.is_some() => Pairing::Arrival,
            policy => policy,
        }
    }

    /// Why the drivers' times are not used at present.
    pub(super) fn mistrust(&self) -> Option<Mistrust> {
        self.mistrust
    }

    /// Pairs by sequence number that the times contradicted.
    pub(super) fn contradicted(&self) -> u64 {
        self.contradicted
    }

    /// The least distance between an image of one camera and one of the other since the last pair, ns.
    pub(super) fn nearest_ns(&self) -> Option<u64> {
        self.nearest_ns
    }

    /// Whether times of arrival matter at present, so that both cameras have to be watched closely.
    pub(super) fn needs_arrival(&self) -> bool {
        self.uses_arrival()
    }

    /// The time of the newest image of `side` that waits, in the clock that is compared.
    pub(super) fn newest_ns(&self, side: Side) -> Option<u64> {
        self.windows[side as usize].newest().and_then(|image| self.time_ns(&image.moment))
    }

    /// Whether an image of `side` waits.
    pub(super) fn has(&self, side: Side) -> bool {
        self.windows[side as usize].newest().is_some()
    }

    /// An image came; `buffer` is the matcher's until it is released or taken.
    pub(super) fn insert(
        &mut self,
        side: Side,
        buffer: usize,
        moment: Moment,
        release: &mut impl FnMut(Side, usize, Release),
    ) {
        self.judge_times(side, &moment, release);
        let mut image = Waiting { buffer, moment, had_partner: false };
        // By arrival, an image says nothing about its moment unless it was watched coming.
        if self.time_ns(&moment).is_none() {
            release(side, buffer, Release::Stale);
            return;
        }
        for index in 0..DEPTH_MAX {
            let Some(partner) = self.windows[side.other() as usize].images[index] else { continue };
            if let Some(skew) = self.skew_ns(&image, &partner) {
                let distance = skew.unsigned_abs();
                self.nearest_ns =
                    Some(self.nearest_ns.map_or(distance, |least| least.min(distance)));
            }
            if self.belong(side, &image, &partner) {
                image.had_partner = true;
                if let Some(partner) = &mut self.windows[side.other() as usize].images[index] {
                    partner.had_partner = true;
                }
            }
        }
        if let Some(oldest) = self.windows[side as usize].push(image) {
            release(side, oldest.buffer, oldest.fate());
        }
    }

    /// The newest pair at `now_ns`. Everything older than it is released.
    pub(super) fn take(
        &mut self,
        now_ns: u64,
        release: &mut impl FnMut(Side, usize, Release),
    ) -> Match {
        let Some((left, right)) = self.newest_pair() else { return Match::Nothing };
        let images = [self.windows[0].take(left), self.windows[1].take(right)];
        for side in Side::BOTH {
            let sequence = images[side as usize].moment.sequence;
            self.windows[side as usize].release_if(
                |image| image.moment.sequence < sequence,
                &mut |image| {
                    release(side, image.buffer, image.fate());
                },
            );
        }
        let skew_ns = self.skew_ns(&images[0], &images[1]);
        if self.pairing() == Pairing::Sequence {
            let agrees = |skew: i64| skew.unsigned_abs() <= self.rules.max_skew_ns;
            if !skew_ns.is_some_and(agrees) {
                self.offset = None;
                self.contradicted += 1;
                for side in Side::BOTH {
                    release(side, images[side as usize].buffer, Release::Unpaired);
                }
                return self.take(now_ns, release);
            }
            self.offset.get_or_insert_with(|| offset(&images[0], &images[1]));
        }
        if images.iter().any(|image| image.moment.is_stale(self.rules.max_age_ns, now_ns)) {
            for side in Side::BOTH {
                release(side, images[side as usize].buffer, Release::Stale);
            }
            return Match::Stale;
        }
        self.nearest_ns = None;
        Match::Pair(Pair { images, skew_ns })
    }

    /// Releases everything: what comes from now on is of other streams. `depths` as for [`Matcher::new`].
    pub(super) fn restart(
        &mut self,
        depths: [usize; 2],
        release: &mut impl FnMut(Side, usize, Release),
    ) {
        self.flush(release);
        self.windows = depths.map(Window::new);
        self.offset = None;
        self.start_of_exposure = [None; 2];
    }

    /// A driver's counter started anew: its images are of the same stream, and numbered otherwise.
    pub(super) fn recount(&mut self, release: &mut impl FnMut(Side, usize, Release)) {
        self.flush(release);
        self.offset = None;
    }

    /// Releases everything.
    pub(super) fn flush(&mut self, release: &mut impl FnMut(Side, usize, Release)) {
        for side in Side::BOTH {
            self.windows[side as usize]
                .release_if(|_| true, &mut |image| release(side, image.buffer, Release::Flushed));
        }
    }

    /// Falls back to arrival at the first image whose time cannot be compared; returns to the times after a series of
    /// good ones.
    pub(super) fn judge_times(
        &mut self,
        side: Side,
        moment: &Moment,
        release: &mut impl FnMut(Side, usize, Release),
    ) {
        self.start_of_exposure[side as usize] = moment.driver_ns.map(|_| moment.start_of_exposure);
        let found = match (moment.driver_ns, self.start_of_exposure) {
            (None, _) => Some(Mistrust::Unusable),
            (_, [Some(left), Some(right)]) if left != right => Some(Mistrust::DifferentMoments),
            _ => None,
        };
        self.trusted_in_a_row =
            if found.is_some() { 0 } else { self.trusted_in_a_row.saturating_add(1) };
        let now = match (self.mistrust, found) {
            (_, Some(found)) => Some(found),
            (Some(before), None) if self.trusted_in_a_row < TRUST_AGAIN => Some(before),
            (_, None) => None,
        };
        if now.is_some() != self.mistrust.is_some() {
            // Two clocks must not meet in one window.
            self.flush(release);
            self.offset = None;
        }
        self.mistrust = now;
    }

    fn uses_arrival(&self) -> bool {
        self.rules.policy == Pairing::Arrival || self.mistrust.is_some()
    }

    /// The time by which an image is compared; `None` when there is none.
    fn time_ns(&self, moment: &Moment) -> Option<u64> {
        if self.uses_arrival() {
            let watched = moment.waited_ns <= self.rules.max_skew_ns / 2;
            watched.then_some(moment.arrival_ns)
        } else {
            moment.driver_ns
        }
    }

    fn skew_ns(&self, left: &Waiting, right: &Waiting) -> Option<i64> {
        let [left, right] = [self.time_ns(&left.moment)?, self.time_ns(&right.moment)?];
        let distance = i64::try_from(right.abs_diff(left)).unwrap_or(i64::MAX);
        Some(if right < left { -distance } else { distance })
    }

    fn belong(&self, side: Side, image: &Waiting, partner: &Waiting) -> bool {
        let (left, right) = if side == Side::Left { (image, partner) } else { (partner, image) };
        if let (Pairing::Sequence, Some(known)) = (self.pairing(), self.offset) {
            return offset(left, right) == known;
        }
        self.skew_ns(left, right).is_some_and(|skew| skew.unsigned_abs() <= self.rules.max_skew_ns)
    }

    /// Whether neither image has a partner that is nearer in time: with a wide skew limit, the newest image must not
    /// take the partner of the one before it.
    fn are_nearest(&self, left: &Waiting, right: &Waiting) -> bool {
        let distance = |left, right| self.skew_ns(left, right).map(i64::unsigned_abs);
        if self.pairing() == Pairing::Sequence && self.offset.is_some() {
            return true;
        }
        let Some(skew) = distance(left, right) else { return true };
        let nearer = |other: Option<u64>| other.is_some_and(|other| other < skew);
        !self.windows[0].present().any(|(_, other)| nearer(distance(other, right)))
            && !self.windows[1].present().any(|(_, other)| nearer(distance(left, other)))
    }

    /// Places of the newest pair in the windows: the newest by its older image, of those the one of the least skew.
    fn newest_pair(&self) -> Option<(usize, usize)> {
        let mut best: Option<((u64, Reverse<u64>), usize, usize)> = None;
        for (left_index, left) in self.windows[0].present() {
            for (right_index, right) in self.windows[1].present() {
                if !self.belong(Side::Left, left, right) || !self.are_nearest(left, right) {
                    continue;
                }
                let skew = self.skew_ns(left, right).map_or(0, i64::unsigned_abs);
                let older = match (self.time_ns(&left.moment), self.time_ns(&right.moment)) {
                    (Some(left), Some(right)) => left.min(right),
                    _ => left.moment.arrival_ns.min(right.moment.arrival_ns),
                };
                // By sequence number the left image alone decides: it has one partner only.
                let rank = if self.pairing() == Pairing::Sequence && self.offset.is_some() {
                    (left.moment.sequence, Reverse(0))
                } else {
                    (older, Reverse(skew))
                };
                if best.is_none_or(|(best, ..)| rank > best) {
                    best = Some((rank, left_index, right_index));
                }
            }
        }
        best.map(|(_, left, right)| (left, right))
    }
}

impl Waiting {
    fn fate(&self) -> Release {
        if self.had_partner { Release::Superseded } else { Release::Unpaired }
    }
}

fn offset(left: &Waiting, right: &Waiting) -> i128 {
    i128::from(right.moment.sequence) - i128::from(left.moment.sequence)
}

/// The newest images of one camera, oldest first.
#[derive(Debug)]
struct Window {
    images: [Option<Waiting>; DEPTH_MAX],
    depth: usize,
}

impl Window {
    fn new(depth: usize) -> Self {
        Self { images: [None; DEPTH_MAX], depth: depth.clamp(1, DEPTH_MAX) }
    }

    fn present(&self) -> impl Iterator<Item = (usize, &Waiting)> {
        self.images.iter().enumerate().filter_map(|(index, image)| Some((index, image.as_ref()?)))
    }

    fn newest(&self) -> Option<&Waiting> {
        self.present().last().map(|(_, image)| image)
    }

    /// Adds the newest image; returns the oldest if there was no room.
    fn push(&mut self, image: Waiting) -> Option<Waiting> {
        let evicted = (self.present().count() >= self.depth).then(|| self.take(0));
        if let Some(free) = self.images.iter_mut().find(|place| place.is_none()) {
            *free = Some(image);
        }
        evicted
    }

    /// Removes the image at `index`, which is there, and closes the hole.
    fn take(&mut self, index: usize) -> Waiting {
        let image = self.images[index].take().expect("an index from `present`");
        self.images[index..].rotate_left(1);
        image
    }

    fn release_if(
        &mut self,
        condition: impl Fn(&Waiting) -> bool,
        release: &mut impl FnMut(Waiting),
    ) {
        let mut index = 0;
        while let Some(image) = self.images.get(index).copied().flatten() {
            if condition(&image) {
                release(self.take(index));
            } else {
                index += 1;
            }
        }
    }
}

/// Images of one camera that may wait.
pub(super) const DEPTH_MAX: usize = 3;
/// Images with usable times after which times are used again.
const TRUST_AGAIN: u32 = 64;

#[cfg(test)]
mod tests;
