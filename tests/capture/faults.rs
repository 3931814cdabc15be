//! Bad files and bad options: errors that name what is wrong, and a source that goes on where it can.

use crate::directory::{HEIGHT, LONG, WIDTH, kitti, picture, unpaced};
use image::ImageFormat;
use occdepth::capture::directory::{
    AtEnd, Directory, DirectoryOptions, FileError, Grey, PairFiles, Times, read_rgb8,
};
use occdepth::capture::{Capture, CaptureError, FrameSource};
use occdepth_geometry::ImageSize;
use std::error::Error;
use std::fs;
use std::path::Path;

/// The whole chain of an error's messages, as a program prints it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// Opening fails with a message that has all of `words`.
fn refused(options: &DirectoryOptions, words: &[&str]) {
    let text = chain(&Directory::open(options).expect_err(&format!("opened: {words:?}")));
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
}

#[test]
fn files_that_make_no_pairs_are_refused() {
    let root = kitti(3);
    let path = root.path();
    refused(&unpaced(&path.join("elsewhere")), &["elsewhere", "image_2", "cannot be opened"]);

    fs::remove_file(path.join("image_3/000001.png")).unwrap();
    refused(&unpaced(path), &["3 left and 2 right", "as many"]);
    fs::remove_file(path.join("image_2/000002.png")).unwrap();
    refused(&unpaced(path), &["image_3", "file name", "000002", "000001"]);

    let root = kitti(1);
    for folder in ["image_2", "image_3"] {
        let folder = root.path().join(folder);
        fs::rename(folder.join("000000.png"), folder.join("first.png")).unwrap();
    }
    refused(&unpaced(root.path()), &["file name", "first", "a number"]);

    let globs = |left: &str, right: &str| {
        let pattern = |name: &str| format!("{}/{name}", root.path().display());
        let files = PairFiles::Globs { left: pattern(left), right: pattern(right) };
        DirectoryOptions::new(files, Times::Rate(10.0))
    };
    refused(&globs("image_2/*.png", "nothing/*.png"), &["1 left and 0 right"]);
    refused(&globs("nothing/*", "nothing/*"), &["0 left and 0 right"]);
    refused(&globs("image_2/***", "image_3/*"), &["glob", "***"]);
}

#[test]
fn times_that_do_not_fit_are_refused() {
    let root = kitti(3);
    let path = root.path();
    let times = path.join("times.txt");
    fs::write(&times, "0\n0.1\n").unwrap();
    refused(&unpaced(path), &["times.txt", "2 times", "at least 3", "000002.png"]);
    fs::write(&times, "0\n0.2\n0.1\n").unwrap();
    refused(&unpaced(path), &["times.txt", "line 3", "0.1"]);
    fs::write(&times, "0\nsoon\n").unwrap();
    refused(&unpaced(path), &["times.txt", "line 2", "soon"]);
    fs::remove_file(&times).unwrap();
    refused(&unpaced(path), &["times.txt", "cannot be opened"]);

    let pattern = |folder: &str| format!("{}/{folder}/*.png", path.display());
    let globs = |times| {
        let files = PairFiles::Globs { left: pattern("image_2"), right: pattern("image_3") };
        DirectoryOptions::new(files, times)
    };
    fs::write(&times, "0\n1\n2\n3\n").unwrap();
    refused(&globs(Times::File(times)), &["4 times", "3, one for each pair"]);
    refused(&globs(Times::Recorded), &["times", "a times file or a rate"]);
    for rate_hz in [0.0, -1.0, f64::NAN, f64::INFINITY, 1001.0] {
        refused(&globs(Times::Rate(rate_hz)), &["rate", &rate_hz.to_string()]);
    }
}

#[test]
fn impossible_ranges_and_loops_are_refused() {
    let root = kitti(3);
    for (first, end) in [(3, None), (2, Some(2)), (0, Some(4)), (usize::MAX, None)] {
        let options = DirectoryOptions { first, end, ..unpaced(root.path()) };
        refused(&options, &["first and end", &first.to_string(), "number of pairs"]);
    }
    let options = DirectoryOptions { first: 2, at_end: AtEnd::Loop, ..unpaced(root.path()) };
    refused(&options, &["at_end", "one pair"]);
}

#[test]
fn sizes_that_differ_in_the_first_pair_are_refused() {
    let root = kitti(2);
    let size = Some(ImageSize { width: 1226, height: 370 });
    let options = DirectoryOptions { size, ..unpaced(root.path()) };
    refused(&options, &["image_2/000000.png", "image size", "24x10", "1226x370", "the rig's"]);
    image::RgbImage::new(5, 4).save(root.path().join("image_3/000000.png")).unwrap();
    refused(
        &unpaced(root.path()),
        &["image_3/000000.png", "image size", "5x4", "24x10", "left view's"],
    );
}

#[test]
fn a_damaged_file_costs_its_own_pair_only() {
    let root = kitti(6);
    let path = |name: &str| root.path().join(name);
    let png = fs::read(path("image_3/000001.png")).unwrap();
    fs::write(path("image_3/000001.png"), &png[..png.len() / 2]).unwrap();
    image::RgbImage::new(WIDTH, HEIGHT + 1).save(path("image_2/000002.png")).unwrap();
    image::GrayImage::new(WIDTH, HEIGHT).save(path("image_2/000003.png")).unwrap();
    fs::write(path("image_3/000005.png"), "no picture").unwrap();

    let mut source = Directory::open(&unpaced(root.path())).unwrap();
    let mut story = Vec::new();
    loop {
        match source.next(LONG) {
            Ok(Capture::Frame(frame)) => story.push((
                frame.left_stamp.sequence,
                format!("dropped {} faulty {}", frame.dropped, frame.faulty),
            )),
            Ok(Capture::Ended) => break,
            Ok(Capture::TimedOut) => panic!("nothing in {LONG:?}"),
            Err(error) => {
                assert!(error.is_recoverable());
                let text = chain(&error);
                let CaptureError::Fault { sequence, cause, .. } = error else {
                    panic!("{text}");
                };
                let cause: FileError = *cause.downcast().unwrap();
                assert!(text.contains(&cause.path().display().to_string()), "{text}");
                let kind = format!("{cause:?}");
                story.push((sequence, kind.split(' ').next().unwrap().to_owned()));
            }
        }
    }
    let story: Vec<(u64, &str)> = story.iter().map(|(s, text)| (*s, text.as_str())).collect();
    assert_eq!(
        story,
        [
            (0, "dropped 0 faulty 0"),
            (1, "Decode"),
            (2, "Size"),
            (3, "Grey"),
            (4, "dropped 3 faulty 3"),
            (5, "UnknownFormat"),
        ]
    );
}

/// Every cut of a file is an error, or, where only what follows the pixels is missing, the same pixels.
fn cuts_are_noticed(path: &Path, whole: &[u8], may_lack: usize) {
    fs::write(path, whole).unwrap();
    let pixels = read_rgb8(path, Grey::Refuse).unwrap();
    for length in 0..whole.len() {
        fs::write(path, &whole[..length]).unwrap();
        match read_rgb8(path, Grey::Refuse) {
            Err(error) => assert_eq!(error.path(), path),
            Ok(cut) => {
                assert!(whole.len() - length <= may_lack, "{length} of {} bytes", whole.len());
                assert!(cut == pixels, "{length} of {} bytes: other pixels", whole.len());
            }
        }
    }
}

#[test]
fn a_truncated_png_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    picture(3, false).save(&path).unwrap();
    // IEND, 12 bytes, and the checksums of the data before it.
    cuts_are_noticed(&path, &fs::read(&path).unwrap(), 12 + 8);
}

#[test]
fn a_truncated_jpeg_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jpg");
    picture(3, false).save_with_format(&path, ImageFormat::Jpeg).unwrap();
    cuts_are_noticed(&path, &fs::read(&path).unwrap(), 0);
}

#[test]
fn what_is_no_image_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let missing = read_rgb8(&path, Grey::Refuse).unwrap_err();
    assert!(matches!(missing, FileError::Read { .. }), "{missing}");
    let is_directory = read_rgb8(folder.path(), Grey::Refuse).unwrap_err();
    assert!(matches!(is_directory, FileError::Read { .. }), "{is_directory}");
    for bytes in [&b""[..], b"GIF89a......", b"\xff\xd8\xff", b"P6 1 1 255 abc"] {
        fs::write(&path, bytes).unwrap();
        let error = read_rgb8(&path, Grey::Refuse).unwrap_err();
        assert!(
            matches!(error, FileError::UnknownFormat { .. } | FileError::Truncated { .. }),
            "{error}"
        );
    }
}
