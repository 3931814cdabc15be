//! Board profiles: the figures against each other and against figures from elsewhere, and what is refused.

use occdepth::board::profile::{Kind, Profile, catalogue, find};
use occdepth::board::{Precision, ProfileError};
use std::collections::BTreeSet;
use std::error::Error as _;
use std::fs;
use std::path::Path;

/// Every file of the folder is compiled in, and named as its board is.
#[test]
fn the_catalogue_is_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("board");
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names: BTreeSet<String> = catalogue().iter().map(|profile| profile.name.clone()).collect();
    assert_eq!(files, names);
    for name in names {
        assert_eq!(find(&name).unwrap().name, name);
    }
}

/// FP32 is one multiply-add for each CUDA core and clock, and the tensor cores do twice as many 8-bit
/// operations as 16-bit ones: the printed figures must say the same as those worked out from others.
#[test]
fn peaks_agree_with_cores_and_clocks() {
    let mut compared = 0;
    for profile in jetsons() {
        let gpu = profile.gpu.as_ref().unwrap();
        // CUDA programming guide, arithmetic throughput: FP32 units of an SM by compute capability.
        let cores = match gpu.compute_capability.to_string().as_str() {
            "7.2" => 64,
            "8.7" | "11.0" => 128,
            other => panic!("{}: compute capability {other}", profile.name),
        };
        assert_eq!(gpu.cuda_cores, gpu.sm_count * cores, "{}", profile.name);
        for point in &profile.operating_points {
            let at = format!("{} {}", profile.name, point.name);
            let fp32 = f64::from(gpu.cuda_cores) * 2.0 * point.gpu_mhz.value * 1e-6;
            close(point.peak.fp32.as_ref().unwrap().value, fp32, 0.01, &at);
            let fp16 = point.peak.fp16.as_ref().unwrap().value;
            close(point.peak.int8.as_ref().unwrap().value, 2.0 * fp16, 0.04, &at);
            compared += 1;
        }
    }
    assert_eq!(compared, 14);
}

/// All Orins have the same tensor cores: 4096 dense 8-bit operations a clock and SM, 8192 sparse ones. (The
/// figures come from different documents, some of them less the DLA's share.)
#[test]
fn tensor_cores_of_one_generation_are_equally_fast() {
    for profile in jetsons() {
        let gpu = profile.gpu.as_ref().unwrap();
        let operations = match gpu.compute_capability.to_string().as_str() {
            "8.7" => 4096.0,
            "7.2" => 2000.0, // as printed: 22 TOPS of 8 SMs at 1377 MHz
            _ => continue,
        };
        for point in &profile.operating_points {
            let expected = f64::from(gpu.sm_count) * operations * point.gpu_mhz.value * 1e-6;
            let int8 = point.peak.int8.as_ref().unwrap().value;
            close(int8, expected, 0.03, &format!("{} {}", profile.name, point.name));
        }
    }
}

/// LPDDR moves two bits a clock and line; the widths of the buses are those of the data sheets.
#[test]
fn bandwidths_agree_with_bus_and_clock() {
    let bits = |name: &str| match name {
        "orin-nano-4gb" => 64.0,
        "orin-nano-8gb" | "orin-nx-8gb" | "orin-nx-16gb" | "xavier-nx" => 128.0,
        _ => 256.0,
    };
    for profile in jetsons() {
        for point in &profile.operating_points {
            let expected =
                bits(&profile.name) / 8.0 * 2.0 * point.memory_mhz.as_ref().unwrap().value;
            let found = point.bandwidth_gb_s.as_ref().unwrap().value;
            close(found, expected * 1e-3, 0.01, &format!("{} {}", profile.name, point.name));
        }
    }
}

/// NVIDIA's own table of the AGX Orin's GPU by power mode (repository Deep-Learning-Accelerator-SW: 171, 109
/// and 41 sparse TOPS at MAXN, 50 W and 30 W) against peaks scaled by clock and powered SMs. Its 14 TOPS at
/// 15 W are of other clocks than nvpmodel's configuration has, and are left out.
#[test]
fn power_modes_scale_as_nvidia_says() {
    let orin = find("agx-orin-64gb").unwrap();
    for (id, sparse) in [(0, 171.0), (3, 109.0), (2, 41.0)] {
        let (table, mode) = orin.power_mode(None, id, None).unwrap();
        let rates = orin.in_power_mode(table, mode).unwrap();
        let int8 = rates.peak(Precision::Int8).unwrap();
        close(int8, sparse / 2.0 * 1e12, 0.03, &rates.name);
    }
}

/// In `MODE_15W` the memory runs at 2133 of 3200 MHz, and so does the bandwidth.
#[test]
fn slower_memory_has_less_bandwidth() {
    let orin = find("agx-orin-64gb").unwrap();
    let (table, mode) = orin.power_mode(None, 1, Some("MODE_15W")).unwrap();
    let rates = orin.in_power_mode(table, mode).unwrap();
    close(rates.bandwidth.unwrap(), 204.8e9 * 2133.0 / 3200.0, 1e-9, "bandwidth");
}

/// The same number is another mode in another configuration.
#[test]
fn modes_are_found_by_configuration() {
    let nano = find("orin-nano-8gb").unwrap();
    let name = |file| nano.power_mode(Some(file), 1, None).map(|(_, mode)| mode.name.clone());
    assert_eq!(name("nvpmodel_p3767_0003.conf").as_deref(), Some("7W"));
    assert_eq!(name("nvpmodel_p3767_0003_super.conf").as_deref(), Some("25W"));
    assert_eq!(name("nvpmodel_p9999_0000.conf"), None);
    assert!(nano.power_mode(None, 1, Some("60W")).is_none());
}

/// What nobody has published is unknown, not zero.
#[test]
fn unknown_stays_unknown() {
    let thor = find("thor-t5000").unwrap();
    let (table, mode) = thor.power_mode(None, 2, Some("90W")).unwrap();
    assert!(thor.in_power_mode(table, mode).is_none());
    assert!(thor.rates()[0].peak(Precision::Tf32).is_none());
    assert!(find("cpu").unwrap().rates().is_empty());
}

#[test]
fn a_profile_is_refused_by_field() {
    let good = fs::read_to_string(board("orin-nano-8gb")).unwrap();
    assert!(Profile::parse(&good, "good.toml").is_ok());
    for (from, to, field, found) in [
        ("name = \"orin-nano-8gb\"", "name = \"Orin Nano\"", "name", "\"Orin Nano\""),
        ("\"p3767-0003\"", "\"3767-0003\"", "recognise.modules", "\"3767-0003\""),
        ("[4.5, 8.5]", "[8.5, 4.5]", "recognise.memory_gib[1]", "4.5"),
        ("sm_count = 8\n", "sm_count = 0\n", "gpu.sm_count", "0"),
        ("gib = 8\n", "gib = -8\n", "memory.gib", "-8"),
        ("{ value = 68,", "{ value = nan,", "operating_point[0].bandwidth_gb_s.value", "NaN"),
        ("{ value = 20,", "{ value = 0,", "operating_point[0].peak.int8.value", "0"),
        (
            "value = 17, source = \"user-guide\"",
            "value = 17, source = \"hearsay\"",
            "operating_point[1].peak.fp16.source",
            "\"hearsay\"",
        ),
        ("default = 0", "default = 7", "power_modes[0].default", "7"),
        ("id = 1, name = \"7W\"", "id = 0, name = \"7W\"", "power_modes[0].modes[1].id", "0 again"),
        ("gpu_mhz = 408", "gpu_mhz = 0", "power_modes[0].modes[1].gpu_mhz", "0"),
        ("sm_count = 4,", "sm_count = 9,", "power_modes[0].modes[1].sm_count", "9"),
        (
            "operating_point = \"15W\"",
            "operating_point = \"16W\"",
            "power_modes[0].operating_point",
            "\"16W\"",
        ),
        ("workspace_mib = 1024", "workspace_mib = 1", "recommended.workspace_mib", "1"),
        ("id = \"l4t-modules\"", "id = \"data-sheet\"", "source", "\"data-sheet\""),
        ("cores = 0\nsources = [\"data-sheet\"]", "cores = 0\nsources = []", "dla.sources", "none"),
    ] {
        assert!(good.contains(from), "{from}");
        let bad = good.replacen(from, to, 1);
        match Profile::parse(&bad, "bad.toml") {
            Err(ProfileError::Field { origin, field: f, found: v, expected }) => {
                assert_eq!((origin.as_str(), f.as_str(), v.as_str()), ("bad.toml", field, found));
                assert!(!expected.is_empty());
            }
            other => panic!("{to}: {other:?}"),
        }
    }
}

/// A document that no figure comes from is a figure that somebody forgot.
#[test]
fn unused_sources_are_refused() {
    let good = fs::read_to_string(board("orin-nano-8gb")).unwrap();
    let bad = format!("{good}\n[[source]]\nid = \"spare\"\ntitle = \"A document\"\n");
    let error = Profile::parse(&bad, "bad.toml").unwrap_err().to_string();
    assert!(error.starts_with("bad.toml: field `source`: found \"spare\""), "{error}");
}

/// Unknown keys, missing keys and other types are refused with their place.
#[test]
fn what_is_no_profile_says_where() {
    let good = fs::read_to_string(board("cpu")).unwrap();
    for (from, to, says) in [
        ("kind = \"cpu\"", "kind = \"cpu\"\ncolour = \"green\"", "colour"),
        ("kind = \"cpu\"", "", "kind"),
        ("kind = \"cpu\"", "kind = \"toaster\"", "toaster"),
        ("precision = \"fp32\"", "precision = \"fp31\"", "fp31"),
    ] {
        let error = Profile::parse(&good.replacen(from, to, 1), "bad.toml").unwrap_err();
        let cause = error.source().unwrap().to_string();
        assert!(error.to_string().contains("bad.toml") && cause.contains(says), "{error}: {cause}");
    }
    let bad = fs::read_to_string(board("orin-nano-8gb")).unwrap().replacen("\"8.7\"", "\"87\"", 1);
    let cause = Profile::parse(&bad, "bad.toml").unwrap_err().source().unwrap().to_string();
    assert!(cause.contains("found \"87\", expected `major.minor`"), "{cause}");
}

#[test]
fn a_profile_of_ones_own_is_read_from_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mine.toml");
    fs::write(
        &path,
        fs::read_to_string(board("cpu")).unwrap().replace("\"cpu\"\nt", "\"mine\"\nt"),
    )
    .unwrap();
    assert_eq!(find(path.to_str().unwrap()).unwrap().name, "mine");
    let missing = find("no/such/board.toml").unwrap_err();
    assert!(matches!(missing, ProfileError::Read { .. }));
    let unknown = find("orin-nono").unwrap_err().to_string();
    assert!(unknown.contains("orin-nono") && unknown.contains("orin-nano-8gb"), "{unknown}");
}

/// Every recommended preset is one that the companion has.
#[test]
fn recommended_presets_exist() {
    let presets = Path::new(env!("CARGO_MANIFEST_DIR")).join("host/presets");
    for profile in catalogue() {
        let recommended = &profile.recommended;
        assert!(presets.join(format!("{}.toml", recommended.preset)).exists(), "{}", profile.name);
        assert!(recommended.workspace_mib.is_some() == (profile.kind != Kind::Cpu));
        let mib = recommended.workspace_mib.unwrap_or(0) as f64;
        let memory_mib = profile.memory.as_ref().map_or(f64::MAX, |memory| memory.gib * 1024.0);
        assert!(mib <= memory_mib / 4.0, "{}: {mib} MiB of {memory_mib}", profile.name);
    }
    assert_eq!(find("orin-nano-8gb").unwrap().recommended.recipe(), "nano-fp16");
}

/// No module belongs to two boards.
#[test]
fn modules_are_unique() {
    let mut seen = BTreeSet::new();
    for module in catalogue().iter().flat_map(|profile| &profile.recognise.modules) {
        assert!(seen.insert(module), "{module}");
    }
}

fn jetsons() -> impl Iterator<Item = &'static Profile> {
    catalogue().iter().filter(|profile| profile.kind == Kind::Jetson)
}

fn board(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("board").join(format!("{name}.toml"))
}

fn close(found: f64, expected: f64, share: f64, what: &str) {
    let error = (found / expected - 1.0).abs();
    assert!(error <= share, "{what}: found {found}, expected {expected} within {share}");
}
