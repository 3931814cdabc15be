//! Stereo soft feature assignment: image features to voxel features, without weights.
//!
//! Voxels are rows: a feature map becomes a table `[V * h * w + 1, c]` whose last row is zero, so that
//! gathering a voxel copies one contiguous row, and a point that no view shows reads zeros. What
//! depends on the rig alone (rows, visibility) comes from nodes that read `pixels` and nothing else: a
//! runtime that binds geometry once can evaluate them once.
//!
//! In an f16 network tables are f16 and everything after the gathers is f32: norms of 1e-8, the
//! epsilon of the cosine, are zero in f16, and zero over zero is no voxel feature.

use super::{
    builder::{GraphBuilder, Value},
    virtual_stereo::{self, DepthImage},
};
use crate::preset::{COSINE_EPSILON, Preset};

/// Voxel features `[1, N, c]` in f32 from the features `[V, c, h, w]` of each scale and `pixels`
/// `[Vp, S, N, P]`; with a depth image Vp is 2 where V is 1.
pub(super) fn emit(
    graph: &mut GraphBuilder<'_>,
    preset: &Preset,
    features: &[Value],
    pixels: &Value,
    depth_image: Option<&DepthImage>,
) -> Value {
    let rows = Rows::emit(graph, features, pixels);
    let seen: Vec<Seen> = (0..rows.views).map(|view| rows.seen(graph, view)).collect();
    let one_sided = match &seen[..] {
        [Seen { nowhere: Some(left), .. }, Seen { nowhere: Some(right), .. }] => {
            Some(graph.test("Or", PATH, left, right))
        }
        _ => None,
    };
    let scales = features.iter().zip(&preset.scales).enumerate().map(|(scale, (map, factor))| {
        let path = format!("{PATH}.{factor}");
        let table = emit_table(graph, &path, map, *factor, depth_image);
        let means: Vec<Value> = (0..rows.views)
            .map(|view| rows.mean(graph, &path, &table, (view, scale), &seen[view]))
            .collect();
        match (&means[..], &one_sided) {
            ([left, right], Some(one_sided)) => fuse(graph, &path, left, right, one_sided),
            _ => means[0].clone(),
        }
    });
    let scales: Vec<Value> = scales.collect();
    let (first, others) = scales.split_first().expect("a validated preset has a scale");
    others.iter().fold(first.clone(), |sum, scale| graph.binary("Add", PATH, &sum, scale))
}

/// A feature map as a table: one row per pixel of each view (the last one made from a depth image, if
/// there is one), then a row of zeros.
fn emit_table(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    map: &Value,
    factor: u32,
    depth_image: Option<&DepthImage>,
) -> Value {
    let [views, width, height, columns] = map.trailing::<4>();
    let pixels = height * columns;
    let x = graph.reshape(path, map, &[views, width, pixels]);
    let x = graph.transpose(path, &x, &[0, 2, 1]);
    let x = graph.reshape(path, &x, &[views * pixels, width]);
    let zeros = graph.zeros(&[1, width], &x);
    let Some(image) = depth_image else { return graph.concat(path, &[&x, &zeros], 0) };
    let right = virtual_stereo::emit(graph, image, factor, &x, [height, columns]);
    graph.concat(path, &[&x, &right, &zeros], 0)
}

/// Two views of a voxel: cos(left, right) * (left + right) / 2 where both see it, and half of the one
/// that does (the other reads zeros) elsewhere.
fn fuse(
    graph: &mut GraphBuilder<'_>,
    path: &str,
    left: &Value,
    right: &Value,
    one_sided: &Value,
) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "1e-8 as PyTorch compares it, in f32")]
    let epsilon = graph.scalar(COSINE_EPSILON as f32, left);
    let half = graph.scalar(0.5, left);
    let channels = left.shape.len() - 1;
    let product = graph.binary("Mul", path, left, right);
    let dot = graph.sum_over(path, &product, &[channels]);
    let [left_norm, right_norm] = [left, right].map(|view| {
        let norm = graph.norm_over_last(path, view);
        graph.binary("Max", path, &norm, &epsilon)
    });
    let norms = graph.binary("Mul", path, &left_norm, &right_norm);
    let cosine = graph.binary("Div", path, &dot, &norms);
    let agreement = graph.binary("Mul", path, &cosine, &half);
    let gain = graph.select(path, one_sided, &half, &agreement);
    let sum = graph.binary("Add", path, left, right);
    graph.binary("Mul", path, &sum, &gain)
}

/// Which row of its table each point of each voxel reads.
struct Rows {
    /// `[1, N]` each; view-major, then scale, then point.
    points: Vec<Value>,
    views: usize,
    scales: usize,
    points_per_voxel: usize,
    /// The row of zeros of the first scale's table.
    hidden: i32,
}

/// What a view sees of each voxel.
struct Seen {
    /// Truth `[1, N, 1]`: no point of the voxel is visible; none where there is no other view that
    /// could see it.
    nowhere: Option<Value>,
    /// `[1, N, 1]`: max(visible points, 1); none for patterns of one point, where it is always 1.
    divisor: Option<Value>,
}

impl Rows {
    fn emit(graph: &mut GraphBuilder<'_>, features: &[Value], pixels: &Value) -> Self {
        let [views, scales, voxels, points] = pixels.trailing::<4>();
        let int =
            |extent: usize| i32::try_from(extent).expect("a validated preset's tables fit i32");
        let map_sizes: Vec<usize> =
            features.iter().map(|map| map.trailing::<2>().iter().product()).collect();
        let per_scale = |values: Vec<i32>, name: &str, graph: &mut GraphBuilder<'_>| {
            graph.integers(name, &[values.len() / scales, scales, 1, 1], &values)
        };
        let one_past_end = map_sizes.iter().map(|&size| int(size)).collect();
        let one_past_end = per_scale(one_past_end, "invisible", graph);
        let zero_rows: Vec<i32> = map_sizes.iter().map(|&size| int(views * size)).collect();
        let hidden = zero_rows[0];
        let zero_row = per_scale(zero_rows, "zero_row", graph);
        let invisible = graph.test("Equal", PATH, pixels, &one_past_end);
        let first_rows =
            (0..views).flat_map(|view| map_sizes.iter().map(move |&size| int(view * size)));
        let first_row = per_scale(first_rows.collect(), "first_row", graph);
        let row = graph.binary("Add", PATH, pixels, &first_row);
        let row = graph.select(PATH, &invisible, &zero_row, &row);
        let row = if points == 1 { row } else { graph.transpose(PATH, &row, &[0, 1, 3, 2]) };
        let row = graph.reshape(PATH, &row, &[views * scales * points, voxels]);
        let rows = graph.split_rows(PATH, &row);
        Self { points: rows, views, scales, points_per_voxel: points, hidden }
    }

    /// The points of a view at one scale.
    fn points(&self, view: usize, scale: usize) -> &[Value] {
        let first = (view * self.scales + scale) * self.points_per_voxel;
        &self.points[first..first + self.points_per_voxel]
    }

    /// Visibility is the same at every scale; read at the first.
    fn seen(&self, graph: &mut GraphBuilder<'_>, view: usize) -> Seen {
        if self.views == 1 && self.points_per_voxel == 1 {
            return Seen { nowhere: None, divisor: None };
        }
        let zero_row = graph.integers("hidden", &[], &[self.hidden]);
        let hidden: Vec<Value> = self
            .points(view, 0)
            .iter()
            .map(|row| {
                let [voxels] = row.trailing::<1>();
                let row = graph.reshape(PATH, row, &[1, voxels, 1]);
                graph.test("Equal", PATH, &row, &zero_row)
            })
            .collect();
        let [first, others @ ..] = &hidden[..] else {
            unreachable!("a sampling pattern has at least one point");
        };
        if others.is_empty() {
            return Seen { nowhere: Some(first.clone()), divisor: None };
        }
        let first = graph.as_floats(PATH, first);
        let hidden = others.iter().fold(first, |sum, hidden| {
            let hidden = graph.as_floats(PATH, hidden);
            graph.binary("Add", PATH, &sum, &hidden)
        });
        let [points, one] = [self.points_per_voxel as f32, 1.0].map(|x| graph.scalar(x, &hidden));
        let nowhere = (self.views > 1).then(|| graph.test("Equal", PATH, &hidden, &points));
        let visible = graph.binary("Sub", PATH, &points, &hidden);
        let divisor = graph.binary("Max", PATH, &visible, &one);
        Seen { nowhere, divisor: Some(divisor) }
    }

    /// Mean feature `[1, N, c]` in f32 over the visible points, one point after the other.
    fn mean(
        &self,
        graph: &mut GraphBuilder<'_>,
        path: &str,
        table: &Value,
        (view, scale): (usize, usize),
        seen: &Seen,
    ) -> Value {
        let mut sum: Option<Value> = None;
        for row in self.points(view, scale) {
            let feature = graph.gather_rows(path, table, row);
            let feature = graph.widen(path, &feature);
            sum = Some(match sum {
                Some(sum) => graph.binary("Add", path, &sum, &feature),
                None => feature,
            });
        }
        let sum = sum.expect("a sampling pattern has at least one point");
        match &seen.divisor {
            Some(divisor) => graph.binary("Div", path, &sum, divisor),
            None => sum,
        }
    }
}

const PATH: &str = "projects";
