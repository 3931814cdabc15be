//! What the tests of this folder share.

use nalgebra::{Rotation3, Vector3};
use occdepth_calibration::board::Board;
use occdepth_calibration::bundle::{Lens, Options, Pair, Pose};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::Camera;
use std::io::Write as _;
use std::path::{Path, PathBuf};

pub(crate) const SIZE: ImageSize = ImageSize { width: 640, height: 480 };

/// A file beside the repository, or `None`, said aloud, where it is missing.
pub(crate) fn shared(test: &str, path: &str) -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let path = workspace.join("../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    // Not eprintln!, which the test harness captures where a test passes.
    let line = format!("SKIPPED {test}: {} is not there\n", path.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}

/// The reference: what `OpenCV` found and fitted on the shared photographs.
pub(crate) fn golden(test: &str) -> Option<serde_json::Value> {
    let path = shared(test, "golden/calibration_chessboard.json")?;
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

/// `OpenCV`'s corners of the shared photographs, by pair.
pub(crate) fn golden_pairs(golden: &serde_json::Value) -> Vec<Pair> {
    let corners = |view: &str, key: &str| -> Vec<[f64; 2]> {
        serde_json::from_value(golden[view][key].clone()).unwrap()
    };
    (1..=9)
        .map(|index| {
            let key = format!("{index:02}");
            let [left, right] = ["corners_left", "corners_right"].map(|view| corners(view, &key));
            Pair { left, right }
        })
        .collect()
}

/// 9x6 corners of squares of 30 mm.
pub(crate) fn board() -> Board {
    Board::new(9, 6, 0.03).unwrap()
}

/// Options that leave outliers out.
pub(crate) fn robust(lens: Lens) -> Options {
    Options { lens, image_size: SIZE, reject_outliers: true }
}

/// A rig to be found again.
pub(crate) struct Truth {
    pub(crate) lens: Lens,
    /// fx fy cx cy and the coefficients.
    pub(crate) parameters: [Vec<f64>; 2],
    pub(crate) right_from_left: Pose,
}

impl Truth {
    pub(crate) fn radial_tangential() -> Self {
        Self {
            lens: Lens::RadialTangential5,
            parameters: [
                vec![531.0, 529.5, 322.4, 236.1, -0.28, 0.09, 0.0008, -0.0004, -0.01],
                vec![535.5, 534.0, 315.2, 243.8, -0.29, 0.11, -0.0005, 0.0007, -0.02],
            ],
            right_from_left: relation(),
        }
    }

    pub(crate) fn kannala_brandt() -> Self {
        Self {
            lens: Lens::KannalaBrandt,
            parameters: [
                vec![271.0, 270.4, 321.5, 238.6, 0.012, -0.006, 0.002, -0.0006],
                vec![268.7, 268.2, 317.9, 241.3, 0.010, -0.004, 0.001, -0.0004],
            ],
            right_from_left: relation(),
        }
    }

    pub(crate) fn camera(&self, view: usize) -> Camera {
        self.lens.camera(&self.parameters[view]).unwrap()
    }

    /// The board's pose in a view.
    pub(crate) fn seen(&self, view: usize, left_from_board: &Pose) -> Pose {
        if view == 0 {
            return *left_from_board;
        }
        let Pose { rotation, translation } = self.right_from_left;
        Pose {
            rotation: rotation * left_from_board.rotation,
            translation: rotation * left_from_board.translation + translation,
        }
    }

    /// Where the corners of `board` are in both views.
    pub(crate) fn pair(&self, board: &Board, left_from_board: &Pose) -> Pair {
        let [left, right] = [0, 1].map(|view| {
            let pose = self.seen(view, left_from_board);
            let camera = self.camera(view);
            board.points().iter().map(|point| camera.project(&pose.apply(point)).unwrap()).collect()
        });
        Pair { left, right }
    }
}

fn relation() -> Pose {
    Pose {
        rotation: Rotation3::from_euler_angles(0.008, -0.012, 0.005),
        translation: Vector3::new(-0.12, 0.002, -0.001),
    }
}

/// Boards as a person would hold them: tilted both ways, near and far, in the corners of the image. `distance_m` is
/// that of the middle ones.
pub(crate) fn poses(board: &Board, distance_m: f64) -> Vec<Pose> {
    let centre = board.points().iter().sum::<Vector3<f64>>() / board.corners() as f64;
    [
        ([0.0, 0.0, 0.05], [0.0, 0.0], 1.0),
        ([0.5, 0.0, 0.0], [-0.08, -0.08], 1.1),
        ([-0.5, 0.1, 0.1], [0.08, 0.09], 1.05),
        ([0.1, 0.55, -0.1], [0.08, -0.08], 1.1),
        ([0.0, -0.55, 0.0], [-0.08, 0.08], 1.1),
        ([0.4, 0.4, 0.2], [0.0, 0.02], 0.95),
        ([-0.4, 0.4, -0.3], [0.0, -0.06], 1.4),
        ([0.35, -0.45, 0.0], [0.09, 0.0], 1.3),
        ([-0.45, -0.35, 0.4], [-0.04, 0.03], 1.0),
        ([-0.6, 0.0, -0.2], [-0.03, -0.07], 1.05),
    ]
    .into_iter()
    .map(|([x, y, z], [across, down], share)| {
        let rotation = Rotation3::from_euler_angles(x, y, z);
        // The middle of the board lies between the cameras.
        let middle = Vector3::new(0.06 + across, down, share * distance_m);
        Pose { rotation, translation: middle - rotation * centre }
    })
    .collect()
}

/// A uniform number of -1..1 for each index, the same every time.
pub(crate) fn noise(index: u64) -> f64 {
    let mut x = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (x ^ (x >> 31)) as f64 / (u64::MAX / 2) as f64 - 1.0
}
