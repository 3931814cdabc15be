//! What the builder is told about types, for each major version.

use super::recipe;
use occdepth::engine::build::{BuildError, Typing};
use occdepth::engine::recipe::RecipePrecision::{self, Fp16, Fp32, Int8};
use occdepth_contract::Precision;

fn typing(
    precision: RecipePrecision,
    network: Precision,
    major: u32,
) -> Result<Typing, BuildError> {
    let mut recipe = recipe();
    recipe.precision = precision;
    Typing::new(&recipe, network, major)
}

const NONE: Typing = Typing { strong: false, fp16: false, int8: false, tf32: false };
const STRONG: Typing = Typing { strong: true, ..NONE };
const HALF: Typing = Typing { fp16: true, ..NONE };
const QUANTISED: Typing = Typing { int8: true, ..HALF };

#[test]
fn each_major_in_its_own_words() {
    for (precision, network, expected) in [
        (Fp32, Precision::Fp32, [Some(NONE), Some(STRONG), Some(STRONG)]),
        (Fp16, Precision::Fp32, [Some(HALF), Some(HALF), None]),
        (Fp16, Precision::Fp16, [Some(HALF), Some(STRONG), Some(STRONG)]),
        (Int8, Precision::Int8, [Some(QUANTISED), Some(STRONG), Some(STRONG)]),
        (Int8, Precision::Fp32, [None; 3]),
        (Int8, Precision::Fp16, [None; 3]),
        (Fp32, Precision::Fp16, [None; 3]),
        (Fp16, Precision::Int8, [None; 3]),
        (Fp32, Precision::Int8, [None; 3]),
    ] {
        for (major, expected) in [8, 10, 11].into_iter().zip(expected) {
            let found = typing(precision, network, major);
            assert_eq!(found.ok(), expected, "{precision:?} of {network:?} on {major}");
        }
    }
}

#[test]
fn a_dla_takes_no_strong_types() {
    let mut recipe = recipe();
    recipe.dla_core = Some(0);
    assert_eq!(Typing::new(&recipe, Precision::Fp16, 10).unwrap(), HALF);
}

#[test]
fn tf32_is_on_only_by_request() {
    let mut recipe = recipe();
    recipe.precision = Fp32;
    assert!(!Typing::new(&recipe, Precision::Fp32, 8).unwrap().tf32);
    recipe.tf32 = true;
    assert!(Typing::new(&recipe, Precision::Fp32, 8).unwrap().tf32);
}

#[test]
fn a_refusal_says_what_would_do() {
    let error = typing(Fp16, Precision::Fp32, 11).unwrap_err().to_string();
    for name in ["fp16", "Fp32", "11", "--precision fp16"] {
        assert!(error.contains(name), "{error}");
    }
}
