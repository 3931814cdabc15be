//! Jetsons, as their file trees are laid out.
//!
//! Sources: device trees `arch/arm64/boot/dts/nvidia` of Linux and of NVIDIA's kernels; the paths in
//! `nvpmodel`'s configurations (`*_KNEXT` from kernel 5.15 on); `hwmon/ina3221.rst`, `hwmon/ina238.rst`;
//! Jetson Linux Developer Guide r35, r36 and r38; logs of `tegrastats`. Values are plausible, not measured.

use crate::tree::Tree;
use occdepth::board::software::Library;
use occdepth::board::{Board, How, Precision, Reading, rails};

/// Orin Nano 8 GB, `JetPack` 6.2 in a Super configuration, clocks free.
fn orin_nano() -> Tree {
    let tree = Tree::new(&[
        (
            "/proc/device-tree/model",
            "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0",
        ),
        (
            "/proc/device-tree/compatible",
            "nvidia,p3768-0000+p3767-0005-super\0nvidia,p3767-0005\0nvidia,tegra234\0",
        ),
        ("/proc/sys/kernel/osrelease", "5.15.148-tegra"),
        (
            "/etc/nv_tegra_release",
            "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, \
             DATE: Wed Jan  8 01:49:37 UTC 2025\n# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n",
        ),
        (
            "/var/lib/dpkg/status",
            "Package: libnvinfer10\nStatus: install ok installed\nArchitecture: arm64\n\
             Version: 10.3.0.30-1+cuda12.5\n\nPackage: nvidia-jetpack\nStatus: deinstall ok config-files\n\
             Version: 6.1+b123\n\nPackage: nvidia-l4t-core\nStatus: install ok installed\n\
             Version: 36.4.3-20250107174145\n",
        ),
        ("/usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0", ""),
        ("/usr/lib/aarch64-linux-gnu/libnvinfer_plugin.so.10.3.0", ""),
        ("/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1", ""),
        (
            "/usr/local/cuda-12.6/version.json",
            "{ \"cuda\" : { \"name\" : \"CUDA SDK\", \"version\" : \"12.6.11\" } }",
        ),
        ("/var/lib/nvpmodel/status", "pmode:0002 fmode:quiet"),
        (
            "/etc/nvpmodel/nvpmodel_p3767_0003_super.conf",
            "# < POWER_MODEL ID=id_num NAME=mode_name >\n< PARAM TYPE=FILE NAME=CPU_ONLINE >\n\
             < POWER_MODEL ID=0 NAME=15W >\nGPU MAX_FREQ 612000000\n< POWER_MODEL ID=1 NAME=25W >\n\
             < POWER_MODEL ID=2 NAME=MAXN_SUPER >\n< PM_CONFIG DEFAULT=1 >\n",
        ),
        ("/sys/devices/system/cpu/online", "0-5"),
        ("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "schedutil"),
        ("/sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq", "729600"),
        ("/sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1728000"),
        ("/sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1728000"),
        ("/sys/devices/system/cpu/cpufreq/policy4/scaling_governor", "schedutil"),
        ("/sys/devices/system/cpu/cpufreq/policy4/scaling_min_freq", "729600"),
        ("/sys/devices/system/cpu/cpufreq/policy4/scaling_max_freq", "1728000"),
        ("/sys/devices/system/cpu/cpufreq/policy4/cpuinfo_max_freq", "1728000"),
        ("/sys/devices/platform/17000000.gpu/load", "345"),
        ("/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/governor", "nvhost_podgov"),
        ("/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/cur_freq", "612000000"),
        ("/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/min_freq", "306000000"),
        ("/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/max_freq", "1020000000"),
        ("/sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
        ("/sys/class/thermal/thermal_zone0/temp", "48156"),
        ("/sys/class/thermal/thermal_zone0/trip_point_0_type", "critical"),
        ("/sys/class/thermal/thermal_zone0/trip_point_0_temp", "104500"),
        ("/sys/class/thermal/thermal_zone0/trip_point_1_type", "passive"),
        ("/sys/class/thermal/thermal_zone0/trip_point_1_temp", "99000"),
        ("/sys/class/thermal/thermal_zone0/trip_point_2_type", "active"),
        ("/sys/class/thermal/thermal_zone0/trip_point_2_temp", "35000"),
        ("/sys/class/thermal/thermal_zone0/trip_point_3_type", "hot"),
        ("/sys/class/thermal/thermal_zone0/trip_point_3_temp", "-274000"),
        ("/sys/class/thermal/thermal_zone1/type", "gpu-thermal"),
        ("/sys/class/thermal/thermal_zone1/temp", "49031"),
        ("/sys/class/thermal/thermal_zone2/type", "cv0-thermal"),
        ("/sys/class/thermal/thermal_zone10/type", "tj-thermal"),
        ("/sys/class/thermal/thermal_zone10/temp", "49500"),
        ("/sys/class/thermal/cooling_device0/type", "pwm-fan"),
        ("/sys/class/hwmon/hwmon0/name", "cpu_thermal"),
        ("/sys/class/hwmon/hwmon1/name", "ina3221"),
        ("/sys/class/hwmon/hwmon1/in1_label", "VDD_IN"),
        ("/sys/class/hwmon/hwmon1/in1_input", "4912"),
        ("/sys/class/hwmon/hwmon1/curr1_input", "1250"),
        ("/sys/class/hwmon/hwmon1/in2_label", "VDD_CPU_GPU_CV"),
        ("/sys/class/hwmon/hwmon1/in2_input", "4912"),
        ("/sys/class/hwmon/hwmon1/curr2_input", "240"),
        ("/sys/class/hwmon/hwmon1/in3_label", "VDD_SOC"),
        ("/sys/class/hwmon/hwmon1/in3_input", "4904"),
        ("/sys/class/hwmon/hwmon1/curr3_input", "320"),
        ("/sys/class/hwmon/hwmon1/in7_label", "sum of shunt voltages"),
        ("/sys/class/hwmon/hwmon1/in7_input", "9"),
        (
            "/proc/meminfo",
            "MemTotal:        7802672 kB\nMemFree:          312448 kB\nMemAvailable:    5021324 kB\n\
             SwapTotal:       3901328 kB\nSwapFree:        3901328 kB\n",
        ),
    ]);
    // The last zone measures a part that is switched off: reading fails, as it does for a directory.
    std::fs::create_dir_all(tree.path("/sys/class/thermal/thermal_zone2/temp")).unwrap();
    tree.link("/etc/nvpmodel.conf", "/etc/nvpmodel/nvpmodel_p3767_0003_super.conf");
    tree.link("/usr/local/cuda", "/usr/local/cuda-12.6");
    tree.link("/usr/lib/aarch64-linux-gnu/libnvinfer.so.10", "libnvinfer.so.10.3.0");
    tree.link("/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1", "libcuda.so.1.1");
    tree.link(
        "/sys/class/devfreq/17000000.gpu",
        "../../devices/platform/17000000.gpu/devfreq/17000000.gpu",
    );
    tree.link("/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/device", "../..");
    tree
}

#[test]
fn an_orin_nano_with_jetpack_6() {
    let tree = orin_nano();
    let board = Board::read(&tree.root());
    let recognised = board.profile.known().unwrap();
    assert_eq!(recognised.profile.name, "orin-nano-8gb");
    assert_eq!(recognised.by, How::Module("p3767-0005".into()));
    assert_eq!(board.identity.parts, ["p3768-0000", "p3767-0005"]);
    assert_eq!(board.identity.tegra(), Some("tegra234"));

    let software = &board.software;
    assert_eq!(software.jetson_linux, known("36.4.3"));
    // nvidia-jetpack has been removed, so the version of Jetson Linux decides.
    assert_eq!(software.jetpack, known("6.2"));
    assert_eq!(software.cuda, known("12.6.11"));
    assert_eq!(software.libcuda, known("/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1"));
    let path = "/usr/lib/aarch64-linux-gnu/libnvinfer.so.10.3.0".to_owned();
    assert_eq!(software.tensorrt, [Library { version: "10.3.0".into(), path }]);
    assert_eq!(software.tensorrt_package, known("10.3.0.30-1+cuda12.5"));
    assert!(software.driver.reason().unwrap().starts_with("/proc/driver/nvidia/version: "));

    let mode = board.power_mode.known().unwrap();
    assert_eq!((mode.id, &mode.name), (2, &known("MAXN_SUPER")));
    assert_eq!(mode.configuration, known("nvpmodel_p3767_0003_super.conf"));
    let (table, described) = mode.of(recognised.profile).unwrap();
    let rates = recognised.profile.in_power_mode(table, described).unwrap();
    assert_eq!(rates.peak(Precision::Fp16), Some(17e12));

    assert_eq!(board.cpu.governors, ["schedutil"]);
    assert_eq!(board.cpu.policies.len(), 2);
    assert_eq!(board.cpu.policies[1].max_hz, Reading::Known(1_728_000_000));
    let gpu = board.integrated_gpu.known().unwrap();
    assert_eq!((gpu.name.as_str(), &gpu.load), ("17000000.gpu", &Reading::Known(0.345)));
    assert_eq!(gpu.hz, Reading::Known(612_000_000));
    assert_eq!(board.clocks_held, Reading::Known(false));
    // Only root reads the memory's clock.
    assert!(board.emc.hz.reason().unwrap().contains("/emc/rate: "));

    let names: Vec<&str> = board.thermal.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(names, ["cpu-thermal", "gpu-thermal", "cv0-thermal", "tj-thermal"]);
    let cpu = &board.thermal[0];
    assert_eq!(cpu.celsius, Reading::Known(48.156));
    let trips: Vec<(&str, f64)> =
        cpu.trips.iter().map(|trip| (trip.kind.as_str(), trip.celsius)).collect();
    assert_eq!(trips, [("active", 35.0), ("passive", 99.0), ("critical", 104.5)]);
    assert!((cpu.headroom_c().unwrap() - (99.0 - 48.156)).abs() < 1e-9);
    assert_eq!(board.thermal[1].headroom_c(), None);
    let reason = board.thermal[2].celsius.reason().unwrap();
    assert!(reason.starts_with("/sys/class/thermal/thermal_zone2/temp: "), "{reason}");

    let rails: Vec<&str> = board.rails.iter().map(|rail| rail.name.as_str()).collect();
    assert_eq!(rails, ["VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC"]);
    // 4.912 V at 1.25 A come in; the other rails are fed from it.
    assert!((rails::total_watts(&board.rails).unwrap() - 6.14).abs() < 1e-9);
    assert_eq!(board.memory.known().unwrap().total_bytes, 7_802_672 * 1024);
    assert_eq!(board.memory.known().unwrap().available_bytes, 5_021_324 * 1024);
}

/// `jetson_clocks` sets the lowest permitted clock to the highest.
#[test]
fn jetson_clocks_is_noticed() {
    let tree = orin_nano();
    for policy in ["policy0", "policy4"] {
        let path = format!("/sys/devices/system/cpu/cpufreq/{policy}/scaling_min_freq");
        tree.write(&path, "1728000\n");
    }
    assert_eq!(Board::read(&tree.root()).clocks_held, Reading::Known(false));
    let gpu = "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/min_freq";
    tree.write(gpu, "1020000000\n");
    assert_eq!(Board::read(&tree.root()).clocks_held, Reading::Known(true));
    // Where the memory's clock can be read, it has to be held as well.
    tree.write("/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", "0\n");
    assert_eq!(Board::read(&tree.root()).clocks_held, Reading::Known(false));
    tree.remove(gpu);
    assert!(Board::read(&tree.root()).clocks_held.reason().unwrap().contains("min_freq: "));
}

/// AGX Orin 64 GB, `JetPack` 5.1.2, read as root: two monitors, one of them with unconnected channels.
#[test]
fn an_agx_orin_with_jetpack_5() {
    let tree = Tree::new(&[
        ("/proc/device-tree/model", "Jetson AGX Orin Developer Kit\0"),
        (
            "/proc/device-tree/compatible",
            "nvidia,p3737-0000+p3701-0005\0nvidia,tegra234\0nvidia,tegra23x\0",
        ),
        ("/etc/nv_tegra_release", "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref"),
        (
            "/var/lib/dpkg/status",
            "Package: nvidia-jetpack\nStatus: install ok installed\nVersion: 5.1.2-b104\n\n\
             Package: libnvinfer8\nStatus: install ok installed\nVersion: 8.5.2-1+cuda11.4\n\n",
        ),
        ("/usr/lib/aarch64-linux-gnu/libnvinfer.so.8.5.2", ""),
        ("/usr/lib/aarch64-linux-gnu/tegra/libcuda.so.1", ""),
        ("/usr/local/cuda/version.json", "{\"cuda\":{\"version\":\"11.4.19\"}}"),
        ("/var/lib/nvpmodel/status", "pmode:0003"),
        ("/sys/class/devfreq/17000000.ga10b/cur_freq", "816000000"),
        ("/sys/class/devfreq/17000000.ga10b/min_freq", "816000000"),
        ("/sys/class/devfreq/17000000.ga10b/max_freq", "816000000"),
        ("/sys/devices/gpu.0/load", "1000"),
        ("/sys/kernel/debug/bpmp/debug/clk/emc/rate", "3199000000"),
        ("/sys/kernel/debug/bpmp/debug/clk/emc/max_rate", "3199000000"),
        ("/sys/kernel/debug/bpmp/debug/clk/emc/mrq_rate_locked", "1"),
        ("/sys/kernel/actmon_avg_activity/mc_all", "799750"),
        ("/sys/class/hwmon/hwmon3/name", "ina3221"),
        ("/sys/class/hwmon/hwmon3/in1_label", "VDD_GPU_SOC"),
        ("/sys/class/hwmon/hwmon3/in1_input", "15000"),
        ("/sys/class/hwmon/hwmon3/curr1_input", "400"),
        ("/sys/class/hwmon/hwmon3/in2_label", "VDD_CPU_CV"),
        ("/sys/class/hwmon/hwmon3/in2_input", "15000"),
        ("/sys/class/hwmon/hwmon3/curr2_input", "200"),
        ("/sys/class/hwmon/hwmon3/in3_label", "VIN_SYS_5V0"),
        ("/sys/class/hwmon/hwmon3/in3_input", "5000"),
        ("/sys/class/hwmon/hwmon3/curr3_input", "1000"),
        ("/sys/class/hwmon/hwmon4/name", "ina3221"),
        ("/sys/class/hwmon/hwmon4/in1_label", "NC"),
        ("/sys/class/hwmon/hwmon4/in1_input", "0"),
        ("/sys/class/hwmon/hwmon4/in2_label", "VDDQ_VDD2_1V8AO"),
        ("/sys/class/hwmon/hwmon4/in2_input", "5000"),
        ("/sys/class/hwmon/hwmon4/curr2_input", "100"),
        ("/sys/class/hwmon/hwmon4/in3_label", "NC"),
        ("/proc/meminfo", "MemTotal: 64349596 kB\nMemAvailable: 60000000 kB\n"),
    ]);
    tree.link("/etc/nvpmodel.conf", "/etc/nvpmodel/nvpmodel_p3701_0000.conf");
    let board = Board::read(&tree.root());
    assert_eq!(board.profile.known().unwrap().profile.name, "agx-orin-64gb");
    assert_eq!(board.software.jetson_linux, known("35.4.1"));
    assert_eq!(board.software.jetpack, known("5.1.2"));
    assert_eq!(board.software.cuda, known("11.4.19"));
    assert_eq!(board.software.tensorrt[0].version, "8.5.2");
    // The configuration itself is missing, so the mode has a number and no name; the profile knows it.
    let mode = board.power_mode.known().unwrap();
    assert!(mode.name.reason().unwrap().starts_with("/etc/nvpmodel.conf: "));
    let (_, described) = mode.of(board.profile.known().unwrap().profile).unwrap();
    assert_eq!(described.name, "MODE_50W");
    assert_eq!(board.integrated_gpu.known().unwrap().load, Reading::Known(1.0));
    assert_eq!(board.emc.load, Reading::Known(0.25));
    assert_eq!(board.emc.held, Reading::Known(true));
    assert_eq!(board.rails.len(), 4);
    // 6 + 3 + 5 + 0.5 W: no rail through which all of it comes.
    assert!((rails::total_watts(&board.rails).unwrap() - 14.5).abs() < 1e-9);
}

/// AGX Xavier, `JetPack` 5: the module stands in the name of the device tree's file.
#[test]
fn an_agx_xavier_with_jetpack_5() {
    let tree = Tree::new(&[
        ("/proc/device-tree/model", "Jetson-AGX\0"),
        ("/proc/device-tree/compatible", "nvidia,jetson-xavier\0nvidia,tegra194\0"),
        (
            "/proc/device-tree/nvidia,dtsfilename",
            "/dvs/git/dirty/git-master_linux/kernel/kernel-5.10/arch/arm64/boot/dts/../../../../../../hardware/\
             nvidia/platform/t19x/galen/kernel-dts/tegra194-p2888-0001-p2822-0000.dts\0",
        ),
        ("/etc/nv_tegra_release", "# R35 (release), REVISION: 5.0, GCID: 35550185, BOARD: t186ref"),
        ("/var/lib/nvpmodel/status", "pmode:0000"),
        ("/sys/class/devfreq/17000000.gv11b/cur_freq", "114750000"),
        ("/sys/class/devfreq/17000000.gv11b/device/load", "12"),
        ("/sys/class/thermal/thermal_zone3/type", "PMIC-Die"),
        ("/sys/class/thermal/thermal_zone3/temp", "100000"),
        ("/sys/class/hwmon/hwmon1/name", "ina3221"),
        ("/sys/class/hwmon/hwmon1/in1_label", "GPU"),
        ("/sys/class/hwmon/hwmon1/in1_input", "19200"),
        ("/sys/class/hwmon/hwmon1/curr1_input", "16"),
    ]);
    let board = Board::read(&tree.root());
    let recognised = board.profile.known().unwrap();
    assert_eq!(recognised.profile.name, "agx-xavier");
    assert_eq!(recognised.by, How::Module("p2888-0001".into()));
    assert_eq!(board.software.jetpack, known("5.1.3"));
    assert_eq!(board.integrated_gpu.known().unwrap().load, Reading::Known(0.012));
    assert_eq!(board.power_mode.known().unwrap().configuration.known(), None);
    assert_eq!(board.memory.reason().unwrap().split(':').next(), Some("/proc/meminfo"));
}

/// AGX Thor, `JetPack` 7: a GPU behind `PCIe` that still shares the memory, and a zone that cannot be read.
#[test]
fn a_thor_with_jetpack_7() {
    let tree = Tree::new(&[
        ("/proc/device-tree/model", "NVIDIA Jetson AGX Thor Developer Kit\0"),
        (
            "/proc/device-tree/compatible",
            "nvidia,p4071-0000+p3834-0008\0nvidia,p3834-0008\0nvidia,tegra264\0",
        ),
        ("/etc/nv_tegra_release", "# R38 (release), REVISION: 4.0, GCID: 43443517, BOARD: generic"),
        (
            "/proc/driver/nvidia/gpus/0000:01:00.0/information",
            "Model: \t\t NVIDIA Thor\nDevice Minor: \t 0\n",
        ),
        ("/var/lib/nvpmodel/status", "pmode:0001"),
        ("/etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=MAXN >\n< POWER_MODEL ID=1 NAME=120W >\n"),
        ("/sys/class/devfreq/gpu-gpc-0/cur_freq", "1575000000"),
        ("/sys/class/devfreq/gpu-gpc-0/governor", "nvhost_podgov"),
        ("/sys/class/devfreq/gpu-nvd-0/cur_freq", "1692000000"),
        ("/sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
        ("/sys/class/thermal/thermal_zone0/temp", "53700"),
        ("/sys/class/thermal/thermal_zone0/trip_point_0_type", "critical"),
        ("/sys/class/thermal/thermal_zone0/trip_point_0_temp", "114500"),
        ("/sys/class/thermal/thermal_zone1/type", "gpu-thermal"),
        ("/sys/class/hwmon/hwmon2/name", "ina238"),
        ("/sys/class/hwmon/hwmon2/label", "VIN"),
        ("/sys/class/hwmon/hwmon2/in1_input", "20000"),
        ("/sys/class/hwmon/hwmon2/curr1_input", "1500"),
        ("/sys/class/hwmon/hwmon3/name", "ina3221"),
        ("/sys/class/hwmon/hwmon3/in1_label", "VDD_GPU"),
        ("/sys/class/hwmon/hwmon3/in1_input", "19900"),
        ("/sys/class/hwmon/hwmon3/curr1_input", "-8"),
        ("/proc/meminfo", "MemTotal: 128825804 kB\nMemAvailable: 120000000 kB\n"),
    ]);
    let board = Board::read(&tree.root());
    assert_eq!(board.profile.known().unwrap().profile.name, "thor-t5000");
    assert_eq!(board.software.jetpack, known("7.1"));
    let mode = board.power_mode.known().unwrap();
    assert_eq!(mode.name, known("120W"));
    assert!(mode.configuration.reason().unwrap().contains("no symbolic link"));
    let gpu = board.integrated_gpu.known().unwrap();
    assert_eq!((gpu.name.as_str(), &gpu.hz), ("gpu-gpc-0", &Reading::Known(1_575_000_000)));
    assert!(gpu.load.reason().unwrap().starts_with("no load of the GPU in "));
    assert_eq!(board.discrete_gpus.len(), 1);
    assert!(board.thermal[1].celsius.known().is_none());
    assert!((rails::total_watts(&board.rails).unwrap() - 30.0).abs() < 1e-9);
    // The offset of an idle monitor is negative, and true.
    assert!(*board.rails[1].watts.known().unwrap() < 0.0);
}

/// Every module is recognised by its number, whatever carrier it is on.
#[test]
fn modules_are_recognised_on_any_carrier() {
    for (part, board) in [
        ("p3767-0000", "orin-nx-16gb"),
        ("p3767-0001", "orin-nx-8gb"),
        ("p3767-0003", "orin-nano-8gb"),
        ("p3767-0004", "orin-nano-4gb"),
        ("p3767-0005", "orin-nano-8gb"),
        ("p3701-0000", "agx-orin-64gb"),
        ("p3701-0004", "agx-orin-32gb"),
        ("p3701-0005", "agx-orin-64gb"),
        ("p2888-0004", "agx-xavier"),
        ("p3668-0001", "xavier-nx"),
        ("p3668-0003", "xavier-nx"),
        ("p3834-0000", "thor-t4000"),
        ("p3834-0008", "thor-t5000"),
    ] {
        let compatible = format!("acme,carrier\0nvidia,p9999-0000+{part}\0nvidia,tegra999\0");
        let tree = Tree::new(&[("/proc/device-tree/compatible", compatible.as_str())]);
        let found = Board::read(&tree.root()).profile;
        assert_eq!(found.known().map(|r| r.profile.name.as_str()), Some(board), "{part}");
    }
}

/// Without a module's number, boards of one model are told apart by their memory.
#[test]
fn models_are_told_apart_by_memory() {
    for (model, kib, board) in [
        ("NVIDIA Jetson Orin Nano Developer Kit", 3_989_000, Some("orin-nano-4gb")),
        ("NVIDIA Jetson Orin Nano Developer Kit", 7_802_672, Some("orin-nano-8gb")),
        (
            "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
            15_656_000,
            Some("orin-nx-16gb"),
        ),
        (
            "NVIDIA Jetson Orin NX Engineering Reference Developer Kit",
            7_800_000,
            Some("orin-nx-8gb"),
        ),
        ("NVIDIA Jetson AGX Orin Developer Kit", 31_000_000, Some("agx-orin-32gb")),
        ("NVIDIA Jetson AGX Orin Developer Kit", 64_349_596, Some("agx-orin-64gb")),
        ("NVIDIA Jetson Xavier NX Developer Kit", 7_000_000, Some("xavier-nx")),
        ("NVIDIA Jetson TX2 Developer Kit", 7_800_000, None),
    ] {
        let tree = Tree::new(&[
            ("/proc/device-tree/model", &format!("{model}\0")),
            ("/proc/device-tree/compatible", "nvidia,tegra234\0"),
            ("/proc/meminfo", &format!("MemTotal: {kib} kB\nMemAvailable: 1 kB\n")),
        ]);
        let found = Board::read(&tree.root()).profile;
        assert_eq!(found.known().map(|r| r.profile.name.as_str()), board, "{model}, {kib} KiB");
        if board.is_none() {
            assert!(found.reason().unwrap().contains("TX2"), "{found:?}");
        }
    }
}

fn known(text: &str) -> Reading<String> {
    Reading::Known(text.into())
}
