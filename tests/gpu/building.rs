//! `occdepth build` and what becomes of its engines, on fake libraries: every step, every failure, and whatever a killed
//! process leaves behind.
//!
//! The fake engine gives what a file says; here that is what the CPU engine computes for the self-test's frame, so the
//! self-test passes exactly if the right bytes went the right way.

use crate::fakes::{can_fake, libraries, said};
use occdepth::engine::{BUNDLED_NETWORK, BUNDLED_SELF_TEST, CpuEngine, Engine as _};
use occdepth::grid::{GridOutput, LabelOptions};
use occdepth_contract::onnx::ModelProto;
use occdepth_contract::self_test::SelfTest;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tensorrt_fake::{FakeTensorRt, FakeVersion};

const V8_5: FakeVersion = FakeVersion { major: 8, minor: 5, patch: 2 };
const V8_6: FakeVersion = FakeVersion { major: 8, minor: 6, patch: 2 };
const V10_3: FakeVersion = FakeVersion { major: 10, minor: 3, patch: 0 };
const V10_13: FakeVersion = FakeVersion { major: 10, minor: 13, patch: 3 };
const V11_4: FakeVersion = FakeVersion { major: 11, minor: 4, patch: 0 };

/// A machine with a GPU and a `TensorRT` that are not real.
struct Machine {
    directory: tempfile::TempDir,
    /// What the fake `TensorRT` is told.
    settings: String,
}

impl Machine {
    /// With a `TensorRT` of `version` whose engines give the right answers.
    fn new(version: FakeVersion) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = format!("outputs={}", right_answers().display());
        let machine = Self { directory, settings };
        machine.install(version);
        machine
    }

    /// Puts another version in the place of the one before.
    fn install(&self, version: FakeVersion) {
        let _ = fs::remove_dir_all(self.tensorrt());
        fs::create_dir(self.tensorrt()).unwrap();
        FakeTensorRt::cached(version, &libraries(), &self.tensorrt()).unwrap();
    }

    /// Also told this.
    fn told(mut self, setting: &str) -> Self {
        self.settings = format!("{};{setting}", self.settings);
        self
    }

    fn tensorrt(&self) -> PathBuf {
        self.directory.path().join("tensorrt")
    }

    fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_occdepth"));
        command
            .args(arguments)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .env("LD_LIBRARY_PATH", libraries().join("all"))
            .env("FAKE_NVRTC_HEADER", libraries().join("host.h"))
            .env("TENSORRT_FAKE", &self.settings)
            .env("OCCDEPTH_CACHE", self.cache())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn build(&self, more: &[&str]) -> Output {
        let tensorrt = self.tensorrt();
        self.run(&[&["build", "--tensorrt", tensorrt.to_str().unwrap()], more].concat())
    }

    fn must_build(&self, more: &[&str]) -> Value {
        let output = self.build(&[more, &["--json"]].concat());
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A configuration that runs three frames on TensorRT; the text goes to its network.
    fn configuration(&self, network: &str) -> PathBuf {
        let path = self.directory.path().join("config.toml");
        let text = format!(
            "[source]\nkind = 'synthetic'\nframes = 3\n[stream]\nsocket = 's.sock'\n[network]\nengine = 'tensorrt'\n\
             tensorrt = '{}'\n{network}\n",
            self.tensorrt().display()
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Plans, manifests and what else lies in the cache.
    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.cache().join("engines"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

/// Must fail with `code` and say each of `names`.
fn refused(output: &Output, code: i32, names: &[&str]) {
    let text = said(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for name in names {
        assert!(text.contains(name), "no {name:?} in {text}");
    }
}

/// A directory with what the CPU computes for the self-test of the bundled network.
fn right_answers() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let test = SelfTest::from_json(BUNDLED_SELF_TEST, "bundled").unwrap();
        let mut engine = CpuEngine::bundled(None).unwrap();
        let frame = test.frame(engine.contract(), "bundled").unwrap();
        engine.bind(&frame.geometry, LabelOptions::default()).unwrap();
        let contract = engine.contract();
        let voxels = contract.grid.dims.iter().map(|&n| n as usize).product();
        let (mut labels, mut logits) =
            (vec![0; voxels], vec![0.0; voxels * contract.classes.len()]);
        let output =
            GridOutput { labels: &mut labels, confidence: None, logits: Some(&mut logits) };
        engine.run(&frame.images, output).unwrap();
        write_answers(&logits)
    })
    .clone()
}

/// A directory in which the fake engine finds `logits`. It is kept: the tests of this process share it.
fn write_answers(logits: &[f32]) -> PathBuf {
    let directory = tempfile::tempdir().unwrap().keep();
    let bytes: Vec<u8> = logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    fs::write(directory.join("ssc_logits.bin"), bytes).unwrap();
    directory
}

#[test]
fn each_version_builds_an_engine_that_runs() {
    if !can_fake("building::each_version_builds_an_engine_that_runs") {
        return;
    }
    for (version, precision) in
        [(V8_5, "fp16"), (V8_6, "fp16"), (V10_3, "fp16"), (V10_13, "fp32"), (V11_4, "fp32")]
    {
        let machine = Machine::new(version);
        let built = machine.must_build(&["--precision", precision]);
        assert_eq!(built["fresh"], true, "{version}");
        let key = &built["manifest"]["key"];
        assert_eq!(key["tensorrt"], version.to_string());
        assert_eq!(key["precision"], precision);
        assert!(built["manifest"]["self_test"]["samples"].as_u64().unwrap() > 1000);
        assert_eq!(machine.must_build(&["--precision", precision])["fresh"], false, "{version}");
        assert_eq!(machine.files().len(), 2, "{:?}", machine.files());

        let tensorrt = machine.tensorrt();
        let recipe = machine.directory.path().join("recipe.toml");
        fs::write(&recipe, format!("precision = '{precision}'\n")).unwrap();
        let config = machine.configuration("recipe = 'recipe.toml'");
        let output = machine.run(&["run", "--config", config.to_str().unwrap(), "--json"]);
        assert!(output.status.success(), "{version}: {}", said(&output));
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(summary["grids"].as_u64().unwrap() >= 1, "{summary}");
        let engine = summary["engine"].as_str().unwrap();
        assert!(engine.contains(&format!("TensorRT {version}, {precision}")), "{engine}");

        let doctor = machine.run(&[
            "doctor",
            "--json",
            "--config",
            config.to_str().unwrap(),
            "--tensorrt",
            tensorrt.to_str().unwrap(),
        ]);
        let document: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        for subject in ["CUDA", "TensorRT", "ONNX parser", "engine"] {
            let findings = document["findings"].as_array().unwrap();
            let finding = findings.iter().find(|finding| finding["subject"] == subject).unwrap();
            assert_eq!(finding["verdict"], "good", "{version}: {finding}");
        }
    }
}

#[test]
fn an_engine_that_gives_wrong_answers_is_refused() {
    if !can_fake("building::an_engine_that_gives_wrong_answers_is_refused") {
        return;
    }
    let right = fs::read(right_answers().join("ssc_logits.bin")).unwrap();
    let right: Vec<f32> =
        right.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let wrong: Vec<f32> = right.iter().map(|logit| logit * 1.2).collect();
    let mut not_a_number = right;
    not_a_number.fill(f32::NAN);
    for logits in [wrong, not_a_number] {
        let answers = write_answers(&logits);
        let machine = Machine::new(V10_3).told(&format!("outputs={}", answers.display()));
        refused(&machine.build(&[]), 1, &["wrong answers", "ssc_logits", "fp32"]);
        assert_eq!(machine.files(), Vec::<String>::new());
        fs::remove_dir_all(answers).unwrap();
    }
}

#[test]
fn failures_of_each_step_are_named_and_leave_nothing() {
    if !can_fake("building::failures_of_each_step_are_named_and_leave_nothing") {
        return;
    }
    for (setting, names) in [
        ("builder=null", &["createInferBuilder"][..]),
        ("network=null", &["createNetworkV2"]),
        ("config=null", &["createBuilderConfig"]),
        ("parser=null", &["createNvOnnxParser"]),
        ("parse=fail", &["told to fail"]),
        ("parse.unsupported=Conv", &["Conv", "node"]),
        ("build=fail", &["buildSerializedNetwork"]),
        ("build=oom", &["buildSerializedNetwork", "emory"]),
        ("deserialize=fail", &["deserializeCudaEngine"]),
        ("context=null", &["createExecutionContext"]),
        ("enqueue=false", &["enqueueV3"]),
        ("runtime=0x228", &["createInferRuntime"]),
    ] {
        let machine = Machine::new(V10_3).told(setting);
        let output = machine.build(&[]);
        assert_eq!(output.status.code(), Some(1), "{setting}: {}", said(&output));
        let text = said(&output);
        let named = names.iter().all(|name| text.contains(name));
        assert!(named && !text.contains("panicked"), "{setting}: {text}");
        assert_eq!(machine.files(), Vec::<String>::new(), "{setting}");
    }
}

#[test]
fn a_build_that_is_killed_leaves_no_engine() {
    if !can_fake("building::a_build_that_is_killed_leaves_no_engine") {
        return;
    }
    // By itself, in the middle of the builder.
    let machine = Machine::new(V10_3).told("build=abort");
    let output = machine.build(&[]);
    assert_eq!(output.status.code(), None, "{}", said(&output));
    let left = machine.files();
    assert!(left.iter().all(|name| name.ends_with(".partial")), "{left:?}");

    // And by somebody else, at ten instants of it.
    for nth in 0..10_u64 {
        let machine = Machine {
            directory: tempfile::tempdir().unwrap(),
            settings: machine.settings.replace("build=abort", "build.step_ms=5"),
        };
        machine.install(V10_3);
        let tensorrt = machine.tensorrt();
        let mut child =
            machine.command(&["build", "--tensorrt", tensorrt.to_str().unwrap()]).spawn().unwrap();
        // From the moment at which there is something to leave behind.
        wait_for(|| machine.files().iter().any(|name| name.ends_with(".partial")));
        std::thread::sleep(Duration::from_millis(150 * nth));
        kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
        child.wait().unwrap();
        // Whatever is there is whole: a plan with its manifest, or nothing that counts.
        let verified = machine.run(&["engines", "verify"]);
        let orphans = String::from_utf8_lossy(&verified.stdout).matches("no manifest").count();
        let bad = String::from_utf8_lossy(&verified.stdout).matches("BAD").count();
        assert_eq!(bad, orphans, "{}", said(&verified));
        // The next one starts clean.
        machine.must_build(&[]);
        let files = machine.files();
        assert_eq!(files.len(), 2, "{files:?}");
    }
}

#[test]
fn two_builds_at_once_are_one_and_a_refusal() {
    if !can_fake("building::two_builds_at_once_are_one_and_a_refusal") {
        return;
    }
    let machine = Machine::new(V10_3).told("build.step_ms=500");
    let tensorrt = machine.tensorrt();
    let arguments = ["build", "--tensorrt", tensorrt.to_str().unwrap()];
    let mut first = machine.command(&arguments).spawn().unwrap();
    wait_for(|| machine.files().iter().any(|name| name.ends_with(".partial")));
    let pid = first.id().to_string();
    refused(&machine.build(&[]), 1, &["build.lock", &pid]);
    // Who holds it dies, and it is free.
    kill_process(Pid::from_child(&first), Signal::KILL).unwrap();
    first.wait().unwrap();
    let machine =
        Machine { settings: machine.settings.replace("build.step_ms=500", ""), ..machine };
    machine.must_build(&[]);
    assert_eq!(machine.files().len(), 2);
}

#[test]
fn a_build_can_be_stopped() {
    if !can_fake("building::a_build_can_be_stopped") {
        return;
    }
    let machine = Machine::new(V10_3).told("build.step_ms=100");
    let tensorrt = machine.tensorrt();
    let arguments = ["build", "--tensorrt", tensorrt.to_str().unwrap()];
    let child = machine.command(&arguments).spawn().unwrap();
    wait_for(|| machine.files().iter().any(|name| name.ends_with(".partial")));
    std::thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    refused(&output, 1, &["stopped"]);
    assert_eq!(machine.files(), Vec::<String>::new());
}

#[test]
fn an_upgrade_makes_an_engine_stale() {
    if !can_fake("building::an_upgrade_makes_an_engine_stale") {
        return;
    }
    let machine = Machine::new(V10_3);
    machine.must_build(&[]);
    machine.install(V10_13);
    let config = machine.configuration("");
    let output = machine.run(&["run", "--config", config.to_str().unwrap()]);
    refused(&output, 2, &["stale", "10.3.0", "10.13.3", "occdepth build", "build = \"auto\""]);
    let listed = said(&machine.command(&["engines", "list"]).output().unwrap());
    assert!(listed.contains("10.3.0"), "{listed}");

    let config = machine.configuration("build = 'auto'");
    let output = machine.run(&["run", "--config", config.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("stale"), "it says why it builds: {}", said(&output));
    assert_eq!(machine.files().len(), 4);
}

#[test]
fn a_plan_of_another_machine_is_not_run() {
    if !can_fake("building::a_plan_of_another_machine_is_not_run") {
        return;
    }
    let machine = Machine::new(V10_3);
    machine.must_build(&[]);
    // The key fits (the same name and versions), TensorRT says that it does not.
    let machine = Machine { settings: format!("{};device=other", machine.settings), ..machine };
    let config = machine.configuration("");
    let output = machine.run(&["run", "--config", config.to_str().unwrap()]);
    refused(&output, 2, &["deserializeCudaEngine", "occdepth build", "build = \"auto\""]);
    let config = machine.configuration("build = 'auto'");
    let output = machine.run(&["run", "--config", config.to_str().unwrap(), "--json"]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn a_damaged_plan_never_reaches_tensorrt() {
    if !can_fake("building::a_damaged_plan_never_reaches_tensorrt") {
        return;
    }
    let machine = Machine::new(V10_3);
    let calls = machine.directory.path().join("calls");
    let machine = machine.told(&format!("log={}", calls.display()));
    let built = machine.must_build(&[]);
    assert!(fs::read_to_string(&calls).unwrap().contains("deserializeCudaEngine"));
    let plan = PathBuf::from(built["plan"].as_str().unwrap());
    let mut bytes = fs::read(&plan).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&plan, bytes).unwrap();
    fs::write(&calls, "").unwrap();
    let config = machine.configuration("");
    let output = machine.run(&["run", "--config", config.to_str().unwrap()]);
    refused(&output, 2, &["`sha256`", "occdepth build"]);
    assert!(!fs::read_to_string(&calls).unwrap().contains("deserializeCudaEngine"));
}

#[test]
fn the_timing_cache_serves_the_next_build() {
    if !can_fake("building::the_timing_cache_serves_the_next_build") {
        return;
    }
    let machine = Machine::new(V10_3);
    machine.must_build(&[]);
    let timing = fs::read_dir(machine.cache().join("timing")).unwrap();
    let files: Vec<PathBuf> = timing.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(files[0].to_str().unwrap().contains("10.3.0"), "{files:?}");
    assert!(!fs::read(&files[0]).unwrap().is_empty());
    assert_eq!(machine.must_build(&["--force"])["notes"], Value::Array(vec![]));
    // One that does not fit is said and not fatal.
    fs::write(&files[0], "nonsense").unwrap();
    let built = machine.must_build(&["--force"]);
    assert!(built["notes"][0].as_str().unwrap().contains("not used"), "{built}");
}

#[test]
fn an_engine_is_timed_layer_by_layer() {
    if !can_fake("building::an_engine_is_timed_layer_by_layer") {
        return;
    }
    let machine = Machine::new(V10_3);
    let tensorrt = machine.tensorrt();
    let arguments =
        ["engines", "profile", "--tensorrt", tensorrt.to_str().unwrap(), "--frames", "5"];
    refused(&machine.run(&arguments), 2, &["no engine", "occdepth build"]);
    machine.must_build(&[]);
    let output = machine.run(&[&arguments[..], &["--json"]].concat());
    assert!(output.status.success(), "{}", said(&output));
    let profile: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(profile["frames"], 5);
    assert!(profile["enqueue"]["p99_ms"].as_f64().unwrap() > 0.0, "{profile}");
    assert!(profile["host"]["p99_ms"].as_f64().unwrap() > 0.0, "{profile}");
    let layers = profile["layers"].as_array().unwrap();
    let nodes =
        ModelProto::from_bytes(BUNDLED_NETWORK, "bundled").unwrap().graph.unwrap().node.len();
    assert_eq!(layers.len(), nodes, "the fake has a layer for each node");
    let share: f64 = layers.iter().map(|layer| layer["share"].as_f64().unwrap()).sum();
    assert!((share - 1.0).abs() < 1e-6, "{share}");
    let text = machine.run(&arguments);
    assert!(String::from_utf8_lossy(&text.stdout).contains("share  layer"), "{}", said(&text));
}

#[test]
fn what_is_missing_is_said_before_the_builder_starts() {
    if !can_fake("building::what_is_missing_is_said_before_the_builder_starts") {
        return;
    }
    let machine = Machine::new(V10_3);
    let folder = machine.directory.path();
    // A network whose external data is missing.
    let mut model = ModelProto::from_bytes(BUNDLED_NETWORK, "bundled").unwrap();
    let data = model
        .graph
        .as_mut()
        .unwrap()
        .initializer
        .iter_mut()
        .find(|c| c.raw_data.len() > 1024)
        .unwrap();
    let entry = |key: &str, value: String| occdepth_contract::onnx::StringStringEntryProto {
        key: key.into(),
        value,
    };
    data.external_data = vec![
        entry("location", "gone.data".into()),
        entry("offset", "0".into()),
        entry("length", data.raw_data.len().to_string()),
    ];
    data.data_location = 1;
    data.raw_data.clear();
    let network = folder.join("external.onnx");
    fs::write(&network, model.to_bytes()).unwrap();
    refused(&machine.build(&["--network", network.to_str().unwrap()]), 2, &["gone.data"]);

    // A network without a self-test.
    let network = folder.join("untested.onnx");
    fs::write(&network, BUNDLED_NETWORK).unwrap();
    refused(
        &machine.build(&["--network", network.to_str().unwrap()]),
        2,
        &["untested.selftest.json", "export"],
    );

    // A DLA that is not there, a board that nobody knows, a cache that cannot be made.
    let recipe = folder.join("recipe.toml");
    fs::write(&recipe, "precision = 'fp16'\ndla_core = 3\ngpu_fallback = true\n").unwrap();
    refused(&machine.build(&["--recipe", recipe.to_str().unwrap()]), 2, &["dla_core", "3"]);
    fs::write(&recipe, "precision = 'fp16'\nboard = 'raspberry'\n").unwrap();
    refused(
        &machine.build(&["--recipe", recipe.to_str().unwrap()]),
        2,
        &["raspberry", "orin-nano-8gb"],
    );
    fs::write(&recipe, "precision = 'fp16'\nworkspace_mib = 1048576\n").unwrap();
    refused(&machine.build(&["--recipe", recipe.to_str().unwrap()]), 1, &["memory", "workspace"]);
    refused(&machine.build(&["--cache", "/proc/occdepth"]), 1, &["/proc/occdepth", "create"]);
}

#[test]
fn a_level_that_a_version_does_not_have_is_refused() {
    if !can_fake("building::a_level_that_a_version_does_not_have_is_refused") {
        return;
    }
    let machine = Machine::new(V8_5);
    let recipe = machine.directory.path().join("recipe.toml");
    fs::write(&recipe, "precision = 'fp16'\noptimization_level = 5\n").unwrap();
    refused(
        &machine.build(&["--recipe", recipe.to_str().unwrap()]),
        2,
        &["optimization_level", "8.5.2"],
    );
    // And types are the network's from 11 on.
    machine.install(V11_4);
    refused(&machine.build(&["--precision", "fp16"]), 2, &["precision", "11", "--precision fp16"]);
}

#[test]
fn libraries_that_are_missing_are_named() {
    if !can_fake("building::libraries_that_are_missing_are_named") {
        return;
    }
    let machine = Machine::new(V10_3);
    let nowhere = machine.directory.path().join("nowhere");
    fs::create_dir(&nowhere).unwrap();
    let output = machine.run(&["build", "--tensorrt", nowhere.to_str().unwrap()]);
    refused(&output, 1, &["libnvinfer.so.10", "nowhere", "occdepth doctor"]);
    // A parser of another major.
    for entry in fs::read_dir(machine.tensorrt()).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("libnvonnxparser") {
            fs::remove_file(path).unwrap();
        }
    }
    let other = tempfile::tempdir().unwrap();
    let other = FakeTensorRt::cached(V8_6, &libraries(), other.path()).unwrap();
    fs::copy(other.parser, machine.tensorrt().join("libnvonnxparser.so.8")).unwrap();
    refused(&machine.build(&[]), 1, &["libnvonnxparser.so.10", "10.3.0"]);
}

/// Waits for what must come within a minute.
fn wait_for(there: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !there() {
        assert!(Instant::now() < deadline, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
