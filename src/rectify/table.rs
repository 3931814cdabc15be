//! Where each destination pixel comes from, prepared for the inner loop.

use super::RectifyError;
use super::ring::{PIXEL, pitch};
use occdepth_cuda::{NO_SAMPLE, sample};
use occdepth_geometry::{ImageSize, rectification::RemapTable};
use std::ops::Range;

/// The remap table of one camera.
#[derive(Clone, Debug)]
pub(super) struct SampleTable {
    /// Destination pixels in order, cut where they begin or cease to show the source, and at the ends of rows.
    pub(super) runs: Vec<Run>,
    /// One per destination pixel of a [`Kind::Shown`] run, in order: the upper left of the four pixels around its source
    /// position, as an index of a [`Ring`](super::ring::Ring)'s values.
    pub(super) offsets: Vec<u32>,
    /// The rest of the way, for each of these.
    pub(super) rests: Vec<Rest>,
    /// The first row that any run shows; rows are counted from the frame's, one above the image's.
    pub(super) first_row: usize,
    /// The slots of a ring that has all rows that a run shows when rows up to the last one that it or a run before it
    /// shows have been brought in. Few for a camera that is about upright; as many as it has rows for one that hangs upside
    /// down.
    pub(super) slots: usize,
}

/// Destination pixels of one row, of one kind.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) kind: Kind,
    pub(super) pixels: usize,
    /// The source rows that they show, counted from the frame's.
    pub(super) rows: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At least one of the four source pixels around the position is in the image.
    Shown,
    /// None is, or the position is NaN: black.
    Outside,
}

/// What is left of a source position after its whole pixels, in 1/65536 px.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) right: u16,
    pub(super) down: u16,
}

impl SampleTable {
    /// For images of `source` pixels, of which `output` pixels are made.
    pub(super) fn new(
        map: &RemapTable,
        source: ImageSize,
        output: ImageSize,
    ) -> Result<Self, RectifyError> {
        check_size(map, output)?;
        let position = |&[x, y]: &[f32; 2]| split(x, source.width).zip(split(y, source.height));
        let runs = runs(map.source.chunks(output.width as usize), position);
        let (first_row, slots) = rows_at_a_time(&runs);
        let pitch = pitch(source) as usize;
        let (offsets, rests) = map
            .source
            .iter()
            .filter_map(position)
            .map(|((x, right), (y, down))| {
                let at = u32::try_from(y % slots * pitch + x * PIXEL);
                (at.expect("at most 3 * 32769^2, below 2^32"), Rest { right, down })
            })
            .unzip();
        Ok(Self { runs, offsets, rests, first_row, slots })
    }
}

/// The same positions as entries for a GPU, which needs neither runs nor rows.
pub(super) fn device_samples(
    map: &RemapTable,
    source: ImageSize,
    output: ImageSize,
) -> Result<Vec<u64>, RectifyError> {
    check_size(map, output)?;
    let entry = |&[x, y]: &[f32; 2]| {
        let ((x, right), (y, down)) = split(x, source.width).zip(split(y, source.height))?;
        Some(sample([u16::try_from(x).ok()?, u16::try_from(y).ok()?], [right, down]))
    };
    Ok(map.source.iter().map(|position| entry(position).unwrap_or(NO_SAMPLE)).collect())
}

fn check_size(map: &RemapTable, output: ImageSize) -> Result<(), RectifyError> {
    let expected = output.width as usize * output.height as usize;
    if map.size != output || map.source.len() != expected {
        return Err(RectifyError::MapSize {
            found: map.size,
            entries: map.source.len(),
            expected: output,
        });
    }
    Ok(())
}

/// A pixel before a position and the rest of the way, on one axis.
type Split = (usize, u16);

fn runs<'a>(
    rows: impl Iterator<Item = &'a [[f32; 2]]>,
    position: impl Fn(&[f32; 2]) -> Option<(Split, Split)>,
) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for row in rows {
        let mut of_row: Option<Run> = None;
        for source in row {
            let (kind, shown) = match position(source) {
                Some((_, (y, _))) => (Kind::Shown, y..y + 2),
                None => (Kind::Outside, 0..0),
            };
            match &mut of_row {
                Some(run) if run.kind == kind => {
                    run.pixels += 1;
                    run.rows.start = run.rows.start.min(shown.start);
                    run.rows.end = run.rows.end.max(shown.end);
                }
                _ => runs.extend(of_row.replace(Run { kind, pixels: 1, rows: shown })),
            }
        }
        runs.extend(of_row);
    }
    runs.shrink_to_fit();
    runs
}

/// The first row that is shown, and [`SampleTable::slots`].
fn rows_at_a_time(runs: &[Run]) -> (usize, usize) {
    let (mut first, mut end, mut slots) = (usize::MAX, 0, 1);
    for run in runs.iter().filter(|run| run.kind == Kind::Shown) {
        first = first.min(run.rows.start);
        end = end.max(run.rows.end);
        slots = slots.max(end - run.rows.start);
    }
    (first, slots)
}

/// The pixel before a position on an axis of `side` pixels, counted from the frame (one before the image), and the rest
/// in 1/65536 px; `None` when neither this pixel nor the next is in the image.
fn split(position: f32, side: u32) -> Option<Split> {
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
