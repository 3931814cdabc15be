//! The picture of a calibration.

use crate::support::{SIZE, Truth, board, poses, robust};
use occdepth::calibrate::picture::report;
use occdepth::capture::{Image, PixelFormat, YuvEncoding};
use occdepth::rectify::PictureMaker;
use occdepth_calibration::bundle::Pair;
use occdepth_calibration::quality::calibrate;

#[test]
fn a_calibration_is_drawn() {
    for (truth, distance_m) in [(Truth::radial_tangential(), 0.5), (Truth::kannala_brandt(), 0.28)]
    {
        let board = board();
        let mut pairs: Vec<Pair> =
            poses(&board, distance_m).iter().map(|pose| truth.pair(&board, pose)).collect();
        pairs[0].left[3][0] += 5.0;
        let calibration = calibrate("drawn", &board, &pairs, &robust(truth.lens)).unwrap();
        assert_eq!(calibration.adjustment.outliers().collect::<Vec<_>>(), [[0, 0, 3]]);
        let white = vec![255; 3 * (SIZE.width * SIZE.height) as usize];
        let drawn = report(&calibration, &pairs, [&white, &white]).unwrap();
        let [width, height] = [drawn.size.width, drawn.size.height];
        assert_eq!([width, height], [2 * SIZE.width, 2 * SIZE.height]);
        let pixel = |x: u32, y: u32| -> [u8; 3] {
            let index = 3 * (y * width + x) as usize;
            drawn.rgb[index..index + 3].try_into().unwrap()
        };
        // A line through both views, over what they show.
        let line = SIZE.height / 20 * 10;
        for x in [SIZE.width / 2, width - SIZE.width / 2] {
            assert_ne!(pixel(x, line), pixel(x, line + 3));
            assert_eq!(pixel(x, line + 3), [255; 3]);
        }
        // Corners where they were found, the wrong one in another colour.
        let at = |corner: [f64; 2]| {
            pixel(corner[0].round() as u32, SIZE.height + corner[1].round() as u32)
        };
        assert_eq!(at(pairs[0].left[0]), [235, 235, 235]);
        assert_eq!(at(pairs[0].left[3]), [240, 60, 60]);
        // Nothing where nothing was found.
        assert_eq!(pixel(0, height - 1), [24, 24, 28]);
        // Images of another size are an error, not a panic.
        assert!(report(&calibration, &pairs, [&white[3..], &white]).is_err());
    }
}

/// Without a map a picture is the image; grey in three channels, RGB as it is.
#[test]
fn a_picture_of_an_image_is_the_image() {
    let size = occdepth_geometry::ImageSize { width: 5, height: 3 };
    let rgb: Vec<u8> = (0..45).map(|i| (i * 37 % 256) as u8).collect();
    let colour = YuvEncoding::default();
    let mut maker = PictureMaker::new(size, PixelFormat::Rgb8, colour, None).unwrap();
    let image = Image::packed(PixelFormat::Rgb8, size, &rgb).unwrap();
    assert_eq!(maker.picture(&image).unwrap(), rgb);
    let mut maker = PictureMaker::new(size, PixelFormat::Grey8, colour, None).unwrap();
    let image = Image::packed(PixelFormat::Grey8, size, &rgb[..15]).unwrap();
    let expected: Vec<u8> = rgb[..15].iter().flat_map(|&grey| [grey; 3]).collect();
    assert_eq!(maker.picture(&image).unwrap(), expected);
}
