//! One tileable noise picture with all its coarser versions; every surface of the street wears it.

use crate::hash::mix;

/// Value noise of several octaves, [`SIZE`] x [`SIZE`] texels, repeating, with mip levels.
///
/// Each octave has twice the wavelength of the one before it and nearly its amplitude, so every level
/// still has contrast for a stereo matcher to hold on to.
#[derive(Clone, Debug)]
pub(crate) struct Noise {
    /// Level `l` has `(SIZE >> l)^2` values, row-major, mean about 128.
    levels: Vec<Vec<u8>>,
}

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        let mut sum = vec![0_i32; SIZE * SIZE];
        let mut total_weight = 0;
        for octave in 0..OCTAVES {
            let weight = 16 - 2 * i32::try_from(octave).expect("few octaves");
            total_weight += weight;
            add_octave(&mut sum, mix(seed) ^ octave as u64, octave, weight);
        }
        // Values of an octave are in 0..=255 * 2^16 after interpolation. A sum of many octaves keeps to
        // the middle of its range: spread it.
        let finest = sum.iter().map(|&value| {
            let mean = value / total_weight - 128 * 256;
            byte(128 + 2 * mean / 256)
        });
        let mut levels = vec![finest.collect::<Vec<u8>>()];
        for level in 1..LEVELS {
            let fine = &levels[level - 1];
            let fine_size = SIZE >> (level - 1);
            let size = SIZE >> level;
            let coarse = (0..size * size).map(|i| {
                let at = |dx: usize, dy: usize| {
                    i32::from(fine[(2 * (i / size) + dy) * fine_size + 2 * (i % size) + dx])
                };
                byte((at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1) + 2) / 4)
            });
            let coarse = coarse.collect();
            levels.push(coarse);
        }
        Self { levels }
    }

    /// The picture at (`u_m`, `v_m`), one texel of level 0 being [`TEXEL_M`], bilinear in the given level;
    /// 0 to 255. Coordinates within 4 km of zero.
    #[inline]
    pub(crate) fn sample(&self, u_m: f32, v_m: f32, level: u8) -> f32 {
        let level = usize::from(level.min(COARSEST));
        let scale = SUBTEXELS / TEXEL_M / (1_u32 << level) as f32;
        let (u, v) = (nearest(u_m * scale), nearest(v_m * scale));
        let bits = SIZE_BITS - level;
        let mask = (1_i32 << bits) - 1;
        let texels = self.levels[level].as_slice();
        let (column, row) = (u >> SUBTEXEL_BITS, v >> SUBTEXEL_BITS);
        let at = |column: i32, row: i32| {
            let index = ((row & mask) << bits) | (column & mask);
            // Masked: never negative, always inside; `get` costs less than a proof.
            i32::from(texels.get(index.unsigned_abs() as usize).copied().unwrap_or(128))
        };
        let (fu, fv) = (u & (SUBTEXEL_MASK), v & (SUBTEXEL_MASK));
        let upper =
            (at(column, row) << SUBTEXEL_BITS) + fu * (at(column + 1, row) - at(column, row));
        let lower = (at(column, row + 1) << SUBTEXEL_BITS)
            + fu * (at(column + 1, row + 1) - at(column, row + 1));
        let value = (upper << SUBTEXEL_BITS) + fv * (lower - upper);
        value as f32 * (1.0 / (SUBTEXELS * SUBTEXELS))
    }
}

/// The level whose texels are about as large as a footprint of `footprint_m`.
#[inline]
pub(crate) fn level_of(footprint_m: f32) -> u8 {
    let texels = footprint_m * (1.0 / TEXEL_M);
    // The exponent of the number is the logarithm to base 2, rounded down.
    let exponent = ((texels.to_bits() >> 23) & 0xff).saturating_sub(127);
    u8::try_from(exponent).map_or(COARSEST, |level| level.min(COARSEST))
}

/// Adds an octave of wavelength `2^octave` texels: random values on a lattice, bilinear in between.
fn add_octave(sum: &mut [i32], seed: u64, octave: usize, weight: i32) {
    let wavelength = 1_usize << octave;
    let lattice = SIZE >> octave;
    let value = |column: usize, row: usize| {
        let place = (row % lattice * lattice + column % lattice) as u64;
        i32::try_from(mix(seed ^ (place << 8)) & 0xff).expect("8 bits")
    };
    let fraction =
        |texel: usize| i32::try_from(((texel % wavelength) << 8) / wavelength).expect("below 256");
    for row in 0..SIZE {
        for column in 0..SIZE {
            let (c, r) = (column / wavelength, row / wavelength);
            let (fc, fr) = (fraction(column), fraction(row));
            let upper = value(c, r) * (256 - fc) + value(c + 1, r) * fc;
            let lower = value(c, r + 1) * (256 - fc) + value(c + 1, r + 1) * fc;
            sum[row * SIZE + column] += weight * ((upper * (256 - fr) + lower * fr) / 256);
        }
    }
}

/// Rounds to the nearest whole number, exactly and without a library call, within 2^22 of zero: the sum
/// with 1.5 * 2^23 has no room for a fraction.
#[inline]
pub(crate) fn nearest(value: f32) -> i32 {
    const BIAS: f32 = 12_582_912.0;
    (value + BIAS).to_bits().cast_signed().wrapping_sub(BIAS.to_bits().cast_signed())
}

fn byte(value: i32) -> u8 {
    u8::try_from(value.clamp(0, 255)).expect("clamped")
}

/// Edge of a texel of the finest level.
pub(crate) const TEXEL_M: f32 = 1.0 / 64.0;
const SIZE_BITS: usize = 9;
const SIZE: usize = 1 << SIZE_BITS;
const OCTAVES: usize = 7;
const LEVELS: usize = 7;
const COARSEST: u8 = 6;
const SUBTEXEL_BITS: i32 = 4;
const SUBTEXEL_MASK: i32 = (1 << SUBTEXEL_BITS) - 1;
const SUBTEXELS: f32 = (1 << SUBTEXEL_BITS) as f32;
