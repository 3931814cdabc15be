//! Views of a volume as an image, and adding taps that were computed as output channels.

use super::rewrite::{Rewrite, SliceAxis};
use super::window::Window;

/// A volume `[B, C, X, Y, Z]` as an image of C channels, without moving it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// X rows of Y Z columns: reaches x and, by columns dilated by Z, y at stride 1.
    Planes,
    /// X Y rows of Z columns: reaches z and, by rows dilated by Y, x at stride 1.
    Rows,
}

impl View {
    /// `[B, C, rows, columns]` of a volume.
    pub(super) fn image(self, [b, c, x, y, z]: [usize; 5]) -> [usize; 4] {
        match self {
            Self::Planes => [b, c, x, y * z],
            Self::Rows => [b, c, x * y, z],
        }
    }
}

/// Partial sums `[outer, taps, mid, extent, inner]`: one plane of channels for each tap along the axis
/// `extent`.
pub(super) struct Taps {
    pub(super) outer: usize,
    pub(super) mid: usize,
    pub(super) extent: usize,
    pub(super) inner: usize,
}

impl Taps {
    /// Adds the taps of a convolution along the axis, each shifted to where its window has it:
    /// `out[o] = sum over t of value[t][stride o + dilation t - pad]`, as
    /// `[outer, mid, positions, inner]`.
    ///
    /// `None` when no tap of any window falls on the axis (all windows lie in the padding).
    pub(super) fn convolve(
        &self,
        rewrite: &mut Rewrite<'_>,
        value: &str,
        window: Window,
    ) -> Option<String> {
        let positions = window.positions(self.extent)?;
        let value = self.stacked(rewrite, value, window.taps);
        let mut sum = None;
        for tap in 0..window.taps {
            let (before, after) = (window.pads[0], tap * window.dilation);
            // Positions o with 0 <= stride o + after - before < extent.
            let first = before.saturating_sub(after).div_ceil(window.stride);
            let end = (self.extent + before).saturating_sub(after).div_ceil(window.stride);
            let end = end.min(positions);
            if first >= end {
                continue;
            }
            let start = window.stride * first + after - before;
            let along = SliceAxis {
                axis: 3,
                start,
                end: start + window.stride * (end - 1 - first) + 1,
                step: window.stride,
            };
            let part = part(rewrite, &value, tap, along, [first, positions - end]);
            sum = Some(add(rewrite, sum, part));
        }
        let sum = sum?;
        Some(rewrite.reshape(&sum, &[self.outer, self.mid, positions, self.inner]))
    }

    /// Whether tap `tap` of a convolution reaches every position.
    pub(super) fn covers(extent: usize, window: Window, tap: usize) -> bool {
        let Some(positions) = window.positions(extent) else { return false };
        let shift = tap * window.dilation;
        shift >= window.pads[0] && window.stride * (positions - 1) + shift - window.pads[0] < extent
    }

    /// Adds the taps of a transposed convolution along the axis:
    /// `out[stride i + dilation t - pad] += value[t][i]`, as `[outer, mid, length, inner]`.
    pub(super) fn scatter(
        &self,
        rewrite: &mut Rewrite<'_>,
        value: &str,
        window: Window,
        length: usize,
    ) -> String {
        let value = self.stacked(rewrite, value, window.taps);
        // Outputs a stride apart take the same taps: one phase for each remainder.
        let steps = length.div_ceil(window.stride);
        let mut phases = Vec::with_capacity(window.stride);
        for phase in 0..window.stride {
            let mut sum = None;
            for tap in 0..window.taps {
                let Some(shift) = phase_shift(window, phase, tap) else { continue };
                // Outputs i with 0 <= i + shift < extent.
                let first = (-shift).max(0).unsigned_abs().min(steps);
                let end = self.extent.saturating_add_signed(-shift).min(steps);
                if first >= end {
                    continue;
                }
                let start = first.saturating_add_signed(shift);
                let along = SliceAxis { axis: 3, start, end: start + end - first, step: 1 };
                let part = part(rewrite, &value, tap, along, [first, steps - end]);
                sum = Some(add(rewrite, sum, part));
            }
            let shape = [self.outer, self.mid, steps, 1, self.inner];
            phases.push(match sum {
                Some(sum) => rewrite.reshape(&sum, &shape),
                None => rewrite.zeros(&shape),
            });
        }
        let phases: Vec<&str> = phases.iter().map(String::as_str).collect();
        let axis = occdepth_contract::onnx::AttributeProto::int("axis", 3);
        let woven = rewrite.op("Concat", &phases, vec![axis]);
        let whole = steps * window.stride;
        let woven = rewrite.reshape(&woven, &[self.outer, self.mid, whole, self.inner]);
        if whole == length {
            return woven;
        }
        rewrite.slice(&woven, &[SliceAxis { axis: 2, start: 0, end: length, step: 1 }])
    }

    /// For each phase of a transposed convolution a tap that reaches all of its outputs, if each
    /// phase has one.
    pub(super) fn covering_taps(
        extent: usize,
        window: Window,
        length: usize,
    ) -> Option<Vec<usize>> {
        let phases = window.stride.min(length);
        let covering = |phase: usize| {
            let outputs = (length - phase).div_ceil(window.stride);
            (0..window.taps).find(|&tap| {
                phase_shift(window, phase, tap)
                    .is_some_and(|shift| shift >= 0 && shift.unsigned_abs() + outputs <= extent)
            })
        };
        (0..phases).map(covering).collect()
    }

    fn stacked(&self, rewrite: &mut Rewrite<'_>, value: &str, taps: usize) -> String {
        rewrite.reshape(value, &[self.outer, taps, self.mid, self.extent, self.inner])
    }
}

/// One tap of `[outer, taps, mid, extent, inner]`, cut along the axis and placed among zeros.
fn part(
    rewrite: &mut Rewrite<'_>,
    stacked: &str,
    tap: usize,
    along: SliceAxis,
    zeros: [usize; 2],
) -> String {
    let tap = SliceAxis { axis: 1, start: tap, end: tap + 1, step: 1 };
    let part = rewrite.slice(stacked, &[tap, along]);
    rewrite.pad(&part, 5, 3, zeros)
}

/// In a transposed convolution output `stride i + phase` takes tap `tap` of input `i + shift`.
fn phase_shift(window: Window, phase: usize, tap: usize) -> Option<isize> {
    let signed = |n: usize| isize::try_from(n).expect("windows are bounded far below 2^63");
    let distance = signed(phase + window.pads[0]) - signed(tap * window.dilation);
    let stride = signed(window.stride);
    (distance.rem_euclid(stride) == 0).then(|| distance.div_euclid(stride))
}

fn add(rewrite: &mut Rewrite<'_>, sum: Option<String>, part: String) -> String {
    match sum {
        Some(sum) => rewrite.op("Add", &[&sum, &part], Vec::new()),
        None => part,
    }
}
