//! Streams: `run` and `demo` in one process, `watch` in another.

use crate::support::{Process, run, shared, skip, stderr, succeed, text, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

/// Real frames, two processes, real shared memory: what the client receives is what `infer` computes from the
/// same files.
#[test]
fn a_client_receives_the_grids_of_real_frames() {
    let test = "a_client_receives_the_grids_of_real_frames";
    let Some(sequence) = shared(test, "data/kitti/sequences/08") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("kitti.sock");
    let config = write_config(
        directory.path(),
        &format!(
            "rig = '{0}/calib.txt'\n[source]\nkind = 'kitti'\ndirectory = '{0}'\n\
             times = '{0}/times_first60.txt'\npaced = false\n[stream]\nsocket = 'kitti.sock'\n",
            sequence.display()
        ),
    );
    let runtime =
        Process::start(&["run", "--config", text(&config), "--wait-for-client", "--json"]);
    wait_for(&socket);
    let received = directory.path().join("received.png");
    let lines = succeed(&[
        "watch",
        text(&socket),
        "--json",
        "--grids",
        "4",
        "--png",
        text(&received),
        "--timeout",
        "60",
    ]);
    let output = runtime.finish();
    assert!(output.status.success(), "{}", stderr(&output));

    let grids = documents(&lines);
    let field = |name: &str| -> Vec<u64> {
        grids.iter().map(|grid| grid[name].as_u64().unwrap()).collect()
    };
    assert_eq!(field("sequence"), [1, 2, 3, 4]);
    assert_eq!(field("missed"), [0; 4]);
    assert_eq!(field("corrupt"), [0; 4]);
    assert!(field("left_capture_time_ns").is_sorted_by(|earlier, later| earlier < later));
    for grid in &grids {
        let voxels: u64 =
            grid["voxels"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
        let dims = grid["dims"].as_array().unwrap();
        assert_eq!(voxels, dims.iter().map(|n| n.as_u64().unwrap()).product::<u64>());
        assert_eq!(grid["trained"], false);
        assert!(grid["stages_ns"]["infer"].as_u64().unwrap() > 0);
        // Four frames are less than a judgement takes; it must not be invented.
        assert_eq!(grid["calibration"], "unknown");
    }
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["grids"], 4);

    // The same frame through files alone.
    let computed = directory.path().join("computed.png");
    succeed(&[
        "infer",
        "--left",
        text(&sequence.join("image_2/000003.png")),
        "--right",
        text(&sequence.join("image_3/000003.png")),
        "--rig",
        text(&sequence.join("calib.txt")),
        "-o",
        text(&computed),
    ]);
    assert!(fs::read(&received).unwrap() == fs::read(&computed).unwrap(), "the pictures differ");
}

#[test]
fn a_stream_ends_cleanly_on_either_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let directory = tempfile::tempdir().unwrap();
        let (config, socket) = street(directory.path());
        let runtime = Process::start(&["run", "--config", text(&config)]);
        wait_for(&socket);
        let grid =
            documents(&succeed(&["watch", text(&socket), "--once", "--json", "--timeout", "60"]));
        assert_eq!(grid.len(), 1);
        assert_eq!(grid[0]["stream"], "street");
        runtime.signal(signal);
        let output = runtime.finish();
        assert!(output.status.success(), "{signal:?}: {}", stderr(&output));
        assert!(String::from_utf8_lossy(&output.stdout).contains("grids/s"));
        assert!(!socket.exists(), "the socket is left behind");
    }
}

#[test]
fn a_second_writer_is_refused_and_a_stale_socket_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (config, socket) = street(directory.path());
    let first = Process::start(&["run", "--config", text(&config)]);
    wait_for(&socket);
    let second = run(&["run", "--config", text(&config)]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains("second writer"), "{}", stderr(&second));
    assert!(stderr(&second).contains(text(&socket)));

    // Killed, it leaves its socket behind; the next one takes it over.
    first.signal(Signal::KILL);
    drop(first.finish());
    assert!(socket.exists());
    let gone = run(&["watch", text(&socket), "--once", "--timeout", "0"]);
    assert_eq!(gone.status.code(), Some(1));
    let third = Process::start(&["run", "--config", text(&config), "--grids", "2"]);
    let output = third.finish();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn streams_are_found_and_what_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let listed = || succeed(&["streams", "--directory", text(directory.path())]);
    assert!(listed().contains("no streams in"), "{}", listed());
    let (config, socket) = street(directory.path());
    let runtime = Process::start(&["run", "--config", text(&config)]);
    wait_for(&socket);
    succeed(&["watch", text(&socket), "--once", "--json", "--timeout", "60"]);
    // A writer that died, and somebody who listens and says nothing.
    let dead = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let other = directory.path().join("other.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&other).unwrap();

    let lines = listed();
    let line = |name: &str| {
        lines.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{lines}"))
    };
    assert!(line("street.sock").contains("128 x 128 x 16 voxels of 0.4 m"), "{lines}");
    assert!(line("street.sock").contains("UNTRAINED; grid "), "{lines}");
    assert!(line("dead.sock").contains("nobody publishes"), "{lines}");
    assert!(line("other.sock").contains("other.sock: "), "{lines}");
    assert_eq!(lines.lines().count(), 3, "the configuration is no socket: {lines}");

    let all: Value = serde_json::from_str(&succeed(&[
        "streams",
        "--json",
        "--directory",
        text(directory.path()),
    ]))
    .unwrap();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 3);
    let found = |name: &str| {
        all.iter().find(|stream| stream["socket"].as_str().unwrap().ends_with(name)).unwrap()
    };
    assert_eq!(found("street.sock")["stream"], "street");
    assert_eq!(found("street.sock")["dims"], serde_json::json!([128, 128, 16]));
    assert_eq!(found("street.sock")["uid"], rustix::process::getuid().as_raw());
    assert!(found("street.sock")["newest"]["sequence"].as_u64().unwrap() >= 1);
    assert!(found("street.sock")["newest"]["age_s"].as_f64().unwrap() < 60.0);
    assert!(found("dead.sock")["error"].as_str().unwrap().contains("nobody publishes"));
    runtime.signal(Signal::TERM);
    assert!(runtime.finish().status.success());

    let nowhere = directory.path().join("nowhere");
    let missing = run(&["streams", "--directory", text(&nowhere)]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains(text(&nowhere)), "{}", stderr(&missing));
}

/// Each rig has a process, a socket and a group of readers of its own.
#[test]
fn several_rigs_are_several_streams_each_for_its_own_group() {
    const READER: u32 = 54_321;
    const GROUPS: [u32; 2] = [54_322, 54_323];
    let test = "several_rigs_are_several_streams_each_for_its_own_group";
    if !rustix::process::geteuid().is_root() {
        skip(test, "needs root to become another user");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut rigs = Vec::new();
    for (name, group) in ["front", "rear"].into_iter().zip(GROUPS) {
        let socket = directory.path().join(format!("{name}.sock"));
        let config = directory.path().join(format!("{name}.toml"));
        let text = format!(
            "[source]\nkind = 'synthetic'\nrate_hz = 5\n[stream]\nsocket = '{name}.sock'\ngroup = {group}\n"
        );
        fs::write(&config, text).unwrap();
        rigs.push((Process::start(&["run", "--config", crate::support::text(&config)]), socket));
    }
    for (_, socket) in &rigs {
        wait_for(socket);
        succeed(&["watch", text(socket), "--once", "--quiet", "--timeout", "60"]);
    }
    // The reader must be able to run the program.
    let program = directory.path().join("occdepth");
    fs::copy(env!("CARGO_BIN_EXE_occdepth"), &program).unwrap();
    let listed = |group: u32| {
        let mut command = std::process::Command::new(&program);
        command.args(["streams", "--json", "--directory", text(directory.path())]);
        let output = command.uid(READER).gid(group).current_dir("/").output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        found
            .as_array()
            .unwrap()
            .iter()
            .map(|stream| {
                let name = stream["stream"].as_str().map(str::to_owned);
                name.ok_or_else(|| stream["error"].as_str().unwrap_or_default().to_owned())
            })
            .collect::<Vec<_>>()
    };
    let [front, rear] = <[_; 2]>::try_from(listed(GROUPS[0])).unwrap();
    assert_eq!(front, Ok("front".to_owned()));
    assert!(rear.unwrap_err().contains("Permission denied"));
    let [front, rear] = <[_; 2]>::try_from(listed(GROUPS[1])).unwrap();
    assert!(front.unwrap_err().contains("Permission denied"));
    assert_eq!(rear, Ok("rear".to_owned()));
    // One that ends does not touch the other.
    let (first, _) = rigs.remove(0);
    first.signal(Signal::TERM);
    assert!(first.finish().status.success());
    let (second, socket) = rigs.remove(0);
    succeed(&["watch", text(&socket), "--once", "--quiet", "--timeout", "60"]);
    second.signal(Signal::TERM);
    assert!(second.finish().status.success());
}

#[test]
fn a_source_that_ends_ends_the_run() {
    let directory = tempfile::tempdir().unwrap();
    let config = write_config(
        directory.path(),
        "[source]\nkind = 'synthetic'\nframes = 3\nrate_hz = 20\n[stream]\nsocket = 'street.sock'\n",
    );
    let summary: Value =
        serde_json::from_str(&succeed(&["run", "--config", text(&config), "--json"])).unwrap();
    let grids = summary["grids"].as_u64().unwrap();
    // A slow machine may drop a frame of a paced source, but the last one always comes.
    assert!((1..=3).contains(&grids), "{summary}");
}

#[test]
fn the_demo_shows_what_a_client_received() {
    let directory = tempfile::tempdir().unwrap();
    let png = directory.path().join("demo.png");
    let shown = succeed(&["demo", "--seconds", "2", "--png", text(&png)]);
    assert!(shown.contains("UNTRAINED"), "{shown}");
    for stage in ["capture", "rectify", "watch", "infer", "label", "publish", "grids/s", "client:"]
    {
        assert!(shown.contains(stage), "no {stage} in {shown}");
    }
    assert!(!shown.contains('\x1b'), "colours on a pipe");
    assert!(image::open(&png).unwrap().width() >= 128);
    let summary: Value =
        serde_json::from_str(&succeed(&["demo", "--seconds", "1", "--json", "--png", text(&png)]))
            .unwrap();
    assert!(summary["start_to_first_grid_ms"].as_f64().unwrap() > 0.0);
}

/// A stream of the synthetic street: its configuration and its socket.
fn street(directory: &Path) -> (PathBuf, PathBuf) {
    let config =
        write_config(directory, "[source]\nkind = 'synthetic'\n[stream]\nsocket = 'street.sock'\n");
    (config, directory.join("street.sock"))
}

fn write_config(directory: &Path, toml: &str) -> PathBuf {
    let path = directory.join("stream.toml");
    fs::write(&path, toml).unwrap();
    path
}

fn documents(lines: &str) -> Vec<Value> {
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
