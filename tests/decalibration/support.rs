//! Pictures, and a right camera that is not what its calibration says.

use nalgebra::{Matrix3, Matrix4, Rotation3, Vector3};
use occdepth::decalibration::{Report, State, Watch, WatchConfig};
use occdepth_contract::Normalisation;
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
use occdepth_geometry::fit::{Fit, NetworkCameras};
use occdepth_geometry::rig::StereoRig;
use std::io::Write;
use std::path::{Path, PathBuf};

pub(crate) const NORMALISATION: Normalisation = Normalisation::IMAGENET;

/// Path of a file or folder in `../shared`; where it is not there, says that `test` was skipped.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    // Not eprintln!, which the test harness captures where a test passes.
    let line = format!("SKIPPED {test}: {} is not there\n", path.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// A grey picture in levels.
#[derive(Clone)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) levels: Vec<f32>,
}

impl Picture {
    pub(crate) fn new(
        width: usize,
        height: usize,
        mut level: impl FnMut(usize, usize) -> f32,
    ) -> Self {
        let levels = (0..width * height).map(|i| level(i % width, i / width)).collect();
        Self { width, height, levels }
    }

    /// The green of the top-left part of packed RGB rows.
    pub(crate) fn of_rgb(rgb: &[u8], stride: usize, width: usize, height: usize) -> Self {
        Self::new(width, height, |x, y| f32::from(rgb[3 * (y * stride + x) + 1]))
    }

    /// What a camera sees instead whose pixels `to` come from this one's `from`: a point at `p` moves to
    /// `homography * p`. Cubic interpolation (Catmull-Rom), rounded to whole levels as a camera does; what
    /// was not seen is black.
    pub(crate) fn moved(&self, homography: &Matrix3<f64>) -> Self {
        let back = homography.try_inverse().unwrap();
        Self::new(self.width, self.height, |x, y| {
            let from = back * Vector3::new(x as f64, y as f64, 1.0);
            self.cubic(from.x / from.z, from.y / from.z).round()
        })
    }

    /// Means over squares of `2 radius + 1` pixels, cut at the edges.
    pub(crate) fn blurred(&self, radius: usize) -> Self {
        let rows = Self::new(self.width, self.height, |x, y| {
            let columns = x.saturating_sub(radius)..(x + radius + 1).min(self.width);
            let row = &self.levels[y * self.width..][columns];
            row.iter().sum::<f32>() / row.len() as f32
        });
        Self::new(self.width, self.height, |x, y| {
            let column = y.saturating_sub(radius)..(y + radius + 1).min(self.height);
            let count = column.len() as f32;
            column.map(|y| rows.levels[y * self.width + x]).sum::<f32>() / count
        })
    }

    fn cubic(&self, x: f64, y: f64) -> f32 {
        let inside = |at: f64, extent: usize| at >= 1.0 && at < (extent - 2) as f64;
        if !inside(x, self.width) || !inside(y, self.height) {
            return 0.0;
        }
        let [wx, wy] = [x, y].map(|at| catmull_rom(at.fract()));
        let mut sum = 0.0;
        for (i, wy) in wy.iter().enumerate() {
            for (j, wx) in wx.iter().enumerate() {
                let at = (y as usize + i - 1) * self.width + x as usize + j - 1;
                sum += wy * wx * f64::from(self.levels[at]);
            }
        }
        sum.clamp(0.0, 255.0) as f32
    }
}

fn catmull_rom(t: f64) -> [f64; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [
        -0.5 * t3 + t2 - 0.5 * t,
        1.5 * t3 - 2.5 * t2 + 1.0,
        -1.5 * t3 + 2.0 * t2 + 0.5 * t,
        0.5 * t3 - 0.5 * t2,
    ]
}

/// The network's input for a grey pair, f32 [2, 3, H, W].
pub(crate) fn images(left: &Picture, right: &Picture) -> Vec<f32> {
    let mut images = Vec::with_capacity(6 * left.levels.len());
    for picture in [left, right] {
        for (mean, std) in NORMALISATION.mean.iter().zip(NORMALISATION.std) {
            images.extend(picture.levels.iter().map(|level| (level / 255.0 - mean) / std));
        }
    }
    images
}

/// An error of the right camera: degrees, and parts of the focal length.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bend {
    pub(crate) pitch_deg: f64,
    pub(crate) roll_deg: f64,
    pub(crate) yaw_deg: f64,
    pub(crate) focal: f64,
}

impl Bend {
    pub(crate) fn rotation(&self) -> Matrix3<f64> {
        let [x, y, z] = [self.pitch_deg, self.yaw_deg, self.roll_deg].map(f64::to_radians);
        Rotation3::new(Vector3::new(x, y, z)).into_inner()
    }

    /// Where a pixel of a camera with the matrix `k` goes.
    pub(crate) fn homography(&self, k: &Matrix3<f64>) -> Matrix3<f64> {
        let mut bent = *k;
        bent[(0, 0)] *= 1.0 + self.focal;
        bent[(1, 1)] *= 1.0 + self.focal;
        bent * self.rotation() * k.try_inverse().unwrap()
    }
}

/// A watch that is shown ten pairs a second.
#[derive(Clone)]
pub(crate) struct Viewer {
    pub(crate) watch: Watch,
    pub(crate) now_ns: u64,
}

impl Viewer {
    pub(crate) fn new(cameras: &NetworkCameras) -> Self {
        Self::with(cameras, &WatchConfig::default())
    }

    pub(crate) fn with(cameras: &NetworkCameras, config: &WatchConfig) -> Self {
        let watch = Watch::new(cameras, &NORMALISATION, config).unwrap();
        Self { watch, now_ns: 77_000_000_000 }
    }

    pub(crate) fn show(&mut self, images: &[f32]) -> Report {
        self.now_ns += FRAME_NS;
        self.watch.observe(images, self.now_ns)
    }

    /// Shows the same pair until `surveys` looks over the whole image are done.
    pub(crate) fn survey(&mut self, images: &[f32], surveys: u64) -> Report {
        let until = self.report().surveys + surveys;
        while self.report().surveys < until {
            self.show(images);
        }
        *self.report()
    }

    /// Shows the same pair until the watch says `state`; how many frames that took.
    pub(crate) fn until(&mut self, images: &[f32], state: State, at_most: u32) -> u32 {
        for frame in 1..=at_most {
            if self.show(images).state == state {
                return frame;
            }
        }
        panic!("not {state} within {at_most} frames: {:?}", self.report());
    }

    pub(crate) fn report(&self) -> &Report {
        self.watch.report()
    }
}

pub(crate) const FRAME_NS: u64 = 100_000_000;

/// An ideal, rectified rig: focal length half of the width.
pub(crate) fn ideal(size: ImageSize) -> NetworkCameras {
    let [width, height] = [size.width, size.height].map(f64::from);
    let intrinsics = Intrinsics {
        fx: width / 2.0,
        fy: width / 2.0,
        cx: (width - 1.0) / 2.0,
        cy: (height - 1.0) / 2.0,
    };
    let camera = Camera { intrinsics, distortion: Distortion::NONE };
    let mut right_from_left = Matrix4::identity();
    right_from_left.m14 = -0.5;
    let ego = Matrix3::new(0.0, -1.0, 0.0, 0.0, 0.0, -1.0, 1.0, 0.0, 0.0).to_homogeneous();
    let rig = StereoRig {
        name: "ideal".into(),
        image_size: size,
        left: camera,
        right: camera,
        right_from_left,
        left_from_ego: ego,
        rectified: true,
    };
    NetworkCameras::new(&rig, Fit::Crop, size).unwrap()
}

/// Noise without a period, 0 to 1, another one for every seed.
pub(crate) fn noise(seed: u64, x: usize, y: usize) -> f32 {
    let mut hash = (seed << 44) ^ ((y as u64) << 22) ^ x as u64;
    for _ in 0..3 {
        hash = (hash ^ (hash >> 29)).wrapping_add(0x9e37_79b9).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    }
    (hash >> 40) as f32 / (1 << 24) as f32
}

/// A wall of blotches eight pixels wide that are all different, at one disparity and so many rows off.
pub(crate) fn wall(size: ImageSize, disparity: usize, rows: usize) -> [Picture; 2] {
    let [width, height] = [size.width, size.height].map(|side| side as usize);
    let blotch = |x: usize, y: usize| {
        let [i, j, s, t] = [x / 8, y / 8, x % 8, y % 8];
        let [s, t] = [s, t].map(|part| part as f32 / 8.0);
        let [a, b, c, d] = [(0, 0), (1, 0), (0, 1), (1, 1)].map(|(a, b)| noise(9, i + a, j + b));
        let [upper, lower] = [a + s * (b - a), c + s * (d - c)];
        20.0 + 215.0 * (upper + t * (lower - upper))
    };
    [
        Picture::new(width, height, |x, y| blotch(x + 1000, y + rows)),
        Picture::new(width, height, |x, y| blotch(x + 1000 + disparity, y)),
    ]
}
