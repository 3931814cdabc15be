//! The key of an engine: whatever changes makes it another one, and says so.

use super::{key, orin, recipe};
use occdepth::engine::cache::{DeviceIdentity, EngineKey};
use occdepth::engine::recipe::{ProfilingDetail, Recipe, RecipePrecision};
use std::collections::HashSet;

#[test]
fn each_field_makes_another_engine_and_is_named() {
    let of = |recipe: &Recipe| EngineKey::new([7; 32], recipe, "10.3.0", "12.6", "540.4.0", orin());
    let with = |change: fn(&mut Recipe)| {
        let mut recipe = recipe();
        change(&mut recipe);
        of(&recipe)
    };
    let on = |change: fn(&mut DeviceIdentity)| {
        let mut device = orin();
        change(&mut device);
        EngineKey::new([7; 32], &recipe(), "10.3.0", "12.6", "540.4.0", device)
    };
    let others = [
        ("network_sha256", EngineKey::new([8; 32], &recipe(), "10.3.0", "12.6", "540.4.0", orin())),
        ("tensorrt", EngineKey::new([7; 32], &recipe(), "10.3.1", "12.6", "540.4.0", orin())),
        ("cuda", EngineKey::new([7; 32], &recipe(), "10.3.0", "12.8", "540.4.0", orin())),
        ("driver", EngineKey::new([7; 32], &recipe(), "10.3.0", "12.6", "540.5.0", orin())),
        ("device.name", on(|device| device.name = "Xavier".into())),
        ("device.compute_capability", on(|device| device.compute_capability = "7.2".into())),
        ("device.multiprocessors", on(|device| device.multiprocessors = 4)),
        ("device.memory_mib", on(|device| device.memory_mib = 15_600)),
        ("precision", with(|recipe| recipe.precision = RecipePrecision::Int8)),
        ("tf32", with(|recipe| recipe.tf32 = true)),
        ("optimization_level", with(|recipe| recipe.optimization_level = 5)),
        ("workspace_mib", with(|recipe| recipe.workspace_mib = Some(512))),
        ("board", with(|recipe| recipe.board = Some("orin-nano-8gb".into()))),
        ("dla_core", with(|recipe| recipe.dla_core = Some(0))),
        ("gpu_fallback", with(|recipe| recipe.gpu_fallback = true)),
        ("profiling", with(|recipe| recipe.profiling = ProfilingDetail::Detailed)),
    ];
    let mut digests = HashSet::from([key().digest()]);
    for (field, other) in others {
        let difference = key().difference(&other).unwrap();
        assert_eq!(difference.field, field);
        assert_ne!(difference.built, difference.now);
        assert!(digests.insert(other.digest()), "{field} does not change the digest");
    }
    assert_eq!(key().difference(&key()), None);
}

#[test]
fn what_is_not_the_engines_does_not_change_it() {
    let mut elsewhere = recipe();
    elsewhere.network = Some("elsewhere/street.onnx".into());
    let other = EngineKey::new([7; 32], &elsewhere, "10.3.0", "12.6", "540.4.0", orin());
    assert_eq!(other.digest(), key().digest());
}
