//! Where each destination pixel comes from, prepared for the inner loop.

use super::RectifyError;
use occdepth_geometry::{ImageSize, rectification::RemapTable};
use std::ops::Range;

/// The remap table of one camera.
#[derive(Clone, Debug)]
pub(super) struct SampleTable {
    /// Destination pixels in order, cut where they begin or cease to show the source, and at the ends of rows.
    pub(super) runs: Vec<Run>,
    /// One per destination pixel of a [`Kind::Shown`] run, in order.
    pub(super) taps: Vec<Tap>,
}

/// Destination pixels of one row, of one kind.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) kind: Kind,
    pub(super) pixels: usize,
    /// The source rows that they show.
    pub(super) rows: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At least one of the four source pixels around the position is in the image.
    Shown,
    /// None is, or the position is NaN: black.
    Outside,
}

/// A source position: the upper left of the four pixels around it, as its index in a canvas, and the rest of the way in
/// 1/65536 px.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tap {
    pub(super) at: u32,
    pub(super) right: u16,
    pub(super) down: u16,
}

impl SampleTable {
    /// `stride`: pixels from row to row of the canvas of a `source` image.
    pub(super) fn new(
        map: &RemapTable,
        source: ImageSize,
        stride: usize,
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
        let height = source.height as usize;
        let mut runs: Vec<Run> = Vec::new();
        let mut taps = Vec::with_capacity(expected);
        for row in map.source.chunks(output.width as usize) {
            let mut of_row: Option<Run> = None;
            for &[x, y] in row {
                let position = split(x, source.width).zip(split(y, source.height));
                let kind = if position.is_some() { Kind::Shown } else { Kind::Outside };
                let mut rows = height..0;
                if let Some(((x, right), (y, down))) = position {
                    // Frame coordinates: one more than the image's, so never negative.
                    let at =
                        u32::try_from(y * stride + x).expect("a canvas has at most 2^30 pixels");
                    taps.push(Tap { at, right, down });
                    rows = y.saturating_sub(1)..(y + 1).min(height);
                }
                match &mut of_row {
                    Some(run) if run.kind == kind => {
                        run.pixels += 1;
                        run.rows.start = run.rows.start.min(rows.start);
                        run.rows.end = run.rows.end.max(rows.end);
                    }
                    _ => runs.extend(of_row.replace(Run { kind, pixels: 1, rows })),
                }
            }
            runs.extend(of_row);
        }
        runs.shrink_to_fit();
        taps.shrink_to_fit();
        Ok(Self { runs, taps })
    }
}

/// The pixel before a position on an axis of `side` pixels, counted from the frame (one before the image), and the rest
/// in 1/65536 px; `None` when neither this pixel nor the next is in the image.
fn split(position: f32, side: u32) -> Option<(usize, u16)> {
    let fixed = (f64::from(position) * FRACTION).round();
    if !(fixed > -FRACTION && fixed < FRACTION * side as f64) {
        return None; // also NaN
    }
    #[expect(clippy::cast_possible_truncation, reason = "tested above: at most 32767 * 65536")]
    let from_frame = fixed as i64 + (1 << FRACTION_BITS);
    let before = usize::try_from(from_frame >> FRACTION_BITS).ok()?;
    let rest = u16::try_from(from_frame & ((1 << FRACTION_BITS) - 1)).ok()?;
    Some((before, rest))
}

/// Bits after the point of a source position.
const FRACTION_BITS: u32 = 16;
const FRACTION: f64 = (1u32 << FRACTION_BITS) as f64;
