//! Rendered boards: where the corners are, and which cameras saw them, is known.

use crate::render::Renderer;
use crate::support::{SIZE, Truth, board, poses, robust};
use nalgebra::{Rotation3, Vector3};
use occdepth_calibration::board::Board;
use occdepth_calibration::bundle::{Lens, Pair, Pose};
use occdepth_calibration::corners::{BoardNotFound, CornerFinder, GreyImage};
use occdepth_calibration::quality::calibrate;
use occdepth_geometry::ImageSize;

fn distances(found: &[[f64; 2]], true_corners: &[[f64; 2]]) -> (f64, f64) {
    let errors = found.iter().zip(true_corners).map(|(a, b)| (a[0] - b[0]).hypot(a[1] - b[1]));
    let errors: Vec<f64> = errors.collect();
    (errors.iter().sum::<f64>() / errors.len() as f64, errors.iter().copied().fold(0.0, f64::max))
}

/// Corners, cameras and their relation come out as they went in.
fn recovers(truth: &Truth, distance_m: f64) {
    let board = board();
    let renderers = [0, 1].map(|view| Renderer::new(&truth.camera(view), SIZE));
    let finder = CornerFinder::new(board);
    let pairs: Vec<Pair> = poses(&board, distance_m)
        .iter()
        .enumerate()
        .map(|(index, pose)| {
            let pictures = [0, 1].map(|view| {
                let seed = 2 * index as u64 + view as u64;
                renderers[view].picture(&board, &truth.seen(view, pose), seed)
            });
            let found = finder
                .find_pair(&renderers[0].view(&pictures[0]), &renderers[1].view(&pictures[1]))
                .unwrap_or_else(|error| panic!("pose {index}: {error:?}"));
            let mut expected = truth.pair(&board, pose);
            if distances(&found.left, &expected.left).0 > 5.0 {
                // Numbered from the other end: as good, when both views are.
                expected.left.reverse();
                expected.right.reverse();
            }
            for (view, found, expected) in
                [("left", &found.left, &expected.left), ("right", &found.right, &expected.right)]
            {
                let (mean, max) = distances(found, expected);
                assert!(mean < 0.05 && max < 0.25, "pose {index}, {view}: {mean:.3}, {max:.3}");
            }
            found
        })
        .collect();
    let found = calibrate("rendered", &board, &pairs, &robust(truth.lens)).unwrap();
    let close = |what: &str, found: f64, expected: f64, tolerance: f64| {
        assert!((found - expected).abs() < tolerance, "{what}: {found}, expected {expected}");
    };
    for (view, name) in ["left", "right"].into_iter().enumerate() {
        let (k, expected) = (&found.adjustment.cameras[view], &truth.parameters[view]);
        close(&format!("{name} fx"), k[0], expected[0], 0.004 * expected[0]);
        close(&format!("{name} fy"), k[1], expected[1], 0.004 * expected[1]);
        close(&format!("{name} cx"), k[2], expected[2], 2.0);
        close(&format!("{name} cy"), k[3], expected[3], 2.0);
    }
    let Pose { rotation, translation } = found.adjustment.right_from_left;
    close("baseline", translation.norm(), truth.right_from_left.translation.norm(), 0.0006);
    close("rotation", rotation.angle_to(&truth.right_from_left.rotation), 0.0, 0.002);
    assert!(found.adjustment.rms_px() < 0.1, "{}", found.adjustment.rms_px());
    assert!(found.rows.mean_px < 0.06, "{:?}", found.rows);
    // The deviations that it states are those that it has: 4 of them are passed once in 15,000 times.
    for view in [0, 1] {
        let n = truth.lens.parameters();
        for (index, (found_k, expected)) in
            found.adjustment.cameras[view].iter().zip(&truth.parameters[view]).enumerate()
        {
            let off = (found_k - expected) / found.adjustment.deviations[view * n + index];
            assert!(off.abs() < 6.0, "view {view}, parameter {index}: {off:.1} deviations off");
        }
    }
}

#[test]
fn radial_tangential_cameras_are_recovered() {
    recovers(&Truth::radial_tangential(), 0.5);
}

#[test]
fn fisheye_cameras_are_recovered() {
    recovers(&Truth::kannala_brandt(), 0.28);
}

/// A large image, blurred, and a small one.
#[test]
fn large_and_small_boards_are_found() {
    let board = Board::new(7, 5, 0.04).unwrap();
    let truth = Truth::radial_tangential();
    let centre = board.points().iter().sum::<Vector3<f64>>() / board.corners() as f64;
    for (scale, distance_m) in [(3_u32, 0.6), (1, 2.0)] {
        let size = ImageSize { width: SIZE.width * scale, height: SIZE.height * scale };
        let mut parameters = truth.parameters[0].clone();
        for k in &mut parameters[..4] {
            *k *= f64::from(scale);
        }
        let camera = truth.lens.camera(&parameters).unwrap();
        let renderer = Renderer::new(&camera, size);
        let rotation = Rotation3::from_euler_angles(0.2, 0.3, 0.4);
        let translation = Vector3::new(0.0, 0.0, distance_m) - rotation * centre;
        let pose = Pose { rotation, translation };
        let mut picture = renderer.picture(&board, &pose, 7);
        if scale > 1 {
            picture = blurred(&picture, size, 4);
        }
        let found = CornerFinder::new(board).find(&renderer.view(&picture)).unwrap();
        let mut expected: Vec<[f64; 2]> =
            board.points().iter().map(|p| camera.project(&pose.apply(p)).unwrap()).collect();
        if distances(&found, &expected).0 > 10.0 {
            expected.reverse();
        }
        let (mean, max) = distances(&found, &expected);
        assert!(mean < 0.15 && max < 0.5, "{scale}: {mean:.3}, {max:.3}");
    }
}

fn blurred(image: &[u8], size: ImageSize, radius: usize) -> Vec<u8> {
    let [width, height] = [size.width as usize, size.height as usize];
    let pass = |image: &[u8], step: usize, extent: usize, at: &dyn Fn(usize) -> usize| -> Vec<u8> {
        (0..image.len())
            .map(|index| {
                let position = at(index);
                let from = position.saturating_sub(radius);
                let to = (position + radius).min(extent - 1);
                let sum: usize = (from..=to)
                    .map(|i| usize::from(image[index + i * step - position * step]))
                    .sum();
                (sum / (to + 1 - from)) as u8
            })
            .collect()
    };
    let across = pass(image, 1, width, &|index| index % width);
    pass(&across, width, height, &|index| index / width)
}

/// Upside down, on its side, from a square board: both views are numbered alike, and never mirrored.
#[test]
fn both_views_are_numbered_alike_however_the_board_is_held() {
    let truth = Truth::radial_tangential();
    let renderers = [0, 1].map(|view| Renderer::new(&truth.camera(view), SIZE));
    for board in [Board::new(6, 6, 0.03).unwrap(), Board::new(7, 4, 0.03).unwrap()] {
        let centre = board.points().iter().sum::<Vector3<f64>>() / board.corners() as f64;
        let finder = CornerFinder::new(board);
        for turn in [0.02, 0.8, 1.6, 3.1, 4.0] {
            let rotation = Rotation3::from_euler_angles(0.3, 0.2, turn);
            let pose =
                Pose { rotation, translation: Vector3::new(0.06, 0.0, 0.5) - rotation * centre };
            let pictures = [0, 1]
                .map(|view| renderers[view].picture(&board, &truth.seen(view, &pose), view as u64));
            let found = finder
                .find_pair(&renderers[0].view(&pictures[0]), &renderers[1].view(&pictures[1]))
                .unwrap();
            // The corner that a number means is the same point of the board.
            let expected = truth.pair(&board, &pose);
            let nearest = |corner: &[f64; 2], corners: &[[f64; 2]]| {
                let distance = |c: &[f64; 2]| (c[0] - corner[0]).hypot(c[1] - corner[1]);
                (0..corners.len())
                    .min_by(|&a, &b| distance(&corners[a]).total_cmp(&distance(&corners[b])))
                    .unwrap()
            };
            let left: Vec<usize> = found.left.iter().map(|c| nearest(c, &expected.left)).collect();
            let right: Vec<usize> =
                found.right.iter().map(|c| nearest(c, &expected.right)).collect();
            assert_eq!(left, right, "turned by {turn:.2}");
            let [a, b, c] = [0, board.columns() - 1, board.corners() - board.columns()]
                .map(|index| board.points()[left[index]]);
            assert!((b - a).cross(&(c - a)).z > 0.0, "mirrored when turned by {turn:.2}");
        }
    }
}

#[test]
fn images_without_the_whole_board_say_so() {
    let board = board();
    let truth = Truth::radial_tangential();
    let renderer = Renderer::new(&truth.camera(0), SIZE);
    let finder = CornerFinder::new(board);
    let black = vec![0; 640 * 480];
    assert_eq!(finder.find(&renderer.view(&black)), Err(BoardNotFound::Nothing));
    let noise: Vec<u8> =
        (0..640 * 480).map(|i| (127.0 * (1.0 + crate::support::noise(i))) as u8).collect();
    assert!(finder.find(&renderer.view(&noise)).is_err());
    for size in [(1, 1), (3, 200), (31, 31), (33, 40)] {
        let size = ImageSize { width: size.0, height: size.1 };
        let pixels = vec![90; (size.width * size.height) as usize];
        let image = GreyImage::new(size, &pixels).unwrap();
        assert_eq!(finder.find(&image), Err(BoardNotFound::Nothing), "{size:?}");
    }
    assert!(GreyImage::new(SIZE, &black[1..]).is_none());
    // Half of the board outside of the image.
    let pose = Pose { rotation: Rotation3::identity(), translation: Vector3::new(0.1, -0.07, 0.4) };
    let picture = renderer.picture(&board, &pose, 1);
    let error = finder.find(&renderer.view(&picture)).unwrap_err();
    assert!(matches!(error, BoardNotFound::Other { .. }), "{error}");
    // Another board, and squares counted instead of corners.
    let pose = poses(&board, 0.5)[0];
    let picture = renderer.picture(&board, &pose, 1);
    for (columns, rows) in [(10, 7), (8, 6), (5, 5)] {
        let other = CornerFinder::new(Board::new(columns, rows, 0.03).unwrap());
        let error = other.find(&renderer.view(&picture)).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("54 corners") && said.contains(&format!("{columns}x{rows}")),
            "{said}"
        );
    }
    assert_eq!(finder.find(&renderer.view(&picture)).unwrap().len(), 54);
}

#[test]
fn boards_that_cannot_be_are_refused() {
    for (columns, rows, square_m, what) in [
        (2, 6, 0.03, "columns"),
        (9, 0, 0.03, "rows"),
        (9, 65, 0.03, "rows"),
        (9, 6, 0.0, "square"),
        (9, 6, f64::NAN, "square"),
        (9, 6, 25.0, "square"),
        (9, 6, -0.03, "square"),
    ] {
        let said = Board::new(columns, rows, square_m).unwrap_err().to_string();
        assert!(said.contains(what) && said.contains("found"), "{said}");
    }
}

/// The lens models with fewer and more coefficients fit what they can.
#[test]
fn other_lenses_are_fitted() {
    let truth = Truth::radial_tangential();
    let board = board();
    let pairs: Vec<Pair> = poses(&board, 0.5).iter().map(|pose| truth.pair(&board, pose)).collect();
    for (lens, rms_px) in [(Lens::RadialTangential5, 1e-6), (Lens::RadialTangential4, 0.05)] {
        let found = calibrate("exact", &board, &pairs, &robust(lens)).unwrap();
        let found_px = found.adjustment.rms_px();
        assert!(found_px < rms_px, "{lens:?}: {found_px}");
    }
}
