//! Files that were damaged on the way: refused or run, never a panic.

use crate::network::{self, PIXELS, VOXELS};
use occdepth::engine::{CpuEngine, Engine, EngineError};
use occdepth::grid::{GridOutput, LabelOptions};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn a_network_with_overwritten_bytes_never_panics(
        at: prop::sample::Index,
        written in proptest::collection::vec(any::<u8>(), 1..12),
    ) {
        let mut bytes = network::model(&network::contract()).to_bytes();
        let at = at.index(bytes.len());
        let end = (at + written.len()).min(bytes.len());
        bytes[at..end].copy_from_slice(&written[..end - at]);
        let _ = load_and_run(&bytes);
    }

    #[test]
    fn a_network_with_a_part_missing_or_twice_never_panics(
        from: prop::sample::Index,
        to: prop::sample::Index,
        twice: bool,
    ) {
        let bytes = network::model(&network::contract()).to_bytes();
        let [from, to] = [from.index(bytes.len()), to.index(bytes.len())];
        let (from, to) = (from.min(to), from.max(to));
        let middle = if twice { &bytes[from..to] } else { &[] };
        let damaged = if twice {
            [&bytes[..to], middle, &bytes[to..]].concat()
        } else {
            [&bytes[..from], &bytes[to..]].concat()
        };
        let _ = load_and_run(&damaged);
    }
}

fn load_and_run(bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
    let mut engine = CpuEngine::from_bytes(bytes, "damaged", Some(1))?;
    let geometry = network::geometry(|_, voxel| (voxel % PIXELS) as i32);
    engine.bind(&geometry, LabelOptions::default())?;
    let mut labels = vec![0; VOXELS];
    let output = GridOutput { labels: &mut labels, confidence: None, logits: None };
    engine.run(&network::images(), output)?;
    Ok(labels)
}
