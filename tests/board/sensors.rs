//! Sensors that stay open.

use crate::counting::allocations;
use crate::tree::Tree;
use occdepth::board::sensors::Fault;
use occdepth::board::{Root, Sensors};

fn jetson() -> Tree {
    Tree::new(&[
        ("/sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
        ("/sys/class/thermal/thermal_zone0/temp", "48156"),
        ("/sys/class/thermal/thermal_zone1/type", "gpu-thermal"),
        ("/sys/class/thermal/thermal_zone1/temp", "51000"),
        ("/sys/class/devfreq/17000000.gpu/cur_freq", "612000000"),
        ("/sys/class/devfreq/17000000.gpu/device/load", "345"),
        ("/sys/class/hwmon/hwmon1/name", "ina3221"),
        ("/sys/class/hwmon/hwmon1/in1_label", "VDD_IN"),
        ("/sys/class/hwmon/hwmon1/in1_input", "5000"),
        ("/sys/class/hwmon/hwmon1/curr1_input", "1200"),
        ("/sys/class/hwmon/hwmon1/in3_label", "VDD_SOC"),
        ("/sys/class/hwmon/hwmon1/in3_input", "5000"),
        ("/sys/class/hwmon/hwmon1/curr3_input", "300"),
        (
            "/proc/meminfo",
            "MemTotal: 8000000 kB\nMemFree: 1 kB\nMemAvailable: 4000000 kB\nBuffers: 2 kB\n",
        ),
    ])
}

#[test]
fn a_sample_is_read_anew() {
    let tree = jetson();
    let mut sensors = Sensors::open(&tree.root());
    assert_eq!(sensors.zones().collect::<Vec<_>>(), ["cpu-thermal", "gpu-thermal"]);
    assert_eq!(sensors.rails().collect::<Vec<_>>(), ["VDD_IN", "VDD_SOC"]);
    let sample = sensors.sample();
    assert_eq!(*sample.celsius, [Ok(48.156), Ok(51.0)]);
    assert_eq!(sample.hottest(), Some((1, 51.0)));
    assert_eq!((sample.gpu_load, sample.gpu_hz), (Some(Ok(0.345)), Some(Ok(612_000_000))));
    assert_eq!(sample.available_bytes, Some(4_000_000 * 1024));
    assert!((sensors.total_watts().unwrap() - 6.0).abs() < 1e-9);

    tree.write("/sys/class/thermal/thermal_zone0/temp", "90000\n");
    tree.write("/sys/class/devfreq/17000000.gpu/device/load", "0\n");
    tree.write("/sys/class/hwmon/hwmon1/curr1_input", "2400\n");
    let sample = sensors.sample();
    assert_eq!(sample.hottest(), Some((0, 90.0)));
    assert_eq!(sample.gpu_load, Some(Ok(0.0)));
    assert!((sensors.total_watts().unwrap() - 12.0).abs() < 1e-9);
}

/// A sensor that says nonsense keeps its place, and is believed again when it says sense.
#[test]
fn a_faulty_sensor_keeps_its_place() {
    let tree = jetson();
    let mut sensors = Sensors::open(&tree.root());
    for nonsense in ["", "hot\n", "99999999\n", "-274000\n"] {
        tree.write("/sys/class/thermal/thermal_zone1/temp", nonsense);
        assert_eq!(*sensors.sample().celsius, [Ok(48.156), Err(Fault::Malformed)], "{nonsense:?}");
    }
    tree.write("/sys/class/devfreq/17000000.gpu/device/load", "1001\n");
    tree.write("/sys/class/hwmon/hwmon1/in1_input", "n/a\n");
    let sample = sensors.sample();
    assert_eq!(sample.gpu_load, Some(Err(Fault::Malformed)));
    assert_eq!(sample.watts[0], Err(Fault::Malformed));
    // The input's rail is not known, and the sum would lack it.
    assert_eq!(sensors.total_watts(), None);
    tree.write("/sys/class/thermal/thermal_zone1/temp", "52000\n");
    assert_eq!(sensors.sample().celsius[1], Ok(52.0));
    assert!(Fault::Os(19).to_string().contains("device"));
}

/// A zone of a part that is switched off fails with the system's error, in its place.
#[test]
fn a_failing_sensor_says_the_systems_error() {
    let tree = jetson();
    let zone = tree.path("/sys/class/thermal/thermal_zone0/temp");
    std::fs::remove_file(&zone).unwrap();
    std::fs::create_dir(&zone).unwrap();
    let mut sensors = Sensors::open(&tree.root());
    // EISDIR: reading a directory.
    assert_eq!(*sensors.sample().celsius, [Err(Fault::Os(21)), Ok(51.0)]);
}

#[test]
fn a_machine_without_sensors_has_an_empty_sample() {
    let tree = Tree::new(&[]);
    let mut sensors = Sensors::open(&tree.root());
    let sample = sensors.sample();
    assert!(sample.celsius.is_empty() && sample.watts.is_empty());
    assert_eq!((sample.gpu_load, sample.gpu_hz, sample.available_bytes), (None, None, None));
    assert_eq!((sample.hottest(), sensors.total_watts()), (None, None));
}

#[test]
fn a_sample_allocates_nothing() {
    let tree = jetson();
    for root in [tree.root(), Root::system()] {
        let mut sensors = Sensors::open(&root);
        let allocated = allocations(|| {
            for _ in 0..100 {
                sensors.sample();
                std::hint::black_box(sensors.total_watts());
            }
        });
        assert_eq!(allocated, 0);
    }
    // The counter counts.
    assert!(allocations(|| drop(std::hint::black_box(vec![0_u8; 100]))) > 0);
}
