//! What the images of a camera become.

use crate::options;
use crate::simulation::{SIZE, World};
use occdepth_capture::stereo::{Layout, Pairing, Ports, SourceState, StereoCameras, StereoOptions};
use occdepth_capture::{Capture, CaptureError, FrameSource, PixelFormat, StereoFrame};
use occdepth_geometry::ImageSize;
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(200);

fn one(world: &World, layout: Layout, size: ImageSize) -> Result<StereoCameras, CaptureError> {
    let ports = Ports::One { device: world.port(0), layout };
    StereoCameras::open(ports, &StereoOptions::new(size), world.clock())
}

fn frame(source: &mut StereoCameras) -> StereoFrame<'_> {
    match source.next(WAIT).unwrap() {
        Capture::Frame(frame) => frame,
        other => panic!("{other:?}"),
    }
}

/// Row by row without padding.
fn pixels(image: &occdepth_capture::Image<'_>) -> Vec<u8> {
    let row = image.format.row_bytes(image.size.width);
    let rows = image.plane.data.chunks(image.plane.stride_bytes);
    rows.take(image.size.height as usize).flat_map(|r| r[..row].to_vec()).collect()
}

#[test]
fn halves_of_one_image_are_the_views() {
    let content: Vec<u8> =
        (0..SIZE.width * SIZE.height).map(|n| u8::try_from(n).unwrap()).collect();
    let columns = |range: std::ops::Range<usize>| -> Vec<u8> {
        content.chunks(16).flat_map(|row| row[range.clone()].to_vec()).collect()
    };
    let world = World::new();
    world.camera(0, |camera| camera.content = Some(content.clone()));

    let view = ImageSize { width: 8, height: 4 };
    let mut source = one(&world, Layout::SideBySide, view).unwrap();
    assert_eq!(source.description().size, view);
    let pair = frame(&mut source);
    assert_eq!((pixels(&pair.left), pixels(&pair.right)), (columns(0..8), columns(8..16)));
    assert_eq!(pair.left_stamp, pair.right_stamp);
    let health = source.health();
    assert_eq!((health.state, health.pairing), (SourceState::Running, Some(Pairing::OneImage)));
    assert_eq!(health.cameras[1], None);
    drop(source);

    let mut source = one(&world, Layout::TopBottom, ImageSize { width: 16, height: 2 }).unwrap();
    let pair = frame(&mut source);
    assert_eq!(
        (pixels(&pair.left), pixels(&pair.right)),
        (content[..32].into(), content[32..].into())
    );
}

#[test]
fn one_device_survives_and_gives_the_newest_image() {
    let world = World::new();
    let mut source = one(&world, Layout::SideBySide, ImageSize { width: 8, height: 4 }).unwrap();
    frame(&mut source);
    world.pass(60_000_000);
    assert!(frame(&mut source).dropped >= 1);
    world.camera(0, |camera| camera.broken = Some(rustix::io::Errno::IO));
    let back = (0..20).any(|_| matches!(source.next(WAIT), Ok(Capture::Frame(_))));
    assert!(back);
    assert_eq!(source.health().cameras[0].unwrap().recoveries, 1);
}

#[test]
fn the_chroma_of_halves_is_theirs() {
    // NV12, 16x4: 64 bytes of luma, then 2 rows of 16 bytes of chroma; the buffer's 64 bytes are too few.
    let world = World::new();
    world.camera(0, |camera| {
        camera.code = *b"NV12";
        camera.content = Some((0..96).collect());
    });
    let mut source = one(&world, Layout::SideBySide, ImageSize { width: 8, height: 4 }).unwrap();
    let pair = frame(&mut source);
    assert_eq!(pair.right.format, PixelFormat::Nv12);
    let chroma = pair.right.chroma.unwrap();
    assert_eq!((chroma.data[0], chroma.data[chroma.stride_bytes]), (64 + 8, 64 + 16 + 8));
    drop(source);
    let mut source = one(&world, Layout::TopBottom, ImageSize { width: 16, height: 2 }).unwrap();
    let pair = frame(&mut source);
    assert_eq!(pair.right.plane.data[0], 32);
    assert_eq!(pair.right.chroma.unwrap().data[0], 64 + 16);
}

#[test]
fn images_that_cannot_be_halved_are_refused() {
    let world = World::new();
    world.camera(0, |camera| {
        camera.code = *b"YUYV";
        camera.size = ImageSize { width: 14, height: 4 };
        camera.content = Some(vec![0; 14 * 4 * 2]);
    });
    let error = one(&world, Layout::SideBySide, ImageSize { width: 7, height: 4 }).unwrap_err();
    assert!(matches!(error, CaptureError::Configuration { .. }), "{error}");
    assert!(error.to_string().contains("layout"), "{error}");
}

#[test]
fn jpegs_are_decoded_and_damaged_ones_counted() {
    let mut jpeg = Vec::new();
    let image = image::RgbImage::from_pixel(SIZE.width, SIZE.height, image::Rgb([200, 40, 90]));
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95).encode_image(&image).unwrap();
    let world = World::new();
    for camera in [0, 1] {
        let jpeg = jpeg.clone();
        world.camera(camera, |camera| {
            camera.code = *b"MJPG";
            camera.content = Some(jpeg);
        });
    }
    let ports = Ports::Two { left: world.port(0), right: world.port(1) };
    let mut source = StereoCameras::open(ports, &options(), world.clock()).unwrap();
    assert_eq!(source.description().format, PixelFormat::Rgb8);
    let pair = frame(&mut source);
    let near = |pixel: &[u8]| {
        pixel.iter().zip([200, 40, 90]).all(|(found, expected)| found.abs_diff(expected) < 12)
    };
    assert!(pair.right.plane.data.chunks(3).all(near));
    // The end is missing; the second half is missing; all is.
    for short in [1, jpeg.len() / 2, jpeg.len()] {
        let before = source.health().cameras[1].unwrap().unreadable;
        world.camera(1, |camera| camera.short = short);
        for _ in 0..3 {
            assert!(matches!(source.next(WAIT).unwrap(), Capture::TimedOut));
        }
        assert!(source.health().cameras[1].unwrap().unreadable > before + 10);
    }
    assert_eq!(source.health().cameras[0].unwrap().unreadable, 0);
    world.camera(1, |camera| camera.short = 0);
    assert!((0..40).any(|_| matches!(source.next(WAIT), Ok(Capture::Frame(_)))));
}

#[test]
fn every_understood_code_has_its_pixels() {
    use PixelFormat::{
        Bayer8, Bayer10, Bayer12, Bgr8, Grey8, Grey10, Grey16, Nv12, Rgb8, Uyvy, Yuyv,
    };
    use occdepth_capture::BayerOrder::{Bggr, Gbrg, Grbg, Rggb};
    // Codes of linux/videodev2.h.
    for (code, format) in [
        (b"YUYV", Yuyv),
        (b"UYVY", Uyvy),
        (b"NV12", Nv12),
        (b"RGB3", Rgb8),
        (b"BGR3", Bgr8),
        (b"GREY", Grey8),
        (b"Y10 ", Grey10),
        (b"Y16 ", Grey16),
        (b"RGGB", Bayer8(Rggb)),
        (b"GRBG", Bayer8(Grbg)),
        (b"GBRG", Bayer8(Gbrg)),
        (b"BA81", Bayer8(Bggr)),
        (b"RG10", Bayer10(Rggb)),
        (b"BA10", Bayer10(Grbg)),
        (b"GB10", Bayer10(Gbrg)),
        (b"BG10", Bayer10(Bggr)),
        (b"RG12", Bayer12(Rggb)),
        (b"BA12", Bayer12(Grbg)),
        (b"GB12", Bayer12(Gbrg)),
        (b"BG12", Bayer12(Bggr)),
    ] {
        let world = World::new();
        world.camera(0, |camera| {
            camera.code = *code;
            camera.content = Some(vec![7; format.image_bytes(SIZE)]);
        });
        let mut source =
            one(&world, Layout::TopBottom, ImageSize { width: 16, height: 2 }).unwrap();
        let pair = frame(&mut source);
        assert_eq!((pair.left.format, pair.right.format), (format, format));
        assert_eq!(pixels(&pair.right).len(), 2 * format.row_bytes(16));
    }
}

#[test]
fn halves_of_a_mosaic_begin_with_its_first_colour() {
    let world = World::new();
    world.camera(0, |camera| {
        camera.code = *b"RG10";
        camera.size = ImageSize { width: 16, height: 6 };
        camera.content = Some(vec![0; 16 * 6 * 2]);
    });
    let error = one(&world, Layout::TopBottom, ImageSize { width: 16, height: 3 }).unwrap_err();
    assert!(error.to_string().contains("layout"), "{error}");
}
