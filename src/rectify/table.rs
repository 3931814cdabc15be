//! Where each destination pixel samples the source, ready for the inner loop.

use super::RectifyError;
use occdepth_geometry::{ImageSize, rectification::RemapTable};

/// A remap table for one source size: runs of destination pixels of one [`Kind`], in row-major
/// order, and one [`Tap`] for every pixel that is not [`Kind::Outside`].
#[derive(Clone, Debug)]
pub(super) struct SampleTable {
    pub(super) runs: Vec<Run>,
    pub(super) taps: Vec<Tap>,
}

/// Neighbouring destination pixels (across rows) that need the same treatment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) kind: Kind,
    pub(super) pixels: usize,
}

/// Which of the four source pixels around a position exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All four: no test in the inner loop.
    Inside,
    /// Some.
    Border,
    /// None, or there is no position (NaN): black.
    Outside,
}

/// The source pixel up and left of a position (-1 for the border) and the rest of the way, in
/// 1/65536 px.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) x: i16,
    pub(super) y: i16,
    pub(super) right: u16,
    pub(super) down: u16,
}

impl SampleTable {
    pub(super) fn new(
        map: &RemapTable,
        source: ImageSize,
        output: ImageSize,
    ) -> Result<Self, RectifyError> {
        let expected = output.width as usize * output.height as usize;
        if map.size != output || map.source.len() != expected {
            return Err(RectifyError::MapSize {
                found: map.size,
                entries: map.source.len(),
                expected: output,
            });
        }
        let mut runs: Vec<Run> = Vec::new();
        let mut taps = Vec::with_capacity(expected);
        for &[x, y] in &map.source {
            let at = split(x, source.width).zip(split(y, source.height));
            let kind = match at {
                Some(((_, _, true), (_, _, true))) => Kind::Inside,
                Some(_) => Kind::Border,
                None => Kind::Outside,
            };
            if let Some(((x, right, _), (y, down, _))) = at {
                taps.push(Tap { x, y, right, down });
            }
            match runs.last_mut() {
                Some(run) if run.kind == kind => run.pixels += 1,
                _ => runs.push(Run { kind, pixels: 1 }),
            }
        }
        runs.shrink_to_fit();
        taps.shrink_to_fit();
        Ok(Self { runs, taps })
    }
}

/// The pixel before a position on an axis of `side` pixels, the rest in 1/65536 px, and whether
/// both neighbours exist; `None` when neither does.
fn split(position: f32, side: u32) -> Option<(i16, u16, bool)> {
    let fixed = (f64::from(position) * FRACTION).round();
    let last = i64::from(side) - 1;
    if !(fixed >= -FRACTION && fixed < FRACTION * side as f64) {
        return None; // also NaN
    }
    #[expect(clippy::cast_possible_truncation, reason = "tested above: at most 32767 * 65536")]
    let fixed = fixed as i64;
    let first = fixed.div_euclid(1 << FRACTION_BITS);
    let rest = fixed.rem_euclid(1 << FRACTION_BITS);
    Some((i16::try_from(first).ok()?, u16::try_from(rest).ok()?, 0 <= first && first < last))
}

/// Bits after the point of a source position.
pub(super) const FRACTION_BITS: u32 = 16;
const FRACTION: f64 = (1u32 << FRACTION_BITS) as f64;
