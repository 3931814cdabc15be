//! The synthetic street as a source.

use crate::directory::LONG;
use occdepth::capture::synthetic::{Synthetic, SyntheticOptions};
use occdepth::capture::{Capture, CaptureError, FrameSource, Pacing, PixelFormat, monotonic_ns};
use occdepth::rig::demo_rig;
use occdepth_geometry::rig::StereoRig;
use occdepth_street::{Rendering, Street};
use std::time::Duration;

fn unpaced(format: PixelFormat, frames: u64) -> SyntheticOptions {
    SyntheticOptions {
        seed: 5,
        format,
        pacing: Pacing::Unpaced,
        frames: Some(frames),
        ..SyntheticOptions::default()
    }
}

fn rendering(rig: &StereoRig, time_s: f64) -> Rendering {
    let mut pair = Rendering::default();
    Street::new(5, rig).unwrap().render(time_s, &mut pair);
    pair
}

#[test]
fn delivers_the_street_at_its_times_and_ends() {
    let rig = demo_rig().unwrap();
    let mut source = Synthetic::open(&rig, &unpaced(PixelFormat::Rgb8, 3)).unwrap();
    let mut start_ns = None;
    for index in 0..3_u32 {
        let Capture::Frame(frame) = source.next(LONG).unwrap() else {
            panic!("no pair {index}");
        };
        let expected = rendering(&rig, f64::from(index) / 10.0);
        assert!(frame.left.plane.data == expected.left_rgb, "left {index}");
        assert!(frame.right.plane.data == expected.right_rgb, "right {index}");
        assert_eq!(frame.left_stamp.sequence, u64::from(index));
        let start_ns = *start_ns.get_or_insert(frame.left_stamp.time_ns);
        assert_eq!(frame.left_stamp.time_ns - start_ns, u64::from(index) * 100_000_000);
    }
    assert!(matches!(source.next(LONG), Ok(Capture::Ended)));
    assert!(matches!(source.next(LONG), Ok(Capture::Ended)));
}

/// BT.601: luma 16 to 235, chroma 16 to 240 about 128 (ITU-R BT.601-7, 2.5.3), as real numbers.
fn bt601(rgb: [f64; 3]) -> [f64; 3] {
    let [r, g, b] = rgb;
    let y = 0.299 * r + 0.587 * g + 0.114 * b;
    [
        16.0 + 219.0 / 255.0 * y,
        128.0 + 224.0 / 255.0 * (b - y) / 1.772,
        128.0 + 224.0 / 255.0 * (r - y) / 1.402,
    ]
}

#[test]
fn camera_formats_follow_their_definitions() {
    let rig = demo_rig().unwrap();
    let (width, height) = (rig.image_size.width as usize, rig.image_size.height as usize);
    let rgb = rendering(&rig, 0.0).left_rgb;
    let pixel = |x: usize, y: usize| -> [f64; 3] {
        std::array::from_fn(|channel| f64::from(rgb[3 * (y * width + x) + channel]))
    };
    let mean = |pixels: &[[f64; 3]]| -> [f64; 3] {
        std::array::from_fn(|i| pixels.iter().map(|p| p[i]).sum::<f64>() / pixels.len() as f64)
    };
    let close = |found: u8, expected: f64, what: &str| {
        assert!(
            (f64::from(found) - expected).abs() <= 0.52,
            "{what}: {found}, expected {expected}"
        );
    };
    for format in [
        PixelFormat::Bgr8,
        PixelFormat::Grey8,
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
    ] {
        let mut source = Synthetic::open(&rig, &unpaced(format, 1)).unwrap();
        assert_eq!(source.description().format, format);
        let Capture::Frame(frame) = source.next(LONG).unwrap() else {
            panic!("no pair");
        };
        frame.left.check().unwrap();
        let data = frame.left.plane.data;
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                let [luma, ..] = bt601(pixel(x, y));
                let pair = mean(&[pixel(x & !1, y), pixel(x | 1, y)]);
                let what = format!("{format:?} {x} {y}");
                match format {
                    PixelFormat::Bgr8 => {
                        let expected = [rgb[3 * at + 2], rgb[3 * at + 1], rgb[3 * at]];
                        assert_eq!(data[3 * at..3 * at + 3], expected, "{what}");
                    }
                    PixelFormat::Grey8 => close(data[at], (luma - 16.0) * 255.0 / 219.0, &what),
                    PixelFormat::Yuyv => {
                        close(data[2 * at], luma, &what);
                        close(data[2 * at + 1], bt601(pair)[1 + x % 2], &what);
                    }
                    PixelFormat::Uyvy => {
                        close(data[2 * at + 1], luma, &what);
                        close(data[2 * at], bt601(pair)[1 + x % 2], &what);
                    }
                    _ => {
                        close(data[at], luma, &what);
                        let below = mean(&[pixel(x & !1, y | 1), pixel(x | 1, y | 1)]);
                        let above = mean(&[pixel(x & !1, y & !1), pixel(x | 1, y & !1)]);
                        let chroma = frame.left.chroma.unwrap().data[y / 2 * width + x];
                        close(chroma, bt601(mean(&[above, below]))[1 + x % 2], &what);
                    }
                }
            }
        }
    }
}

#[test]
fn a_late_caller_gets_the_newest_pair() {
    let rig = demo_rig().unwrap();
    let options = SyntheticOptions { rate_hz: 20.0, ..SyntheticOptions::default() };
    let mut source = Synthetic::open(&rig, &options).unwrap();
    assert_eq!(source.description().rate_hz, Some(20.0));
    let mut previous = None;
    for late_ms in [0, 400, 0] {
        std::thread::sleep(Duration::from_millis(late_ms));
        let called_ns = monotonic_ns();
        let Capture::Frame(frame) = source.next(LONG).unwrap() else {
            panic!("no pair");
        };
        let stamp = frame.left_stamp;
        assert!(stamp.time_ns <= monotonic_ns());
        assert!(stamp.time_ns + 50_000_000 > called_ns);
        if let Some(previous) = previous.replace(stamp.sequence) {
            assert_eq!(u64::from(frame.dropped), stamp.sequence - previous - 1);
            assert!(late_ms == 0 || frame.dropped >= 6, "{}", frame.dropped);
        }
    }
}

#[test]
fn what_cannot_be_rendered_is_refused() {
    let rig = demo_rig().unwrap();
    for rate_hz in [0.0, f64::NAN, 1e9] {
        let options = SyntheticOptions { rate_hz, ..SyntheticOptions::default() };
        let error = Synthetic::open(&rig, &options).unwrap_err();
        assert!(matches!(error, CaptureError::Configuration { field: "rate", .. }), "{error}");
    }
    let mut odd = rig.clone();
    odd.image_size.width -= 1;
    let options = unpaced(PixelFormat::Yuyv, 1);
    let error = Synthetic::open(&odd, &options).unwrap_err();
    assert!(matches!(error, CaptureError::Configuration { field: "format", .. }), "{error}");
    let mut buried = rig;
    buried.left_from_ego[(1, 3)] = -5.0;
    let error = Synthetic::open(&buried, &unpaced(PixelFormat::Rgb8, 1)).unwrap_err();
    assert!(matches!(error, CaptureError::Open { .. }), "{error}");
}
