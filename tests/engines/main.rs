//! Engines as files: recipes, the cache, what is refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cache;
mod keys;
mod recipes;
mod resources;
mod trust;
mod typing;

use occdepth::engine::cache::{BuildLock, DeviceIdentity, EngineCache, EngineKey, Manifest};
use occdepth::engine::cache::{PartialFile, SelfTestRecord};
use occdepth::engine::recipe::{Recipe, RecipePrecision};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

/// An Orin Nano 8 GB with `JetPack` 6.1.
fn orin() -> DeviceIdentity {
    DeviceIdentity {
        name: "Orin".into(),
        compute_capability: "8.7".into(),
        multiprocessors: 8,
        memory_mib: 7620,
    }
}

fn recipe() -> Recipe {
    Recipe::of_network(Some("street.onnx".into()), RecipePrecision::Fp16)
}

fn key() -> EngineKey {
    EngineKey::new([7; 32], &recipe(), "10.3.0", "12.6", "540.4.0", orin())
}

/// A cache in a directory of its own.
fn cache() -> (tempfile::TempDir, EngineCache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = EngineCache::at(directory.path().join("cache"));
    cache.create().unwrap();
    (directory, cache)
}

/// Stores `plan` for `key`, as a build does.
fn store(cache: &EngineCache, lock: &BuildLock, key: &EngineKey, plan: &[u8]) -> PathBuf {
    let mut file = PartialFile::create(&cache.plan_path("street.onnx", key)).unwrap();
    file.write(plan).unwrap();
    cache.store(lock, file, &manifest(key, plan)).unwrap()
}

fn manifest(key: &EngineKey, plan: &[u8]) -> Manifest {
    let digest: [u8; 32] = Sha256::digest(plan).into();
    Manifest {
        format: Manifest::FORMAT.into(),
        network: "street.onnx".into(),
        key: key.clone(),
        plan_sha256: occdepth_contract::hex::digits(&digest),
        plan_bytes: plan.len() as u64,
        built_unix_s: 1_790_000_000,
        build_s: 321.5,
        producer: "a test".into(),
        self_test: SelfTestRecord { samples: 4096, largest: 1e-3, rms: 1e-4 },
    }
}
