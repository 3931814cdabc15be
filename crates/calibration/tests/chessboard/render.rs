//! Pictures of a board, ray by ray.

use crate::support::noise;
use nalgebra::Vector3;
use occdepth_calibration::board::Board;
use occdepth_calibration::bundle::Pose;
use occdepth_calibration::corners::GreyImage;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::Camera;

/// A camera that takes pictures.
pub(crate) struct Renderer {
    size: ImageSize,
    /// Rays of every fourth column and row, from half a pixel before the image to beyond it: one every `STRIDE` pixels.
    /// Between them, rays are interpolated: lens models are smooth to a thousandth of a pixel over that distance.
    rays: Vec<Vector3<f64>>,
    columns: usize,
}

impl Renderer {
    pub(crate) fn new(camera: &Camera, size: ImageSize) -> Self {
        let columns = size.width as usize / STRIDE + 2;
        let rows = size.height as usize / STRIDE + 2;
        let rays = (0..rows * columns)
            .map(|index| {
                let [x, y] = [index % columns, index / columns].map(|i| (i * STRIDE) as f64 - 0.5);
                camera.unproject([x, y]).unwrap_or_else(|_| Vector3::new(0.0, 0.0, -1.0))
            })
            .collect();
        Self { size, rays, columns }
    }

    /// The board seen at a pose: black and white squares with a white margin before a grey wall, averaged over each pixel,
    /// with noise.
    pub(crate) fn picture(&self, board: &Board, pose: &Pose, seed: u64) -> Vec<u8> {
        let to_board = pose.rotation.inverse();
        let origin = to_board * -pose.translation;
        let square = board.square_m();
        let sides = [board.columns(), board.rows()].map(|corners| corners as f64);
        let grey = |ray: &Vector3<f64>| {
            let ray = to_board * ray;
            let along = -origin.z / ray.z;
            if along.is_nan() || along <= 0.0 {
                return WALL;
            }
            let at = (origin + ray * along) / square;
            let outside =
                |at: f64, side: f64, margin: f64| at < -1.0 - margin || at > side + margin;
            if outside(at.x, sides[0], 0.5) || outside(at.y, sides[1], 0.5) {
                WALL
            } else if outside(at.x, sides[0], 0.0) || outside(at.y, sides[1], 0.0) {
                WHITE
            } else if (at.x.floor() + at.y.floor()).rem_euclid(2.0) < 1.0 {
                BLACK
            } else {
                WHITE
            }
        };
        let width = self.size.width as usize;
        let corners: Vec<f64> = (0..=self.size.height as usize)
            .flat_map(|y| (0..=width).map(move |x| [x as f64, y as f64]))
            .map(|[x, y]| grey(&self.ray(x, y)))
            .collect();
        let mut image = Vec::with_capacity(width * self.size.height as usize);
        for y in 0..self.size.height as usize {
            for x in 0..width {
                // Squares are larger than pixels: a pixel of one colour at its corners is of one colour.
                let corner = y * (width + 1) + x;
                let first = corners[corner];
                let mean = if [1, width + 1, width + 2].iter().all(|i| corners[corner + i] == first)
                {
                    first
                } else {
                    let at = |dx, dy| grey(&self.ray(x as f64 + dx, y as f64 + dy));
                    let part = |i| (i as f64 + 0.5) / PARTS as f64;
                    let parts = (0..PARTS * PARTS).map(|i| at(part(i % PARTS), part(i / PARTS)));
                    parts.sum::<f64>() / (PARTS * PARTS) as f64
                };
                let noise = 3.0 * noise(seed.wrapping_mul(1 << 32) + image.len() as u64);
                image.push((mean + noise).round() as u8);
            }
        }
        image
    }

    /// The ray through a point, pixels from the image's upper left edge.
    fn ray(&self, x: f64, y: f64) -> Vector3<f64> {
        let [x, y] = [x / STRIDE as f64, y / STRIDE as f64];
        let [column, row] = [x as usize, y as usize];
        let [fx, fy] = [x.fract(), y.fract()];
        let at = |row: usize, column: usize| &self.rays[row * self.columns + column];
        let upper = at(row, column).lerp(at(row, column + 1), fx);
        upper.lerp(&at(row + 1, column).lerp(at(row + 1, column + 1), fx), fy)
    }

    pub(crate) fn view<'a>(&self, picture: &'a [u8]) -> GreyImage<'a> {
        GreyImage::new(self.size, picture).unwrap()
    }
}

const STRIDE: usize = 4;
const PARTS: usize = 10;
const WALL: f64 = 120.0;
const WHITE: f64 = 215.0;
const BLACK: f64 = 35.0;
