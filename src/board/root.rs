//! Files of the system, or of a tree laid out like one.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// The directory that stands for `/`.
///
/// Paths are absolute and looked up below it, and so is what symbolic links point to: none leads out of
/// the tree. Reasons name paths as the system has them, without the root.
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
        if self.directory == Path::new("/") {
            return self.directory.join(path);
        }
        // The parts that are still to go, the next one last.
        let mut ahead: Vec<OsString> = parts(Path::new(path)).collect();
        ahead.reverse();
        let mut joined = self.directory.clone();
        let (mut depth, mut links) = (0_usize, 0);
        while let Some(part) = ahead.pop() {
            if part == ".." {
                if depth > 0 {
                    joined.pop();
                    depth -= 1;
                }
                continue;
            }
            joined.push(&part);
            depth += 1;
            let Ok(target) = fs::read_link(&joined) else { continue };
            links += 1;
            if links > MOST_LINKS {
                break;
            }
            if target.is_absolute() {
                (joined, depth) = (self.directory.clone(), 0);
            } else {
                joined.pop();
                depth -= 1;
            }
            let target: Vec<OsString> = parts(&target).collect();
            ahead.extend(target.into_iter().rev());
        }
        joined
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
        let inside = Path::new(path).strip_prefix("/").unwrap_or_else(|_| Path::new(path));
        let target = fs::read_link(self.directory.join(inside));
        let target = target.map_err(|error| format!("{path}: no symbolic link: {error}"))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// Whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.join(path).exists()
    }
}

/// The names in a path, and `..`.
fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
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

/// As many symbolic links as Linux follows in one path.
const MOST_LINKS: u32 = 40;
