//! What a calibration is worth, for people and for programs.

use nalgebra::Vector3;
use occdepth::calibrate::files::{Found, Without};
use occdepth_calibration::board::Board;
use occdepth_calibration::quality::{Calibration, POOR_RMS_PX};
use occdepth_calibration::suspicions::suspicions;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Comment lines for the head of the rig file.
pub(super) fn heading(calibration: &Calibration, board: &Board, found: &Found) -> String {
    format!(
        "# occdepth calibrate: {}x{} corners, squares of {:.2} mm, {} pairs, RMS {:.3} px, rows {:.3} px.\n\
         # left_from_ego is not the mount of your camera: a board knows nothing of the vehicle. Measure it.\n",
        board.columns(),
        board.rows(),
        1e3 * board.square_m(),
        used(calibration, found),
        calibration.adjustment.rms_px(),
        calibration.rows.mean_px,
    )
}

/// For people.
pub(super) fn text(calibration: &Calibration, board: &Board, found: &Found) -> String {
    let adjustment = &calibration.adjustment;
    let corners = 2 * board.corners() * found.pairs.len();
    let mut text = format!(
        "board     {}x{} corners, squares of {:.2} mm\n\
         images    {}x{}\n\
         pairs     {} of {} used, {} of {corners} corners\n\
         RMS       {:.3} px from corners found to corners projected\n\
         rows      {:.3} px apart after rectification (mean), {:.3} at most\n",
        board.columns(),
        board.rows(),
        1e3 * board.square_m(),
        found.size.width,
        found.size.height,
        used(calibration, found),
        found.pairs.len() + found.without.len(),
        corners - adjustment.outliers().count(),
        adjustment.rms_px(),
        calibration.rows.mean_px,
        calibration.rows.max_px,
    );
    let n = adjustment.cameras[0].len();
    for (view, name) in ["left", "right"].into_iter().enumerate() {
        let values = &adjustment.cameras[view];
        let deviations = &adjustment.deviations[view * n..][..n];
        let with = |index: usize, digits: usize| {
            format!("{:.digits$} +- {:.digits$}", values[index], deviations[index])
        };
        text += &format!(
            "{name:9} fx {}, fy {}, cx {}, cy {} px\n",
            with(0, 2),
            with(1, 2),
            with(2, 2),
            with(3, 2)
        );
        let coefficients: Vec<String> = (4..n).map(|index| with(index, 4)).collect();
        text += &format!("          coefficients {}\n", coefficients.join(", "));
    }
    let relation = &adjustment.right_from_left;
    let turned = relation.rotation.scaled_axis().map(f64::to_degrees);
    text += &format!(
        "relation  baseline {:.3} mm, right camera at ({:.3}, {:.3}, {:.3}) mm, turned by ({:.3}, {:.3}, {:.3}) degrees\n",
        1e3 * relation.translation.norm(),
        1e3 * right_position_m(calibration).x,
        1e3 * right_position_m(calibration).y,
        1e3 * right_position_m(calibration).z,
        turned.x,
        turned.y,
        turned.z,
    );
    text +=
        "\npair                             left px  right px   rows px (mean, most)   left out\n";
    for (index, files) in found.files.iter().enumerate() {
        let name = name(files);
        let left_out = adjustment.kept[index].iter().flatten().filter(|kept| !**kept).count();
        text += &match (
            adjustment.view_rms_px(index, 0),
            adjustment.view_rms_px(index, 1),
            calibration.rows_by_pair[index],
        ) {
            (Some(left), Some(right), Some(rows)) => format!(
                "{name:32} {left:7.3}  {right:8.3}   {:7.3}  {:7.3}       {left_out:5}\n",
                rows.mean_px, rows.max_px
            ),
            _ => format!("{name:32} not used: does not fit the other pairs\n"),
        };
    }
    for without in &found.without {
        text += &format!("{:32} not used: {}\n", name(&without.files), reasons(without));
    }
    let coverage = &calibration.coverage;
    text += &format!(
        "\ncovered   {:.0} % of the left view, {:.0} % of the right one\n",
        100.0 * coverage.covered(0),
        100.0 * coverage.covered(1)
    );
    for wanting in coverage.wanting() {
        text += &format!("better with {wanting}\n");
    }
    for suspicion in suspicious(calibration) {
        text += &format!("suspicious: {suspicion}\n");
    }
    text += "mount     left_from_ego is not known from a board: measure it and set it in the rig file\n";
    text
}

/// For programs.
pub(super) fn json(calibration: &Calibration, board: &Board, found: &Found) -> Value {
    let adjustment = &calibration.adjustment;
    let n = adjustment.cameras[0].len();
    let camera = |view: usize| {
        json!({
            "fx_fy_cx_cy_and_coefficients": adjustment.cameras[view],
            "deviations": adjustment.deviations[view * n..][..n],
        })
    };
    let pairs: Vec<Value> = found
        .files
        .iter()
        .enumerate()
        .map(|(index, files)| {
            let rows = calibration.rows_by_pair[index];
            json!({
                "left": files[0],
                "right": files[1],
                "used": rows.is_some(),
                "rms_px": [adjustment.view_rms_px(index, 0), adjustment.view_rms_px(index, 1)],
                "vertical_disparity_mean_px": rows.map(|rows| rows.mean_px),
                "vertical_disparity_max_px": rows.map(|rows| rows.max_px),
            })
        })
        .collect();
    let without: Vec<Value> = found
        .without
        .iter()
        .map(|without| {
            let [left, right] = &without.files;
            json!({ "left": left, "right": right, "reason": reasons(without) })
        })
        .collect();
    let wanting: Vec<String> =
        calibration.coverage.wanting().iter().map(ToString::to_string).collect();
    let relation = &adjustment.right_from_left;
    json!({
        "board": { "columns": board.columns(), "rows": board.rows(), "square_m": board.square_m() },
        "image_size": [found.size.width, found.size.height],
        "rms_px": adjustment.rms_px(),
        "vertical_disparity_mean_px": calibration.rows.mean_px,
        "vertical_disparity_max_px": calibration.rows.max_px,
        "vertical_disparity_bias_px": calibration.rows.bias_px,
        "corners_left_out": adjustment.outliers().count(),
        "lens": calibration.rig.left.distortion.model(),
        "left": camera(0),
        "right": camera(1),
        "right_from_left_rotation": rows(relation.rotation.matrix()),
        "right_from_left_translation_m": relation.translation.as_slice(),
        "baseline_m": relation.translation.norm(),
        "pairs": pairs,
        "pairs_without_board": without,
        "covered": [calibration.coverage.covered(0), calibration.coverage.covered(1)],
        "wanting": wanting,
        "suspicions": suspicious(calibration),
    })
}

/// What should be looked into before the rig is used.
fn suspicious(calibration: &Calibration) -> Vec<String> {
    let poor = calibration.is_poor().then(|| {
        format!(
            "RMS: found {:.2} px, expected at most {POOR_RMS_PX} px: the board was bent, moved between the two images of many \
             pairs, or the lens is another one",
            calibration.adjustment.rms_px()
        )
    });
    let rig = suspicions(&calibration.rig);
    poor.into_iter().chain(rig.iter().map(ToString::to_string)).collect()
}

/// Why the first pair without a board is one, as an error's cause.
pub(super) fn reason(without: &Without) -> String {
    format!("{}: {}", name(&without.files), reasons(without))
}

fn reasons(without: &Without) -> String {
    let said: Vec<String> = ["left", "right"]
        .into_iter()
        .zip(&without.reasons)
        .filter_map(|(view, reason)| Some(format!("{view} image: {}", reason.as_ref()?)))
        .collect();
    said.join("; ")
}

fn used(calibration: &Calibration, found: &Found) -> usize {
    found.pairs.len() - calibration.adjustment.dropped().count()
}

/// In the left camera's frame.
fn right_position_m(calibration: &Calibration) -> Vector3<f64> {
    let relation = &calibration.adjustment.right_from_left;
    -(relation.rotation.inverse() * relation.translation)
}

fn rows(matrix: &nalgebra::Matrix3<f64>) -> Vec<[f64; 3]> {
    matrix.row_iter().map(|row| [row[0], row[1], row[2]]).collect()
}

fn name([left, right]: &[PathBuf; 2]) -> String {
    let short = |path: &Path| {
        let name = path.file_name().unwrap_or(path.as_os_str());
        name.to_string_lossy().into_owned()
    };
    let [left, right] = [short(left), short(right)];
    if left == right { left } else { format!("{left} {right}") }
}
