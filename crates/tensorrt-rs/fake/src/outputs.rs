//! What a fake context writes.
//!
//! With `h` the FNV-1a hash (64 bits) of the network hash (8 bytes, little-endian) and of each input's name and
//! bytes in the order of the engine, element `k` of output `o` is made of `x = splitmix64(h ^ o << 32 ^ k)`: an
//! f32 is the top 24 bits / 2^24, an f16 the top 11 / 2^11, an i32 the top 24, an i64 the top 63, a byte the top
//! 8, a bool the lowest. A function of everything that goes in, exact in every type.

/// The hash of a network that a plan holds: FNV-1a of the ONNX bytes.
pub fn network_hash(onnx: &[u8]) -> u64 {
    fnv(0xcbf2_9ce4_8422_2325, onnx)
}

/// The bytes of an output. `inputs` are names and bytes in the order of the engine, `output` the index among
/// the outputs, `data_type` a number of `DataType` (0 f32, 1 f16, 3 i32, 4 bool, 8 i64, else bytes), `count` the
/// number of elements.
pub fn expected_output(
    network: u64,
    inputs: &[(&str, &[u8])],
    output: u64,
    data_type: i32,
    count: usize,
) -> Vec<u8> {
    let mut hash = fnv(0xcbf2_9ce4_8422_2325, &network.to_le_bytes());
    for (name, bytes) in inputs {
        hash = fnv(fnv(hash, name.as_bytes()), bytes);
    }
    let mut all = Vec::new();
    for k in 0..count as u64 {
        let x = splitmix(hash ^ (output << 32) ^ k);
        let top = |bits: u32| x >> (64 - bits);
        match data_type {
            0 => all.extend_from_slice(&((top(24) as f32) / 16_777_216.0).to_le_bytes()),
            1 => all.extend_from_slice(&half(top(11)).to_le_bytes()),
            3 => all.extend_from_slice(&top(24).to_le_bytes()[..4]),
            4 => all.push(u8::from(x & 1 == 1)),
            8 => all.extend_from_slice(&top(63).to_le_bytes()),
            _ => all.extend_from_slice(&top(8).to_le_bytes()[..1]),
        }
    }
    all
}

/// `numerator / 2048` as an IEEE half: exact, by way of the exponent of the f32.
fn half(numerator: u64) -> u16 {
    let bits = (numerator as f32 / 2048.0).to_bits();
    if numerator == 0 {
        return 0;
    }
    let exponent = (bits >> 23) + 15 - 127;
    let mantissa = bits >> 13 & 0x3ff;
    u16::try_from(exponent << 10 | mantissa).expect("sixteen bits")
}

fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn splitmix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
