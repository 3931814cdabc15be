//! Where the headers of an installed library are.

use std::path::{Path, PathBuf};

/// The directory with the `NvInfer.h` that belongs to a library: of NVIDIA's Debian packages
/// (`/usr/lib/aarch64-linux-gnu` and `/usr/include/aarch64-linux-gnu`), of its archives
/// (`targets/x86_64-linux-gnu/lib` and `include`), and of a prefix (`lib` and `include`); else of the
/// system. `None` where no headers are installed, which is usual on a device.
///
/// Headers and library can be of two versions all the same: compare [`Headers::version`] with the
/// library's.
///
/// [`Headers::version`]: super::Headers::version
pub fn header_dir(library: &Path) -> Option<PathBuf> {
    let resolved = library.canonicalize().ok();
    let near = [Some(library), resolved.as_deref()].into_iter().flatten().flat_map(near);
    let system = ["/usr/local/tensorrt", "/usr/local", "/usr"];
    let system = system.iter().flat_map(|prefix| includes(Path::new(prefix)));
    near.chain(system).find(|dir| dir.join("NvInfer.h").is_file())
}

/// Include directories of the prefixes that a library can be in: up to three directories above its own.
fn near(library: &Path) -> Vec<PathBuf> {
    library.ancestors().skip(2).take(3).flat_map(includes).collect()
}

fn includes(prefix: &Path) -> [PathBuf; 2] {
    let include = prefix.join("include");
    [include.join(format!("{}-linux-gnu", std::env::consts::ARCH)), include]
}
