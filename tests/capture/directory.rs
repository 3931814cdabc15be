//! Replay of image files: order, times, ranges, loops, formats, pacing.

use image::{GrayImage, ImageFormat, Rgb, RgbImage};
use occdepth::capture::directory::{
    AtEnd, Directory, DirectoryOptions, Grey, PairFiles, Times, read_rgb8,
};
use occdepth::capture::{
    Capture, CaptureError, FrameSource, Pacing, PixelFormat, Stamp, monotonic_ns,
};
use occdepth_geometry::ImageSize;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const WIDTH: u32 = 24;
pub(crate) const HEIGHT: u32 = 10;

/// A picture that tells which one it is.
pub(crate) fn picture(number: u32, right: bool) -> RgbImage {
    RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let byte = |value: u32| u8::try_from(value % 256).unwrap();
        Rgb([byte(number * 16 + u32::from(right)), byte(7 * x + number), byte(11 * y + x)])
    })
}

/// A KITTI sequence of `pairs` pictures, one each 100 ms.
pub(crate) fn kitti(pairs: u32) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let mut times = String::new();
    for folder in ["image_2", "image_3"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    for number in 0..pairs {
        times += &format!("{:e}\n", f64::from(number) * 0.1);
        for (folder, right) in [("image_2", false), ("image_3", true)] {
            let path = root.path().join(folder).join(format!("{number:06}.png"));
            picture(number, right).save(path).unwrap();
        }
    }
    fs::write(root.path().join("times.txt"), times).unwrap();
    root
}

pub(crate) fn unpaced(root: &Path) -> DirectoryOptions {
    DirectoryOptions {
        pacing: Pacing::Unpaced,
        ..DirectoryOptions::new(PairFiles::Kitti(root.into()), Times::Recorded)
    }
}

/// What a delivered pair was.
#[derive(Clone, Debug, PartialEq)]
struct Delivered {
    stamp: Stamp,
    left: Vec<u8>,
    right: Vec<u8>,
    dropped: u32,
}

fn take(source: &mut dyn FrameSource) -> Option<Delivered> {
    match source.next(LONG).unwrap() {
        Capture::Frame(frame) => {
            assert_eq!(frame.left_stamp, frame.right_stamp);
            assert_eq!(frame.left.format, PixelFormat::Rgb8);
            assert_eq!(frame.left.size, ImageSize { width: WIDTH, height: HEIGHT });
            frame.left.check().unwrap();
            frame.right.check().unwrap();
            Some(Delivered {
                stamp: frame.left_stamp,
                left: frame.left.plane.data.to_vec(),
                right: frame.right.plane.data.to_vec(),
                dropped: frame.dropped,
            })
        }
        Capture::Ended => None,
        Capture::TimedOut => panic!("nothing in {LONG:?}"),
    }
}

fn assert_is(delivered: &Delivered, number: u32) {
    assert_eq!(delivered.left, picture(number, false).into_raw(), "left {number}");
    assert_eq!(delivered.right, picture(number, true).into_raw(), "right {number}");
}

#[test]
fn unpaced_replay_delivers_every_pair_with_its_time() {
    let root = kitti(7);
    let mut source = Directory::open(&unpaced(root.path())).unwrap();
    assert_eq!(source.description().rate_hz, None);
    let before_ns = monotonic_ns();
    let pairs: Vec<Delivered> = std::iter::from_fn(|| take(&mut source)).collect();
    assert_eq!(pairs.len(), 7);
    let start_ns = pairs[0].stamp.time_ns;
    assert!(start_ns >= before_ns && start_ns <= monotonic_ns());
    for (number, pair) in (0..).zip(&pairs) {
        assert_is(pair, number);
        assert_eq!(pair.stamp.sequence, u64::from(number));
        assert_eq!(pair.stamp.time_ns - start_ns, u64::from(number) * 100_000_000);
        assert_eq!(pair.dropped, 0);
    }
    assert!(take(&mut source).is_none(), "it stays ended");
}

#[test]
fn a_range_keeps_the_numbers_and_times_of_its_pairs() {
    let root = kitti(9);
    // The line of a KITTI pair is its number: extra lines are other pairs'.
    fs::remove_file(root.path().join("image_2/000000.png")).unwrap();
    fs::remove_file(root.path().join("image_3/000000.png")).unwrap();
    fs::write(root.path().join("other.txt"), "0\n1\n2\n3\n5\n8\n13\n21\n34\n55\n").unwrap();
    let options = DirectoryOptions {
        first: 3,
        end: Some(6),
        times: Times::File(root.path().join("other.txt")),
        ..unpaced(root.path())
    };
    let mut source = Directory::open(&options).unwrap();
    let pairs: Vec<Delivered> = std::iter::from_fn(|| take(&mut source)).collect();
    assert_eq!(pairs.len(), 3);
    for (number, pair) in (4..).zip(&pairs) {
        assert_is(pair, number);
    }
    let at_ns = |i: usize| pairs[i].stamp.time_ns - pairs[0].stamp.time_ns;
    assert_eq!([at_ns(1), at_ns(2)], [3_000_000_000, 8_000_000_000]);
    assert_eq!(pairs[0].stamp.sequence, 3);
}

#[test]
fn a_loop_goes_on_in_time_and_number() {
    let root = kitti(3);
    let options = DirectoryOptions { at_end: AtEnd::Loop, ..unpaced(root.path()) };
    let mut source = Directory::open(&options).unwrap();
    let first_ns = take(&mut source).unwrap().stamp.time_ns;
    for index in 1..8 {
        let pair = take(&mut source).unwrap();
        assert_is(&pair, index % 3);
        assert_eq!(pair.stamp.sequence, u64::from(index));
        assert_eq!(pair.stamp.time_ns - first_ns, u64::from(index) * 100_000_000);
    }
}

#[test]
fn globs_pair_by_order_at_a_rate() {
    let root = kitti(4);
    let glob = |folder: &str| format!("{}/{folder}/*.png", root.path().display());
    let files = PairFiles::Globs { left: glob("image_2"), right: glob("image_3") };
    let options = DirectoryOptions {
        pacing: Pacing::Unpaced,
        ..DirectoryOptions::new(files, Times::Rate(3.0))
    };
    let mut source = Directory::open(&options).unwrap();
    let pairs: Vec<Delivered> = std::iter::from_fn(|| take(&mut source)).collect();
    let offsets_ns: Vec<u64> =
        pairs.iter().map(|pair| pair.stamp.time_ns - pairs[0].stamp.time_ns).collect();
    assert_eq!(offsets_ns, [0, 333_333_333, 666_666_667, 1_000_000_000]);
    assert_is(&pairs[3], 3);
}

#[test]
fn jpeg_decodes_close_to_its_pixels() {
    let root = kitti(1);
    for folder in ["image_2", "image_3"] {
        let folder = root.path().join(folder);
        fs::remove_file(folder.join("000000.png")).unwrap();
        let flat = RgbImage::from_pixel(WIDTH, HEIGHT, Rgb([200, 100, 50]));
        flat.save_with_format(folder.join("000000.JPG"), ImageFormat::Jpeg).unwrap();
    }
    let mut source = Directory::open(&unpaced(root.path())).unwrap();
    let pair = take(&mut source).unwrap();
    for pixel in pair.left.as_chunks::<3>().0 {
        for (found, expected) in pixel.iter().zip([200, 100, 50]) {
            assert!(found.abs_diff(expected) <= 3, "{pixel:?}");
        }
    }
}

#[test]
fn grey_is_replicated_only_on_request() {
    let root = kitti(1);
    let grey =
        GrayImage::from_fn(WIDTH, HEIGHT, |x, y| image::Luma([u8::try_from(9 * x + y).unwrap()]));
    let left = root.path().join("image_2/000000.png");
    grey.save(&left).unwrap();
    let error = Directory::open(&unpaced(root.path())).unwrap_err();
    assert!(matches!(error, CaptureError::Configuration { field: "colour", .. }));
    assert!(error.to_string().contains("000000.png"), "{error}");

    let options = DirectoryOptions { grey: Grey::Replicate, ..unpaced(root.path()) };
    let pair = take(&mut Directory::open(&options).unwrap()).unwrap();
    let expected: Vec<u8> = grey.as_raw().iter().flat_map(|&value| [value; 3]).collect();
    assert_eq!(pair.left, expected);
    assert_eq!(pair.right, picture(0, true).into_raw());

    read_rgb8(&left, Grey::Refuse).unwrap_err();
    let (size, rgb) = read_rgb8(&left, Grey::Replicate).unwrap();
    assert_eq!((size.width, size.height, rgb), (WIDTH, HEIGHT, expected));
}

#[test]
fn alpha_and_sixteen_bits_are_reduced_to_rgb8() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    image::RgbaImage::from_pixel(3, 2, image::Rgba([10, 20, 30, 40])).save(&path).unwrap();
    assert_eq!(read_rgb8(&path, Grey::Refuse).unwrap().1, [10, 20, 30].repeat(6));
    let deep = image::ImageBuffer::from_pixel(3, 2, Rgb([0_u16, 0x8080, 0xffff]));
    image::DynamicImage::ImageRgb16(deep).save(&path).unwrap();
    assert_eq!(read_rgb8(&path, Grey::Refuse).unwrap().1, [0, 128, 255].repeat(6));
}

#[test]
fn a_late_caller_of_a_paced_replay_gets_the_newest_due_pair() {
    let root = kitti(3);
    let period_ns = 20_000_000;
    let options = DirectoryOptions {
        times: Times::Rate(50.0),
        at_end: AtEnd::Loop,
        pacing: Pacing::Clock,
        ..unpaced(root.path())
    };
    let mut source = Directory::open(&options).unwrap();
    assert_eq!(source.description().rate_hz, Some(50.0));
    let mut previous = take(&mut source).unwrap().stamp;
    let mut missed = 0;
    for late_ms in [0, 90, 0, 0, 230, 45] {
        std::thread::sleep(Duration::from_millis(late_ms));
        let called_ns = monotonic_ns();
        let pair = take(&mut source).unwrap();
        assert!(pair.stamp.time_ns <= monotonic_ns(), "delivered before it was due");
        assert!(pair.stamp.time_ns + period_ns > called_ns, "a newer pair was due");
        assert_is(&pair, u32::try_from(pair.stamp.sequence % 3).unwrap());
        assert_eq!(u64::from(pair.dropped), pair.stamp.sequence - previous.sequence - 1);
        missed += pair.dropped;
        previous = pair.stamp;
    }
    // Of 20 ms: at least 3 in 90 ms, 10 in 230 ms, 1 in 45 ms.
    assert!(missed >= 14, "{missed}");
}

#[test]
fn nothing_due_is_a_timeout_and_nothing_is_lost_by_it() {
    let root = kitti(2);
    let options =
        DirectoryOptions { times: Times::Rate(2.0), pacing: Pacing::Clock, ..unpaced(root.path()) };
    let mut source = Directory::open(&options).unwrap();
    let first = take(&mut source).unwrap();
    let mut timeouts = 0;
    loop {
        match source.next(Duration::from_millis(1)).unwrap() {
            Capture::TimedOut => timeouts += 1,
            Capture::Frame(frame) => {
                assert_eq!(frame.left_stamp.sequence, 1);
                assert_eq!(frame.left_stamp.time_ns, first.stamp.time_ns + 500_000_000);
                break;
            }
            Capture::Ended => panic!("ended before its second pair"),
        }
    }
    assert!(timeouts > 0);
    assert!(take(&mut source).is_none());
}

#[test]
fn dropping_a_source_that_is_ahead_ends_its_thread() {
    let root = kitti(5);
    let options = DirectoryOptions { at_end: AtEnd::Loop, ..unpaced(root.path()) };
    for taken in 0..5 {
        let mut source = Directory::open(&options).unwrap();
        for _ in 0..taken {
            take(&mut source).unwrap();
        }
        // Joins; a thread that would not end would hang the test.
        drop(source);
    }
}

#[test]
fn kitti_08_replays_as_recorded() {
    let name = "kitti_08_replays_as_recorded";
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kitti/sequences/08");
    if !root.is_dir() {
        skip(&format!("{name}: {} is not there", root.display()));
        return;
    }
    let options = DirectoryOptions {
        times: Times::File(root.join("times_first60.txt")),
        size: Some(ImageSize { width: 1226, height: 370 }),
        ..unpaced(&root)
    };
    let mut source = Directory::open(&options).unwrap();
    // From times.txt: 0, 0.1039920, 0.2078660, 0.3117268 s.
    let times_ns = [0, 103_992_000, 207_866_000, 311_726_800];
    let mut start_ns = None;
    for (number, time_ns) in times_ns.into_iter().enumerate() {
        let Capture::Frame(frame) = source.next(LONG).unwrap() else {
            panic!("no pair {number}");
        };
        let start_ns = *start_ns.get_or_insert(frame.left_stamp.time_ns);
        assert_eq!(frame.left_stamp.time_ns - start_ns, time_ns);
        for (folder, view) in [("image_2", frame.left), ("image_3", frame.right)] {
            let expected = image::open(root.join(folder).join(format!("{number:06}.png"))).unwrap();
            assert!(view.plane.data == expected.into_rgb8().into_raw(), "{folder} {number}");
        }
    }
    assert!(matches!(source.next(LONG), Ok(Capture::Ended)));
}

/// Says by name that a test is skipped: straight to the stream, because the test harness keeps what a passing test
/// prints to itself.
fn skip(line: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("SKIPPED {line}\n").as_bytes()).unwrap();
}
