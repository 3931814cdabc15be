//! `occdepth build`, `engines` and `doctor` where there is no GPU, and the cache that somebody else may have touched.

use crate::support::{occdepth, run, stderr, succeed, text};
use occdepth::engine::cache::{
    DeviceIdentity, EngineCache, EngineKey, Manifest, PartialFile, SelfTestRecord,
};
use occdepth::engine::recipe::{Recipe, RecipePrecision};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// A cache with one engine, as an Orin would have built it.
fn one_engine(directory: &Path) -> (EngineCache, PathBuf) {
    let cache = EngineCache::at(directory);
    cache.create().unwrap();
    let device = DeviceIdentity {
        name: "Orin".into(),
        compute_capability: "8.7".into(),
        multiprocessors: 8,
        memory_mib: 7620,
    };
    let recipe = Recipe::of_network(None, RecipePrecision::Fp16);
    let key = EngineKey::new([7; 32], &recipe, "10.3.0", "12.6", "Jetson Linux 36.4.3", device);
    let plan = b"a plan";
    let digest: [u8; 32] = Sha256::digest(plan).into();
    let mut file = PartialFile::create(&cache.plan_path("street.onnx", &key)).unwrap();
    file.write(plan).unwrap();
    let manifest = Manifest {
        format: Manifest::FORMAT.into(),
        network: "street.onnx".into(),
        key,
        plan_sha256: occdepth_contract::hex::digits(&digest),
        plan_bytes: 6,
        built_unix_s: 1_790_000_000,
        build_s: 321.0,
        producer: "a test".into(),
        self_test: SelfTestRecord { samples: 4096, largest: 1e-3, rms: 1e-4 },
    };
    let path = cache.store(&cache.lock().unwrap(), file, &manifest).unwrap();
    (cache, path)
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(arguments)).unwrap()
}

#[test]
fn engines_are_listed_with_what_they_were_built_for() {
    let directory = tempfile::tempdir().unwrap();
    let cache = text(directory.path());
    assert!(succeed(&["engines", "list", "--cache", cache]).contains("no engines"));
    one_engine(directory.path());
    let listed = succeed(&["engines", "list", "--cache", cache]);
    for name in ["street.fp16.", "TensorRT 10.3.0", "Orin (sm 8.7", "Jetson Linux 36.4.3", "321 s"]
    {
        assert!(listed.contains(name), "no {name:?} in {listed}");
    }
    let listed = json(&["engines", "list", "--cache", cache, "--json"]);
    assert_eq!(listed["engines"][0]["manifest"]["key"]["tensorrt"], "10.3.0");
    assert_ne!(listed["engines"][0]["runs_here"], true);
}

#[test]
fn a_changed_plan_is_found_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let cache = text(directory.path());
    let (_, plan) = one_engine(directory.path());
    assert!(succeed(&["engines", "verify", "--cache", cache]).starts_with("ok"));
    fs::write(&plan, b"a p1an").unwrap();
    let output = run(&["engines", "verify", "--cache", cache]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("BAD") && said.contains("`sha256`"), "{said}");
    assert!(stderr(&output).contains("engines prune"));

    let planned = succeed(&["engines", "prune", "--cache", cache, "--dry-run"]);
    assert!(planned.contains("would remove") && plan.exists(), "{planned}");
    let removed = succeed(&["engines", "prune", "--cache", cache]);
    assert!(removed.contains("removed") && !plan.exists(), "{removed}");
}

#[test]
fn all_engines_go_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let (_, plan) = one_engine(directory.path());
    fs::write(plan.with_file_name(".x.engine.1.partial"), "half").unwrap();
    succeed(&["engines", "prune", "--cache", text(directory.path()), "--all"]);
    assert_eq!(fs::read_dir(plan.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn pruning_waits_for_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let (cache, _) = one_engine(directory.path());
    let lock = cache.lock().unwrap();
    let output = run(&["engines", "prune", "--cache", text(directory.path())]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains(&std::process::id().to_string()), "{said}");
    drop(lock);
}

#[test]
fn a_cache_that_others_may_write_is_configuration() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().unwrap();
    let (_, plan) = one_engine(directory.path());
    fs::set_permissions(plan.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    let output = run(&["engines", "list", "--cache", text(directory.path())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("mode 0777"), "{}", stderr(&output));
}

/// What these tests say of a machine without a GPU.
fn has_gpu() -> bool {
    Path::new("/dev/nvidiactl").exists() || Path::new("/dev/nvmap").exists()
}

#[test]
fn without_a_gpu_nothing_is_built_and_the_doctor_is_named() {
    if has_gpu() {
        return crate::support::skip(
            "without_a_gpu_nothing_is_built_and_the_doctor_is_named",
            "this machine has a GPU",
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let output = run(&["build", "--cache", text(directory.path())]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("no NVIDIA GPU") && said.contains("occdepth doctor"), "{said}");

    // And a configuration that asks for TensorRT says the same, and what else could be done.
    let config = directory.path().join("config.toml");
    let start = "[source]\nkind = 'synthetic'\nframes = 1\n[stream]\nsocket = 's.sock'\n";
    fs::write(&config, format!("{start}[network]\nengine = 'tensorrt'\n")).unwrap();
    let output = run(&["run", "--config", text(&config)]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("no NVIDIA GPU") && said.contains("network.engine"), "{said}");

    // By itself, the CPU takes its place, and says so.
    fs::write(&config, start).unwrap();
    let output = occdepth().args(["-v", "run", "--config", text(&config)]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("runs on the CPU"), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("engine cpu"));
}

#[test]
fn bad_recipes_are_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let recipe = directory.path().join("bad.toml");
    fs::write(&recipe, "precision = 'fp8'\n").unwrap();
    let output = run(&["build", "--recipe", text(&recipe), "--cache", text(directory.path())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("fp8"), "{}", stderr(&output));
}

#[test]
fn the_doctor_examines_and_reports() {
    let directory = tempfile::tempdir().unwrap();
    let cache = text(directory.path());
    let output = run(&["doctor", "--cache", cache, "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let problems = findings.iter().filter(|finding| finding["verdict"] == "problem").count();
    assert_eq!(document["problems"], problems);
    assert_eq!(output.status.code(), Some(i32::from(problems > 0)));
    for subject in ["board", "driver", "CUDA", "TensorRT", "memory", "disk", "systemd unit"] {
        assert!(findings.iter().any(|finding| finding["subject"] == subject), "no {subject}");
    }
}

#[test]
fn a_full_examination_runs_frames_and_writes_a_report() {
    if has_gpu() {
        return crate::support::skip(
            "a_full_examination_runs_frames_and_writes_a_report",
            "this machine has a GPU, and building takes minutes",
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let report = directory.path().join("report.json");
    let cache = text(directory.path());
    let output =
        run(&["doctor", "--full", "--seconds", "2", "--report", text(&report), "--cache", cache]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("report:"), "{said} {}", stderr(&output));
    let document: Value = serde_json::from_str(&fs::read_to_string(&report).unwrap()).unwrap();
    assert!(document["run"]["grids"].as_u64().unwrap() > 0, "{document}");
    assert!(document["run"]["stages"]["infer"]["p99_ms"].as_f64().unwrap() > 0.0);
    assert!(!document["run"]["course"].as_array().unwrap().is_empty());
    assert!(document["check"]["largest_error"].as_f64().unwrap() < 1e-3);
    assert!(document["build"]["skipped"].is_string());
    // Nothing that says whose machine this is.
    let whole = document.to_string();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert!(!whole.contains(cache) && !whole.contains(text(&report)));
    assert!(host.trim().len() < 4 || !whole.contains(host.trim()));
}
