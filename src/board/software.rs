//! What NVIDIA software is installed, from file names and package lists.

use super::root::quoted;
use super::{Reading, Root};
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;

/// What NVIDIA software is installed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Software {
    /// Jetson Linux (Linux for Tegra, L4T): "36.4.3".
    pub jetson_linux: Reading<String>,
    /// `JetPack`: "6.2".
    pub jetpack: Reading<String>,
    /// The kernel driver of GPUs with memory of their own: "550.54.14".
    pub driver: Reading<String>,
    /// The CUDA toolkit at `/usr/local/cuda`: "12.6.68".
    pub cuda: Reading<String>,
    /// The library through which programs reach the driver, `libcuda.so.1`.
    pub libcuda: Reading<String>,
    /// `TensorRT` libraries that are where the linker looks, the newest first.
    pub tensorrt: Vec<Library>,
    /// The version of the `TensorRT` package: "10.3.0.30-1+cuda12.5".
    pub tensorrt_package: Reading<String>,
}

/// A library file whose name has its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Library {
    /// "10.3.0".
    pub version: String,
    /// Where it is.
    pub path: String,
}

/// Reads versions below `root`.
pub fn read(root: &Root) -> Software {
    let packages = Packages::read(root);
    let jetson_linux = root
        .text(TEGRA_RELEASE)
        .and_then(|text| {
            parse_tegra_release(&text).ok_or_else(|| {
                let expected = "`# R36 (release), REVISION: 4.3, ...`";
                format!("{TEGRA_RELEASE}: found {}, expected {expected}", quoted(&text))
            })
        })
        .or_else(|reason| match packages.version("nvidia-l4t-core") {
            // 36.4.3-20250107174145
            Ok(version) => Ok(version.split('-').next().unwrap_or(&version).to_owned()),
            Err(_) => Err(reason),
        });
    let jetpack = packages
        .version("nvidia-jetpack")
        // 6.2+b77
        .map(|version| version.split(['+', '-']).next().unwrap_or(&version).to_owned())
        .or_else(|reason| {
            let linux = jetson_linux.as_ref().map_err(|_| reason)?;
            let known = JETPACKS.iter().find(|(release, _)| release == linux);
            known.map(|(_, jetpack)| (*jetpack).to_owned()).ok_or_else(|| {
                format!("package nvidia-jetpack is not installed, and Jetson Linux {linux} is in no table here")
            })
        });
    Software {
        jetson_linux: jetson_linux.into(),
        jetpack: jetpack.into(),
        driver: driver(root).into(),
        cuda: cuda(root).into(),
        libcuda: libcuda(root).into(),
        tensorrt: tensorrt(root),
        tensorrt_package: packages.first(&["libnvinfer11", "libnvinfer10", "libnvinfer8"]).into(),
    }
}

/// "36.4.3" of `# R36 (release), REVISION: 4.3, GCID: ...`.
pub fn parse_tegra_release(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.contains("REVISION"))?;
    let release = line.trim_start_matches(['#', ' ']).strip_prefix('R')?;
    let major: String = release.chars().take_while(char::is_ascii_digit).collect();
    let revision = line.split_once("REVISION:")?.1.split(',').next()?.trim();
    let plain = |text: &str| {
        !text.is_empty() && text.split('.').all(|part| is_number(part) && part.len() < 6)
    };
    (plain(&major) && plain(revision)).then(|| format!("{major}.{revision}"))
}

/// The version of NVIDIA's kernel module, in `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  ...`.
pub fn parse_driver_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let version = |word: &&str| word.contains('.') && word.split('.').all(is_number);
    line.split_whitespace().find(version).map(str::to_owned)
}

/// The version in a library's file name: "10.3.0" of `libnvinfer.so.10.3.0`; `None` where it has less than
/// three parts, as links have.
pub fn library_version<'a>(name: &'a str, library: &str) -> Option<&'a str> {
    let version = name.strip_prefix(library)?.strip_prefix(".so.")?;
    let parts: Vec<&str> = version.split('.').collect();
    (parts.len() >= 3 && parts.iter().all(|part| is_number(part))).then_some(version)
}

fn driver(root: &Root) -> Result<String, String> {
    let path = "/proc/driver/nvidia/version";
    let text = root.text(path)?;
    let expected = "a line `NVRM version:` with a version";
    parse_driver_version(&text)
        .ok_or_else(|| format!("{path}: found {}, expected {expected}", quoted(&text)))
}

/// CUDA 11 and later have `version.json`; earlier ones `version.txt`.
fn cuda(root: &Root) -> Result<String, String> {
    let path = "/usr/local/cuda/version.json";
    let json = root.text(path).and_then(|text| {
        let document: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))?;
        let version = document["cuda"]["version"].as_str().map(str::to_owned);
        version.ok_or_else(|| format!("{path}: no `cuda.version`"))
    });
    json.or_else(|reason| {
        let text = root.text("/usr/local/cuda/version.txt").map_err(|_| reason.clone())?;
        text.strip_prefix("CUDA Version ").map(str::to_owned).ok_or(reason)
    })
}

fn libcuda(root: &Root) -> Result<String, String> {
    let places: Vec<String> =
        LIBRARIES.iter().map(|folder| format!("{folder}/libcuda.so.1")).collect();
    let found = places.iter().find(|path| root.has(path)).cloned();
    found.ok_or_else(|| format!("no libcuda.so.1 in {}", LIBRARIES.join(", ")))
}

fn tensorrt(root: &Root) -> Vec<Library> {
    let mut found: Vec<Library> = LIBRARIES
        .iter()
        .flat_map(|folder| {
            let names = root.names(folder).into_iter();
            names.filter_map(move |name| {
                let version = library_version(&name, "libnvinfer")?.to_owned();
                Some(Library { version, path: format!("{folder}/{name}") })
            })
        })
        .collect();
    found.sort_by_key(|library| std::cmp::Reverse(numbers(&library.version)));
    found
}

/// The numbers of a version.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Versions of the installed packages that are looked for.
struct Packages {
    versions: Result<HashMap<String, String>, String>,
}

impl Packages {
    fn read(root: &Root) -> Self {
        let path = "/var/lib/dpkg/status";
        let file = File::open(root.join(path)).map_err(|error| format!("{path}: {error}"));
        let versions = file.and_then(|file| {
            installed(BufReader::new(file)).map_err(|error| format!("{path}: {error}"))
        });
        Self { versions }
    }

    fn version(&self, package: &str) -> Result<String, String> {
        let versions = self.versions.as_ref().map_err(Clone::clone)?;
        versions.get(package).cloned().ok_or_else(|| format!("package {package} is not installed"))
    }

    fn first(&self, packages: &[&str]) -> Result<String, String> {
        let versions = self.versions.as_ref().map_err(Clone::clone)?;
        let found = packages.iter().find_map(|package| versions.get(*package).cloned());
        found.ok_or_else(|| format!("none of the packages {} is installed", packages.join(", ")))
    }
}

/// Name and version of the packages of a `dpkg` status file that are installed and NVIDIA's.
///
/// # Errors
/// Those of reading.
pub fn installed(status: impl std::io::BufRead) -> std::io::Result<HashMap<String, String>> {
    let mut versions = HashMap::new();
    let (mut package, mut version, mut is_installed) = (String::new(), String::new(), false);
    // Paragraphs of `Field: value` lines, an empty line after each.
    for line in status.split(b'\n').map(Some).chain([None]) {
        let line = line.transpose()?.unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if line.is_empty() {
            let ours = package.starts_with("nvidia-") || package.starts_with("libnvinfer");
            if is_installed && ours && !version.is_empty() {
                versions.insert(std::mem::take(&mut package), std::mem::take(&mut version));
            }
            package.clear();
            version.clear();
            is_installed = false;
        } else if let Some((field, value)) = line.split_once(':') {
            match field {
                "Package" => value.trim().clone_into(&mut package),
                "Version" => value.trim().clone_into(&mut version),
                "Status" => is_installed = value.trim().ends_with(" installed"),
                _ => {}
            }
        }
    }
    Ok(versions)
}

const TEGRA_RELEASE: &str = "/etc/nv_tegra_release";

/// Where the linker looks, and where NVIDIA's packages put what it looks for.
const LIBRARIES: [&str; 9] = [
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu/nvidia",
    "/usr/lib/aarch64-linux-gnu/tegra",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
    "/usr/local/tensorrt/lib",
    "/opt/tensorrt/lib",
];

/// Jetson Linux and the `JetPack` that it belongs to, from NVIDIA's `JetPack` archive.
const JETPACKS: [(&str, &str); 13] = [
    ("35.1.0", "5.0.2"),
    ("35.2.1", "5.1"),
    ("35.3.1", "5.1.1"),
    ("35.4.1", "5.1.2"),
    ("35.5.0", "5.1.3"),
    ("35.6.0", "5.1.4"),
    ("36.3.0", "6.0"),
    ("36.4.0", "6.1"),
    ("36.4.3", "6.2"),
    ("36.4.4", "6.2.1"),
    ("36.5.0", "6.2.2"),
    ("38.2.0", "7.0"),
    ("38.4.0", "7.1"),
];
