//! Files of the system, or of a tree laid out like one.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// The directory that stands for `/`.
///
/// Paths are absolute and looked up below it; so is where an absolute symbolic link points to, when it
/// is the last part of a path. Reasons name paths as the system has them, without the root.
#[derive(Clone, Debug)]
pub struct Root {
    directory: PathBuf,
}

impl Root {
    /// The machine itself.
    pub fn system() -> Self {
        Self::at("/")
    }

    /// A tree below `directory`.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// Where `path` is in the tree.
    pub fn join(&self, path: &str) -> PathBuf {
        let inside =
            Path::new(path).components().filter(|part| matches!(part, Component::Normal(_)));
        let mut joined = self.directory.clone();
        joined.extend(inside);
        // One step is enough: /etc/nvpmodel.conf, /usr/local/cuda.
        match fs::read_link(&joined) {
            Ok(target) if target.is_absolute() => {
                let inside = target.strip_prefix("/").unwrap_or(&target);
                self.directory.join(inside)
            }
            _ => joined,
        }
    }

    /// The text of a file, without the NULs and white space around it; at most 64 KiB of it.
    ///
    /// # Errors
    /// The path and why it cannot be read.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let mut bytes = Vec::new();
        let result = File::open(self.join(path))
            .and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
        result.map_err(|error| format!("{path}: {error}"))?;
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned())
    }

    /// The number in a file.
    ///
    /// # Errors
    /// The path and why it cannot be read, or what it says instead of a number.
    pub fn number<T: FromStr>(&self, path: &str) -> Result<T, String> {
        let text = self.text(path)?;
        text.parse().map_err(|_| format!("{path}: found {}, expected a number", quoted(&text)))
    }

    /// The names in a directory, sorted as people count; none where it cannot be read.
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_by_key(|name| counted(name));
        names
    }

    /// Where the symbolic link at `path` points to.
    ///
    /// # Errors
    /// The path and why it is no such link.
    pub fn link(&self, path: &str) -> Result<String, String> {
        let inside = Path::new(path).strip_prefix("/").unwrap_or(Path::new(path));
        let target = fs::read_link(self.directory.join(inside));
        let target = target.map_err(|error| format!("{path}: no symbolic link: {error}"))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// Whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.join(path).exists()
    }
}

/// `text` as reasons quote it: escaped, and not all of it when it is long.
pub(crate) fn quoted(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{start:?}{more}")
}

/// A name without the digits at its end, and their number: `zone2` before `zone10`.
fn counted(name: &str) -> (String, u64) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0))
}

/// More than any file that is read here has.
const MOST_BYTES: u64 = 64 << 10;
