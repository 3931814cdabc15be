//! The profiles that come with the program.

use super::{Profile, ProfileError};
use std::path::Path;
use std::sync::LazyLock;

/// The profiles of `board/`, from the smallest Jetson to machines without one.
pub fn catalogue() -> &'static [Profile] {
    &CATALOGUE
}

/// The profile that `board` names: one of [`catalogue`], or the path of a file (it has a `/` or ends in
/// `.toml`).
///
/// # Errors
/// [`ProfileError`] for a name that nobody has, or a file that is no profile.
pub fn find(board: &str) -> Result<Profile, ProfileError> {
    let path = Path::new(board);
    if board.contains('/') || path.extension().is_some_and(|extension| extension == "toml") {
        return Profile::read(path);
    }
    let known = || catalogue().iter().map(|profile| profile.name.as_str());
    catalogue().iter().find(|profile| profile.name == board).cloned().ok_or_else(|| {
        ProfileError::Unknown { name: board.into(), known: known().collect::<Vec<_>>().join(", ") }
    })
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../board/", $name)))),*]
    };
}

/// File name and text. A test parses each of them and compares the list with the folder.
const FILES: [(&str, &str); 12] = files![
    "orin-nano-4gb.toml",
    "orin-nano-8gb.toml",
    "orin-nx-8gb.toml",
    "orin-nx-16gb.toml",
    "agx-orin-32gb.toml",
    "agx-orin-64gb.toml",
    "xavier-nx.toml",
    "agx-xavier.toml",
    "thor-t4000.toml",
    "thor-t5000.toml",
    "discrete-gpu.toml",
    "cpu.toml",
];

static CATALOGUE: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    FILES
        .iter()
        .map(|(name, text)| {
            let origin = format!("board/{name} (compiled in)");
            Profile::parse(text, &origin).expect("a test parses every profile that is compiled in")
        })
        .collect()
});
