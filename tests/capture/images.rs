//! Borrowed images and what makes them impossible.

use occdepth::capture::{Image, ImageLayoutError, PixelFormat, Plane};
use occdepth_geometry::ImageSize;

const SIZE: ImageSize = ImageSize { width: 6, height: 4 };

#[test]
fn formats_need_the_bytes_of_their_definition() {
    for (format, bits_per_pixel) in [
        (PixelFormat::Rgb8, 24),
        (PixelFormat::Bgr8, 24),
        (PixelFormat::Grey8, 8),
        (PixelFormat::Yuyv, 16),
        (PixelFormat::Uyvy, 16),
        (PixelFormat::Nv12, 12),
    ] {
        let bytes = 6 * 4 * bits_per_pixel / 8;
        assert_eq!(format.image_bytes(SIZE), bytes, "{format:?}");
        Image::packed(format, SIZE, &vec![0; bytes]).unwrap();
        let short = Image::packed(format, SIZE, &vec![0; bytes - 1]).unwrap_err();
        assert!(matches!(short, ImageLayoutError::Short { .. }), "{format:?}: {short}");
    }
}

#[test]
fn a_padded_stride_needs_no_padding_after_the_last_row() {
    let data = vec![0; 3 * 32 + 18];
    let image = |data, stride_bytes| Image {
        format: PixelFormat::Rgb8,
        size: SIZE,
        plane: Plane { data, stride_bytes },
        chroma: None,
    };
    image(&data, 32).check().unwrap();
    assert_eq!(
        image(&data[1..], 32).check(),
        Err(ImageLayoutError::Short { plane: "pixel", found: 113, expected: 114 })
    );
    assert_eq!(
        image(&data, 17).check(),
        Err(ImageLayoutError::Stride { plane: "pixel", found: 17, expected: 18 })
    );
    assert!(matches!(image(&data, usize::MAX).check(), Err(ImageLayoutError::Short { .. })));
}

#[test]
fn chroma_belongs_to_nv12_alone() {
    let data = [0; 64];
    let plane = Plane { data: &data, stride_bytes: 12 };
    let image = |format, chroma| Image { format, size: SIZE, plane, chroma }.check();
    assert_eq!(image(PixelFormat::Nv12, None), Err(ImageLayoutError::MissingChroma));
    let short = Plane { data: &data[..11], stride_bytes: 6 };
    assert_eq!(
        image(PixelFormat::Nv12, Some(short)),
        Err(ImageLayoutError::Short { plane: "UV", found: 11, expected: 12 })
    );
    assert_eq!(
        image(PixelFormat::Yuyv, Some(plane)),
        Err(ImageLayoutError::UnexpectedChroma { format: PixelFormat::Yuyv })
    );
}

#[test]
fn subsampled_chroma_needs_even_sizes() {
    let odd = |format: PixelFormat, width, height| {
        matches!(
            format.check_size(ImageSize { width, height }),
            Err(ImageLayoutError::OddSize { .. })
        )
    };
    assert!(odd(PixelFormat::Yuyv, 5, 4));
    assert!(odd(PixelFormat::Uyvy, 5, 4));
    assert!(odd(PixelFormat::Nv12, 5, 4));
    assert!(odd(PixelFormat::Nv12, 6, 3));
    assert!(!odd(PixelFormat::Yuyv, 6, 3));
    assert!(!odd(PixelFormat::Rgb8, 5, 3));
    assert_eq!(
        PixelFormat::Rgb8.check_size(ImageSize { width: 0, height: 3 }),
        Err(ImageLayoutError::Empty { width: 0, height: 3 })
    );
}
