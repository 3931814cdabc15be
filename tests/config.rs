//! The configuration of `occdepth run`: what it accepts, what it refuses, and that nothing makes it panic.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use occdepth::daemon::{Config, ConfigError, SourceConfig};
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
