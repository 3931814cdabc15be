//! The doctor, on machines made of files: what it finds, and what it advises.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth::doctor::{Examination, Finding, Verdict};
use occdepth::engine::cache::EngineCache;
use std::fs;
use tensorrt_rs::{Search, TensorRt};

const NANO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/engines/nano.onnx");
const DEMO_RIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/calibration/demo.toml");

/// A machine whose files lie below a directory of its own.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn examination(&self) -> Examination {
        Examination { root: self.0.path().to_owned(), ..Examination::default() }
    }

    fn finding(&self, subject: &str) -> Finding {
        find(&self.examination(), subject)
    }
}

fn find(examination: &Examination, subject: &str) -> Finding {
    let findings = examination.findings();
    let found = findings.iter().find(|finding| finding.subject == subject);
    found.unwrap_or_else(|| panic!("no {subject} in {findings:#?}")).clone()
}

#[test]
fn every_problem_comes_with_a_mend() {
    for machine in [Machine::new(), Machine::new().with("etc/systemd/system/occdepth.service", "")]
    {
        for finding in machine.examination().findings() {
            let ill = finding.verdict >= Verdict::Warning;
            assert_eq!(finding.mend.is_some(), ill, "{finding:?}");
        }
    }
}

#[test]
fn nodes_are_counted_and_opened() {
    let empty = Machine::new();
    assert_eq!(empty.finding("camera nodes").verdict, Verdict::Unknown);
    assert_eq!(empty.finding("GPU nodes").verdict, Verdict::Unknown);
    // As an Orin with JetPack 6 has them.
    let board = Machine::new()
        .with("dev/video0", "")
        .with("dev/video1", "")
        .with("dev/nvmap", "")
        .with("dev/nvgpu/igpu0/ctrl", "")
        .with("dev/dri/renderD128", "");
    let cameras = board.finding("camera nodes");
    assert_eq!((cameras.verdict, cameras.found.as_str()), (Verdict::Good, "2 can be opened"));
    assert_eq!(board.finding("GPU nodes").found, "3 can be opened");
}

#[test]
fn a_closed_node_is_named_with_the_groups() {
    use std::os::unix::fs::PermissionsExt as _;
    let board = Machine::new().with("dev/nvmap", "");
    let node = board.0.path().join("dev/nvmap");
    fs::set_permissions(&node, fs::Permissions::from_mode(0o000)).unwrap();
    if rustix::process::geteuid().is_root() {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_closed_node_is_named_with_the_groups: nothing is closed to root"
        );
        return;
    }
    let finding = board.finding("GPU nodes");
    assert_eq!(finding.verdict, Verdict::Problem);
    assert!(finding.found.contains("dev/nvmap"), "{finding:?}");
    assert!(finding.mend.unwrap().contains("usermod -aG video,render"));
}

#[test]
fn the_unit_is_followed_to_the_program() {
    let unit = "etc/systemd/system/occdepth.service";
    let starts = "[Service]\nExecStart=-/usr/bin/occdepth run --config /etc/occdepth/front.toml\n";
    assert_eq!(Machine::new().finding("systemd unit").verdict, Verdict::Unknown);
    let dangling = Machine::new().with(unit, starts).finding("systemd unit");
    assert_eq!(dangling.verdict, Verdict::Problem);
    assert!(dangling.found.contains("/usr/bin/occdepth"), "{dangling:?}");
    let there = Machine::new().with(unit, starts).with("usr/bin/occdepth", "");
    let disabled = there.finding("systemd unit");
    assert_eq!(disabled.verdict, Verdict::Warning);
    assert!(disabled.mend.unwrap().contains("systemctl enable"));
    let enabled = there.with("etc/systemd/system/multi-user.target.wants/occdepth.service", "");
    assert_eq!(enabled.finding("systemd unit").verdict, Verdict::Good);
    let empty = Machine::new().with("usr/lib/systemd/system/occdepth.service", "[Service]\n");
    assert!(empty.finding("systemd unit").found.contains("no ExecStart"));
}

#[test]
fn what_the_configuration_names_is_looked_at() {
    let machine = Machine::new();
    let path = machine.0.path().join("front.toml");
    let examine = |text: &str, subject: &str| {
        fs::write(&path, text).unwrap();
        find(&Examination { configuration: Some(path.clone()), ..machine.examination() }, subject)
    };
    let stream = "[stream]\nsocket = 's.sock'\n";
    let synthetic = format!("{stream}[source]\nkind = 'synthetic'\n");

    let broken = examine("source = [", "configuration");
    assert_eq!(broken.verdict, Verdict::Problem);
    assert!(broken.found.contains("front.toml"), "{broken:?}");

    assert_eq!(examine(&synthetic, "configuration").verdict, Verdict::Good);
    assert_eq!(examine(&synthetic, "cameras").verdict, Verdict::Unknown);
    assert_eq!(examine(&synthetic, "rig").verdict, Verdict::Good);
    let bundled = examine(&synthetic, "network");
    assert_eq!(bundled.verdict, Verdict::Warning);
    assert!(bundled.found.contains("UNTRAINED"), "{bundled:?}");

    let named = format!("{synthetic}[network]\nfile = '{NANO}'\n");
    assert!(examine(&named, "network").found.contains("nano.onnx"));
    let damaged = machine.0.path().join("damaged.onnx");
    fs::write(&damaged, "no network").unwrap();
    let finding = examine(&format!("{synthetic}[network]\nfile = 'damaged.onnx'\n"), "network");
    assert_eq!(finding.verdict, Verdict::Problem);
    assert!(finding.found.contains("damaged.onnx"), "{finding:?}");

    let cameras = format!(
        "rig = '{DEMO_RIG}'\n{stream}[source]\nkind = 'v4l2'\nleft = 'dev/video0'\nright = 'dev/video1'\n"
    );
    fs::create_dir(machine.0.path().join("dev")).unwrap();
    fs::write(machine.0.path().join("dev/video0"), "").unwrap();
    let finding = examine(&cameras, "cameras");
    assert_eq!(finding.verdict, Verdict::Problem);
    assert!(finding.found.contains("video1") && !finding.found.contains("video0"), "{finding:?}");
    fs::write(machine.0.path().join("dev/video1"), "").unwrap();
    assert_eq!(examine(&cameras, "cameras").verdict, Verdict::Good);
    assert_eq!(examine(&cameras, "rig").verdict, Verdict::Good);
    let no_rig = cameras.replace(DEMO_RIG, "no/such/rig.toml");
    let finding = examine(&no_rig, "rig");
    assert_eq!(finding.verdict, Verdict::Problem);
    assert!(finding.found.contains("no/such/rig.toml"), "{finding:?}");
}

#[test]
fn the_board_is_examined_by_its_files() {
    let meminfo = |available: u64| {
        format!(
            "MemTotal: 7802880 kB\nMemAvailable: {available} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
        )
    };
    let plenty = Machine::new().with("proc/meminfo", &meminfo(6_000_000)).finding("memory");
    assert_eq!(plenty.verdict, Verdict::Good);
    assert!(plenty.found.starts_with("5859 of 7620 MiB"), "{plenty:?}");
    let little = Machine::new().with("proc/meminfo", &meminfo(1_000_000)).finding("memory");
    assert_eq!(little.verdict, Verdict::Warning);
    let none = Machine::new().with("proc/meminfo", &meminfo(100_000)).finding("memory");
    assert_eq!(none.verdict, Verdict::Problem);
    assert_eq!(Machine::new().finding("memory").verdict, Verdict::Unknown);

    let zone = |temperature: &str| {
        Machine::new()
            .with("sys/class/thermal/thermal_zone0/type", "gpu-thermal\n")
            .with("sys/class/thermal/thermal_zone0/temp", temperature)
            .with("sys/class/thermal/thermal_zone0/trip_point_0_type", "passive\n")
            .with("sys/class/thermal/thermal_zone0/trip_point_0_temp", "99000\n")
            .finding("temperature")
    };
    assert_eq!(zone("50000\n").verdict, Verdict::Good);
    assert!(zone("50000\n").found.contains("gpu-thermal 50 C, 49 C below"));
    assert_eq!(zone("90000\n").verdict, Verdict::Warning);
    assert_eq!(zone("99500\n").verdict, Verdict::Problem);
    assert_eq!(zone("garbage\n").verdict, Verdict::Unknown);

    let orin = |mode: &str| {
        Machine::new()
            .with("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0")
            .with("proc/device-tree/compatible", "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0")
            .with("var/lib/nvpmodel/status", mode)
            .with(
                "etc/nvpmodel.conf",
                "< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=25W >\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n",
            )
    };
    let limited = orin("pmode:0001").finding("power mode");
    assert_eq!(limited.verdict, Verdict::Warning);
    assert!(limited.found.contains("25W"), "{limited:?}");
    assert!(limited.mend.unwrap().contains("nvpmodel"));
    assert_eq!(orin("pmode:0002").finding("power mode").verdict, Verdict::Good);
    assert!(orin("pmode:0002").finding("board").found.contains("Orin Nano"));
    assert_eq!(Machine::new().finding("power mode").verdict, Verdict::Unknown);
    assert_eq!(Machine::new().finding("clocks").verdict, Verdict::Unknown);
}

#[test]
fn a_gpu_without_its_driver_is_a_problem_and_no_gpu_is_none() {
    let has_some = occdepth_cuda::Device::open(0).is_ok()
        || occdepth_cuda::Nvrtc::load(None, None).is_ok()
        || TensorRt::load(&Search::default()).is_ok();
    if has_some {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED a_gpu_without_its_driver_is_a_problem_and_no_gpu_is_none: this machine has a GPU, NVRTC or TensorRT"
        );
        return;
    }
    let bare = Machine::new();
    for subject in ["driver", "CUDA", "CUDA compiler", "TensorRT", "ONNX parser"] {
        assert_eq!(bare.finding(subject).verdict, Verdict::Unknown, "{subject}");
    }
    let card = Machine::new().with(
        "proc/driver/nvidia/gpus/0000:01:00.0/information",
        "Model: \t\t NVIDIA RTX A2000\nDevice Minor: \t 0\n",
    );
    for subject in ["driver", "CUDA", "TensorRT"] {
        let finding = card.finding(subject);
        assert_eq!(finding.verdict, Verdict::Problem, "{finding:?}");
    }
}

#[test]
fn headers_of_another_product_are_named() {
    let machine = Machine::new();
    let finding = machine.finding("TensorRT ABI");
    assert_eq!(finding.verdict, Verdict::Unknown);
    assert!(finding.found.contains("libnvinfer-headers-dev"), "{finding:?}");
    let broken = Machine::new().with("usr/include/NvInfer.h", "no header");
    let finding = broken.finding("TensorRT ABI");
    assert_eq!(finding.verdict, Verdict::Problem);
    assert!(finding.found.contains("usr/include"), "{finding:?}");
}

#[test]
fn the_engine_cache_is_looked_into() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new();
    let cache = EngineCache::at(machine.0.path().join("cache"));
    let examination = Examination { cache: Some(cache.clone()), ..machine.examination() };
    assert!(find(&examination, "engine cache").found.ends_with("0 engines"));
    cache.create().unwrap();
    let engines = cache.directory().join("engines");
    fs::write(engines.join("a.fp16.0.engine"), "an orphan").unwrap();
    let finding = find(&examination, "engine cache");
    assert_eq!(finding.verdict, Verdict::Warning);
    assert!(finding.mend.unwrap().contains("prune"));
    fs::set_permissions(&engines, fs::Permissions::from_mode(0o777)).unwrap();
    let finding = find(&examination, "engine cache");
    assert_eq!(finding.verdict, Verdict::Problem);
    assert!(finding.found.contains("mode 0777"), "{finding:?}");
}

#[test]
fn an_engine_is_wanted_where_tensorrt_is() {
    let machine = Machine::new();
    let path = machine.0.path().join("front.toml");
    let examine = |engine: &str| {
        let text = format!(
            "[stream]\nsocket = 's.sock'\n[source]\nkind = 'synthetic'\n[network]\nengine = '{engine}'\n\
             tensorrt = 'nowhere'\n"
        );
        fs::write(&path, text).unwrap();
        let configuration = Some(path.clone());
        find(&Examination { configuration, ..machine.examination() }, "engine")
    };
    assert_eq!(examine("cpu").verdict, Verdict::Good);
    let wanted = examine("tensorrt");
    assert_eq!(wanted.verdict, Verdict::Problem);
    assert!(wanted.mend.unwrap().contains("network.engine"));
    assert_eq!(machine.finding("engine").verdict, Verdict::Unknown);
}

#[test]
fn this_machine_can_be_examined() {
    let findings = Examination::default().findings();
    let subjects: Vec<&str> = findings.iter().map(|finding| finding.subject).collect();
    // In the order in which one depends on the other.
    let expected = [
        "board",
        "camera nodes",
        "GPU nodes",
        "groups",
        "driver",
        "CUDA",
        "CUDA compiler",
        "TensorRT",
        "ONNX parser",
        "TensorRT ABI",
        "configuration",
        "cameras",
        "rig",
        "network",
        "engine cache",
        "engine",
        "memory",
        "disk",
        "power mode",
        "clocks",
        "temperature",
        "systemd unit",
    ];
    assert_eq!(subjects, expected);
}
