//! Rectification against its definition, evaluated in f64, and against `cv::remap`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "positions are tested to be small and positive before they become indices"
)]

mod picture;

use occdepth::capture::{
    Image, ImageLayoutError, PixelFormat, Plane, Stamp, StereoFrame, YuvEncoding, YuvMatrix,
    YuvRange,
};
use occdepth::rectify::{MAX_SIDE_PX, Rectifier, RectifyError, StereoRectifier};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::fit::{NetworkCamera, NetworkCameras};
use occdepth_geometry::network::View;
use occdepth_geometry::rectification::{Crop, RemapTable, StereoRectification};
use occdepth_geometry::rig::StereoRig;
use picture::{Picture, picture};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_format_follows_the_definition(
        (picture, positions) in picture().prop_flat_map(|picture| {
            let positions = prop::collection::vec(position(picture.size), 1..200);
            (Just(picture), positions)
        }),
        normalisation in normalisation(),
    ) {
        let planes = rectify(&picture, Some(&positions), row(positions.len()), &normalisation);
        for (i, &position) in positions.iter().enumerate() {
            let expected = picture.bilinear(position);
            for c in 0..3 {
                let grey = grey_level(planes[c * positions.len() + i], &normalisation, c);
                prop_assert!(
                    (grey - expected[c]).abs() < TOLERANCE,
                    "{:?} at {position:?}, channel {c}: {grey}, expected {}",
                    picture.format, expected[c]
                );
            }
        }
    }

    #[test]
    fn the_straight_path_is_the_identity_map(
        (picture, output) in picture().prop_flat_map(|picture| {
            let ImageSize { width, height } = picture.size;
            (Just(picture), (1..=width, 1..=height))
        }),
        normalisation in normalisation(),
    ) {
        let output = ImageSize { width: output.0, height: output.1 };
        let straight = rectify(&picture, None, output, &normalisation);
        let map = grid_of(output, |x, y| [x, y]);
        prop_assert_eq!(&straight, &rectify(&picture, Some(&map), output, &normalisation));
        for (i, position) in map.into_iter().enumerate() {
            let expected = picture.bilinear(position);
            for c in 0..3 {
                let grey = grey_level(straight[c * map_len(output) + i], &normalisation, c);
                prop_assert!((grey - expected[c]).abs() < TOLERANCE);
            }
        }
    }

    #[test]
    fn whole_pixels_move_without_change(
        picture in picture(),
        (dx, dy) in (-12_i16..12, -12_i16..12),
    ) {
        let (dx, dy) = (f32::from(dx), f32::from(dy));
        let still = rectify(&picture, None, picture.size, &IDENTITY);
        let map = grid_of(picture.size, |x, y| [x + dx, y + dy]);
        let moved = rectify(&picture, Some(&map), picture.size, &IDENTITY);
        let pixels = map.len();
        for (i, &[x, y]) in map.iter().enumerate() {
            for c in 0..3 {
                let expected = picture.index(x, y).map_or(0.0, |from| still[c * pixels + from]);
                // YUV's black is a sum of rounded constants, not exactly 0.
                prop_assert!((moved[c * pixels + i] - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn linear_images_are_reproduced(
        (width, height) in (2_u32..40, 2_u32..40),
        (slope_x, slope_y) in (0_u8..4, 0_u8..3),
        at in prop::collection::vec((0.0_f32..1.0, 0.0_f32..1.0), 1..100),
    ) {
        let data = (0..width * height)
            .map(|i| 7 + slope_x * (i % width) as u8 + slope_y * (i / width) as u8)
            .collect();
        let size = ImageSize { width, height };
        let picture = Picture { format: PixelFormat::Grey8, size, strides: [width as usize, 0], data, chroma: vec![], encoding: YuvEncoding::default() };
        let positions: Vec<_> = at
            .iter()
            .map(|(u, v)| [u * (width - 1) as f32, v * (height - 1) as f32])
            .collect();
        let planes = rectify(&picture, Some(&positions), row(positions.len()), &IDENTITY);
        for (i, [x, y]) in positions.into_iter().enumerate() {
            let expected = 7.0 + f64::from(slope_x) * f64::from(x) + f64::from(slope_y) * f64::from(y);
            prop_assert!((f64::from(planes[i]) * 255.0 - expected).abs() < 1e-3);
        }
    }

    #[test]
    fn a_buffer_of_any_other_size_is_refused(
        mut picture in picture(),
        (cut, of_chroma) in (1_usize..64, any::<bool>()),
    ) {
        let mut rectifier = straight(&picture, picture.size);
        let mut planes = vec![0.0; rectifier.values()];
        let chroma = of_chroma && !picture.chroma.is_empty();
        // The last row needs no padding behind it.
        let needed = picture.needed(chroma);
        let part = if chroma { &mut picture.chroma } else { &mut picture.data };
        part.truncate(needed);
        prop_assert!(rectifier.rectify(&picture.image(), &mut planes).is_ok());
        let part = if chroma { &mut picture.chroma } else { &mut picture.data };
        part.truncate(needed.saturating_sub(cut));
        let found = part.len();
        let refused = rectifier.rectify(&picture.image(), &mut planes);
        let short = matches!(
            refused,
            Err(RectifyError::Layout(ImageLayoutError::Short { found: f, expected, .. }))
                if f == found && expected == needed
        );
        prop_assert!(short, "{refused:?}");
    }
}

/// The 100 % colour bars of BT.601 (8-bit codes as in ITU-R BT.471 and every video textbook).
#[test]
fn colour_bars_have_their_colours() {
    let bars: [([u8; 3], [f64; 3]); 8] = [
        ([235, 128, 128], [255.0, 255.0, 255.0]),
        ([210, 16, 146], [255.0, 255.0, 0.0]),
        ([170, 166, 16], [0.0, 255.0, 255.0]),
        ([145, 54, 34], [0.0, 255.0, 0.0]),
        ([106, 202, 222], [255.0, 0.0, 255.0]),
        ([81, 90, 240], [255.0, 0.0, 0.0]),
        ([41, 240, 110], [0.0, 0.0, 255.0]),
        ([16, 128, 128], [0.0, 0.0, 0.0]),
    ];
    for ([y, u, v], rgb) in bars {
        let size = ImageSize { width: 2, height: 2 };
        let packed = |data: [u8; 4]| (data.repeat(2), vec![], [4, 0]);
        let formats = [
            (PixelFormat::Yuyv, packed([y, u, y, v])),
            (PixelFormat::Uyvy, packed([u, y, v, y])),
            (PixelFormat::Nv12, (vec![y; 4], vec![u, v], [2, 2])),
        ];
        for (format, (data, chroma, strides)) in formats {
            let picture =
                Picture { format, size, strides, data, chroma, encoding: YuvEncoding::default() };
            let planes = rectify(&picture, None, size, &IDENTITY);
            for (c, expected) in rgb.into_iter().enumerate() {
                for value in &planes[4 * c..][..4] {
                    let grey = f64::from(*value) * 255.0;
                    // The codes are rounded: one code of Y or V is up to 1.6 levels.
                    assert!((grey - expected).abs() < 2.0, "{format:?} {y} {u} {v}: {grey}");
                }
            }
        }
    }
}

/// Codes of pure colours, computed from the standards' own sums (red's luma is its weight, and so on).
#[test]
fn each_encoding_has_its_own_red_and_white() {
    let encodings = [
        (YuvMatrix::Bt601, YuvRange::Limited, [81, 90, 240], [235, 128, 128]),
        (YuvMatrix::Bt601, YuvRange::Full, [76, 85, 255], [255, 128, 128]),
        (YuvMatrix::Bt709, YuvRange::Limited, [63, 102, 240], [235, 128, 128]),
        (YuvMatrix::Bt709, YuvRange::Full, [54, 99, 255], [255, 128, 128]),
    ];
    let size = ImageSize { width: 2, height: 2 };
    for (matrix, range, red, white) in encodings {
        for ([y, u, v], rgb) in [(red, [255.0, 0.0, 0.0]), (white, [255.0; 3])] {
            let picture = Picture {
                format: PixelFormat::Yuyv,
                size,
                strides: [4, 0],
                data: [y, u, y, v].repeat(2),
                chroma: vec![],
                encoding: YuvEncoding { matrix, range },
            };
            let planes = rectify(&picture, None, size, &IDENTITY);
            for (c, expected) in rgb.into_iter().enumerate() {
                let grey = f64::from(planes[4 * c]) * 255.0;
                assert!((grey - expected).abs() < 2.0, "{matrix:?} {range:?} {c}: {grey}");
            }
        }
    }
}

/// Memory is kept from frame to frame; what is in it must not show.
#[test]
fn a_frame_shows_nothing_of_the_one_before() {
    let size = ImageSize { width: 64, height: 48 };
    let picture = |seed: usize| Picture {
        format: PixelFormat::Rgb8,
        size,
        strides: [192, 0],
        data: (0..192 * 48).map(|i| ((i * i + seed) * 31 % 251) as u8).collect(),
        chroma: vec![],
        encoding: YuvEncoding::default(),
    };
    let (first, second) = (picture(5), picture(77));
    // Upright, tilted, upside down, on its side; each with a margin beyond the image.
    let maps: [fn(f32, f32) -> [f32; 2]; 4] = [
        |x, y| [1.1 * x - 3.0, 1.1 * y - 2.0],
        |x, y| [x + 0.3 * y - 5.0, y - 0.3 * x + 7.0],
        |x, y| [66.5 - x, 49.5 - y],
        |x, y| [y, x - 2.5],
    ];
    for (i, map) in maps.into_iter().enumerate() {
        let map = RemapTable { size, source: grid_of(size, map) };
        let fresh = rectify(&second, Some(&map.source), size, &IDENTITY);
        let camera = NetworkCamera { view: VIEW, map: Some(map) };
        let format = PixelFormat::Rgb8;
        let encoding = YuvEncoding::default();
        let mut kept = Rectifier::new(size, format, encoding, &camera, size, &IDENTITY).unwrap();
        let mut planes = vec![f32::NAN; kept.values()];
        for picture in [&second, &first, &second] {
            kept.rectify(&picture.image(), &mut planes).unwrap();
        }
        assert_eq!(planes, fresh, "map {i}");
    }
}

#[test]
fn both_views_land_in_their_half() {
    let size = ImageSize { width: 3, height: 1 };
    let camera = NetworkCamera { view: VIEW, map: None };
    let cameras = NetworkCameras {
        size,
        left: camera.clone(),
        right: camera,
        rectified_from_ego: nalgebra::Matrix4::identity(),
        baseline_m: 0.5,
    };
    let mut rectifier =
        StereoRectifier::new(size, PixelFormat::Grey8, YuvEncoding::default(), &cameras, &IDENTITY)
            .unwrap();
    let image = |data| Image::packed(PixelFormat::Grey8, size, data).unwrap();
    let stamp = Stamp { time_ns: 0, sequence: 0 };
    let mut frame = StereoFrame {
        left: image(&[0, 51, 102]),
        right: image(&[153, 204, 255]),
        left_stamp: stamp,
        right_stamp: stamp,
        dropped: 0,
        faulty: 0,
    };
    let mut images = [0.0; 18];
    rectifier.rectify(&frame, &mut images).unwrap();
    for c in 0..3 {
        for (i, tenths) in [0.0, 0.2, 0.4].into_iter().enumerate() {
            assert!((images[3 * c + i] - tenths).abs() < 1e-6);
            assert!((images[9 + 3 * c + i] - (0.6 + tenths)).abs() < 1e-6);
        }
    }

    assert!(matches!(
        rectifier.rectify(&frame, &mut images[1..]),
        Err(RectifyError::Output { found: 17, expected: 18 })
    ));
    frame.right.format = PixelFormat::Rgb8;
    let error = rectifier.rectify(&frame, &mut images).unwrap_err();
    assert_eq!(error.to_string(), "right camera");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "image format: found Rgb8, expected Grey8");
}

#[test]
fn what_cannot_be_rectified_is_refused_at_the_start() {
    let size = |width, height| ImageSize { width, height };
    let new = |source, format, map: Option<RemapTable>, output, normalisation: &Normalisation| {
        let camera = NetworkCamera { view: VIEW, map };
        Rectifier::new(source, format, YuvEncoding::default(), &camera, output, normalisation)
            .map(|_| ())
            .unwrap_err()
    };
    for (format, width, height) in [
        (PixelFormat::Yuyv, 5, 4),
        (PixelFormat::Uyvy, 5, 4),
        (PixelFormat::Nv12, 5, 4),
        (PixelFormat::Nv12, 4, 5),
    ] {
        let error = new(size(width, height), format, None, size(2, 2), &IDENTITY);
        assert!(matches!(error, RectifyError::Layout(ImageLayoutError::OddSize { .. })), "{error}");
    }
    let too_wide = new(size(MAX_SIDE_PX + 1, 4), PixelFormat::Rgb8, None, size(2, 2), &IDENTITY);
    assert!(matches!(too_wide, RectifyError::SourceSize { .. }), "{too_wide}");
    let smaller = new(size(4, 4), PixelFormat::Rgb8, None, size(4, 5), &IDENTITY);
    assert_eq!(
        smaller.to_string(),
        "crop: found a source image of 4x4, expected at least the network's 4x5"
    );
    for (declared, entries) in [(size(4, 4), 16), (size(2, 2), 3)] {
        let map = RemapTable { size: declared, source: vec![[0.0; 2]; entries] };
        let error = new(size(4, 4), PixelFormat::Rgb8, Some(map), size(2, 2), &IDENTITY);
        assert!(matches!(error, RectifyError::MapSize { .. }), "{error}");
    }
    for (mean, std) in [(f32::NAN, 1.0), (0.0, 0.0), (0.0, -1.0), (0.0, f32::INFINITY)] {
        let normalisation = Normalisation { mean: [0.0, 0.0, mean], std: [1.0, 1.0, std] };
        let error = new(size(4, 4), PixelFormat::Rgb8, None, size(2, 2), &normalisation);
        assert!(matches!(error, RectifyError::Normalisation { channel: 2, .. }), "{error}");
    }
}

#[test]
fn an_image_that_does_not_fit_the_rectifier_is_refused() {
    let size = ImageSize { width: 4, height: 2 };
    let data = vec![9; 24];
    let picture = Picture {
        format: PixelFormat::Rgb8,
        size,
        strides: [12, 0],
        data,
        chroma: vec![],
        encoding: YuvEncoding::default(),
    };
    let mut rectifier = straight(&picture, size);
    let mut planes = vec![0.0; rectifier.values()];
    let image = picture.image();
    let mut refused = |image: &Image<'_>| rectifier.rectify(image, &mut planes).unwrap_err();

    let error = refused(&Image { format: PixelFormat::Bgr8, ..image });
    assert!(matches!(error, RectifyError::Format { .. }), "{error}");
    let error = refused(&Image { size: ImageSize { width: 2, height: 4 }, ..image });
    assert!(matches!(error, RectifyError::ImageSize { .. }), "{error}");
    let narrow = Plane { stride_bytes: 11, ..image.plane };
    let error = refused(&Image { plane: narrow, ..image });
    assert!(matches!(error, RectifyError::Layout(ImageLayoutError::Stride { .. })), "{error}");
    let error = rectifier.rectify(&image, &mut planes[1..]).unwrap_err();
    assert!(matches!(error, RectifyError::Output { found: 23, expected: 24 }), "{error}");
}

/// The rectified chessboard pair of `OpenCV` (`cv::remap`, bilinear, black border, alpha -1).
#[test]
fn the_chessboard_is_rectified_as_by_opencv() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let golden = shared.join("golden/rectification");
    let calibration = golden.join("chessboard_alpha_-1.json");
    if !calibration.exists() {
        skip("the_chessboard_is_rectified_as_by_opencv: ../shared is not there");
        return;
    }
    let document: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(calibration).unwrap()).unwrap();
    let rig = rig_of(&document);
    let size = rig.image_size;
    let rectification = StereoRectification::new(&rig, Crop::Alpha(-1.0), size).unwrap();
    for (view, map) in
        [("left", rectification.left_map(&rig)), ("right", rectification.right_map(&rig))]
    {
        let grey = |path: PathBuf| image::open(path).unwrap().into_luma8().into_raw();
        let data = grey(shared.join(format!("data/chessboard/{view}03.jpg")));
        let expected = grey(golden.join(format!("chessboard_{view}03_rectified.png")));
        let strides = [size.width as usize, 0];
        let picture = Picture {
            format: PixelFormat::Grey8,
            size,
            strides,
            data,
            chroma: vec![],
            encoding: YuvEncoding::default(),
        };
        let planes = rectify(&picture, Some(&map.source), size, &IDENTITY);
        let close = |&(value, &expected): &(&f32, &u8)| {
            ((value * 255.0).round() - f32::from(expected)).abs() <= 1.0
        };
        let close = planes.iter().zip(&expected).filter(close).count();
        let share = close as f64 / expected.len() as f64;
        assert!(share >= 0.999, "{view}: {share}");
    }
}

/// The rig of a golden calibration: `OpenCV`'s names, matrices as rows.
fn rig_of(document: &serde_json::Value) -> StereoRig {
    let numbers = |key: &str| -> Vec<f64> {
        let rows = document[key].as_array().unwrap().iter();
        let flat =
            rows.flat_map(|row| row.as_array().cloned().unwrap_or_else(|| vec![row.clone()]));
        flat.map(|number| number.as_f64().unwrap()).collect()
    };
    let camera = |k: &str, d: &str| {
        let k = numbers(k);
        Camera {
            intrinsics: Intrinsics { fx: k[0], fy: k[4], cx: k[2], cy: k[5] },
            distortion: Distortion::radial_tangential(&numbers(d)).unwrap(),
        }
    };
    let size = numbers("image_size");
    let rotation = nalgebra::Matrix3::from_row_slice(&numbers("R"));
    let translation = nalgebra::Vector3::from_row_slice(&numbers("T"));
    let mut right_from_left = rotation.to_homogeneous();
    right_from_left.fixed_view_mut::<3, 1>(0, 3).copy_from(&translation);
    StereoRig {
        name: "chessboard".into(),
        image_size: ImageSize { width: size[0] as u32, height: size[1] as u32 },
        left: camera("K1", "D1"),
        right: camera("K2", "D2"),
        right_from_left,
        left_from_ego: nalgebra::Matrix4::identity(),
        rectified: false,
    }
}

fn rectify(
    picture: &Picture,
    map: Option<&[[f32; 2]]>,
    output: ImageSize,
    normalisation: &Normalisation,
) -> Vec<f32> {
    let map = map.map(|source| RemapTable { size: output, source: source.to_vec() });
    let camera = NetworkCamera { view: VIEW, map };
    let mut rectifier = Rectifier::new(
        picture.size,
        picture.format,
        picture.encoding,
        &camera,
        output,
        normalisation,
    )
    .unwrap();
    let mut planes = vec![f32::NAN; rectifier.values()];
    rectifier.rectify(&picture.image(), &mut planes).unwrap();
    planes
}

fn straight(picture: &Picture, output: ImageSize) -> Rectifier {
    let camera = NetworkCamera { view: VIEW, map: None };
    Rectifier::new(picture.size, picture.format, picture.encoding, &camera, output, &IDENTITY)
        .unwrap()
}

fn grey_level(value: f32, normalisation: &Normalisation, channel: usize) -> f64 {
    let (mean, std) = (normalisation.mean[channel], normalisation.std[channel]);
    (f64::from(value) * f64::from(std) + f64::from(mean)) * 255.0
}

fn grid_of(size: ImageSize, position: impl Fn(f32, f32) -> [f32; 2]) -> Vec<[f32; 2]> {
    let at = |i: u32| position((i % size.width) as f32, (i / size.width) as f32);
    (0..size.width * size.height).map(at).collect()
}

fn row(pixels: usize) -> ImageSize {
    ImageSize { width: u32::try_from(pixels).unwrap(), height: 1 }
}

fn map_len(size: ImageSize) -> usize {
    size.width as usize * size.height as usize
}

/// Positions in the image, across its edges, beyond them, and none.
fn position(size: ImageSize) -> impl Strategy<Value = [f32; 2]> {
    let axis = |side: u32| {
        let side = side as f32;
        prop_oneof![
            8 => -2.0..side + 1.0,
            2 => (-2.0..side + 1.0).prop_map(f32::round),
            1 => prop::sample::select(vec![-1.0, side - 1.0, side, -1e30, 1e30, f32::INFINITY]),
        ]
    };
    prop_oneof![
        9 => (axis(size.width), axis(size.height)).prop_map(|(x, y)| [x, y]),
        1 => Just([f32::NAN, f32::NAN]),
    ]
}

fn normalisation() -> impl Strategy<Value = Normalisation> {
    let three = |range: std::ops::Range<f32>| prop::array::uniform3(range);
    (three(0.0..1.0), three(0.1..1.0)).prop_map(|(mean, std)| Normalisation { mean, std })
}

/// x / 255.
const IDENTITY: Normalisation = Normalisation { mean: [0.0; 3], std: [1.0; 3] };

/// Rectification does not look at the view.
const VIEW: View = View {
    k: nalgebra::Matrix3::new(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    cam_from_ego: nalgebra::Matrix4::new(
        1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0,
    ),
};

/// What the documentation of `rectify` promises, grey levels.
const TOLERANCE: f64 = 0.005;

/// Says by name that a test is skipped: straight to the stream, because the test harness keeps what a passing test
/// prints to itself.
fn skip(line: &str) {
    use std::io::Write as _;
    std::io::stderr().write_all(format!("SKIPPED {line}\n").as_bytes()).unwrap();
}
