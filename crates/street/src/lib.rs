//! A deterministic synthetic street: stereo images with true depth and true voxel labels.
//!
//! It needs no files and knows the truth, so it can show a whole pipeline on any machine, test it, and
//! train it. An ego drives at 8 m/s in the right lane of a straight street of 1024 m that closes on
//! itself: lanes with markings, parking bays with vehicles, pavements with people, lamps and signs,
//! then fences, hedges, trees and buildings; a car drives ahead, others and a bicyclist come towards it.
//! Pictures, depth and labels follow from one set of boxes, cylinders and spheres.
//!
//! * **Everything follows from the seed and the time**, to the bit and on every platform: integer hashes
//!   make the scene and the textures, and pictures come from additions, multiplications, divisions,
//!   square roots and comparisons of IEEE 754 numbers, without fused operations and without a library's
//!   trigonometry. (The exception is a fisheye rig, whose rays pass through the platform's `atan` and
//!   `tan` before they are rounded to f32.)
//! * **Any rig**: rays come from the rig's own lens models, once, at construction.
//! * **Fast enough to run beside a network**: see `benches/street.rs`. After the first picture nothing
//!   allocates.
//!
//! Classes are those of `SemanticKITTI` ([`class`]).
//!
//! # Example
//!
//! ```
//! use nalgebra::{Matrix4, Vector3};
//! use occdepth_geometry::ImageSize;
//! use occdepth_geometry::camera::{Camera, Distortion, Intrinsics};
//! use occdepth_geometry::{rig::StereoRig, voxel::VoxelGrid};
//! use occdepth_street::{Rendering, Street, class};
//!
//! let camera = Camera {
//!     intrinsics: Intrinsics { fx: 90.0, fy: 90.0, cx: 79.5, cy: 23.5 },
//!     distortion: Distortion::RadialTangential([0.0; 8]),
//! };
//! // x right, y down, z forward from x forward, y left, z up; 0.27 m ahead of the ego, 8 cm below.
//! #[rustfmt::skip]
//! let left_from_ego = Matrix4::new(
//!     0.0, -1.0,  0.0,  0.0,
//!     0.0,  0.0, -1.0, -0.08,
//!     1.0,  0.0,  0.0, -0.27,
//!     0.0,  0.0,  0.0,  1.0,
//! );
//! let rig = StereoRig {
//!     name: "example".into(),
//!     image_size: ImageSize { width: 160, height: 48 },
//!     left: camera,
//!     right: camera,
//!     right_from_left: Matrix4::new_translation(&Vector3::new(-0.54, 0.0, 0.0)),
//!     left_from_ego,
//!     rectified: true,
//! };
//!
//! let mut street = Street::new(1, &rig)?;
//! let mut pair = Rendering::default();
//! street.render(0.1, &mut pair);
//! assert_eq!(pair.left_rgb.len(), 3 * 160 * 48);
//!
//! // The road is 1.73 m below the ego.
//! let mut labels = Vec::new();
//! street.labels(0.1, &VoxelGrid::KITTI, &mut labels);
//! let below = VoxelGrid::KITTI.voxel_at([1.0, 0.0, -1.73]).expect("inside of the grid");
//! assert_eq!(labels[VoxelGrid::KITTI.index(below)], class::ROAD);
//! # Ok::<(), occdepth_street::StreetError>(())
//! ```
#![forbid(unsafe_code)]

pub mod class;
mod driveways;
mod hash;
mod labels;
mod scene;
mod shade;
mod texture;
mod trace;
mod view;

use driveways::Driveways;
use occdepth_geometry::{rig::StereoRig, voxel::VoxelGrid};
use scene::Scene;
use shade::{Palette, class_of};
use texture::Noise;
use trace::{Hits, Order};
use view::{TILE_PIXELS, TILE_WIDTH, View};

/// Height of the ego frame's origin over the road in metres: that of KITTI's velodyne (Geiger et al.,
/// Vision meets Robotics: The KITTI Dataset, 2013, fig. 1).
pub const EGO_HEIGHT_M: f64 = 1.73;

/// A street made from a seed, as one rig sees it. Everything about it follows from the seed and the time.
///
/// Times are seconds after the start: finite, from -10^6 to 10^6 (eleven days), beyond which positions
/// lose their millimetres. Negative times are before the start.
#[derive(Clone, Debug)]
pub struct Street {
    seed: u64,
    noise: Noise,
    driveways: Driveways,
    left: View,
    right: View,
    scene: Scene,
    order: Order,
}

/// What a stereo rig sees at one moment. Buffers are reused from call to call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendering {
    /// RGB8, row-major, image size of the rig.
    pub left_rgb: Vec<u8>,
    /// RGB8, row-major, image size of the rig.
    pub right_rgb: Vec<u8>,
}

/// Why a street cannot be seen with a rig.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StreetError {
    /// A camera below the pavement or above the roofs of cars and far beyond.
    #[error(
        "the {camera} camera is {found_m} m above the road (the ego's origin is at {EGO_HEIGHT_M} m), \
         expected more than 0.12 m and less than 6 m"
    )]
    CameraHeight {
        /// "left" or "right".
        camera: &'static str,
        /// Its height over the road, metres.
        found_m: f32,
    },
    /// A rig without pixels.
    #[error("the rig's image size is {width}x{height}, expected at least 1x1")]
    ImageSize {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
}

impl Street {
    /// The street of a seed for a rig: computes every ray and the textures (some 50 ms).
    ///
    /// # Errors
    ///
    /// [`StreetError`] when the rig has no pixels or a camera is not above the street.
    pub fn new(seed: u64, rig: &StereoRig) -> Result<Self, StreetError> {
        let size = rig.image_size;
        if size.width == 0 || size.height == 0 {
            return Err(StreetError::ImageSize { width: size.width, height: size.height });
        }
        let right_from_ego = rig.right_from_left * rig.left_from_ego;
        Ok(Self {
            seed,
            noise: Noise::new(seed),
            driveways: Driveways::new(seed),
            left: View::new("left", &rig.left, &rig.left_from_ego, EGO_HEIGHT_M, size)?,
            right: View::new("right", &rig.right, &right_from_ego, EGO_HEIGHT_M, size)?,
            scene: Scene::default(),
            order: Order::default(),
        })
    }

    /// Renders both views at `time_s`. A pixel to which the lens sends no ray is black.
    pub fn render(&mut self, time_s: f64, into: &mut Rendering) {
        self.scene.update(self.seed, time_s);
        let palette = Palette { scene: &self.scene, noise: &self.noise, driveways: self.driveways };
        for (view, rgb) in [(&self.left, &mut into.left_rgb), (&self.right, &mut into.right_rgb)] {
            rgb.resize(3 * view.size.width as usize * view.size.height as usize, 0);
            self.order.update(&self.scene, view.origin);
            self.order.trace(&self.scene, view, |tile, hits| palette.paint(view, tile, hits, rgb));
        }
    }

    /// z-depth of the left view at `time_s`: metres along the camera's axis, row-major; 0 where there is
    /// nothing (sky, or no ray). Allocates.
    pub fn left_depth_m(&self, time_s: f64, into: &mut Vec<f32>) {
        self.left_truth(time_s, into, 0.0, |_, pixel, hits| {
            let distance_m = hits.distance_m[pixel % TILE_PIXELS];
            let depth_m = distance_m * self.left.depth_per_distance[pixel];
            if depth_m.is_finite() { depth_m } else { 0.0 }
        });
    }

    /// Class of what each pixel of the left view shows at `time_s`, row-major; [`class::EMPTY`] where
    /// there is nothing. Allocates.
    pub fn left_classes(&self, time_s: f64, into: &mut Vec<u8>) {
        self.left_truth(time_s, into, class::EMPTY, |scene, pixel, hits| {
            let lane = pixel % TILE_PIXELS;
            let x_m = self.left.origin[0] + hits.distance_m[lane] * self.left.directions[0][pixel];
            let zone = self.left.backdrop[pixel].zone;
            class_of(scene, self.driveways, hits.object[lane], zone, x_m)
        });
    }

    /// Class of every voxel of `grid` (ego frame) at `time_s`, x-major, z fastest: [`class`] ids.
    ///
    /// A voxel has the class of what is in it, however little of it there is: of several objects the one
    /// with the smallest volume, and any object before the ground. Objects are solid. The ground is a
    /// surface; below it everything is empty. Objects farther away than 120 m, or more than 24 m behind
    /// the ego, are neither drawn nor labelled. Allocates.
    pub fn labels(&self, time_s: f64, grid: &VoxelGrid, into: &mut Vec<u8>) {
        let mut scene = Scene::default();
        scene.update(self.seed, time_s);
        labels::label(&scene, self.driveways, grid, EGO_HEIGHT_M, into);
    }

    /// One value for each pixel of the left view, row-major, from its place in the view's arrays.
    fn left_truth<T: Copy>(
        &self,
        time_s: f64,
        into: &mut Vec<T>,
        nothing: T,
        truth: impl Fn(&Scene, usize, &Hits) -> T,
    ) {
        let view = &self.left;
        let (width, height) = (view.size.width as usize, view.size.height as usize);
        let mut scene = Scene::default();
        scene.update(self.seed, time_s);
        let mut order = Order::default();
        order.update(&scene, view.origin);
        into.clear();
        into.resize(width * height, nothing);
        order.trace(&scene, view, |tile, hits| {
            for lane in 0..TILE_PIXELS {
                let row = view.tiles[tile].row + lane / TILE_WIDTH;
                let column = view.tiles[tile].column + lane % TILE_WIDTH;
                if row < height && column < width {
                    into[row * width + column] = truth(&scene, tile * TILE_PIXELS + lane, hits);
                }
            }
        });
    }
}
