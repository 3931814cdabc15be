//! `occdepth calibrate`: a rig from pictures of a chessboard.

mod cameras;
mod report;

use super::camera::devices::Mode;
use super::{Failure, output};
use clap::Args;
use occdepth::calibrate::{files, picture};
use occdepth::capture::CaptureError;
use occdepth::capture::directory::{Grey, PairFiles, read_rgb8};
use occdepth_calibration::board::Board;
use occdepth_calibration::bundle::{Lens, MIN_PAIRS, Options};
use occdepth_calibration::corners::CornerFinder;
use occdepth_calibration::quality::{Calibration, calibrate};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Calibrates a stereo rig from pictures of a chessboard.
///
/// The pictures are files, or come from live cameras; then it says what it still wants to see, keeps the pairs that bring
/// something new, and calibrates when it has enough (or at Ctrl-C).
///
/// Prints how good the calibration is: root mean square of the distances between corners found and corners projected, the
/// same by pair, and how far corners of a pair are from lying in one row after rectification.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folder of the pairs: left01.jpg, right01.jpg, ..., or subfolders left and right with files of equal names
    #[arg(value_name = "FOLDER", conflicts_with_all = ["left", "right", "cameras"], required_unless_present_any = ["left", "cameras"])]
    folder: Option<PathBuf>,

    /// Glob of the left pictures; their sorted names are matched with those of the right ones
    #[arg(long, value_name = "GLOB", requires = "right", conflicts_with = "cameras")]
    left: Option<String>,

    /// Glob of the right pictures
    #[arg(long, value_name = "GLOB", requires = "left")]
    right: Option<String>,

    /// Live: the left and the right camera, or one device with both views (then --layout)
    #[arg(long, value_name = "DEVICE", num_args = 1..=2)]
    cameras: Option<Vec<PathBuf>>,

    #[command(flatten)]
    mode: Mode,

    /// Live: the folder that pairs are kept in; made when it is not there, and refused when something is in it
    #[arg(long, value_name = "FOLDER", default_value = "calibration-pairs")]
    keep: PathBuf,

    /// Inner corners of the board (not squares), such as 9x6
    #[arg(long, value_name = "COLUMNSxROWS", value_parser = parse_corners)]
    board: [usize; 2],

    /// Side of one square, such as 25mm, 2.5cm or 0.025 (metres); measure it over ten squares
    #[arg(long, value_name = "LENGTH", value_parser = parse_length, allow_hyphen_values = true)]
    square: f64,

    /// Lens model: radial-tangential with 4, 5 or 8 coefficients, or kannala-brandt for fisheyes
    #[arg(long, value_name = "MODEL", default_value = "radial-tangential-5", value_parser = parse_lens)]
    lens: Lens,

    /// Lets every corner count, also those that do not fit the others
    #[arg(long)]
    all_corners: bool,

    /// What people call the rig
    #[arg(long, default_value = "stereo")]
    name: String,

    /// The rig to write (native TOML)
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// A picture to write: a rectified pair, and what is left between corners and calibration
    #[arg(long, value_name = "PNG")]
    picture: Option<PathBuf>,

    /// Prints the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let [columns, rows] = arguments.board;
    let board = Board::new(columns, rows, arguments.square)
        .map_err(|error| Failure::configuration("the board is not usable").because(error))?;
    let pairs = match &arguments.cameras {
        Some(devices) => {
            cameras::collect(devices, arguments, board)?;
            PairFiles::Folder(arguments.keep.clone())
        }
        None => match (&arguments.folder, &arguments.left, &arguments.right) {
            (Some(folder), ..) => PairFiles::Folder(folder.clone()),
            (None, Some(left), Some(right)) => {
                PairFiles::Globs { left: left.clone(), right: right.clone() }
            }
            _ => return Err(Failure::configuration("no pictures are named")),
        },
    };
    // Live pairs too are read back: what was kept is what was used, and using it again gives the same.
    from_files(&pairs, arguments, board)
}

fn from_files(pairs: &PairFiles, arguments: &Arguments, board: Board) -> Result<(), Failure> {
    let files = pairs.list().map_err(|error| {
        let context = "the pictures are not usable";
        match error {
            CaptureError::Open { .. } => Failure::work(context),
            _ => Failure::configuration(context),
        }
        .because(error)
    })?;
    let found = files::look(&CornerFinder::new(board), &files)
        .map_err(|error| Failure::work("the pictures cannot be read").because(error))?;
    if found.pairs.len() < MIN_PAIRS {
        let failure = Failure::work(format!(
            "the board was found in both views of {} of {} pairs, expected at least {MIN_PAIRS}",
            found.pairs.len(),
            files.len()
        ));
        return Err(match found.without.first() {
            Some(without) => failure.because(report::reason(without)).hint(HINT_BOARD),
            None => failure,
        });
    }
    let options = Options {
        lens: arguments.lens,
        image_size: found.size,
        reject_outliers: !arguments.all_corners,
    };
    let calibration = calibrate(&arguments.name, &board, &found.pairs, &options)
        .map_err(|error| Failure::work("the pictures give no calibration").because(error))?;
    if let Some(path) = &arguments.picture {
        write_picture(path, &calibration, &found)?;
    }
    let toml = report::heading(&calibration, &board, &found) + &calibration.rig.to_toml();
    output::write_file(&arguments.output, |out| out.write_all(toml.as_bytes()))?;
    if arguments.json {
        return output::print_json(&report::json(&calibration, &board, &found));
    }
    let text = report::text(&calibration, &board, &found);
    output::print_line(format_args!("{text}written to {}", arguments.output.display()))
}

/// Shows the pair with the median error.
fn write_picture(
    path: &Path,
    calibration: &Calibration,
    found: &files::Found,
) -> Result<(), Failure> {
    let error = |pair: usize| calibration.adjustment.view_rms_px(pair, 0).unwrap_or(f64::INFINITY);
    let mut order: Vec<usize> = (0..found.pairs.len()).collect();
    order.sort_by(|&a, &b| error(a).total_cmp(&error(b)));
    let mut example = Vec::with_capacity(2);
    for file in &found.files[order[order.len() / 2]] {
        let (_, rgb) = read_rgb8(file, Grey::Replicate)
            .map_err(|error| Failure::work("a picture cannot be read again").because(error))?;
        example.push(rgb);
    }
    let drawn = picture::report(calibration, &found.pairs, [&example[0], &example[1]])
        .map_err(|error| Failure::work("the calibration cannot be drawn").because(error))?;
    output::write_png(path, &drawn.rgb, drawn.size.width, drawn.size.height)
}

fn parse_corners(text: &str) -> Result<[usize; 2], String> {
    text.split_once(['x', 'X'])
        .and_then(|(columns, rows)| Some([columns.parse().ok()?, rows.parse().ok()?]))
        .ok_or_else(|| "expected COLUMNSxROWS of inner corners, such as 9x6".to_owned())
}

/// Metres.
fn parse_length(text: &str) -> Result<f64, String> {
    let (number, metres) = [("mm", 0.001), ("cm", 0.01), ("m", 1.0)]
        .into_iter()
        .find_map(|(unit, metres)| Some((text.strip_suffix(unit)?, metres)))
        .unwrap_or((text, 1.0));
    let number: Option<f64> = number.trim().parse().ok();
    number
        .map(|number| number * metres)
        .filter(|length| length.is_finite() && *length > 0.0)
        .ok_or_else(|| "expected a length such as 25mm, 2.5cm or 0.025 (metres)".to_owned())
}

fn parse_lens(text: &str) -> Result<Lens, String> {
    let lenses = [
        Lens::RadialTangential4,
        Lens::RadialTangential5,
        Lens::RadialTangential8,
        Lens::KannalaBrandt,
    ];
    lenses.into_iter().find(|lens| lens.name() == text).ok_or_else(|| {
        let names = lenses.map(Lens::name).join(", ");
        format!("expected one of {names}")
    })
}

const HINT_BOARD: &str = "--board counts inner corners, not squares; the whole board must be in both pictures, with a white \
                          margin, sharp and without glare";
