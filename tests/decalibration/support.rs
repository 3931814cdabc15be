//! Pictures, and a right camera that is not what its calibration says.

use nalgebra::{Matrix3, Rotation3, Vector3};
use occdepth::decalibration::{Report, Watch, WatchConfig};
use occdepth_contract::Normalisation;
use occdepth_geometry::fit::NetworkCameras;
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

pub(crate) fn watch(cameras: &NetworkCameras) -> Watch {
    Watch::new(cameras, &NORMALISATION, &WatchConfig::default()).unwrap()
}

/// Shows the same pair until `surveys` looks over the whole image are done.
pub(crate) fn survey(watch: &mut Watch, images: &[f32], surveys: u64) -> Report {
    let until = watch.report().surveys + surveys;
    while watch.report().surveys < until {
        watch.observe(images);
    }
    *watch.report()
}
