//! Images of every format, and what rectification makes of them by its definition, in f64.

use occdepth::capture::{BayerOrder, Image, PixelFormat, Plane, YuvEncoding, YuvMatrix, YuvRange};
use occdepth_geometry::ImageSize;
use proptest::prelude::*;

/// An image with padded rows and its own memory.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) format: PixelFormat,
    pub(crate) size: ImageSize,
    /// Of the pixels and of the chroma.
    pub(crate) strides: [usize; 2],
    pub(crate) data: Vec<u8>,
    pub(crate) chroma: Vec<u8>,
    pub(crate) encoding: YuvEncoding,
}

impl Picture {
    pub(crate) fn image(&self) -> Image<'_> {
        let plane = |data, i: usize| Plane { data, stride_bytes: self.strides[i] };
        let chroma = (self.format == PixelFormat::Nv12).then(|| plane(&self.chroma, 1));
        Image { format: self.format, size: self.size, plane: plane(&self.data, 0), chroma }
    }

    /// Bytes that the pixels (or the chroma) need without padding after the last row.
    pub(crate) fn needed(&self, chroma: bool) -> usize {
        let (width, height) = (self.size.width as usize, self.size.height as usize);
        if chroma {
            self.strides[1] * (height / 2 - 1) + width
        } else {
            self.strides[0] * (height - 1) + width * bytes_per_pixel(self.format)
        }
    }

    /// Position of the pixel (x, y) in a plane, if it is in the image.
    pub(crate) fn index(&self, x: f32, y: f32) -> Option<usize> {
        let ImageSize { width, height } = self.size;
        let inside = x >= 0.0 && y >= 0.0 && x < width as f32 && y < height as f32;
        inside.then(|| y as usize * width as usize + x as usize)
    }

    /// Red, green and blue of one pixel, not rounded.
    fn rgb(&self, x: usize, y: usize) -> [f64; 3] {
        let byte = |at: usize| f64::from(self.data[y * self.strides[0] + at]);
        let chroma = |at: usize| f64::from(self.chroma[y / 2 * self.strides[1] + at]);
        let two = 4 * (x / 2);
        match self.format {
            PixelFormat::Rgb8 => [byte(3 * x), byte(3 * x + 1), byte(3 * x + 2)],
            PixelFormat::Bgr8 => [byte(3 * x + 2), byte(3 * x + 1), byte(3 * x)],
            PixelFormat::Grey8 => [byte(x); 3],
            PixelFormat::Yuyv => colour(self.encoding, [byte(2 * x), byte(two + 1), byte(two + 3)]),
            PixelFormat::Uyvy => colour(self.encoding, [byte(2 * x + 1), byte(two), byte(two + 2)]),
            PixelFormat::Nv12 => {
                colour(self.encoding, [byte(x), chroma(x / 2 * 2), chroma(x / 2 * 2 + 1)])
            }
            PixelFormat::Grey10 | PixelFormat::Grey16 => [self.value(x, y); 3],
            PixelFormat::Bayer8(order)
            | PixelFormat::Bayer10(order)
            | PixelFormat::Bayer12(order) => self.demosaiced(order, x, y),
        }
    }

    /// The value of a pixel with one channel, in grey levels.
    fn value(&self, x: usize, y: usize) -> f64 {
        let word = || {
            let at = y * self.strides[0] + 2 * x;
            f64::from(u16::from_le_bytes([self.data[at], self.data[at + 1]]))
        };
        match self.format {
            // Bits above the value's are ignored.
            PixelFormat::Grey10 | PixelFormat::Bayer10(_) => (word() % 1024.0) / 1023.0 * 255.0,
            PixelFormat::Bayer12(_) => (word() % 4096.0) / 4095.0 * 255.0,
            PixelFormat::Grey16 => word() / 65535.0 * 255.0,
            _ => f64::from(self.data[y * self.strides[0] + x]),
        }
    }

    /// The mean of the nearest pixels that have each colour, the mosaic mirrored beyond the edges.
    fn demosaiced(&self, order: BayerOrder, x: usize, y: usize) -> [f64; 3] {
        let colours = match order {
            BayerOrder::Rggb => [[0, 1], [1, 2]],
            BayerOrder::Grbg => [[1, 0], [2, 1]],
            BayerOrder::Gbrg => [[1, 2], [0, 1]],
            BayerOrder::Bggr => [[2, 1], [1, 0]],
        };
        let mirrored = |at: usize, step: i32, side: u32| {
            let at = i32::try_from(at).unwrap() + step;
            let last = side.cast_signed() - 1;
            (if at < 0 {
                -at
            } else if at > last {
                2 * last - at
            } else {
                at
            }) as usize
        };
        [0, 1, 2].map(|colour| {
            // The pixel itself, its neighbours in row and column, those at its corners: the first of these groups that
            // has the colour.
            let groups: [&[(i32, i32)]; 3] = [
                &[(0, 0)],
                &[(-1, 0), (1, 0), (0, -1), (0, 1)],
                &[(-1, -1), (1, -1), (-1, 1), (1, 1)],
            ];
            let of_group = |group: &[(i32, i32)]| {
                let found: Vec<f64> = group
                    .iter()
                    .map(|&(dx, dy)| {
                        (mirrored(x, dx, self.size.width), mirrored(y, dy, self.size.height))
                    })
                    .filter(|(x, y)| colours[y % 2][x % 2] == colour)
                    .map(|(x, y)| self.value(x, y))
                    .collect();
                (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
            };
            groups.into_iter().find_map(of_group).unwrap()
        })
    }

    /// The definition: bilinear over four taps, black outside.
    pub(crate) fn bilinear(&self, [x, y]: [f32; 2]) -> [f64; 3] {
        let mut sum = [0.0; 3];
        let (x, y) = (f64::from(x), f64::from(y));
        for (dx, dy) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
            let (tap_x, tap_y) = (x.floor() + dx, y.floor() + dy);
            let weight = (1.0 - (x - tap_x).abs()) * (1.0 - (y - tap_y).abs());
            let columns = 0.0..f64::from(self.size.width);
            let rows = 0.0..f64::from(self.size.height);
            if columns.contains(&tap_x) && rows.contains(&tap_y) {
                let rgb = self.rgb(tap_x as usize, tap_y as usize);
                for c in 0..3 {
                    sum[c] += weight * rgb[c];
                }
            }
        }
        sum
    }
}

/// ITU-R BT.601 and BT.709, limited and full range, in their textbook form.
fn colour(encoding: YuvEncoding, [y, u, v]: [f64; 3]) -> [f64; 3] {
    let (luma, pb, pr) = match encoding.range {
        YuvRange::Limited => ((y - 16.0) / 219.0, (u - 128.0) / 224.0, (v - 128.0) / 224.0),
        YuvRange::Full => (y / 255.0, (u - 128.0) / 255.0, (v - 128.0) / 255.0),
    };
    let (of_red, of_green, of_blue) = match encoding.matrix {
        YuvMatrix::Bt601 => (0.299, 0.587, 0.114),
        YuvMatrix::Bt709 => (0.2126, 0.7152, 0.0722),
    };
    let (red, blue) = (luma + 2.0 * (1.0 - of_red) * pr, luma + 2.0 * (1.0 - of_blue) * pb);
    let green = (luma - of_red * red - of_blue * blue) / of_green;
    [red, green, blue].map(|value| (255.0 * value).clamp(0.0, 255.0))
}

pub(crate) fn picture() -> impl Strategy<Value = Picture> {
    let format = prop::sample::select(vec![
        PixelFormat::Rgb8,
        PixelFormat::Bgr8,
        PixelFormat::Grey8,
        PixelFormat::Yuyv,
        PixelFormat::Uyvy,
        PixelFormat::Nv12,
        PixelFormat::Grey10,
        PixelFormat::Grey16,
        PixelFormat::Bayer8(BayerOrder::Rggb),
        PixelFormat::Bayer8(BayerOrder::Grbg),
        PixelFormat::Bayer8(BayerOrder::Gbrg),
        PixelFormat::Bayer8(BayerOrder::Bggr),
        PixelFormat::Bayer10(BayerOrder::Grbg),
        PixelFormat::Bayer12(BayerOrder::Bggr),
    ]);
    let encoding = (
        prop::sample::select(vec![YuvMatrix::Bt601, YuvMatrix::Bt709]),
        prop::sample::select(vec![YuvRange::Limited, YuvRange::Full]),
    )
        .prop_map(|(matrix, range)| YuvEncoding { matrix, range });
    (format, encoding, 1_u32..50, 1_u32..12, 0_usize..9, 0_usize..9).prop_flat_map(
        |(format, encoding, width, height, padding, chroma_padding)| {
            let even =
                |side: u32, needed: bool| if needed { side.next_multiple_of(2) } else { side };
            let nv12 = format == PixelFormat::Nv12;
            let packed = matches!(format, PixelFormat::Yuyv | PixelFormat::Uyvy);
            let squares = nv12
                || matches!(
                    format,
                    PixelFormat::Bayer8(_) | PixelFormat::Bayer10(_) | PixelFormat::Bayer12(_)
                );
            let size =
                ImageSize { width: even(width, packed || squares), height: even(height, squares) };
            let stride = size.width as usize * bytes_per_pixel(format) + padding;
            let chroma_stride = size.width as usize + chroma_padding;
            let rows = size.height as usize;
            let chroma = if nv12 { chroma_stride * rows / 2 } else { 0 };
            let bytes = |len| prop::collection::vec(any::<u8>(), len);
            (bytes(stride * rows), bytes(chroma)).prop_map(move |(data, chroma)| Picture {
                format,
                size,
                strides: [stride, chroma_stride],
                data,
                chroma,
                encoding,
            })
        },
    )
}

fn bytes_per_pixel(format: PixelFormat) -> usize {
    match format {
        PixelFormat::Rgb8 | PixelFormat::Bgr8 => 3,
        PixelFormat::Yuyv
        | PixelFormat::Uyvy
        | PixelFormat::Grey10
        | PixelFormat::Grey16
        | PixelFormat::Bayer10(_)
        | PixelFormat::Bayer12(_) => 2,
        PixelFormat::Grey8 | PixelFormat::Nv12 | PixelFormat::Bayer8(_) => 1,
    }
}
