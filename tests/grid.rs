//! Labels and confidences against a naive f64 implementation.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::needless_range_loop, reason = "an index runs over the voxels of several slices")]

use occdepth::grid::{GridError, GridOutput, LabelOptions, Labeller, UNKNOWN, VisibilityMask};
use occdepth_contract::Class;
use occdepth_geometry::ImageSize;
use occdepth_geometry::network::{GeometryInputs, GeometrySpec};
use occdepth_geometry::voxel::VoxelGrid;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn labels_and_confidences_are_the_naive_ones(case in case(), threshold in any::<u8>()) {
        let Case { ids, voxels, logits } = case;
        let options = LabelOptions::default();
        let (labels, confidence) = label(&ids, options, voxels, &logits);
        for v in 0..voxels {
            let (expected, probability) = naive(&ids, voxels, &logits, v);
            prop_assert_eq!(labels[v], expected);
            let level = (255.0 * probability).round();
            prop_assert!(
                (f64::from(confidence[v]) - level).abs() <= 1.0,
                "voxel {v}: {}, expected {level}", confidence[v]
            );
        }

        // The threshold changes nothing but what is below it, with or without the confidence.
        let options = LabelOptions { unknown_below: threshold, visibility: None };
        let (sure, sure_confidence) = label(&ids, options.clone(), voxels, &logits);
        for v in 0..voxels {
            let kept = confidence[v] >= threshold;
            prop_assert_eq!(sure[v], if kept { labels[v] } else { UNKNOWN });
            prop_assert_eq!(sure_confidence[v], if kept { confidence[v] } else { 0 });
        }
        let mut without = vec![7; voxels];
        let output = GridOutput { labels: &mut without, confidence: None, logits: None };
        labeller(&ids, options).label(&logits, voxels, output).unwrap();
        prop_assert_eq!(without, sure);
    }

    #[test]
    fn the_copy_of_the_logits_is_exact(case in case()) {
        let Case { ids, voxels, logits } = case;
        let mut labels = vec![7; voxels];
        let mut copy = vec![1.5; logits.len()];
        let output =
            GridOutput { labels: &mut labels, confidence: None, logits: Some(&mut copy) };
        labeller(&ids, LabelOptions::default()).label(&logits, voxels, output).unwrap();
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(bits(&copy), bits(&logits));
        for v in 0..voxels {
            prop_assert_eq!(labels[v], naive(&ids, voxels, &logits, v).0);
        }
    }
}

/// Every difference that changes the 8 bits, finely, and far beyond.
#[test]
fn confidence_is_within_one_level_over_the_whole_range() {
    let differences: Vec<f32> =
        (0..200_000).map(|i| i as f32 * 1e-4).chain([50.0, 87.5, 88.0, 104.0, 1e4, 3e38]).collect();
    for losers in [1, 2, 19, 63, 253] {
        let ids: Vec<u8> = (0..=losers).collect();
        let voxels = differences.len();
        let mut logits = vec![0.0; voxels];
        for _ in 0..losers {
            logits.extend(differences.iter().map(|difference| -difference));
        }
        let (labels, confidence) = label(&ids, LabelOptions::default(), voxels, &logits);
        for (v, &difference) in differences.iter().enumerate() {
            let sum = 1.0 + f64::from(losers) * (-f64::from(difference)).exp();
            let exact = 255.0 / sum;
            let error = (f64::from(confidence[v]) - exact).abs();
            // 0.5 of rounding, 0.13 of the approximated exponential.
            assert!(error < 0.64, "difference {difference}: {} for {exact}", confidence[v]);
        }
        assert!(labels.iter().all(|&label| label == 0), "ties and winners are the lowest class");
    }
}

#[test]
fn certain_and_undecided_voxels_are_exact() {
    let level = |logits: &[f32]| {
        let ids: Vec<u8> = (0..u8::try_from(logits.len()).unwrap()).collect();
        label(&ids, LabelOptions::default(), 1, logits).1[0]
    };
    assert_eq!(level(&[-3.0]), 255);
    assert_eq!(level(&[50.0, 0.0, 0.0]), 255);
    assert_eq!(level(&[1.0; 3]), 85);
    assert_eq!(level(&[-7.5; 5]), 51);
    assert_eq!(level(&[0.0; 51]), 5);
}

#[test]
fn broken_logits_are_unknown_and_stay_in_their_voxel() {
    for broken in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for class in 0..3 {
            let mut logits = [2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
            logits[3 * class + 1] = broken;
            let (labels, confidence) = label(&[4, 5, 6], LabelOptions::default(), 3, &logits);
            assert_eq!(labels, [4, UNKNOWN, 4]);
            assert_eq!(confidence, [170, 0, 170]); // 255 / (1 + 1/e + 1/e^2) = 169.6
        }
    }
    let huge = [f32::MAX, f32::MIN, f32::MIN, f32::MAX];
    assert_eq!(label(&[1, 2], LabelOptions::default(), 2, &huge).0, [1, 2]);
}

#[test]
fn ties_go_to_the_lowest_id_not_to_the_first_plane() {
    let (labels, _) =
        label(&[9, 3, 7], LabelOptions::default(), 2, &[1.0, 0.0, 1.0, -0.0, 0.5, 0.0]);
    assert_eq!(labels, [3, 3]);
}

#[test]
fn voxels_that_no_view_sees_are_unknown_where_asked() {
    // 4 x 2 x 2 voxels, projected as 2 x 1 x 1 by scale 2; two views, two points, two scales of a
    // 5 x 3 image: "not visible" is 15 at scale 1 and 3 * 2 = 6 at scale 2.
    let spec = GeometrySpec {
        views: 2,
        image: ImageSize { width: 5, height: 3 },
        scales: vec![1, 2],
        pattern: 0,
        project_scale: 2,
        grid: VoxelGrid { origin_m: [0.0; 3], voxel_size_m: 0.5, dims: [4, 2, 2] },
        depth: None,
        right_samples_left_pixels: false,
    };
    // [view, scale, voxel, point]: only the right view's second point sees the second voxel.
    let mut pixels = vec![15, 15, 15, 15, 6, 6, 6, 6, 15, 15, 15, 14, 6, 6, 6, 5];
    let inputs = GeometryInputs { pixels: pixels.clone(), depth: None };
    let mask = VisibilityMask::new(&spec, &inputs).unwrap();
    assert_eq!((mask.len(), mask.visible()), (16, 8));

    let logits = [[0.0; 16], [1.0; 16]].concat();
    let options = LabelOptions { unknown_below: 0, visibility: Some(mask) };
    let (labels, confidence) = label(&[0, 1], options.clone(), 16, &logits);
    assert_eq!(labels, [[UNKNOWN; 8], [1; 8]].concat());
    assert_eq!(confidence, [[0; 8], [186; 8]].concat()); // 255 / (1 + 1/e) = 186.4

    let mut short = [0; 15];
    let output = GridOutput { labels: &mut short, confidence: None, logits: None };
    let refused = labeller(&[0, 1], options).label(&logits[..30], 15, output);
    assert_eq!(refused, Err(GridError::Mask { found: 16, expected: 15 }));

    pixels.pop();
    let inputs = GeometryInputs { pixels, depth: None };
    assert!(matches!(VisibilityMask::new(&spec, &inputs), Err(GridError::Geometry { .. })));
    let odd = GeometrySpec { project_scale: 3, ..spec };
    assert!(matches!(VisibilityMask::new(&odd, &inputs), Err(GridError::Geometry { .. })));
}

#[test]
fn classes_and_slices_that_do_not_fit_are_refused() {
    let new = |ids: &[u8]| Labeller::new(&classes(ids), LabelOptions::default()).map(|_| ());
    assert_eq!(new(&[]), Err(GridError::NoClasses));
    assert_eq!(new(&[0, 255]), Err(GridError::ReservedClass { name: "class 255".into() }));
    let duplicate = new(&[3, 1, 3]).unwrap_err();
    assert_eq!(
        duplicate.to_string(),
        "classes: found id 3 for both \"class 3\" and \"class 3\", expected unique ids"
    );

    let labeller = labeller(&[0, 1], LabelOptions::default());
    let refused = |logits: usize, labels: usize, confidence: usize, copy: usize| {
        let (mut labels, mut confidence) = (vec![0; labels], vec![0; confidence]);
        let mut copy = vec![0.0; copy];
        let output = GridOutput {
            labels: &mut labels,
            confidence: Some(&mut confidence),
            logits: Some(&mut copy),
        };
        labeller.label(&vec![0.0; logits], 4, output).unwrap_err()
    };
    assert_eq!(refused(7, 4, 4, 7), GridError::Logits { found: 7, classes: 2, voxels: 4 });
    for (error, field, found, expected) in [
        (refused(8, 3, 4, 8), "labels", 3, 4),
        (refused(8, 4, 5, 8), "confidence", 5, 4),
        (refused(8, 4, 4, 9), "logits", 9, 8),
    ] {
        assert_eq!(error, GridError::Output { field, found, expected });
    }
    let mut none = [];
    let output = GridOutput { labels: &mut none, confidence: None, logits: None };
    assert!(labeller.label(&[], usize::MAX, output).is_err());
}

#[derive(Clone, Debug)]
struct Case {
    ids: Vec<u8>,
    voxels: usize,
    /// [C, voxels].
    logits: Vec<f32>,
}

fn case() -> impl Strategy<Value = Case> {
    (1_usize..=64, prop_oneof![1_usize..70, 1010_usize..1100]).prop_flat_map(|(classes, voxels)| {
        let every_id: Vec<u8> = (0..255).collect();
        let ids = prop::sample::subsequence(every_id, classes).prop_shuffle();
        let logit = prop_oneof![
            6 => -12.0_f32..12.0,
            3 => (-3_i8..4).prop_map(f32::from), // ties
            2 => any::<f32>(), // also NaN, infinities, subnormal numbers
        ];
        // A broken logit spoils its voxel: keep most voxels whole whatever the number of classes.
        let plain = prop::collection::vec(-12.0_f32..12.0, classes * voxels);
        let some = prop::collection::vec((0..classes * voxels, logit), 0..2 * voxels);
        (ids, plain, some).prop_map(move |(ids, mut logits, some)| {
            for (at, value) in some {
                logits[at] = value;
            }
            Case { ids, voxels, logits }
        })
    })
}

/// Label and probability of one voxel by the definition.
fn naive(ids: &[u8], voxels: usize, logits: &[f32], voxel: usize) -> (u8, f64) {
    let values: Vec<f64> =
        (0..ids.len()).map(|class| f64::from(logits[class * voxels + voxel])).collect();
    if values.iter().any(|value| !value.is_finite()) {
        return (UNKNOWN, 0.0);
    }
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let winner = (0..ids.len()).filter(|&i| values[i] >= best).map(|i| ids[i]).min().unwrap();
    (winner, 1.0 / values.iter().map(|value| (value - best).exp()).sum::<f64>())
}

fn label(ids: &[u8], options: LabelOptions, voxels: usize, logits: &[f32]) -> (Vec<u8>, Vec<u8>) {
    let (mut labels, mut confidence) = (vec![7; voxels], vec![7; voxels]);
    let output =
        GridOutput { labels: &mut labels, confidence: Some(&mut confidence), logits: None };
    labeller(ids, options).label(logits, voxels, output).unwrap();
    (labels, confidence)
}

fn labeller(ids: &[u8], options: LabelOptions) -> Labeller {
    Labeller::new(&classes(ids), options).unwrap()
}

fn classes(ids: &[u8]) -> Vec<Class> {
    ids.iter().map(|&id| Class { id, name: format!("class {id}"), colour: [id; 3] }).collect()
}
