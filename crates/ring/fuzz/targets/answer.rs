#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| occdepth_ring_fuzz::answer::run(input));
