//! The roofline, worked out by hand.
#![allow(clippy::float_cmp, reason = "the rates are chosen so that the times are exact")]

use crate::graph::{estimate, floats, model, node};
use occdepth::board::Precision;
use occdepth::board::profile::Rates;
use occdepth::estimate::{Bound, Estimate};

/// A product of 64 x 64 matrices, and a transposition of its result.
fn two_layers() -> Estimate {
    let nodes = vec![
        node("MatMul", &["x", "w"], "m", vec![]),
        node("Transpose", &["m"], "y", vec![crate::graph::ints("perm", &[1, 0])]),
    ];
    estimate(&model(&[("x", &[64, 64])], vec![floats("w", &[64, 64])], nodes, &["y"]))
}

fn rates(peak: f64, bandwidth: Option<f64>) -> Rates {
    Rates { name: "made up".into(), bandwidth, peaks: [Some(peak), None, Some(2.0 * peak), None] }
}

/// The product: 2 · 64³ = 524288 operations, 3 · 4096 numbers; the transposition: none, 2 · 4096 numbers.
#[test]
fn a_layer_takes_the_longer_of_two_times() {
    let counted = two_layers();
    let p = counted.predict(&rates(524_288.0, Some(32_768.0)), Precision::Fp32).unwrap();
    // 1 s of arithmetic against 49152 / 32768 = 1.5 s; then 32768 / 32768 = 1 s.
    assert_eq!((p.layers[0].seconds, p.layers[0].bound), (1.5, Bound::Bandwidth));
    assert_eq!((p.layers[1].seconds, p.layers[1].bound), (1.0, Bound::Bandwidth));
    assert_eq!((p.roofline_s, p.bandwidth_bound_s, p.compute_bound_s), (2.5, 2.5, 0.0));
    // The floor: weights, x and y once, 49152 bytes.
    assert_eq!(p.floor_s, 1.5);
    assert_eq!(p.layers[0].intensity, 524_288.0 / 49_152.0);
    assert_eq!(p.ridge, 16.0);

    // In FP16 the peak is twice as high, and the numbers half as wide.
    let p = counted.predict(&rates(524_288.0, Some(32_768.0)), Precision::Fp16).unwrap();
    assert_eq!((p.layers[0].seconds, p.layers[1].seconds), (0.75, 0.5));

    // With a faster memory the arithmetic takes longer.
    let p = counted.predict(&rates(524_288.0, Some(131_072.0)), Precision::Fp32).unwrap();
    assert_eq!((p.layers[0].seconds, p.layers[0].bound), (1.0, Bound::Compute));
    assert_eq!((p.roofline_s, p.floor_s, p.bound()), (1.25, 1.0, Bound::Compute));
}

/// Nothing is predicted from what is unknown.
#[test]
fn unknown_rates_give_no_prediction() {
    let counted = two_layers();
    assert!(counted.predict(&rates(1.0, None), Precision::Fp32).is_none());
    assert!(counted.predict(&rates(1.0, Some(1.0)), Precision::Int8).is_none());
}

/// On every board the floor is below the sum of the layers, and narrower numbers are never slower.
#[test]
fn floors_are_below_rooflines() {
    let counted = two_layers();
    for board in occdepth::board::profile::catalogue() {
        for rates in board.rates() {
            let times: Vec<f64> = Precision::ALL
                .into_iter()
                .filter_map(|precision| counted.predict(&rates, precision))
                .map(|p| {
                    assert!(p.floor_s <= p.roofline_s && p.floor_s > 0.0);
                    p.roofline_s
                })
                .collect();
            assert!(times.windows(2).all(|pair| pair[1] <= pair[0]), "{} {times:?}", board.name);
        }
    }
}
