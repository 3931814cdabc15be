//! The configuration of `occdepth run`: what it accepts, what it refuses, and that nothing makes it panic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth::daemon::{
    BuildPolicy, Config, ConfigError, ControlConfig, EngineChoice, PairingConfig, SourceConfig,
};
use occdepth::decalibration::WatchConfig;
use proptest::prelude::*;
use std::path::Path;

const STREET: &str =
    "[source]\nkind = 'synthetic'\nseed = 3\n[stream]\nsocket = 'run/front.sock'\n";

fn parse(toml: &str) -> Result<Config, ConfigError> {
    Config::parse(toml, Path::new("/etc/occdepth/config.toml"))
}

#[test]
fn the_readme_shows_a_valid_configuration() {
    let readme = include_str!("../README.md");
    let toml = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let config = parse(toml).unwrap();
    let SourceConfig::Kitti { directory, repeat, paced, .. } = config.source else {
        panic!("the example plays a KITTI sequence");
    };
    assert_eq!(directory, Path::new("/etc/occdepth/sequences/08"));
    assert!(repeat && paced);
    assert_eq!(config.rig.unwrap(), Path::new("/etc/occdepth/sequences/08/calib.txt"));
    assert_eq!(config.stream.socket, Path::new("/run/occdepth/front.sock"));
}

#[test]
fn what_is_not_said_has_its_documented_value() {
    let config = parse(STREET).unwrap();
    assert_eq!(config.source, SourceConfig::Synthetic { seed: 3, rate_hz: 10.0, frames: None });
    assert_eq!(config.stream.socket, Path::new("/etc/occdepth/run/front.sock"));
    assert_eq!(config.stream.name, "front");
    assert_eq!((config.stream.mode, config.stream.slots), (0o660, 8));
    assert!(config.grid.confidence && !config.grid.unseen_unknown);
    assert_eq!((config.network.file, config.network.threads), (None, None));
}

#[test]
fn an_engine_is_configured_by_recipe() {
    let start = "[source]\nkind = 'synthetic'\n[stream]\nsocket = 's.sock'\n";
    let config = parse(start).unwrap().network;
    assert_eq!((config.engine, config.build), (EngineChoice::Auto, BuildPolicy::Never));
    let text =
        "[network]\nengine = 'tensorrt'\nrecipe = 'street.toml'\ncache = 'cache'\nbuild = 'auto'\n";
    let config = parse(&format!("{start}{text}")).unwrap().network;
    assert_eq!((config.engine, config.build), (EngineChoice::TensorRt, BuildPolicy::Auto));
    assert!(config.recipe.unwrap().ends_with("street.toml"));
    assert!(config.cache.unwrap().ends_with("cache"));
    let both = parse(&format!("{start}{text}file = 'street.onnx'\n")).unwrap_err().to_string();
    assert!(both.contains("`network.file`") && both.contains("network.recipe"), "{both}");
    let neither = parse(&format!("{start}[network]\nengine = 'npu'\n")).unwrap_err().to_string();
    assert!(neither.contains("npu") && neither.contains("tensorrt"), "{neither}");
}

#[test]
fn the_group_of_readers_has_a_name_or_a_number() {
    let group = |value: &str| parse(&format!("{STREET}group = {value}\n")).map(|c| c.stream.group);
    assert_eq!(parse(STREET).unwrap().stream.group, None);
    assert_eq!(group("1042").unwrap(), Some(1042));
    assert_eq!(group("'root'").unwrap(), Some(0), "every system has that one, and it is 0");
    let error = group("'no such group'").unwrap_err().to_string();
    assert!(error.contains("\"no such group\" is not in /etc/group"), "{error}");
    let error = group("-1").unwrap_err().to_string();
    assert!(error.contains("group = -1") && error.contains("its name"), "{error}");
}

#[test]
fn globs_are_relative_to_the_file_too() {
    let toml = STREET.replace(
        "kind = 'synthetic'\nseed = 3",
        "kind = 'images'\nleft = 'l/*.png'\nright = '/data/r/*.png'\nrate_hz = 5",
    );
    let config = parse(&format!("rig = 'r.toml'\n{toml}")).unwrap();
    let SourceConfig::Images { left, right, .. } = config.source else { panic!("images") };
    assert_eq!(left, "/etc/occdepth/l/*.png");
    assert_eq!(right, "/data/r/*.png");
}

#[test]
fn times_and_rate_exclude_each_other() {
    let images = |more: &str| {
        let source = format!("kind = 'images'\nleft = 'l'\nright = 'r'\n{more}");
        let toml = STREET.replace("kind = 'synthetic'\nseed = 3", &source);
        parse(&format!("rig = 'r.toml'\n{toml}"))
    };
    assert!(images("times = 't.txt'").is_ok());
    for wrong in ["", "times = 't.txt'\nrate_hz = 5"] {
        let error = images(wrong).unwrap_err().to_string();
        assert!(error.contains("config.toml") && error.contains("source.times"), "{error}");
    }
}

const CAMERAS: &str = "rig = 'r.toml'
[source]
kind = 'v4l2'
left = '/dev/video0'
right = 'cameras/right'
format = 'YUYV'
rate_hz = 30
pairing = 'sequence'
max_skew_ms = 4.5
[source.retry]
longest_ms = 1000
[source.controls]
auto_exposure = 'Manual Mode'
exposure_time_absolute = 120
[source.controls.right]
exposure_time_absolute = 130
white_balance_automatic = false
[stream]
socket = 'run/front.sock'
";

#[test]
fn cameras_are_configured_by_name() {
    let config = parse(CAMERAS).unwrap();
    let SourceConfig::V4l2(cameras) = config.source else { panic!("cameras") };
    assert_eq!(cameras.right.as_deref(), Some(Path::new("/etc/occdepth/cameras/right")));
    assert_eq!((cameras.pairing, cameras.max_skew_ms), (PairingConfig::Sequence, Some(4.5)));
    assert_eq!((cameras.retry.first_ms, cameras.retry.longest_ms), (50.0, 1000.0));
    assert_eq!((cameras.buffers, cameras.timeout_ms), (4, 1000.0));
    let number = |controls: &std::collections::BTreeMap<_, _>| {
        controls.get("exposure_time_absolute").cloned()
    };
    assert_eq!(number(&cameras.controls.both), Some(ControlConfig::Number(120)));
    assert_eq!(number(&cameras.controls.right), Some(ControlConfig::Number(130)));
    assert_eq!(cameras.controls.right["white_balance_automatic"], ControlConfig::Switch(false));
    assert!(cameras.controls.left.is_empty());
}

#[test]
fn cameras_that_cannot_be_meant_are_refused_by_key() {
    let one = "right = 'cameras/right'";
    for (from, to, key) in [
        (one, "", "source.left"),
        (one, "right = '/dev/video0'", "source.right"),
        (one, "right = 'r'\ndevice = 'd'", "source.left"),
        (one, "right = 'r'\nlayout = 'top-bottom'", "source.layout"),
        ("left = '/dev/video0'\nright = 'cameras/right'", "device = 'd'", "source.layout"),
        (
            "left = '/dev/video0'\nright = 'cameras/right'",
            "device = 'd'\nlayout = 'side-by-side'",
            "source.controls",
        ),
        ("'YUYV'", "'YUYVX'", "source.format"),
        ("format = 'YUYV'", "start_without_cameras = true", "source.format"),
        (one, "right = 'r'\nwidth = 640", "source.width"),
        (one, "right = 'r'\nwidth = 640\nheight = 0", "source.height"),
        (one, "right = 'r'\nbuffers = 1", "source.buffers"),
        ("rate_hz = 30", "rate_hz = 0", "source.rate_hz"),
        ("max_skew_ms = 4.5", "max_skew_ms = -1", "source.max_skew_ms"),
        ("max_skew_ms = 4.5", "max_age_ms = nan", "source.max_age_ms"),
        ("max_skew_ms = 4.5", "timeout_ms = inf", "source.timeout_ms"),
        ("longest_ms = 1000", "longest_ms = 10", "source.retry.longest_ms"),
        ("rig = 'r.toml'", "", "`rig`"),
        ("[stream]", "[status]\nevery_s = -1\n[stream]", "status.every_s"),
    ] {
        assert!(CAMERAS.contains(from), "{from}");
        let error = parse(&CAMERAS.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(
            error.contains(key) && error.contains("found") | error.contains(" is "),
            "{key}: {error}"
        );
    }
}

#[test]
fn the_calibration_watch_is_configured_in_pixels_and_seconds() {
    let watch = |keys: &str| {
        parse(&format!("{STREET}[calibration_watch]\n{keys}\n")).map(|c| c.calibration_watch)
    };
    let default = WatchConfig::default();
    assert_eq!(parse(STREET).unwrap().calibration_watch, default);
    assert_eq!(watch("").unwrap(), default);
    assert!(default.enabled && default.every == 1);
    assert_eq!((default.suspect_px, default.lost_px), (None, None));
    let seconds = (default.alarm_after_s, default.recover_after_s, default.stale_after_s);
    assert_eq!((default.suspect_focal, seconds), (0.0025, (1.0, 4.0, 10.0)));
    let keys = "suspect_px = 0.3\nlost_px = 2\nsuspect_focal = 0.01\nalarm_after_s = 0\nstale_after_s = 60";
    let found = watch(keys).unwrap();
    assert_eq!((found.suspect_px, found.lost_px), (Some(0.3), Some(2.0)));
    assert_eq!((found.suspect_focal, found.alarm_after_s, found.stale_after_s), (0.01, 0.0, 60.0));
    // Either threshold alone: the other one fits it.
    for alone in ["suspect_px = 2.0", "lost_px = 0.01"] {
        assert!(watch(alone).is_ok(), "{alone}");
    }
    for (keys, key) in [
        ("every = 0", "calibration_watch.every"),
        ("suspect_px = 0", "calibration_watch.suspect_px"),
        ("suspect_px = nan", "calibration_watch.suspect_px"),
        ("lost_px = -1", "calibration_watch.lost_px"),
        ("lost_px = inf", "calibration_watch.lost_px"),
        ("suspect_px = 2.0\nlost_px = 1.5", "calibration_watch.lost_px"),
        ("suspect_focal = 0", "calibration_watch.suspect_focal"),
        ("suspect_focal = nan", "calibration_watch.suspect_focal"),
        ("alarm_after_s = -1", "calibration_watch.alarm_after_s"),
        ("recover_after_s = inf", "calibration_watch.recover_after_s"),
        ("stale_after_s = 0", "calibration_watch.stale_after_s"),
        ("stale_after_s = nan", "calibration_watch.stale_after_s"),
        ("alarm_after = 3", "alarm_after"),
    ] {
        let error = watch(keys).unwrap_err().to_string();
        assert!(error.contains(key) && error.contains("expected"), "{keys}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_parsed_or_refused_by_name(text in any::<String>()) {
        if let Err(error) = parse(&text) {
            prop_assert!(error.to_string().contains("/etc/occdepth/config.toml"));
        }
    }

    /// One changed byte: still a configuration, or an error that names the file.
    #[test]
    fn an_edited_configuration_is_parsed_or_refused_by_name(
        at in 0..STREET.len(),
        byte in prop::sample::select(b"x0='\"[]\n.-{}#".to_vec()),
    ) {
        let mut text = STREET.as_bytes().to_vec();
        text[at] = byte;
        if let Err(error) = parse(std::str::from_utf8(&text).unwrap()) {
            prop_assert!(error.to_string().contains("/etc/occdepth/config.toml"));
        }
    }

    #[test]
    fn a_rate_is_positive_and_finite(rate in any::<f64>()) {
        let toml = STREET.replace("seed = 3", &format!("rate_hz = {rate:?}").replace("NaN", "nan"));
        let accepted = parse(&toml).is_ok();
        prop_assert_eq!(accepted, rate.is_finite() && rate > 0.0, "{}", toml);
    }
}
