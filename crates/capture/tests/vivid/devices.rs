//! What devices say of themselves, and their controls.

use super::{LEFT, MULTI_PLANAR};
use occdepth_capture::v4l2::{ControlKind, Device, DeviceError, DeviceKind, Setting, inspect};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

pub(crate) fn open(path: &str) -> Device {
    Device::open(Path::new(path)).unwrap()
}

pub(crate) fn say_what_they_are() {
    let single = open(LEFT);
    assert_eq!(single.identity().driver, "vivid");
    assert_eq!(single.identity().kind, DeviceKind::Camera);
    assert!(!single.identity().multi_planar);
    assert!(open(MULTI_PLANAR).identity().multi_planar);
}

pub(crate) fn other_files_are_no_cameras() {
    for (path, found) in [
        ("/dev/null", "does not speak V4L2"),
        ("/etc/group", "a regular file"),
        ("/dev", "a directory"),
    ] {
        let error = inspect(Path::new(path)).unwrap_err();
        assert!(matches!(error, DeviceError::NotACamera { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains(path) && message.contains(found), "{message}");
    }
    let error = Device::open(Path::new("/dev/video77")).unwrap_err();
    assert_eq!(error, DeviceError::Missing { device: "/dev/video77".into() });
}

/// Opens the device as this process may, and says what came of it.
pub(crate) fn open_and_report(path: &str) -> ! {
    match Device::open(Path::new(path)) {
        Ok(_) => println!("opened"),
        Err(error) => println!("{error}"),
    }
    std::process::exit(0);
}

/// Becomes another program, as somebody who is in no group.
pub(crate) fn run_as_nobody(program: &str, arguments: &[String]) -> ! {
    let error = Command::new(program).args(arguments).uid(65534).gid(65534).exec();
    panic!("{program}: {error}");
}

pub(crate) fn permission_names_the_group() {
    let as_nobody = |group| {
        let output = Command::new("/bin/vivid-tests")
            .args(["open", LEFT])
            .uid(65534)
            .gid(group)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let stranger = as_nobody(65534);
    assert!(stranger.contains(LEFT) && stranger.contains("group video"), "{stranger}");
    assert_eq!(as_nobody(44), "opened\n");
}

pub(crate) fn controls_are_set_by_name_and_verified() {
    let device = open(LEFT);
    let controls = device.controls().unwrap();
    let keys: Vec<_> = controls.iter().map(|control| control.key.as_str()).collect();
    println!("controls: {}", keys.join(", "));
    let brightness = device.control("brightness").unwrap();
    assert_eq!(brightness.kind, ControlKind::Integer);
    assert_eq!((brightness.minimum, brightness.maximum), (0, 255));
    device.set_control("Brightness", &Setting::Number(77)).unwrap();
    assert_eq!(device.control("brightness").unwrap().value, Some(77));
    device.set_control("brightness", &Setting::Number(brightness.default)).unwrap();

    let pattern = device.control("test_pattern").unwrap();
    let ControlKind::Menu(items) = &pattern.kind else { panic!("{:?}", pattern.kind) };
    let item = items.last().unwrap();
    device.set_control("test pattern", &Setting::Label(item.label.to_uppercase())).unwrap();
    assert_eq!(device.control("test_pattern").unwrap().value, Some(item.value));
    device.set_control("test_pattern", &Setting::Number(pattern.default)).unwrap();

    let boolean = controls.iter().find(|c| c.kind == ControlKind::Boolean && c.key == "boolean");
    let key = &boolean.unwrap().key;
    device.set_control(key, &Setting::Switch(false)).unwrap();
    assert_eq!(device.control(key).unwrap().value, Some(0));
    let wide = controls.iter().find(|c| c.kind == ControlKind::Integer64).unwrap();
    device.set_control(&wide.key, &Setting::Number(wide.minimum)).unwrap();
    assert_eq!(device.control(&wide.key).unwrap().value, Some(wide.minimum));
    device.set_control(&wide.key, &Setting::Number(wide.default)).unwrap();
}

pub(crate) fn controls_refuse_what_cannot_be() {
    let device = open(LEFT);
    for (name, setting, expected) in [
        ("brightness", Setting::Number(256), "0 to 255"),
        ("brightness", Setting::Switch(true), "a number"),
        ("test_pattern", Setting::Label("sunset".into()), "one of 0"),
        ("exposure_of_the_moon", Setting::Number(1), "one of "),
    ] {
        let message = device.set_control(name, &setting).unwrap_err().to_string();
        let parts = [LEFT, name, expected];
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
}

/// Gain under an automatic one, as cameras have it: the kernel takes the value and does nothing with it.
pub(crate) fn a_control_without_effect_is_refused() {
    let device = open(LEFT);
    let (gain, automatic) = ("gain", "gain_automatic");
    let before = device.control(automatic).unwrap();
    device.set_control(automatic, &Setting::Switch(true)).unwrap();
    assert!(device.control(gain).unwrap().inactive);
    let error = device.set_control(gain, &Setting::Number(50)).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, DeviceError::Control { transient: false, .. }), "{message}");
    let parts = [LEFT, "control gain", "50 without effect", "while gain_automatic is on"];
    assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    device.set_control(automatic, &Setting::Switch(false)).unwrap();
    device.set_control(gain, &Setting::Number(50)).unwrap();
    assert_eq!(device.control(gain).unwrap().value, Some(50));
    // In whatever order a configuration has them: automatic ones come first.
    let was_on = before.value == Some(1);
    device.set_control(automatic, &Setting::Switch(was_on)).unwrap();
}
