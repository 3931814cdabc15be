//! `occdepth rig`: shows, checks, imports and exports stereo rigs.

mod import;

use super::{Failure, output};
use clap::Args;
use nalgebra::{Matrix3, Matrix4, SMatrix};
use occdepth::rig::{RigFileError, read_rig};
use occdepth_calibration::suspicions::{Suspicion, suspicions};
use occdepth_geometry::ImageSize;
use occdepth_geometry::camera::Camera;
use occdepth_geometry::rectification::{Crop, RemapTable, StereoRectification};
use occdepth_geometry::rig::StereoRig;
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Prints the cameras and their rectification: R1, R2, P1, P2, Q as OpenCV has them
    Show(Show),
    /// Checks that a rig file is valid, and says what it describes and what is suspicious about it
    Check(Check),
    /// Converts a calibration of another program to the native format
    Import(import::Import),
    /// Writes a rig as another program has it
    Export(import::Export),
}

/// The file of a rig.
#[derive(Debug, Args)]
struct RigFile {
    /// The rig: native TOML or a KITTI odometry `calib.txt`
    rig: PathBuf,

    /// Size of the camera images; needed for a `calib.txt`, which does not give it
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    image_size: Option<ImageSize>,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    file: RigFile,

    /// Prints JSON
    #[arg(long)]
    json: bool,

    /// Pinhole cameras: 0 keeps only valid pixels, 1 keeps all pixels, -1 is OpenCV's default scaling
    #[arg(long, value_name = "A", conflicts_with = "balance", allow_negative_numbers = true)]
    alpha: Option<f64>,

    /// Fisheye cameras: 0 keeps only valid pixels, 1 keeps all pixels
    #[arg(long, value_name = "B")]
    balance: Option<f64>,

    /// Size of the rectified images; the camera's when absent
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    size: Option<ImageSize>,

    /// Adds both remap tables, sampled at every N-th row and column
    #[arg(long, value_name = "N", requires = "json", value_parser = clap::value_parser!(u32).range(1..))]
    map_stride: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    #[command(flatten)]
    file: RigFile,

    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Show(arguments) => show(arguments),
        Command::Check(arguments) => check(arguments),
        Command::Import(arguments) => import::import(arguments),
        Command::Export(arguments) => import::export(arguments),
    }
}

/// Parses `WxH`.
pub(crate) fn parse_size(text: &str) -> Result<ImageSize, String> {
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| {
            Some(ImageSize { width: width.parse().ok()?, height: height.parse().ok()? })
        })
        .filter(|size| size.width > 0 && size.height > 0)
        .ok_or_else(|| "expected WIDTHxHEIGHT in pixels, such as 1226x370".to_owned())
}

fn read(file: &RigFile) -> Result<StereoRig, Failure> {
    read_rig(&file.rig, file.image_size).map_err(|error| {
        let failure = Failure::configuration("the rig is not usable");
        match &error {
            RigFileError::ImageSizeMissing { .. } => {
                failure.hint("add --image-size WxH, such as --image-size 1226x370")
            }
            _ => failure,
        }
        .because(error)
    })
}

fn show(arguments: &Show) -> Result<(), Failure> {
    let rig = read(&arguments.file)?;
    let fisheye = rig.left.distortion.is_fisheye();
    let crop = match (arguments.alpha, arguments.balance) {
        (None, Some(balance)) => Crop::Balance(balance),
        (None, None) if fisheye => Crop::Balance(0.0),
        (alpha, _) => Crop::Alpha(alpha.unwrap_or(-1.0)),
    };
    let size = arguments.size.unwrap_or(rig.image_size);
    bounded(size, arguments.map_stride)?;
    let rectification = StereoRectification::new(&rig, crop, size)
        .map_err(|error| Failure::configuration("the rig cannot be rectified").because(error))?;
    if arguments.json {
        let mut document = describe(&rig, &rectification, crop);
        if let Some(stride) = arguments.map_stride {
            document["map_stride"] = json!(stride);
            for (name, map) in
                [("map1", rectification.left_map(&rig)), ("map2", rectification.right_map(&rig))]
            {
                document[format!("{name}_x")] = sampled(&map, stride, 0);
                document[format!("{name}_y")] = sampled(&map, stride, 1);
            }
        }
        return output::print_json(&document);
    }
    let mut text = summary(&rig);
    let size = rectification.size;
    text += &format!("rectified to {}x{} ({crop:?})\n", size.width, size.height);
    text += &format!("R1 {:.9}R2 {:.9}", rectification.r1, rectification.r2);
    text += &format!("P1 {:.6}P2 {:.6}", rectification.p1, rectification.p2);
    text += &format!("Q {:.9}", rectification.q);
    output::print(text.as_bytes())
}

/// Refuses tables that would fill the memory: they hold two numbers for every pixel, and JSON is no dense form.
fn bounded(size: ImageSize, map_stride: Option<u32>) -> Result<(), Failure> {
    if size.width > SIDE_MAX_PX || size.height > SIDE_MAX_PX {
        return Err(Failure::configuration(format!(
            "the rectified size is {size}, expected at most {SIDE_MAX_PX}x{SIDE_MAX_PX}"
        )));
    }
    let Some(stride) = map_stride else { return Ok(()) };
    let samples = u64::from(size.width.div_ceil(stride)) * u64::from(size.height.div_ceil(stride));
    let pixels = u64::from(size.width) * u64::from(size.height);
    if samples > SAMPLES_MAX || pixels > PIXELS_MAX {
        return Err(Failure::configuration(format!(
            "the remap tables of {size} have {samples} samples, expected at most {SAMPLES_MAX} of {PIXELS_MAX} \
             pixels"
        ))
        .hint("take a larger --map-stride or a smaller --size"));
    }
    Ok(())
}

fn check(arguments: &Check) -> Result<(), Failure> {
    let rig = read(&arguments.file)?;
    let suspicious = suspicions(&rig);
    if arguments.json {
        let describe = |suspicion: &Suspicion| {
            let Suspicion { about, found, expected, advice } = suspicion;
            json!({ "about": about.name(), "found": found, "expected": expected, "advice": advice })
        };
        return output::print_json(&json!({
            "name": rig.name,
            "valid": true,
            "suspicions": suspicious.iter().map(describe).collect::<Vec<_>>(),
        }));
    }
    let texts: Vec<String> = suspicious.iter().map(ToString::to_string).collect();
    let verdict = match texts.len() {
        0 => "valid".to_owned(),
        1 => "valid, but suspicious (1 warning)".to_owned(),
        more => format!("valid, but suspicious ({more} warnings)"),
    };
    output::print_line(format_args!(
        "{}{}{verdict}",
        summary(&rig),
        import::lines("suspicious: ", &texts)
    ))
}

/// What a person wants to know first.
fn summary(rig: &StereoRig) -> String {
    let ImageSize { width, height } = rig.image_size;
    let mut text = format!("rig {:?}, {width}x{height}", rig.name);
    text += if rig.rectified { ", images already rectified\n" } else { "\n" };
    for (name, camera) in [("left", &rig.left), ("right", &rig.right)] {
        let k = camera.intrinsics;
        text += &format!(
            "{name:5} fx {:.3} fy {:.3} cx {:.3} cy {:.3} px, {}\n",
            k.fx,
            k.fy,
            k.cx,
            k.cy,
            match camera.distortion {
                lens if lens.is_none() => "no distortion".to_owned(),
                lens => format!("{} {:?}", lens.model(), lens.coefficients()),
            }
        );
    }
    let baseline_m = rig.right_from_left.fixed_view::<3, 1>(0, 3).norm();
    let mount = rig.left_from_ego.try_inverse().map(|ego_from_left| {
        let position = ego_from_left.fixed_view::<3, 1>(0, 3);
        format!("({:.3}, {:.3}, {:.3})", position[0], position[1], position[2])
    });
    text += &format!("baseline {baseline_m:.6} m\n");
    text + &format!("left camera at {} m in the ego frame\n", mount.unwrap_or_default())
}

fn describe(rig: &StereoRig, rectification: &StereoRectification, crop: Crop) -> Value {
    let baseline_m = rig.right_from_left.fixed_view::<3, 1>(0, 3).norm();
    let mut document = json!({
        "name": rig.name,
        "image_size": size(rig.image_size),
        "rectified": rig.rectified,
        "left": camera(&rig.left),
        "right": camera(&rig.right),
        "right_from_left": rows(&rig.right_from_left),
        "left_from_ego": rows(&rig.left_from_ego),
        "baseline_m": baseline_m,
        "rectified_size": size(rectification.size),
        "R1": rows(&rectification.r1),
        "R2": rows(&rectification.r2),
        "P1": rows(&rectification.p1),
        "P2": rows(&rectification.p2),
        "Q": rows(&rectification.q),
        "rectified_from_ego": rows(&(rotation(&rectification.r1) * rig.left_from_ego)),
    });
    match crop {
        Crop::Alpha(alpha) => document["alpha"] = json!(alpha),
        Crop::Balance(balance) => document["balance"] = json!(balance),
    }
    document
}

fn camera(camera: &Camera) -> Value {
    let k = camera.intrinsics;
    let (model, coefficients) = (camera.distortion.model(), camera.distortion.coefficients());
    json!({ "model": model, "fx": k.fx, "fy": k.fy, "cx": k.cx, "cy": k.cy, "coefficients": coefficients })
}

fn size(size: ImageSize) -> Value {
    json!([size.width, size.height])
}

fn rows<const R: usize, const C: usize>(matrix: &SMatrix<f64, R, C>) -> Value {
    matrix.row_iter().map(|row| row.iter().copied().collect::<Vec<_>>()).collect()
}

fn rotation(r: &Matrix3<f64>) -> Matrix4<f64> {
    r.to_homogeneous()
}

/// One coordinate of a table at every `stride`-th row and column; null where nothing can be shown.
fn sampled(map: &RemapTable, stride: u32, coordinate: usize) -> Value {
    let width = map.size.width as usize;
    map.source
        .chunks_exact(width)
        .step_by(stride as usize)
        .map(|row| {
            row.iter().step_by(stride as usize).map(|xy| json!(xy[coordinate])).collect::<Value>()
        })
        .collect()
}

/// The largest images that a rig may have.
const SIDE_MAX_PX: u32 = 32768;
const SAMPLES_MAX: u64 = 4_000_000;
const PIXELS_MAX: u64 = 64_000_000;
