//! Images from integers: the same bytes on every machine.

/// Red, green, blue of pixel (`x`, `y`): three octaves of smooth value noise (structures of 64, 16 and 4
/// pixels, as edges and surfaces have) and a little noise per pixel, as a sensor has. Spans 0 to 255.
pub(super) fn rgb(seed: u64, x: u32, y: u32) -> [u8; 3] {
    std::array::from_fn(|channel| {
        let channel = channel as u64;
        let smooth = |octave: u64, side: u32| smooth(seed, channel * 4 + octave, [x, y], side);
        let noise = hash([seed, channel, u64::from(x), u64::from(y)]) & 255;
        // 128 + 64 + 32 + 8 = 232 parts.
        let sum = 128 * smooth(0, 64) + 64 * smooth(1, 16) + 32 * smooth(2, 4) + 8 * noise;
        // Sums of octaves crowd around the middle: spread by 3/2 around it.
        let spread = (sum / 232 * 3).saturating_sub(128) / 2;
        u8::try_from(spread.min(255)).expect("it is at most 255")
    })
}

/// Depth of pixel (`x`, `y`) in metres: smooth, 0.5 to 10, and 0 (no measurement) at one pixel of 97.
pub(super) fn depth_m(seed: u64, x: u32, y: u32) -> f32 {
    if hash([seed, DEPTH, u64::from(x), u64::from(y)]).is_multiple_of(97) {
        return 0.0;
    }
    let millimetres = 500 + smooth(seed, DEPTH, [x, y], 64) * 9500 / 255;
    // Both conversions are exact, the division is rounded once.
    u16::try_from(millimetres).map_or(0.0, f32::from) / 1000.0
}

/// Value noise, 0 to 255: hashed values on a lattice of `side` pixels, bilinear between them.
fn smooth(seed: u64, plane: u64, [x, y]: [u32; 2], side: u32) -> u64 {
    let corner = |right: u32, below: u32| {
        let [column, row] = [x / side + right, y / side + below].map(u64::from);
        hash([seed ^ LATTICE, plane, column, row]) & 255
    };
    let [right, below, side] = [x % side, y % side, side].map(u64::from);
    let upper = corner(0, 0) * (side - right) + corner(1, 0) * right;
    let lower = corner(0, 1) * (side - right) + corner(1, 1) * right;
    (upper * (side - below) + lower * below) / (side * side)
}

/// Four words to one, each through the output function of splitmix64 (Steele, Lea and Flood 2014).
pub(super) fn hash(words: [u64; 4]) -> u64 {
    words.into_iter().fold(0, |state: u64, word| {
        let z = (state ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

/// Keeps draws of different kinds apart.
const LATTICE: u64 = 0x4c41_5454;
const DEPTH: u64 = 0x4445_5054;

#[cfg(test)]
mod tests {
    use super::{depth_m, rgb};

    /// Images that a network takes seriously: bright and dark, smooth but not flat.
    #[test]
    fn textures_span_the_range_and_are_smooth() {
        let pixels: Vec<u8> =
            (0..96).flat_map(|y| (0..320).map(move |x| rgb(1, x, y)[1])).collect();
        let (low, high) = (pixels.iter().min(), pixels.iter().max());
        assert!(low < Some(&32) && high > Some(&224), "{low:?} to {high:?}");
        let steps: u64 = pixels.windows(2).map(|pair| u64::from(pair[0].abs_diff(pair[1]))).sum();
        let mean = steps as f64 / pixels.len() as f64;
        assert!((1.0..20.0).contains(&mean), "neighbours differ by {mean}");
        assert_ne!(rgb(1, 5, 5), rgb(2, 5, 5));
        let depths: Vec<f32> = (0..4096).map(|x| depth_m(1, x % 64, x / 64)).collect();
        assert!(depths.iter().all(|&m| m == 0.0 || (0.5..=10.0).contains(&m)));
        assert!(depths.contains(&0.0));
    }
}
