//! Virtual stereo: the features of a right view that is not there, from those of the left one and a
//! depth image (RGB-D networks).
//!
//! The right map at row i, column j is the left one at row i - 1/2 and column j - 1/2 + d, bilinearly
//! and with the edge continued, where d is the disparity in pixels of the map: baseline times focal
//! length over depth. Rows are the same for every image, so that only columns are gathered; what they
//! are computed from stays in f32 (an f16 has no half pixels above 1024), and every index is inside the
//! map whatever the depth image holds.

use super::builder::{Alignment, GraphBuilder, Value};

/// The inputs of an RGB-D network.
pub(super) struct DepthImage {
    /// f32 `[1, 1, H, W]`; 0 where nothing was measured.
    pub(super) depth_m: Value,
    /// f32 `[1]`, metres times pixels.
    pub(super) baseline_focal: Value,
}

/// Rows `[h * w, c]` of the right view from those of the left one, at 1 / `factor`.
pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    image: &DepthImage,
    factor: u32,
    left: &Value,
    [height, columns]: [usize; 2],
) -> Value {
    let path = &format!("virtual_stereo.{factor}");
    let [_, width] = left.trailing::<2>();

    // Rows i - 1 and i in equal parts; the row before the first is the first.
    let lines = graph.reshape(path, left, &[height, columns * width]);
    let above: Vec<i32> = (0..height).map(|row| index(row.saturating_sub(1))).collect();
    let above = graph.integers(&format!("{path}.above"), &[height], &above);
    let above = graph.gather_rows(path, &lines, &above);
    let sum = graph.binary("Add", path, &lines, &above);
    let half = graph.scalar(0.5, &sum);
    let lines = graph.binary("Mul", path, &sum, &half);
    let rows = graph.reshape(path, &lines, &[height * columns, width]);

    let Columns { first, share } = emit_columns(graph, path, image, factor, [height, columns]);
    let one = graph.scalar(1.0, &first);
    let last = graph.scalar((columns - 1) as f32, &first);
    let second = graph.binary("Add", path, &first, &one);
    let second = graph.binary("Min", path, &second, &last);
    let line_starts: Vec<i32> = (0..height).map(|row| index(row * columns)).collect();
    let line_starts = graph.integers(&format!("{path}.line"), &[height, 1], &line_starts);
    let [first, second] = [first, second].map(|column| {
        let column = graph.as_integers(path, &column);
        let position = graph.binary("Add", path, &column, &line_starts);
        let position = graph.reshape(path, &position, &[height * columns]);
        graph.gather_rows(path, &rows, &position)
    });
    let share = graph.reshape(path, &share, &[height * columns, 1]);
    let share = graph.narrow(path, &share);
    let step = graph.binary("Sub", path, &second, &first);
    let step = graph.binary("Mul", path, &step, &share);
    graph.binary("Add", path, &first, &step)
}

/// Where each pixel of the right map reads: f32 `[h, w]` each.
struct Columns {
    /// The column to the left of the place, a whole number from 0 to w - 1.
    first: Value,
    /// How far the place is towards the next column, 0 to 1.
    share: Value,
}

fn emit_columns(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    image: &DepthImage,
    factor: u32,
    [height, columns]: [usize; 2],
) -> Columns {
    let depth_m = graph.resize(path, &image.depth_m, [height, columns], Alignment::Areas);
    let depth_m = graph.reshape(path, &depth_m, &[height, columns]);
    // Exact: factors are powers of two.
    let shrink = graph.scalar(1.0 / factor as f32, &depth_m);
    let baseline_focal = graph.binary("Mul", path, &image.baseline_focal, &shrink);
    let disparity = graph.binary("Div", path, &baseline_focal, &depth_m);
    // Nothing measured is no disparity, and neither is what is no number. The published code takes
    // depths below zero as they are (resampling makes some): their disparity ends at the edge.
    let zero = graph.scalar(0.0, &depth_m);
    let magnitude = graph.unary("Abs", path, &depth_m);
    let measured = graph.test("Greater", path, &magnitude, &zero);
    let disparity = graph.select(path, &measured, &disparity, &zero);

    let edges: Vec<f32> = (0..columns).map(|column| column as f32 - 0.5).collect();
    let edges = graph.numbers(&format!("{path}.column"), &[1, columns], &edges);
    let place = graph.binary("Add", path, &disparity, &edges);
    let place = graph.binary("Max", path, &place, &zero);
    let last = graph.scalar((columns - 1) as f32, &place);
    let place = graph.binary("Min", path, &place, &last);
    // Rounding towards zero is rounding down: no place is negative.
    let first = graph.as_integers(path, &place);
    let first = graph.as_floats(path, &first);
    let share = graph.binary("Sub", path, &place, &first);
    Columns { first, share }
}

fn index(position: usize) -> i32 {
    i32::try_from(position).expect("a validated preset's maps fit i32")
}
