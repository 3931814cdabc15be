//! Memory and disk, asked before a build.

use occdepth::engine::build::{
    BuildError, Memory, Needs, NetworkFile, disk_available, memory_available,
};
use occdepth::engine::recipe::RecipePrecision;
use proptest::prelude::*;
use std::path::Path;

const MIB: u64 = 1 << 20;
const NETWORK: u64 = 100 * MIB;

#[test]
fn a_recipe_gets_what_it_asks_for_or_a_refusal() {
    let needs = Needs::of_network(NETWORK, 50 * MIB);
    let roomy = Memory { system: 16_384 * MIB, device: None };
    assert_eq!(needs.workspace_mib(roomy, Some(2048), Some(512)).unwrap(), 2048);
    let tight = Memory { system: 2048 * MIB, device: None };
    let error = needs.workspace_mib(tight, Some(2048), None).unwrap_err();
    let BuildError::Memory { available, needed, workspace_mib } = error else { panic!("{error}") };
    assert_eq!((available, workspace_mib), (2048 * MIB, 2048));
    assert!(needed > available);
    assert!(error.to_string().contains("2048 MiB available"), "{error}");
}

#[test]
fn a_card_of_its_own_gives_the_workspace_and_the_system_the_rest() {
    let needs = Needs::of_network(NETWORK, 50 * MIB);
    let memory = Memory { system: 16_384 * MIB, device: Some(2048 * MIB) };
    let chosen = needs.workspace_mib(memory, None, None).unwrap();
    assert!(chosen <= 1024, "{chosen}");
    let memory = Memory { system: 256 * MIB, device: Some(65_536 * MIB) };
    assert!(
        needs.workspace_mib(memory, None, None).is_err(),
        "the parser needs the system's memory"
    );
}

#[test]
fn what_an_engine_holds_while_it_runs_counts() {
    let network = NetworkFile::open(None).unwrap();
    let [wide, narrow] =
        [RecipePrecision::Fp32, RecipePrecision::Fp16].map(|p| network.running_bytes(p));
    // The images alone: two views of 3 x 96 x 320 values.
    assert!(narrow >= 2 * 3 * 96 * 320 * 2, "{narrow}");
    assert!(
        wide > narrow && wide <= 2 * narrow,
        "{wide} and {narrow}: 32 and 16 bits, some of them indices"
    );
    let more = Needs::of_network(NETWORK, wide).memory - Needs::of_network(NETWORK, 0).memory;
    assert_eq!(more, wide);
}

#[test]
fn a_disk_without_room_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    Needs { memory: 0, disk: 1 }.check_disk(temporary.path()).unwrap();
    let error = Needs { memory: 0, disk: u64::MAX }.check_disk(temporary.path()).unwrap_err();
    assert!(error.to_string().contains(temporary.path().to_str().unwrap()), "{error}");
}

#[test]
fn this_machine_says_what_it_has() {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
    let total: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
    let available = memory_available().unwrap();
    assert!(available > 0 && available <= total * 1024);
    assert!(disk_available(Path::new("/")).unwrap() > 0);
    assert_eq!(disk_available(Path::new("/nonexistent")), None);
}

proptest! {
    #[test]
    fn a_chosen_workspace_fits(
        network in 0_u64..1 << 34,
        system in 0_u64..1 << 38,
        device in prop::option::of(0_u64..1 << 38),
        board in prop::option::of(64_u32..16_384),
    ) {
        let needs = Needs::of_network(network, 0);
        if let Ok(mib) = needs.workspace_mib(Memory { system, device }, None, board) {
            prop_assert!(u64::from(mib) * MIB + needs.memory <= device.unwrap_or(system));
            prop_assert!(mib >= 64);
            prop_assert!(board.is_none_or(|board| mib <= board));
        }
    }
}
