//! `occdepth infer`: the voxels of one pair of image files.

use super::draw::{self, Palette};
use super::{Failure, output, setup};
use occdepth::capture::Capture;
use occdepth::daemon::{
    EngineChoice, GridConfig, NetworkConfig, SourceConfig, open_engine, open_perception,
    open_source,
};
use occdepth::rig::read_rig;
use occdepth::stages::StageTimes;
use occdepth_contract::Contract;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Labels the voxels that one pair of images shows.
///
/// The format of an output follows from its name: `.npy` (u8 [X, Y, Z], class ids), `.label` (SemanticKITTI voxel
/// labels: u16 raw class ids, x-major, z fastest; unknown is written as 0, "unlabeled"), `.png` (seen from above).
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Image of the left camera, PNG or JPEG
    #[arg(long)]
    left: PathBuf,

    /// Image of the right camera
    #[arg(long)]
    right: PathBuf,

    /// The rig: native TOML or a KITTI odometry `calib.txt`
    #[arg(long)]
    rig: PathBuf,

    /// The exported network; the bundled one when absent
    #[arg(long, value_name = "FILE.onnx")]
    network: Option<PathBuf>,

    /// Where labels go: .npy, .label or .png; may be given more than once
    #[arg(short, long, value_name = "FILE", required_unless_present = "logits")]
    output: Vec<PathBuf>,

    /// Where the network's raw output goes: f32 [C, X, Y, Z] as .npy
    #[arg(long, value_name = "FILE.npy")]
    logits: Option<PathBuf>,

    /// Origin of the voxel grid in metres, for networks whose grid has one per scene
    #[arg(long, value_name = "X,Y,Z", value_parser = parse_origin, allow_hyphen_values = true)]
    origin: Option<[f64; 3]>,

    /// Labels less probable than this become unknown (255)
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    unknown_below: f32,

    /// Accepts grey images, shown to the network as three equal channels
    #[arg(long)]
    grey: bool,

    /// Threads of the CPU engine; all cores when absent
    #[arg(long)]
    threads: Option<usize>,

    /// Prints what was done as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let formats = arguments
        .output
        .iter()
        .map(|path| Ok((Format::of(path)?, path.as_path())))
        .collect::<Result<Vec<_>, Failure>>()?;
    for image in [&arguments.left, &arguments.right] {
        std::fs::metadata(image).map_err(|error| {
            Failure::work(format!("cannot read the image {}", image.display())).because(error)
        })?;
    }
    let network = NetworkConfig {
        file: arguments.network.clone(),
        engine: EngineChoice::Cpu,
        origin_m: arguments.origin,
        threads: arguments.threads,
        ..NetworkConfig::default()
    };
    let grid = GridConfig { unknown_below: arguments.unknown_below, ..GridConfig::default() };

    let engine = open_engine(&network).map_err(|error| setup::failure(error.into()))?;
    let contract = engine.contract().clone();
    setup::warn_if_untrained(&contract);
    if let Some((_, path)) = formats.iter().find(|(format, _)| *format == Format::Label) {
        Format::check_label(&contract, path)?;
    }
    let mut source = open_source(
        &SourceConfig::Images {
            left: glob::Pattern::escape(&arguments.left.to_string_lossy()),
            right: glob::Pattern::escape(&arguments.right.to_string_lossy()),
            times: None,
            rate_hz: Some(1.0),
            paced: false,
            repeat: false,
            grey: arguments.grey,
        },
        None,
    )
    .map_err(setup::failure)?;
    let rig = read_rig(&arguments.rig, Some(source.description().size))
        .map_err(|error| setup::failure(error.into()))?;
    let mut perception = open_perception(&rig, source.as_ref(), engine, network.origin_m, grid)
        .map_err(setup::failure)?;

    let pair = match source.next(Duration::from_mins(1)) {
        Ok(Capture::Frame(pair)) => pair,
        Ok(_) => return Err(Failure::work("the images were not read within a minute")),
        Err(error) => return Err(Failure::work("cannot read the images").because(error)),
    };
    let [x, y, z] = contract.grid.dims;
    let shape = [contract.classes.len() as u64, u64::from(x), u64::from(y), u64::from(z)];
    let mut logits = match arguments.logits {
        Some(_) => vec![0.0_f32; contract.classes.len() * perception.labels().len()],
        None => Vec::new(),
    };
    let times = perception
        .perceive(&pair, arguments.logits.as_ref().map(|_| logits.as_mut_slice()))
        .map_err(|error| Failure::work("the frame could not be labelled").because(error))?;

    if let Some(path) = &arguments.logits {
        output::write_npy(path, &shape, &logits)?;
    }
    for (format, path) in &formats {
        format.write(path, &contract, perception.labels())?;
    }
    report(arguments, &contract, perception.labels(), times)
}

/// Parses `X,Y,Z`.
fn parse_origin(text: &str) -> Result<[f64; 3], String> {
    let numbers: Option<Vec<f64>> =
        text.split(',').map(|number| number.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .filter(|origin: &[f64; 3]| origin.iter().all(|metres| metres.is_finite()))
        .ok_or_else(|| "expected three numbers in metres, such as 0,-25.6,-2".to_owned())
}

/// How labels are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Npy,
    Label,
    Png,
}

impl Format {
    fn of(path: &Path) -> Result<Self, Failure> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("label") => Ok(Self::Label),
            Some("png") => Ok(Self::Png),
            _ => Err(Failure::configuration(format!(
                "{}: the name ends in no known format, expected .npy, .label or .png",
                path.display()
            ))),
        }
    }

    /// Only SemanticKITTI's classes have the raw ids of its label files.
    fn check_label(contract: &Contract, path: &Path) -> Result<(), Failure> {
        let known = contract.classes.iter().all(|c| usize::from(c.id) < SEMANTIC_KITTI_RAW.len());
        if contract.dataset == "semantic-kitti" && known {
            return Ok(());
        }
        Err(Failure::configuration(format!(
            "{}: .label files hold SemanticKITTI classes, the network's are of {:?}",
            path.display(),
            contract.dataset
        ))
        .hint("write .npy instead"))
    }

    fn write(self, path: &Path, contract: &Contract, labels: &[u8]) -> Result<(), Failure> {
        use std::io::Write as _;
        match self {
            Self::Npy => output::write_npy(path, &contract.grid.dims.map(u64::from), labels),
            Self::Label => output::write_file(path, |out| {
                for &label in labels {
                    let raw = SEMANTIC_KITTI_RAW.get(usize::from(label)).copied().unwrap_or(0);
                    out.write_all(&raw.to_le_bytes())?;
                }
                Ok(())
            }),
            Self::Png => {
                let classes = contract.classes.iter();
                let palette = Palette::new(
                    classes.map(|class| (class.id, class.name.as_str(), class.colour)),
                );
                draw::write_png(path, labels, contract.grid.dims, &palette)
            }
        }
    }
}

/// The raw id of each of the 20 learning classes: `learning_map_inv` of `semantic-kitti.yaml`
/// (<https://github.com/PRBonn/semantic-kitti-api>).
const SEMANTIC_KITTI_RAW: [u16; 20] =
    [0, 10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81];

fn report(
    arguments: &Arguments,
    contract: &Contract,
    labels: &[u8],
    times: StageTimes,
) -> Result<(), Failure> {
    let mut counts = [0_u64; 256];
    for &label in labels {
        counts[usize::from(label)] += 1;
    }
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let written: Vec<_> = arguments.output.iter().chain(&arguments.logits).collect();
    if arguments.json {
        let classes: serde_json::Map<_, _> = contract
            .classes
            .iter()
            .map(|class| (class.name.clone(), counts[usize::from(class.id)].into()))
            .chain([("unknown".to_owned(), counts[255].into())])
            .collect();
        return output::print_json(&serde_json::json!({
            "network": contract.preset,
            "trained": contract.training.trained,
            "dims": contract.grid.dims,
            "voxels": classes,
            "rectify_ms": ms(times.rectify),
            "infer_ms": ms(times.infer),
            "label_ms": ms(times.label),
            "written": written,
        }));
    }
    let [x, y, z] = contract.grid.dims;
    let occupied: u64 = counts[1..255].iter().sum();
    output::print_line(format_args!(
        "{x}x{y}x{z} voxels, {occupied} occupied, {} unknown; rectify {:.1} ms, infer {:.1} ms, label {:.1} ms",
        counts[255],
        ms(times.rectify),
        ms(times.infer),
        ms(times.label),
    ))?;
    for path in written {
        output::print_line(format_args!("wrote {}", path.display()))?;
    }
    Ok(())
}
