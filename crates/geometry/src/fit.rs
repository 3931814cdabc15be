//! How a rig's images become a network's images: crop, or a rectified camera that fills them.
//!
//! A network sees images of one fixed size. [`NetworkCameras`] decides, once per rig and network, which
//! camera makes them, how its pixels are sampled from the real ones, and where it stands: everything
//! that the projection of voxels, in training and in serving, has to agree on.

use crate::{
    ImageSize,
    camera::{Intrinsics, PreparedCamera},
    network::View,
    rectification::{RemapTable, Rotations},
    rig::{RigError, StereoRig},
};
use nalgebra::{Matrix3, Matrix4, Vector3};

/// `fit` of the network contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// The top-left width x height pixels of the rectified image, unscaled. The published KITTI networks see
    /// 1220x370 pixels of 1226x370 or 1241x376. The rectified image of a rig that is not rectified yet is the
    /// one that [`Fit::Rectify`] makes at the size of the rig's own images.
    Crop,
    /// A rectified camera chosen so that the rig's view fills width x height: square pixels, the same
    /// intrinsics for both views, and the largest field of view in which every pixel shows something in both
    /// (up to 110 degrees wide or high).
    Rectify,
}

/// What one view sees and how its pixels are made.
#[derive(Clone, Debug)]
pub struct NetworkCamera {
    /// Intrinsics and pose of the camera that the network's image belongs to.
    pub view: View,
    /// Where its pixels lie in the rig's images, always inside them. None: copy the top-left pixels unchanged
    /// (already rectified and cropped).
    pub map: Option<RemapTable>,
}

/// The two cameras that a network looks through.
#[derive(Clone, Debug)]
pub struct NetworkCameras {
    /// Of the network's images.
    pub size: ImageSize,
    /// The left view.
    pub left: NetworkCamera,
    /// The right view.
    pub right: NetworkCamera,
    /// Rectified left camera from ego (R1 * `left_from_ego`).
    pub rectified_from_ego: Matrix4<f64>,
    /// Metres, positive.
    pub baseline_m: f64,
}

impl NetworkCameras {
    /// Fits `rig` to a network whose images have `size`.
    ///
    /// Each view stands where its physical camera stands, turned by its rectifying rotation:
    /// `[R1 | 0] * left_from_ego` and `[R2 | 0] * right_from_left * left_from_ego`. For a rig that is rectified
    /// already, R1 = R2 = I, and the right view keeps whatever y and z offset the rig states.
    ///
    /// # Errors
    /// An unusable rig, an empty size, a crop larger than the images, or cameras without a common view.
    pub fn new(rig: &StereoRig, fit: Fit, size: ImageSize) -> Result<Self, FitError> {
        rig.validate(&rig.name)?;
        if size.width == 0 || size.height == 0 {
            return Err(FitError::EmptySize { size });
        }
        let image = rig.image_size;
        if fit == Fit::Crop && (image.width < size.width || image.height < size.height) {
            return Err(FitError::CropTooLarge { image, crop: size });
        }
        let same_pixels = rig.rectified
            && match fit {
                Fit::Crop => true,
                Fit::Rectify => {
                    let square = Intrinsics { fy: rig.left.intrinsics.fx, ..rig.left.intrinsics };
                    let square_pixels = [&rig.left, &rig.right].map(|c| c.intrinsics == square);
                    size == image && square_pixels == [true, true]
                }
            };
        if same_pixels {
            let view = |k: &Intrinsics, cam_from_ego| NetworkCamera {
                view: View { k: k.matrix(), cam_from_ego },
                map: None,
            };
            return Ok(Self {
                size,
                left: view(&rig.left.intrinsics, rig.left_from_ego),
                right: view(&rig.right.intrinsics, rig.right_from_ego()),
                rectified_from_ego: rig.left_from_ego,
                baseline_m: rig.baseline_m(),
            });
        }
        let filled = match fit {
            Fit::Crop => image,
            Fit::Rectify => size,
        };
        let views = PhysicalView::both(rig);
        let rectified = fill(&views, image, filled)
            .ok_or_else(|| FitError::NoCommonView { rig: rig.name.clone() })?;
        let [left, right] = views.map(|physical| NetworkCamera {
            view: View {
                k: rectified.matrix(),
                cam_from_ego: physical.rotation.to_homogeneous() * physical.cam_from_ego,
            },
            map: Some(RemapTable::new(physical.camera, &physical.rotation, &rectified, size)),
        });
        let rectified_from_ego = left.view.cam_from_ego;
        Ok(Self { size, left, right, rectified_from_ego, baseline_m: rig.baseline_m() })
    }
}

/// Why a rig does not fit a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The rig itself is not usable.
    #[error(transparent)]
    Rig(#[from] RigError),
    /// One side of the network's image has no pixels.
    #[error("the network's image size is {size}, expected at least 1x1")]
    EmptySize {
        /// The size asked for.
        size: ImageSize,
    },
    /// The rig's images are smaller than the part of them that the network wants.
    #[error("the rig's images are {image}, too small for the network's crop of {crop}")]
    CropTooLarge {
        /// Of the rig's images.
        image: ImageSize,
        /// Of the network's images.
        crop: ImageSize,
    },
    /// No rectified camera shows something in every pixel of both views.
    #[error("{rig}: the two rectified views have nothing in common")]
    NoCommonView {
        /// The rig's name.
        rig: String,
    },
}

/// A physical camera and its place among the rectified ones.
struct PhysicalView<'a> {
    camera: &'a crate::camera::Camera,
    /// Rectified camera from physical camera.
    rotation: Matrix3<f64>,
    /// Physical camera from ego.
    cam_from_ego: Matrix4<f64>,
}

impl<'a> PhysicalView<'a> {
    fn both(rig: &'a StereoRig) -> [Self; 2] {
        let [r1, r2] = if rig.rectified {
            [Matrix3::identity(), Matrix3::identity()]
        } else {
            let rotations = Rotations::new(rig);
            [rotations.r1, rotations.r2]
        };
        [
            Self { camera: &rig.left, rotation: r1, cam_from_ego: rig.left_from_ego },
            Self { camera: &rig.right, rotation: r2, cam_from_ego: rig.right_from_ego() },
        ]
    }

    /// The border of the image on the plane z = 1 of the rectified camera, and the side that each point belongs
    /// to. Where the lens model ends before the image does, the border is where it ends. Points that a
    /// pinhole cannot show are left out.
    fn border(&self, image: ImageSize) -> Vec<(Side, [f64; 2])> {
        let prepared = PreparedCamera::new(self.camera);
        let principal = [self.camera.intrinsics.cx, self.camera.intrinsics.cy];
        let towards = |pixel: [f64; 2], share: f64| {
            prepared.unproject([0, 1].map(|i| principal[i] + share * (pixel[i] - principal[i])))
        };
        let [right, bottom] = [f64::from(image.width - 1), f64::from(image.height - 1)];
        let mut points = Vec::with_capacity(4 * BORDER_STEPS);
        for step in 0..=BORDER_STEPS {
            let share = step as f64 / BORDER_STEPS as f64;
            for (side, pixel) in [
                (Side::Left, [0.0, share * bottom]),
                (Side::Right, [right, share * bottom]),
                (Side::Top, [share * right, 0.0]),
                (Side::Bottom, [share * right, bottom]),
            ] {
                let ray = towards(pixel, 1.0).ok().or_else(|| {
                    let (mut seen, mut unseen) = (0.0, 1.0);
                    for _ in 0..40 {
                        let middle = 0.5 * (seen + unseen);
                        if towards(pixel, middle).is_ok() {
                            seen = middle;
                        } else {
                            unseen = middle;
                        }
                    }
                    towards(pixel, seen).ok()
                });
                let rectified = ray.map(|ray| self.rotation * ray);
                if let Some(point) = rectified.filter(|point| point.z > 0.0) {
                    points.push((side, [point.x / point.z, point.y / point.z]));
                }
            }
        }
        points
    }

    /// Whether every pixel on the border of a `size` image of the camera `rectified` lies inside the physical
    /// image. Then those inside the border do, too: what a camera shows has no holes.
    fn covers(&self, image: ImageSize, rectified: &Intrinsics, size: ImageSize) -> bool {
        let prepared = PreparedCamera::new(self.camera);
        let camera_from_rectified = self.rotation.transpose();
        let inside = |u: u32, v: u32| {
            let [x, y] = rectified.plane([f64::from(u), f64::from(v)]);
            prepared.project(&(camera_from_rectified * Vector3::new(x, y, 1.0))).is_ok_and(
                |[x, y]| {
                    (0.0..=f64::from(image.width - 1)).contains(&x)
                        && (0.0..=f64::from(image.height - 1)).contains(&y)
                },
            )
        };
        (0..size.width).all(|u| inside(u, 0) && inside(u, size.height - 1))
            && (0..size.height).all(|v| inside(0, v) && inside(size.width - 1, v))
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
    Top,
    Bottom,
}

/// The rectified camera whose `size` pixels lie inside both views.
///
/// Its centre stays as close to the mean of the two optical axes as the rectangle allows that is inscribed in
/// both images (`OpenCV`'s notion at alpha 0); about that centre the image then grows until it touches the
/// border of one view. Letting the centre roam for a still larger view would find the corners, where
/// a lens reaches furthest, and look at the sky.
fn fill(views: &[PhysicalView<'_>; 2], image: ImageSize, size: ImageSize) -> Option<Intrinsics> {
    let border: Vec<_> = views.iter().flat_map(|view| view.border(image)).collect();
    let [mut x0, mut y0, mut x1, mut y1] = [-PLANE_MAX, -PLANE_MAX, PLANE_MAX, PLANE_MAX];
    for &(side, [x, y]) in &border {
        match side {
            Side::Left => x0 = x0.max(x),
            Side::Right => x1 = x1.min(x),
            Side::Top => y0 = y0.max(y),
            Side::Bottom => y1 = y1.min(y),
        }
    }
    if x0 >= x1 || y0 >= y1 {
        return None;
    }
    // Half the size in pixels, between the centres of the outermost ones.
    let [half_width, half_height] =
        [size.width, size.height].map(|extent| f64::from(extent - 1).max(1.0) / 2.0);
    let axis = views[0].rotation.column(2) + views[1].rotation.column(2);
    // Size of a pixel on the plane z = 1.
    let inscribed = ((x1 - x0) / 2.0 / half_width).min((y1 - y0) / 2.0 / half_height);
    let x = between(axis.x / axis.z, x0 + inscribed * half_width, x1 - inscribed * half_width);
    let y = between(axis.y / axis.z, y0 + inscribed * half_height, y1 - inscribed * half_height);
    let widest = ((PLANE_MAX - x.abs()) / half_width).min((PLANE_MAX - y.abs()) / half_height);
    let pixel = border.iter().fold(widest, |pixel, (_, point)| {
        pixel.min(((point[0] - x).abs() / half_width).max((point[1] - y).abs() / half_height))
    });
    // The border is known at points only: give way a little where the exact test asks for it.
    [1e-9, 1e-5, 1e-4, 1e-3, 1e-2, 3e-2].into_iter().find_map(|margin| {
        let focal = (1.0 + margin) / pixel;
        let [cx, cy] = [
            f64::from(size.width - 1) / 2.0 - focal * x,
            f64::from(size.height - 1) / 2.0 - focal * y,
        ];
        let camera = Intrinsics { fx: focal, fy: focal, cx, cy };
        let usable = focal.is_finite() && views.iter().all(|v| v.covers(image, &camera, size));
        usable.then_some(camera)
    })
}

/// `value`, moved into `low..=high`; the middle when rounding has them cross.
fn between(value: f64, low: f64, high: f64) -> f64 {
    if low < high { value.clamp(low, high) } else { 0.5 * (low + high) }
}

/// tan(110 degrees / 2). A pinhole image spends its pixels on its edges: at this angle they are three times
/// as dense as in the centre, and the published networks were trained at 80 degrees. A fisheye lens that
/// sees more is cut here.
const PLANE_MAX: f64 = 1.428_148_006_742_114_5;
/// Points per side at which the border of an image is looked at.
const BORDER_STEPS: usize = 256;
