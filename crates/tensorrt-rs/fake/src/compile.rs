//! Running the compiler.

use super::{FakeTensorRt, FakeVersion, classes};
use std::ffi::OsStr;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCES: [(&str, &str); 6] = [
    ("signatures.hpp", include_str!("../cpp/signatures.hpp")),
    ("state.hpp", include_str!("../cpp/state.hpp")),
    ("objects.hpp", include_str!("../cpp/objects.hpp")),
    ("nvinfer.cpp", include_str!("../cpp/nvinfer.cpp")),
    ("onnxparser.cpp", include_str!("../cpp/onnxparser.cpp")),
    ("cuda.c", include_str!("../cpp/cuda.c")),
];

pub(crate) fn build(version: FakeVersion, directory: &Path) -> Result<FakeTensorRt, String> {
    let source = sources(version, directory)?;
    let fake = FakeTensorRt::below(version, directory);
    std::fs::create_dir_all(directory.join("cuda")).map_err(|error| error.to_string())?;
    // Three at once: the compiler is what takes the time.
    std::thread::scope(|scope| {
        let jobs = [
            scope.spawn(|| compile(version, &source.join("nvinfer.cpp"), &fake.library, &[])),
            scope.spawn(|| compile(version, &source.join("onnxparser.cpp"), &fake.parser, &[])),
            scope.spawn(|| compile(version, &source.join("cuda.c"), &fake.cuda, &[])),
        ];
        jobs.into_iter()
            .try_for_each(|job| job.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    Ok(fake)
}

pub(crate) fn cached(
    version: FakeVersion,
    cache: &Path,
    directory: &Path,
) -> Result<FakeTensorRt, String> {
    // What the libraries are made of: whatever changes makes others.
    let mut made_of = std::hash::DefaultHasher::new();
    let commands = (command_line(version, true), command_line(version, false));
    (SOURCES, classes::header(version)?, commands).hash(&mut made_of);
    let kept = cache.join(format!("tensorrt-fake-{version}-{:016x}", made_of.finish()));
    if !kept.exists() {
        // Under another name until it is whole; of several that do this at once the first wins.
        let unique = format!("{}-{:?}", std::process::id(), std::thread::current().id());
        let making = cache.join(format!("tensorrt-fake-{version}-making-{unique}"));
        build(version, &making)?;
        if std::fs::rename(&making, &kept).is_err() {
            let _ = std::fs::remove_dir_all(&making);
        }
    }
    let fake = FakeTensorRt::below(version, directory);
    std::fs::create_dir_all(directory.join("cuda")).map_err(|error| error.to_string())?;
    let compiled = FakeTensorRt::below(version, &kept);
    for (from, to) in [
        (&compiled.library, &fake.library),
        (&compiled.parser, &fake.parser),
        (&compiled.cuda, &fake.cuda),
    ] {
        std::fs::copy(from, to).map_err(|error| format!("{}: {error}", from.display()))?;
    }
    Ok(fake)
}

pub(crate) fn build_lean(version: FakeVersion, directory: &Path) -> Result<PathBuf, String> {
    let source = sources(version, directory)?;
    let library = directory.join(format!("libnvinfer_lean.so.{}", version.major));
    compile(version, &source.join("nvinfer.cpp"), &library, &["-DLEAN"])?;
    Ok(library)
}

/// Writes the sources of a version below a directory.
fn sources(version: FakeVersion, directory: &Path) -> Result<PathBuf, String> {
    let source = directory.join("source");
    let say = |error: std::io::Error| format!("{}: {error}", source.display());
    std::fs::create_dir_all(&source).map_err(say)?;
    for (name, text) in SOURCES {
        std::fs::write(source.join(name), text).map_err(say)?;
    }
    std::fs::write(source.join("classes.hpp"), classes::header(version)?).map_err(say)?;
    Ok(source)
}

fn compile(
    version: FakeVersion,
    source: &Path,
    library: &Path,
    options: &[&str],
) -> Result<(), String> {
    let command_line = command_line(version, source.extension() == Some(OsStr::new("c")));
    // `CXX` may hold options after the name.
    let mut words = command_line.split_whitespace();
    let compiler = words.next().unwrap_or_default();
    let mut command = Command::new(compiler);
    command.args(words).args(options).arg("-o").arg(library).arg(source);
    command.args(["-ldl", "-pthread"]);
    let output = command.output().map_err(|error| format!("{compiler}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{compiler} cannot compile {}:\n{said}", source.display()))
}

/// The C or C++ compiler with the options that do not depend on files.
fn command_line(version: FakeVersion, c: bool) -> String {
    let (variable, otherwise) = if c { ("CC", "cc") } else { ("CXX", "c++") };
    let compiler = std::env::var(variable).unwrap_or_else(|_| otherwise.to_owned());
    // By its soname the loader knows the fake driver once it is loaded. The others have none: several versions
    // are in one process, and each has to be found by its file.
    let language = if c { "-std=c11 -Wl,-soname,libcuda.so.1" } else { "-std=c++14" };
    let FakeVersion { major, minor, patch } = version;
    format!(
        "{compiler} {language} -g1 -O0 -fPIC -shared -fvisibility=hidden -Wall -Wextra \
         -DTRT_MAJOR={major} -DTRT_MINOR={minor} -DTRT_PATCH={patch}"
    )
}
