//! Which pairs of a live rig are kept.

use crate::render::Renderer;
use crate::support::{SIZE, Truth, board, poses, robust};
use nalgebra::{Rotation3, Vector3};
use occdepth_calibration::board::Board;
use occdepth_calibration::bundle::Pose;
use occdepth_calibration::collector::{Collector, Verdict};
use occdepth_calibration::corners::BoardNotFound;
use occdepth_calibration::coverage::{Coverage, Wanting};
use occdepth_calibration::quality::calibrate;

struct Rig {
    truth: Truth,
    renderers: [Renderer; 2],
    board: Board,
}

impl Rig {
    fn new() -> Self {
        let truth = Truth::radial_tangential();
        let renderers = [0, 1].map(|view| Renderer::new(&truth.camera(view), SIZE));
        Self { truth, renderers, board: board() }
    }

    fn offer(&self, collector: &mut Collector, pose: &Pose, time_ms: u64) -> Verdict {
        let [left, right] = [0, 1].map(|view| {
            let seed = 2 * time_ms + view as u64;
            self.renderers[view].picture(&self.board, &self.truth.seen(view, pose), seed)
        });
        collector.offer(
            &self.renderers[0].view(&left),
            &self.renderers[1].view(&right),
            time_ms * 1_000_000,
        )
    }
}

#[test]
fn a_pair_is_kept_when_the_board_holds_still_in_a_new_place() {
    let rig = Rig::new();
    let mut collector = Collector::new(rig.board, SIZE);
    let poses = poses(&rig.board, 0.5);
    let first = poses[0];
    // Seen once, nothing is known of its speed.
    assert_eq!(rig.offer(&mut collector, &first, 0), Verdict::Moving { speed_px_s: None });
    assert_eq!(rig.offer(&mut collector, &first, 100), Verdict::Kept);
    assert_eq!(rig.offer(&mut collector, &first, 200), Verdict::Known);
    // A centimetre in a tenth of a second: 100 px/s.
    let mut moving = poses[8];
    rig.offer(&mut collector, &moving, 300);
    moving.translation.x += 0.01;
    let verdict = rig.offer(&mut collector, &moving, 400);
    let Verdict::Moving { speed_px_s: Some(speed) } = verdict else { panic!("{verdict:?}") };
    assert!((50.0..250.0).contains(&speed), "{speed}");
    assert_eq!(rig.offer(&mut collector, &moving, 500), Verdict::Kept);
    // Time that stands still or runs back says nothing of the speed.
    let jump = rig.offer(&mut collector, &poses[3], 600);
    assert!(
        matches!(jump, Verdict::Moving { speed_px_s: Some(speed) } if speed > 100.0),
        "{jump:?}"
    );
    assert_eq!(rig.offer(&mut collector, &poses[3], 600), Verdict::Moving { speed_px_s: None });
    assert_eq!(rig.offer(&mut collector, &poses[3], 500), Verdict::Moving { speed_px_s: None });
    assert_eq!(collector.pairs().len(), 2);
    assert_eq!(collector.coverage().pairs(), 2);
}

#[test]
fn a_board_that_one_view_lacks_is_not_kept() {
    let rig = Rig::new();
    let mut collector = Collector::new(rig.board, SIZE);
    // At the left edge of the left view, and so beyond that of the right one.
    let pose =
        Pose { rotation: Rotation3::identity(), translation: Vector3::new(-0.28, -0.07, 0.5) };
    for time_ms in [0, 100] {
        let verdict = rig.offer(&mut collector, &pose, time_ms);
        let Verdict::NotSeen { left: None, right: Some(right) } = verdict else {
            panic!("{verdict:?}");
        };
        assert!(matches!(right, BoardNotFound::Other { .. } | BoardNotFound::Nothing));
    }
    assert!(collector.pairs().is_empty());
}

/// The feedback leads to enough: whoever does what it says ends with nothing wanting, and a good calibration.
#[test]
fn coverage_says_what_is_wanting_until_nothing_is() {
    let rig = Rig::new();
    let mut coverage = Coverage::new(rig.board, SIZE);
    let wanting = coverage.wanting();
    assert_eq!(wanting[0], Wanting::Pairs { more: 15 });
    assert!(wanting.iter().any(|w| w.to_string().contains("left side nearer")), "{wanting:?}");
    let poses = poses(&rig.board, 0.5);
    // The same board many times over: the number is there, the rest is not.
    for _ in 0..15 {
        coverage.add(&rig.truth.pair(&rig.board, &poses[0]));
    }
    let wanting = coverage.wanting();
    assert!(!wanting.iter().any(|w| matches!(w, Wanting::Pairs { .. })), "{wanting:?}");
    for towards in ["left", "right", "upper", "lower"] {
        let tilt = Wanting::Tilt { nearer: towards, more: 2 };
        assert!(wanting.contains(&tilt), "{towards}: {wanting:?}");
    }
    assert!(wanting.contains(&Wanting::Distances));
    assert!(wanting.iter().any(|w| matches!(w, Wanting::Region { view: "right", .. })));
    assert!(coverage.covered(0) < 0.5 && coverage.seen(0, 4, 3) && !coverage.seen(0, 0, 0));
    // A board whose left side is nearer to the cameras.
    let turned = poses.iter().find(|pose| pose.rotation[(2, 0)] > 0.4).unwrap();
    let mut tilted = coverage.clone();
    tilted.add(&rig.truth.pair(&rig.board, turned));
    let still = tilted.wanting();
    assert!(still.contains(&Wanting::Tilt { nearer: "left", more: 1 }), "{still:?}");
    assert!(still.contains(&Wanting::Tilt { nearer: "right", more: 2 }), "{still:?}");
    // All of them, twice, from two distances.
    let mut pairs = Vec::new();
    for distance_m in [0.45, 0.62] {
        for pose in crate::support::poses(&rig.board, distance_m) {
            let pair = rig.truth.pair(&rig.board, &pose);
            coverage.add(&pair);
            pairs.push(pair);
        }
    }
    assert_eq!(
        coverage.wanting(),
        [],
        "left {}, right {}",
        coverage.covered(0),
        coverage.covered(1)
    );
    let found = calibrate("enough", &rig.board, &pairs, &robust(rig.truth.lens)).unwrap();
    assert!(found.adjustment.rms_px() < 1e-6);
}
