//! The cache: what is stored comes back as it was, and nothing else ever does.

use super::{cache, key, manifest, store};
use occdepth::engine::cache::{CacheError, EngineCache, Manifest, PartialFile};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

#[test]
fn an_engine_comes_back_as_it_was_stored() {
    let (_keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let path = store(&cache, &lock, &key(), b"a plan");
    let plan = cache.open("street.onnx", &key()).unwrap();
    assert_eq!(plan.bytes, b"a plan");
    assert_eq!(plan.path.file_name(), path.file_name());
    assert_eq!(plan.manifest, manifest(&key(), b"a plan"));
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("street.fp16.") && name.ends_with(".engine"), "{name}");
}

#[test]
fn an_engine_can_be_built_again() {
    let (_keep, cache) = cache();
    let lock = cache.lock().unwrap();
    store(&cache, &lock, &key(), b"a plan");
    store(&cache, &lock, &key(), b"a better plan");
    assert_eq!(cache.open("street.onnx", &key()).unwrap().bytes, b"a better plan");
    assert_eq!(cache.entries().unwrap().len(), 1);
}

#[test]
fn a_missing_engine_and_a_stale_one_are_told_apart() {
    let (_keep, cache) = cache();
    let missing = cache.open("street.onnx", &key()).unwrap_err();
    assert!(matches!(&missing, CacheError::Missing { network, .. } if network == "street.onnx"));
    let lock = cache.lock().unwrap();
    store(&cache, &lock, &key(), b"a plan");
    let mut upgraded = key();
    upgraded.tensorrt = "10.13.0".into();
    let stale = cache.open("street.onnx", &upgraded).unwrap_err();
    assert!(stale.build_helps());
    let message = stale.to_string();
    for name in ["stale", "`tensorrt`", "10.3.0", "10.13.0"] {
        assert!(message.contains(name), "{message}");
    }
    let other = cache.open("other.onnx", &upgraded).unwrap_err();
    assert!(matches!(other, CacheError::Missing { .. }));
}

#[test]
fn a_directory_that_is_not_there_has_no_engines() {
    let cache = EngineCache::at("/nonexistent/cache");
    assert!(cache.entries().unwrap().is_empty());
    assert!(matches!(cache.open("street.onnx", &key()), Err(CacheError::Missing { .. })));
}

#[test]
fn what_a_killed_build_leaves_is_no_engine_and_goes_away() {
    let (_keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let good = store(&cache, &lock, &key(), b"a plan");
    let mut other = key();
    other.optimization_level = 5;
    let orphan = cache.plan_path("street.onnx", &other);

    // Killed while the plan was written: the destructor does not run.
    let mut partial = PartialFile::create(&orphan).unwrap();
    partial.write(b"half a pl").unwrap();
    std::mem::forget(partial);
    assert!(matches!(cache.open("street.onnx", &other), Err(CacheError::Stale { .. })));
    assert_eq!(cache.entries().unwrap().len(), 1, "a partial file is not listed");

    // Killed between plan and manifest.
    fs::write(&orphan, b"a whole plan").unwrap();
    let error = cache.open("street.onnx", &other).unwrap_err();
    assert!(matches!(&error, CacheError::Orphan { path } if *path == orphan), "{error}");
    assert!(error.build_helps());
    let entries = cache.entries().unwrap();
    let orphans = entries.iter().filter(|e| matches!(e.manifest, Err(CacheError::Orphan { .. })));
    assert_eq!(orphans.count(), 1);

    let removed = cache.clean(&lock).unwrap();
    assert_eq!(removed.len(), 2, "{removed:?}");
    assert!(good.exists() && !orphan.exists());
    assert_eq!(cache.open("street.onnx", &key()).unwrap().bytes, b"a plan");
}

#[test]
fn a_partial_file_that_is_given_up_leaves_nothing() {
    let (keep, _cache) = cache();
    let target = keep.path().join("target");
    fs::write(&target, "before").unwrap();
    let mut file = PartialFile::create(&target).unwrap();
    file.write(b"after").unwrap();
    drop(file);
    assert_eq!(fs::read(&target).unwrap(), b"before");
    assert_eq!(fs::read_dir(keep.path()).unwrap().count(), 2, "target and cache");
}

#[test]
fn one_build_at_a_time() {
    let (_keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let error = cache.lock().unwrap_err();
    let CacheError::Busy { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, std::process::id().to_string());
    drop(lock);
    cache.lock().unwrap();
}

#[test]
fn an_engine_is_removed_whole() {
    let (_keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let path = store(&cache, &lock, &key(), b"a plan");
    cache.remove(&lock, &path).unwrap();
    assert!(!path.exists() && !Manifest::path_of(&path).exists());
    assert!(cache.entries().unwrap().is_empty());
}

#[test]
fn a_plan_larger_than_the_memory_is_not_read() {
    let (_keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let path = store(&cache, &lock, &key(), b"a plan");
    // 8 TiB that take no space: no machine that runs this has the memory.
    let bytes = 8 << 40;
    let file = fs::File::options().write(true).open(&path).unwrap();
    if let Err(error) = file.set_len(bytes) {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_plan_larger_than_the_memory_is_not_read: no sparse file of 8 TiB: {error}"
        );
        return;
    }
    let large = Manifest { plan_bytes: bytes, ..manifest(&key(), b"a plan") };
    fs::write(Manifest::path_of(&path), large.to_json()).unwrap();
    let error = cache.open("street.onnx", &key()).unwrap_err();
    let CacheError::TooLarge { plan, available, .. } = &error else { panic!("{error}") };
    assert!(*plan == bytes && available < plan);
    assert!(!error.build_helps());
}

#[test]
fn a_manifest_of_another_format_is_refused() {
    let text = manifest(&key(), b"a plan").to_json();
    let path = Path::new("street.json");
    assert_eq!(Manifest::parse(&text, path).unwrap(), manifest(&key(), b"a plan"));
    for (from, to, names) in [
        (
            "occdepth-engine 1",
            "occdepth-engine 2",
            &["street.json", "`format`", "occdepth-engine 2"][..],
        ),
        ("\"plan_bytes\": 6", "\"plan_bytes\": -6", &["street.json", "-6"]),
        ("\"network\"", "\"net\"", &["street.json", "net"]),
        ("\"plan_sha256\": \"", "\"plan_sha256\": \"xyz", &["`plan_sha256`", "xyz"]),
    ] {
        assert!(text.contains(from), "{from}");
        let error = Manifest::parse(&text.replacen(from, to, 1), path).unwrap_err().to_string();
        for name in names {
            assert!(error.contains(name), "{error}");
        }
    }
}

proptest! {
    /// Whatever happens to a plan or its manifest, it is refused, or it is what was stored.
    #[test]
    fn a_damaged_engine_never_comes_back(
        manifest_is_hit in any::<bool>(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        cut in any::<bool>(),
    ) {
        let (_keep, cache) = cache();
        let lock = cache.lock().unwrap();
        let path = store(&cache, &lock, &key(), b"a plan of some length");
        let victim = if manifest_is_hit { Manifest::path_of(&path) } else { path };
        let mut bytes = fs::read(&victim).unwrap();
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] ^= 1 << bit }
        fs::write(&victim, &bytes).unwrap();
        match cache.open("street.onnx", &key()) {
            // A digit of the build time, a letter of the producer: the plan is still the one.
            Ok(plan) => {
                prop_assert!(manifest_is_hit);
                prop_assert_eq!(plan.bytes, b"a plan of some length");
                prop_assert_eq!(plan.manifest.key, key());
            }
            Err(error) => {
                prop_assert!(error.to_string().contains("street.fp16."), "{}", error);
            }
        }
    }
}
