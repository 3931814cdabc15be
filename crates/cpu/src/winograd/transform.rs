//! The one-dimensional transforms of F(4, 3): four outputs of a three-tap filter from six products.
//!
//! With the polynomials that are multiplied evaluated at 0, ±a, ±b and infinity,
//! `y = A^T ((G w) * (B^T d))` (S. Winograd, 1980; A. Lavin and S. Gray, "Fast algorithms for
//! convolutional neural networks", 2015, with a = 1, b = 2). Both ways apply it to rows, then to
//! columns.
#![allow(
    clippy::inline_always,
    reason = "instructions are chosen where an operation is dispatched: all of it has to be there"
)]

use rten_simd::Isa;
use rten_simd::ops::{BitOps, NumOps};

/// Outputs along one axis.
pub(super) const OUTPUTS: usize = 4;
/// Inputs and products along one axis.
pub(super) const POINTS: usize = OUTPUTS + 2;
/// Products of one tile.
pub(super) const PRODUCTS: usize = POINTS * POINTS;

// The points, chosen by error: with these the results are about 1.6 times as far from exact sums as
// those of a direct convolution in f32, with 1 and 2 of the paper 3.5 times. All of these constants
// and their products below are exact in f32.
const A: f32 = 0.625;
const B: f32 = 1.5;
const AA: f32 = A * A;
const BB: f32 = B * B;

/// `B^T d`.
#[inline(always)]
pub(super) fn input<I: Isa>(isa: I, d: [I::F32; POINTS]) -> [I::F32; POINTS] {
    let ops = isa.f32();
    let times = |a: f32, x, y| ops.mul_add(ops.splat(a), x, y);
    let even_a = times(-BB, d[2], d[4]);
    let odd_a = ops.mul(ops.splat(A), times(-BB, d[1], d[3]));
    let even_b = times(-AA, d[2], d[4]);
    let odd_b = ops.mul(ops.splat(B), times(-AA, d[1], d[3]));
    [
        times(AA * BB, d[0], times(-(AA + BB), d[2], d[4])),
        ops.add(even_a, odd_a),
        ops.sub(even_a, odd_a),
        ops.add(even_b, odd_b),
        ops.sub(even_b, odd_b),
        times(AA * BB, d[1], times(-(AA + BB), d[3], d[5])),
    ]
}

/// `A^T m`.
#[inline(always)]
pub(super) fn output<I: Isa>(isa: I, m: [I::F32; POINTS]) -> [I::F32; OUTPUTS] {
    let ops = isa.f32();
    let times = |a: f32, x, y| ops.mul_add(ops.splat(a), x, y);
    let (sum_a, sum_b) = (ops.add(m[1], m[2]), ops.add(m[3], m[4]));
    let (difference_a, difference_b) = (ops.sub(m[1], m[2]), ops.sub(m[3], m[4]));
    [
        ops.add(m[0], ops.add(sum_a, sum_b)),
        times(A, difference_a, ops.mul(ops.splat(B), difference_b)),
        times(AA, sum_a, ops.mul(ops.splat(BB), sum_b)),
        times(AA * A, difference_a, times(BB * B, difference_b, m[5])),
    ]
}

/// `G w G^T` of a 3x3 kernel, row-major.
pub(super) fn weights(kernel: [f64; 9]) -> [f32; PRODUCTS] {
    let along = |w: [f64; 3]| -> [f64; POINTS] {
        let (a, b) = (f64::from(A), f64::from(B));
        let at = |point: f64, scale: f64| (w[0] + point * w[1] + point * point * w[2]) / scale;
        let scale_a = 2.0 * a * a * (a * a - b * b);
        let scale_b = 2.0 * b * b * (b * b - a * a);
        [
            w[0] / (a * a * b * b),
            at(a, scale_a),
            at(-a, scale_a),
            at(b, scale_b),
            at(-b, scale_b),
            w[2],
        ]
    };
    let rows: [[f64; POINTS]; 3] =
        std::array::from_fn(|row| along([0, 1, 2].map(|column| kernel[3 * row + column])));
    let mut products = [0.0; PRODUCTS];
    for column in 0..POINTS {
        let transformed = along(rows.map(|row| row[column]));
        for (row, value) in transformed.into_iter().enumerate() {
            #[allow(clippy::cast_possible_truncation, reason = "rounded once, here")]
            let value = value as f32;
            products[row * POINTS + column] = value;
        }
    }
    products
}
