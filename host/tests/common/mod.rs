//! What the tests of the network share: where reference values lie, and the small network they were
//! made with.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]
#![allow(clippy::print_stdout, reason = "the equality table is shown with --nocapture")]

pub mod reference;

use std::{io::Write as _, path::PathBuf};

use occdepth_geometry::ImageSize;
use occdepth_host::preset::{AxisOrder, Dataset, Grid, Head, Preset, Unet};

/// A file of the reference values, or `None` after a line that says which test is skipped and why.
pub fn golden(test: &str, file: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden");
    let path = folder.join(file);
    if path.is_file() {
        return Some(path);
    }
    // The harness captures what `println` prints in a test that passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no ../shared/golden/{file}");
    None
}

/// The small network of the reference values: `EfficientNet` with a quarter of the channels, 8
/// feature channels, 64x40x16 voxels of 0.4 m, images of 320x96.
pub fn tiny() -> Preset {
    Preset::parse(TINY, "tiny").unwrap()
}

/// The small network of the reference values for `NYUv2`: [`tiny`]'s widths, RGB-D, 20x20x12 voxels of
/// 0.24 m, images of 160x120.
pub fn nyu_tiny() -> Preset {
    let tiny = tiny();
    let preset = Preset {
        name: "nyu-tiny".into(),
        dataset: Dataset::NyuV2,
        views: 1,
        virtual_stereo: true,
        project_scale: 1,
        image: ImageSize { width: 160, height: 120 },
        grid: Grid { origin_m: None, voxel_size_m: 0.24, dims: [20, 20, 12] },
        depth: None,
        unet: Unet { full_width: None, axes: AxisOrder::Xzy, ..tiny.unet },
        head: Head::Aspp { dilations: vec![1, 2, 3], cascade: false, occluded: false },
        ..tiny
    };
    preset.validate("nyu-tiny").unwrap();
    preset
}

const TINY: &str = r#"
name = "tiny"
description = "the small network of the reference values"
dataset = "semantic-kitti"
views = 2
fit = "crop"
pattern = 0
scales = [1, 2, 4, 8]
project_scale = 2
image = { width = 320, height = 96 }
grid = { origin_m = [0.0, -8.0, -2.0], voxel_size_m = 0.4, dims = [64, 40, 16] }

[encoder]
stem = 8
head = 64
activation = "silu"
squeeze_excite = true
stages = [
    { blocks = 1, kernel = 3, expansion = 1, width = 8 },
    { blocks = 1, kernel = 3, expansion = 6, width = 8 },
    { blocks = 1, kernel = 5, expansion = 6, width = 16 },
    { blocks = 2, kernel = 3, expansion = 6, width = 24 },
    { blocks = 2, kernel = 5, expansion = 6, width = 32 },
    { blocks = 2, kernel = 5, expansion = 6, width = 48 },
    { blocks = 1, kernel = 3, expansion = 6, width = 80 },
]

[decoder]
bottleneck = 64
widths = [32, 16, 8, 4, 2]
activation = "leaky-relu"

[depth]
width = 128
blocks = 3
volume.bins = { mode = "LID", min_m = 2.0, max_m = 54.0, count = 104 }
volume.sampling_size = { width = 320, height = 96 }

[unet]
widths = [8, 16, 32]
full_width = 4
dilations = [1, 2, 3]
upsample_kernel = 3

[relation_prior]
relations = 4
dilations = [1, 2, 3]

[head]
kind = "aspp"
dilations = [1, 2, 3]
cascade = true
"#;
