//! Whoever can write a plan can run anything: what others may write is refused.

use super::{cache, key, store};
use occdepth::engine::cache::{CacheError, EngineCache, Manifest};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn refused(cache: &EngineCache, path: &Path, found: &str) {
    let error = cache.open("street.onnx", &key()).unwrap_err();
    let CacheError::Untrusted { path: named, found: what, .. } = &error else { panic!("{error}") };
    assert_eq!(named.file_name(), path.file_name(), "{error}");
    assert!(what.contains(found), "{error}");
    assert!(!error.build_helps());
}

#[test]
fn what_others_may_write_is_refused() {
    let (keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let plan = store(&cache, &lock, &key(), b"a plan");
    let manifest = Manifest::path_of(&plan);
    let engines = plan.parent().unwrap();
    for (path, good) in [
        (plan.as_path(), 0o644),
        (&manifest, 0o644),
        (engines, 0o755),
        (cache.directory(), 0o755),
        (keep.path(), 0o700),
    ] {
        for bad in [0o666, 0o664, 0o777] {
            chmod(path, bad | 0o700);
            refused(&cache, path, &format!("mode 0{:o}", bad | 0o700));
        }
        chmod(path, good);
        cache.open("street.onnx", &key()).unwrap();
    }
}

#[test]
fn the_sticky_bit_protects_what_lies_inside() {
    let (keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let plan = store(&cache, &lock, &key(), b"a plan");
    chmod(keep.path(), 0o1777);
    cache.open("street.onnx", &key()).unwrap();
    // But not in the directory of the plans itself: there somebody could have put one first.
    let engines = plan.parent().unwrap();
    chmod(engines, 0o1777);
    refused(&cache, engines, "mode 1777");
}

#[test]
fn a_plan_is_a_file_and_not_a_link_to_one() {
    let (keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let plan = store(&cache, &lock, &key(), b"a plan");
    let elsewhere = keep.path().join("elsewhere");
    fs::rename(&plan, &elsewhere).unwrap();
    symlink(&elsewhere, &plan).unwrap();
    let error = cache.open("street.onnx", &key()).unwrap_err();
    assert!(matches!(error, CacheError::System { .. }), "{error}");
    fs::remove_file(&plan).unwrap();
    fs::create_dir(&plan).unwrap();
    refused(&cache, &plan, "not a regular file");
}

#[test]
fn a_link_to_the_cache_is_judged_by_where_it_leads() {
    let (keep, cache) = cache();
    let lock = cache.lock().unwrap();
    store(&cache, &lock, &key(), b"a plan");
    let open = keep.path().join("open");
    fs::create_dir(&open).unwrap();
    let moved = open.join("cache");
    fs::rename(cache.directory(), &moved).unwrap();
    symlink(&moved, cache.directory()).unwrap();
    cache.open("street.onnx", &key()).unwrap();
    chmod(&open, 0o777);
    refused(&cache, &open, "mode 0777");
}

#[test]
fn somebody_elses_file_is_refused() {
    if !rustix::process::geteuid().is_root() {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED somebody_elses_file_is_refused: only root can give files away"
        );
        return;
    }
    let (_keep, cache) = cache();
    let lock = cache.lock().unwrap();
    let plan = store(&cache, &lock, &key(), b"a plan");
    let engines = plan.parent().unwrap().to_owned();
    for path in [plan, engines] {
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        refused(&cache, &path, "owned by user 12345");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    cache.open("street.onnx", &key()).unwrap();
}
