//! `occdepth rig import` and `export`: calibrations of other programs.

use super::{parse_size, summary};
use crate::cli::{Failure, output};
use clap::Args;
use occdepth::rig::{read_rig, read_text};
use occdepth_calibration::formats::{self, File, Format, FormatError, LensModel, Options};
use occdepth_calibration::suspicions::suspicions;
use occdepth_geometry::ImageSize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The calibration: one file, or one for each camera (left first, unless their names tell), or OpenCV's intrinsics and
    /// extrinsics, or KITTI's `calib_cam_to_cam.txt` and `calib_velo_to_cam.txt`
    #[arg(required = true, num_args = 1..=3)]
    files: Vec<PathBuf>,

    /// What the files are; told from their contents when absent
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Option<Format>,

    /// Size of the camera images, for formats that do not carry it
    #[arg(long, value_name = "WxH", value_parser = parse_size)]
    image_size: Option<ImageSize>,

    /// Unit of the file's translations: m, mm, or the metres of one unit, such as 0.025 for board squares of 25 mm
    #[arg(long, value_name = "UNIT", default_value = "m", value_parser = parse_unit)]
    unit: f64,

    /// KITTI's raw recordings: the grey pair 0, 1 instead of the colour pair 2, 3
    #[arg(long)]
    grey: bool,

    /// KITTI's raw recordings: the images are the rectified ones (*_sync)
    #[arg(long)]
    rectified: bool,

    /// OpenCV's files that do not say it: radial-tangential (`calib3d`) or kannala-brandt (`cv::fisheye`)
    #[arg(long, value_name = "MODEL", value_parser = parse_lens)]
    lens: Option<LensModel>,

    /// What people call the rig; the format's name when absent
    #[arg(long)]
    name: Option<String>,

    /// The native TOML to write; standard output when absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The rig: native TOML
    rig: PathBuf,

    /// kitti-odometry, kitti-raw, opencv, ros, kalibr, euroc, basalt or native
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Format,

    /// Where the files are written; it must exist
    #[arg(short, long, value_name = "DIRECTORY", default_value = ".")]
    output: PathBuf,
}

pub(super) fn import(arguments: &Import) -> Result<(), Failure> {
    let unusable = || Failure::configuration("the calibration is not usable");
    let texts =
        arguments.files.iter().map(|path| read(path)).collect::<Result<Vec<String>, Failure>>()?;
    let names: Vec<String> =
        arguments.files.iter().map(|path| path.display().to_string()).collect();
    let files: Vec<File<'_>> =
        names.iter().zip(&texts).map(|(name, text)| File { name, text }).collect();
    let format = match arguments.format {
        Some(format) => format,
        None => formats::detect(&files)
            .map_err(|error| unusable().hint("name the format with --format").because(error))?,
    };
    let options = Options {
        image_size: arguments.image_size,
        unit_m: arguments.unit,
        kitti_cameras: if arguments.grey { [0, 1] } else { [2, 3] },
        kitti_rectified: arguments.rectified,
        lens: arguments.lens,
        ..Options::default()
    };
    let mut imported = formats::import(format, &files, &options).map_err(|error| {
        let failure = unusable();
        match &error {
            FormatError::Missing { expected, .. } if expected.contains("--image-size") => {
                failure.hint("add --image-size WxH, such as --image-size 1226x370")
            }
            _ => failure,
        }
        .because(error)
    })?;
    if let Some(name) = &arguments.name {
        imported.rig.name.clone_from(name);
        let origin = format!("--name {name:?}");
        imported.rig.validate(&origin).map_err(|error| unusable().because(error))?;
    }
    let suspicious: Vec<String> =
        suspicions(&imported.rig).iter().map(ToString::to_string).collect();
    // What a person should know stays with the rig.
    let toml = lines("# ", &imported.notes)
        + &lines("# suspicious: ", &suspicious)
        + &imported.rig.to_toml();
    match &arguments.output {
        Some(path) => {
            write(path, &toml)?;
            output::print_line(format_args!(
                "format {}\n{}{}{}written to {}",
                format.name(),
                summary(&imported.rig),
                lines("note: ", &imported.notes),
                lines("suspicious: ", &suspicious),
                path.display()
            ))
        }
        None => output::print(toml.as_bytes()),
    }
}

/// One line each, also where a file's name has several.
pub(super) fn lines(start: &str, texts: &[String]) -> String {
    let line = |text: &String| {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        format!("{start}{text}\n")
    };
    texts.iter().map(line).collect()
}

pub(super) fn export(arguments: &Export) -> Result<(), Failure> {
    let rig = read_rig(&arguments.rig, None)
        .map_err(|error| Failure::configuration("the rig is not usable").because(error))?;
    let files = formats::export(&rig, arguments.format).map_err(|error| {
        Failure::configuration("the rig cannot be written in this format").because(error)
    })?;
    for (name, text) in files {
        let path = arguments.output.join(name);
        write(&path, &text)?;
        output::print_line(format_args!("{}", path.display()))?;
    }
    output::print(lines("note: ", &formats::lost(&rig, arguments.format)).as_bytes())
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::configuration(format!("cannot read the calibration {}", path.display()))
            .because(error)
    };
    read_text(path).map_err(failed)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    output::write_file(path, |out| {
        use std::io::Write as _;
        out.write_all(text.as_bytes())
    })
}

fn parse_format(text: &str) -> Result<Format, String> {
    let format = Format::ALL.iter().find(|(name, _)| *name == text).map(|(_, format)| *format);
    let names = Format::ALL.map(|(name, _)| name).join(", ");
    format.ok_or_else(|| format!("expected one of {names}"))
}

fn parse_lens(text: &str) -> Result<LensModel, String> {
    match text {
        "radial-tangential" => Ok(LensModel::RadialTangential),
        "kannala-brandt" => Ok(LensModel::KannalaBrandt),
        _ => Err("expected radial-tangential or kannala-brandt".to_owned()),
    }
}

/// Metres of a unit.
fn parse_unit(text: &str) -> Result<f64, String> {
    match text {
        "m" => Ok(1.0),
        "cm" => Ok(0.01),
        "mm" => Ok(0.001),
        _ => text.parse().ok().filter(|unit: &f64| unit.is_finite() && *unit > 0.0).ok_or_else(
            || "expected m, cm, mm, or the metres of one unit, such as 0.025".to_owned(),
        ),
    }
}
