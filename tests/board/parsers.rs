//! Parsers: what they are made for, and anything at all.

use crate::tree::Tree;
use occdepth::board::identity::part_numbers;
use occdepth::board::power_mode::{parse_configuration, parse_status};
use occdepth::board::software::{
    installed, library_version, parse_driver_version, parse_tegra_release,
};
use occdepth::board::{Board, Reading, Sensors, sensors};
use proptest::prelude::*;

#[test]
fn part_numbers_stand_between_other_things() {
    for (name, parts) in [
        ("nvidia,p3768-0000+p3767-0005-super", vec!["p3768-0000", "p3767-0005"]),
        ("tegra194-p2888-0001-p2822-0000.dts", vec!["p2888-0001", "p2822-0000"]),
        ("p3767-00051", vec![]),
        ("xp3767-0005", vec![]),
        ("p376-70005", vec![]),
        ("p3767-000", vec![]),
        ("µp3767-0005µ", vec!["p3767-0005"]),
    ] {
        assert_eq!(part_numbers(name), parts, "{name}");
    }
}

#[test]
fn power_modes_are_read_as_nvpmodel_writes_them() {
    assert_eq!(parse_status("pmode:0002"), Some(2));
    assert_eq!(parse_status("pmode:0010 fmode:cool"), Some(10));
    assert_eq!(parse_status("fmode:cool pmode:0001"), Some(1));
    for bad in ["", "pmode:", "pmode:-1", "pmode:+1", "pmode:99999999999", "0002", "mode:2"] {
        assert_eq!(parse_status(bad), None, "{bad:?}");
    }
    let text = "<POWER_MODEL ID=3 NAME=MODE_50W>\n  < POWER_MODEL NAME=A ID=4 >\n# < POWER_MODEL ID=5 NAME=B >\n\
                < POWER_MODEL ID=x NAME=C >\n< POWER_MODEL ID=6 >\n< PARAM TYPE=FILE NAME=D ID=7 >\n";
    // nvpmodel itself wants a space after the bracket in some versions and not in others.
    assert_eq!(parse_configuration(text), [(3, "MODE_50W".to_owned()), (4, "A".to_owned())]);
}

#[test]
fn releases_are_read_as_nvidia_writes_them() {
    let release = |text| parse_tegra_release(text);
    assert_eq!(
        release("# R32 (release), REVISION: 7.1, GCID: 29818004").as_deref(),
        Some("32.7.1")
    );
    for bad in [
        "",
        "# R36",
        "# Rx (release), REVISION: 4.3,",
        "# R36 (release), REVISION: four,",
        "REVISION:",
    ] {
        assert_eq!(release(bad), None, "{bad:?}");
    }
    let open = "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  580.00  Release Build";
    assert_eq!(parse_driver_version(open).as_deref(), Some("580.00"));
    assert_eq!(parse_driver_version("NVRM version: nothing"), None);
    for (name, version) in [
        ("libnvinfer.so.10.3.0", Some("10.3.0")),
        ("libnvinfer.so.10", None),
        ("libnvinfer.so", None),
        ("libnvinfer_lean.so.10.3.0", None),
        ("libnvinfer.so.10.3.0.bak", None),
        ("libnvinfer.so.10..0", None),
    ] {
        assert_eq!(library_version(name, "libnvinfer"), version, "{name}");
    }
}

/// Removed packages leave a paragraph behind, and the last paragraph needs no empty line.
#[test]
fn packages_are_those_installed() {
    let status = "Package: libnvinfer10\nStatus: install ok installed\nVersion: 10.3.0.30-1\n\n\
                  Package: nvidia-old\nStatus: deinstall ok config-files\nVersion: 1\n\n\
                  Package: nvidia-none\nStatus: unknown ok not-installed\nVersion: 2\n\n\
                  Package: bash\nStatus: install ok installed\nVersion: 5\n\n\
                  Package: nvidia-last\nStatus: install ok installed\nDescription: x\n Version: 9\nVersion: 3";
    let mut packages: Vec<_> = installed(status.as_bytes()).unwrap().into_iter().collect();
    packages.sort();
    let expected = [("libnvinfer10", "10.3.0.30-1"), ("nvidia-last", "3")];
    assert_eq!(packages, expected.map(|(name, version)| (name.to_owned(), version.to_owned())));
}

/// Links are followed inside the tree, wherever they point, and a circle of them ends.
#[test]
fn links_stay_in_the_tree() {
    let tree = Tree::new(&[("/a/b/file", "inside"), ("/etc/hostname", "inside")]);
    tree.link("/up", "../../../../../../etc");
    tree.link("/absolute", "/etc");
    tree.link("/a/sideways", "b/../b");
    tree.link("/circle", "/round");
    tree.link("/round", "circle");
    let root = tree.root();
    for path in ["/up/hostname", "/absolute/hostname", "/a/sideways/file", "/../../a/./b/file"] {
        assert_eq!(root.text(path).as_deref(), Ok("inside"), "{path}");
    }
    assert!(root.text("/circle/file").unwrap_err().starts_with("/circle/file: "));
    assert_eq!(root.link("/absolute").as_deref(), Ok("/etc"));
}

#[test]
fn sensors_say_numbers_and_nothing_else() {
    for (bytes, value) in [
        (&b"48156\n"[..], Some(48_156)),
        (b"-8\n", Some(-8)),
        (b" 12 ", Some(12)),
        (b"", None),
        (b"\n", None),
        (b"12 C\n", None),
        (b"0x10", None),
        (b"\xff\xfe", None),
        (b"9223372036854775808", None),
        (b"00000000000000000000000000000000000000001", None),
    ] {
        assert_eq!(sensors::parse(bytes), value, "{bytes:?}");
    }
}

proptest! {
    /// What is written is read back.
    #[test]
    fn what_is_written_is_read_back(
        major in 1_u32..100, minor in 0_u32..50, patch in 0_u32..50, id in 0_u32..10_000,
        name in "[A-Z0-9_]{1,20}", value in any::<i64>(),
        board in 0_u32..10_000, sku in 0_u32..10_000,
    ) {
        let text = format!("# R{major} (release), REVISION: {minor}.{patch}, GCID: 1");
        prop_assert_eq!(parse_tegra_release(&text), Some(format!("{major}.{minor}.{patch}")));
        prop_assert_eq!(parse_status(&format!("pmode:{id:04} fmode:x")), Some(id));
        let text = format!("< POWER_MODEL ID={id} NAME={name} >\n");
        prop_assert_eq!(parse_configuration(&text), [(id, name)]);
        prop_assert_eq!(sensors::parse(format!("{value}\n").as_bytes()), Some(value));
        let part = format!("p{board:04}-{sku:04}");
        prop_assert_eq!(part_numbers(&format!("nvidia,{part}")), [part]);
    }

    /// No text makes a parser panic, and versions are made of numbers.
    #[test]
    fn anything_may_stand_in_a_file(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        let is_version = |v: &str| v.split('.').all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
        prop_assert!(parse_tegra_release(&text).is_none_or(|v| is_version(&v)));
        prop_assert!(parse_driver_version(&text).is_none_or(|v| is_version(&v)));
        parse_status(&text);
        parse_configuration(&text);
        part_numbers(&text);
        sensors::parse(&bytes);
        installed(bytes.as_slice()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A machine whose files say anything is read, and what comes out is possible.
    #[test]
    fn garbage_is_reported(text in "\\PC{0,60}|-?[0-9]{1,25}") {
        const FILES: [&str; 20] = [
            "/proc/device-tree/model", "/proc/device-tree/compatible", "/etc/nv_tegra_release",
            "/var/lib/dpkg/status", "/usr/local/cuda/version.json", "/var/lib/nvpmodel/status",
            "/etc/nvpmodel.conf", "/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq",
            "/sys/class/devfreq/17000000.gpu/cur_freq", "/sys/class/devfreq/17000000.gpu/device/load",
            "/sys/kernel/debug/bpmp/debug/clk/emc/rate", "/sys/kernel/actmon_avg_activity/mc_all",
            "/sys/class/thermal/thermal_zone0/temp", "/sys/class/thermal/thermal_zone0/trip_point_0_temp",
            "/sys/class/thermal/thermal_zone0/trip_point_0_type", "/sys/class/hwmon/hwmon0/in1_label",
            "/sys/class/hwmon/hwmon0/in1_input", "/sys/class/hwmon/hwmon0/curr1_input",
            "/proc/meminfo", "/proc/driver/nvidia/gpus/0/information",
        ];
        let mut files: Vec<(&str, &str)> = FILES.iter().map(|path| (*path, text.as_str())).collect();
        files.push(("/sys/class/hwmon/hwmon0/name", "ina3221"));
        let tree = Tree::new(&files);
        let board = Board::read(&tree.root());
        let gpu = board.integrated_gpu.known().unwrap();
        let share = |load: &Reading<f64>| load.known().is_none_or(|load| (0.0..=1.0).contains(load));
        prop_assert!(share(&gpu.load) && share(&board.emc.load));
        let possible = |c: f64| (-100.0..=250.0).contains(&c);
        prop_assert!(board.thermal[0].celsius.known().is_none_or(|&c| possible(c)));
        prop_assert!(board.thermal[0].trips.iter().all(|trip| possible(trip.celsius)));
        serde_json::to_string(&board).unwrap();
        let mut sensors = Sensors::open(&tree.root());
        prop_assert!(sensors.sample().celsius.iter().flatten().all(|&c| possible(c)));
    }
}
