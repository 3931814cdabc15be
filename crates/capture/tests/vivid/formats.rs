//! Formats: what is offered is delivered, and what is not is said.

use super::devices::open;
use super::streams::{SIZE, code, keep};
use super::{LEFT, MULTI_PLANAR};
use occdepth_capture::v4l2::{OfferedSize, Stream};
use occdepth_geometry::ImageSize;

/// Bytes of one 640x360 image in each memory plane.
const LAYOUTS: &[(&str, &[usize])] = &[
    ("YUYV", &[460_800]),
    ("UYVY", &[460_800]),
    ("NV12", &[345_600]),
    ("RGB3", &[691_200]),
    ("BGR3", &[691_200]),
    ("GREY", &[230_400]),
    ("Y10", &[460_800]),
    ("Y16", &[460_800]),
    ("RGGB", &[230_400]),
    ("GRBG", &[230_400]),
    ("GBRG", &[230_400]),
    ("BA81", &[230_400]),
    ("RG10", &[460_800]),
    ("BA10", &[460_800]),
    ("GB10", &[460_800]),
    ("BG10", &[460_800]),
    ("RG12", &[460_800]),
    ("BA12", &[460_800]),
    ("GB12", &[460_800]),
    ("BG12", &[460_800]),
];

fn check_layout(path: &str, name: &str, planes: &[usize]) {
    let device = open(path);
    let format = device.set_format(code(name), SIZE).unwrap();
    assert_eq!((format.code, format.size), (code(name), SIZE), "{name}");
    assert_eq!(format.planes.len(), planes.len(), "{name}");
    assert!(format.progressive, "{name}");
    let mut stream = Stream::start(device, 2).unwrap();
    let filled = keep(&mut stream);
    for (plane, &bytes) in planes.iter().enumerate() {
        assert_eq!(stream.plane(filled.index, plane).unwrap().len(), bytes, "{name} plane {plane}");
    }
}

pub(crate) fn every_offered_format_has_its_layout() {
    let offered = open(LEFT).formats().unwrap();
    let mut tested = Vec::new();
    for (name, planes) in LAYOUTS {
        if offered.iter().any(|format| format.code == code(name)) {
            check_layout(LEFT, name, planes);
            tested.push(*name);
        }
    }
    println!("formats of {LEFT} tested: {}", tested.join(" "));
    for must in ["YUYV", "UYVY", "NV12", "RGB3", "BGR3", "GREY", "RGGB", "RG10", "RG12"] {
        assert!(tested.contains(&must), "vivid no longer offers {must}");
    }
}

pub(crate) fn multi_planar_images_have_their_planes() {
    check_layout(MULTI_PLANAR, "NM12", &[230_400, 115_200]);
    check_layout(MULTI_PLANAR, "NV12", &[345_600]);
    check_layout(MULTI_PLANAR, "YUYV", &[460_800]);
}

pub(crate) fn sizes_and_rates_are_reported() {
    let device = open(LEFT);
    let sizes = device.sizes(code("YUYV")).unwrap();
    assert!(sizes.contains(&OfferedSize::Exact(SIZE)), "{sizes:?}");
    let rates = device.rates(code("YUYV"), SIZE).unwrap();
    assert!(rates.len() > 1, "{rates:?}");
    device.set_format(code("YUYV"), SIZE).unwrap();
    let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let settled = device.set_rate(slowest).unwrap().unwrap();
    assert!((settled - slowest).abs() < 0.01, "{settled} for {slowest}");
    assert_eq!(device.rate().unwrap(), Some(settled));
    let fastest = rates.iter().copied().fold(0.0, f64::max);
    let settled = device.set_rate(1000.0).unwrap().unwrap();
    assert!((settled - fastest).abs() < 0.01, "{settled} for 1000, fastest is {fastest}");
}

pub(crate) fn a_size_that_is_not_offered_is_reported() {
    let format = open(LEFT).set_format(code("YUYV"), ImageSize { width: 641, height: 333 });
    let settled = format.unwrap().size;
    assert_ne!(settled, ImageSize { width: 641, height: 333 });
    // The driver's choice is one that it offers.
    let sizes = open(LEFT).sizes(code("YUYV")).unwrap();
    assert!(sizes.contains(&OfferedSize::Exact(settled)), "{settled:?} of {sizes:?}");
}

/// vivid's default pattern: bars of 75 %, whose colours are known.
pub(crate) fn colour_bars_are_their_colours() {
    const BARS: [[u8; 3]; 8] = [
        [191, 191, 191],
        [191, 191, 0],
        [0, 191, 191],
        [0, 191, 0],
        [191, 0, 191],
        [191, 0, 0],
        [0, 0, 191],
        [0, 0, 0],
    ];
    for (name, order) in [("RGB3", [0, 1, 2]), ("BGR3", [2, 1, 0])] {
        let device = open(LEFT);
        device.set_format(code(name), SIZE).unwrap();
        let mut stream = Stream::start(device, 2).unwrap();
        let filled = keep(&mut stream);
        let pixels = stream.plane(filled.index, 0).unwrap();
        for (bar, colour) in BARS.iter().enumerate() {
            // The middle of each bar, below the text that vivid writes.
            let at = 3 * (300 * 640 + bar * 80 + 40);
            let found = order.map(|channel| pixels[at + channel]);
            let near = found.iter().zip(colour).all(|(found, bar)| found.abs_diff(*bar) <= 8);
            assert!(near, "{name} bar {bar}: found {found:?}, expected {colour:?}");
        }
    }
}
