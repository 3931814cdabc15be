//! The arithmetic on blocks of tiles: lanes of vectors are tiles, or positions along an axis that
//! tiles do not have.
#![allow(
    clippy::inline_always,
    reason = "instructions are chosen where an operation is dispatched: all of it has to be there"
)]

use super::Activation;
use super::transform::{self, OUTPUTS, POINTS, PRODUCTS};
use rten_simd::ops::{BitOps, NumOps};
use rten_simd::{Isa, SimdOp};

/// Rows of a panel of weights.
pub(super) const PANEL: usize = 8;
/// Rows are padded to a multiple of this: the last panel may be half of one.
pub(super) const HALF_PANEL: usize = PANEL / 2;
/// No vector has more lanes.
pub(super) const MAX_LANES: usize = 16;

/// Transforms the input of some lanes of one channel.
pub(super) struct Analyse<'a> {
    /// The 36 inputs of each lane: of `inputs[i]` the first is at `offsets[i]`.
    pub(super) inputs: &'a [f32],
    pub(super) offsets: [usize; PRODUCTS],
    /// Lanes to do; whole vectors are read and written.
    pub(super) lanes: usize,
    /// Values of product p go to `p * stride`.
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
}

impl SimdOp for Analyse<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { inputs, offsets, lanes, values, stride } = self;
        let ops = isa.f32();
        for lane in (0..lanes).step_by(ops.len()) {
            let mut rows = [[ops.zero(); POINTS]; POINTS];
            for (row, rows) in rows.iter_mut().enumerate() {
                let mut d = [ops.zero(); POINTS];
                for (column, d) in d.iter_mut().enumerate() {
                    *d = ops.load(&inputs[offsets[row * POINTS + column] + lane..]);
                }
                *rows = transform::input(isa, d);
            }
            for column in 0..POINTS {
                let mut d = [ops.zero(); POINTS];
                for (d, row) in d.iter_mut().zip(&rows) {
                    *d = row[column];
                }
                for (row, value) in transform::input(isa, d).into_iter().enumerate() {
                    ops.store(value, &mut values[(row * POINTS + column) * stride + lane..]);
                }
            }
        }
    }
}

/// For each of the 36 products: rows of weights times columns of values.
pub(super) struct Multiply<'a> {
    /// `[36, panels, taps, channels, rows of the panel]`.
    pub(super) weights: &'a [f32],
    /// A multiple of [`HALF_PANEL`].
    pub(super) rows: usize,
    /// `[36, channels, value_stride]`.
    pub(super) values: &'a [f32],
    pub(super) value_stride: usize,
    pub(super) channels: usize,
    /// Taps along the lanes, and the lanes between them.
    pub(super) taps: usize,
    pub(super) tap_lanes: usize,
    /// `[36, rows, product_stride]`.
    pub(super) products: &'a mut [f32],
    pub(super) product_stride: usize,
    pub(super) lanes: usize,
}

impl SimdOp for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(mut self, isa: I) {
        let vector = isa.f32().len();
        let vectors = self.lanes.div_ceil(vector);
        // As many sums as registers hold: 32 of them, or 16 with vectors of 8 lanes. (x86-64 without
        // AVX2 has 16 of 4 lanes, too few for three columns, and spills; such processors are rare.)
        let wide = if vector == 8 { 1 } else { 3 };
        for product in 0..PRODUCTS {
            let mut at = 0;
            while at < vectors {
                let lane = at * vector;
                match (vectors - at).min(wide) {
                    1 => self.column::<I, 1>(isa, product, lane),
                    2 => self.column::<I, 2>(isa, product, lane),
                    _ => self.column::<I, 3>(isa, product, lane),
                }
                at += wide;
            }
        }
    }
}

impl Multiply<'_> {
    /// All rows of some lanes of one product.
    #[inline(always)]
    fn column<I: Isa, const VECTORS: usize>(&mut self, isa: I, product: usize, lane: usize) {
        let mut row = 0;
        while row + PANEL <= self.rows {
            self.tile::<I, PANEL, VECTORS>(isa, product, row, lane);
            row += PANEL;
        }
        if row < self.rows {
            self.tile::<I, HALF_PANEL, VECTORS>(isa, product, row, lane);
        }
    }

    #[inline(always)]
    fn tile<I: Isa, const ROWS: usize, const VECTORS: usize>(
        &mut self,
        isa: I,
        product: usize,
        row: usize,
        lane: usize,
    ) {
        let ops = isa.f32();
        let depth = self.taps * self.channels;
        let weights = &self.weights[(product * self.rows + row) * depth..][..ROWS * depth];
        let (weights, _) = weights.as_chunks::<ROWS>();
        let values = &self.values[product * self.channels * self.value_stride..];
        let mut sums = [[ops.zero(); VECTORS]; ROWS];
        for (tap, weights) in weights.chunks_exact(self.channels).enumerate() {
            let values = &values[lane + tap * self.tap_lanes..];
            for (weights, values) in weights.iter().zip(values.chunks(self.value_stride)) {
                let values = ops.load_many::<VECTORS>(values);
                for (sums, &weight) in sums.iter_mut().zip(weights) {
                    let weight = ops.splat(weight);
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = ops.mul_add(weight, value, *sum);
                    }
                }
            }
        }
        let products = &mut self.products[(product * self.rows + row) * self.product_stride..];
        for (sums, products) in sums.iter().zip(products.chunks_mut(self.product_stride)) {
            for (nth, sum) in sums.iter().enumerate() {
                ops.store(*sum, &mut products[lane + nth * ops.len()..]);
            }
        }
    }
}

/// Transforms the products of one output channel back, and applies bias and activation.
pub(super) struct Synthesise<'a> {
    /// Product p of the channel is at `p * stride`.
    pub(super) products: &'a [f32],
    pub(super) stride: usize,
    pub(super) lanes: usize,
    pub(super) bias: f32,
    pub(super) activation: Activation,
    /// `[16, output_stride]`.
    pub(super) outputs: &'a mut [f32],
    pub(super) output_stride: usize,
}

impl SimdOp for Synthesise<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, isa: I) {
        let Self { products, stride, lanes, bias, activation, outputs, output_stride } = self;
        let ops = isa.f32();
        let bias = ops.splat(bias);
        for lane in (0..lanes).step_by(ops.len()) {
            let mut rows = [[ops.zero(); OUTPUTS]; POINTS];
            for (row, rows) in rows.iter_mut().enumerate() {
                let mut m = [ops.zero(); POINTS];
                for (column, m) in m.iter_mut().enumerate() {
                    *m = ops.load(&products[(row * POINTS + column) * stride + lane..]);
                }
                *rows = transform::output(isa, m);
            }
            for column in 0..OUTPUTS {
                let mut m = [ops.zero(); POINTS];
                for (m, row) in m.iter_mut().zip(&rows) {
                    *m = row[column];
                }
                for (row, value) in transform::output(isa, m).into_iter().enumerate() {
                    let value = ops.add(value, bias);
                    let value = match activation {
                        Activation::None => value,
                        Activation::Relu => ops.max(value, ops.zero()),
                        Activation::LeakyRelu(slope) => ops.select(
                            value,
                            ops.mul(value, ops.splat(slope)),
                            ops.ge(value, ops.zero()),
                        ),
                    };
                    ops.store(
                        value,
                        &mut outputs[(row * OUTPUTS + column) * output_stride + lane..],
                    );
                }
            }
        }
    }
}

/// Splits a line of pixels into its four phases: `phases[p][t] = line[4 t + p]`.
pub(super) struct Split<'a> {
    pub(super) line: &'a [f32],
    /// `[4, stride]`, each of at least a quarter of the line.
    pub(super) phases: &'a mut [f32],
    pub(super) stride: usize,
}

impl SimdOp for Split<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let (pixels, _) = self.line.as_chunks::<OUTPUTS>();
        let (p0, rest) = self.phases.split_at_mut(self.stride);
        let (p1, rest) = rest.split_at_mut(self.stride);
        let (p2, p3) = rest.split_at_mut(self.stride);
        let phases = p0.iter_mut().zip(p1).zip(p2).zip(p3);
        for (pixels, (((p0, p1), p2), p3)) in pixels.iter().zip(phases) {
            (*p0, *p1, *p2, *p3) = (pixels[0], pixels[1], pixels[2], pixels[3]);
        }
    }
}

/// The reverse of [`Split`]; the last pixels of a line may be fewer than four.
pub(super) struct Join<'a> {
    pub(super) phases: &'a [f32],
    pub(super) stride: usize,
    pub(super) line: &'a mut [f32],
}

impl SimdOp for Join<'_> {
    type Output = ();

    #[inline(always)]
    fn eval<I: Isa>(self, _: I) {
        let whole = self.line.len() / OUTPUTS;
        let (pixels, rest) = self.line.as_chunks_mut::<OUTPUTS>();
        let phase = |nth: usize| &self.phases[nth * self.stride..];
        let phases = phase(0).iter().zip(phase(1)).zip(phase(2)).zip(phase(3));
        for (pixels, (((p0, p1), p2), p3)) in pixels.iter_mut().zip(phases) {
            *pixels = [*p0, *p1, *p2, *p3];
        }
        for (nth, pixel) in rest.iter_mut().enumerate() {
            *pixel = self.phases[nth * self.stride + whole];
        }
    }
}
