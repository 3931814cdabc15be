//! The header that is committed is the one that cbindgen makes of the code.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

/// `OCCDEPTH_RING_HEADER=write cargo test -p occdepth-ring-c --test header` writes it anew.
#[test]
fn the_header_is_the_one_of_the_code() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut generated = Vec::new();
    cbindgen::generate(root).unwrap().write(&mut generated);
    let generated = String::from_utf8(generated).unwrap();
    let path = format!("{root}/include/occdepth_ring.h");
    if std::env::var_os("OCCDEPTH_RING_HEADER").is_some_and(|what| what == "write") {
        std::fs::write(&path, &generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = committed.lines().zip(generated.lines()).position(|(a, b)| a != b);
    assert!(
        committed == generated,
        "{path} is not up to date; the first line that differs: {differs:?}"
    );
}
