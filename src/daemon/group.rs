//! Groups, as people name them.

use serde::Deserialize;
use std::path::Path;

/// A group by number, or by a name that is in `/etc/group`.
///
/// Names from elsewhere (LDAP) are not looked up, because that takes the C library's plugins: their numbers will do.
pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "the number of a group, or its name")]
    enum Group {
        Number(u32),
        Name(String),
    }
    match Group::deserialize(deserializer)? {
        Group::Number(number) => Ok(Some(number)),
        Group::Name(name) => {
            of_name(&name, Path::new("/etc/group")).map(Some).map_err(serde::de::Error::custom)
        }
    }
}

/// The number of a group in a file as `group(5)` describes it.
fn of_name(name: &str, file: &Path) -> Result<u32, String> {
    let text = std::fs::read(file)
        .map_err(|error| format!("group {name:?}: {}: {error}", file.display()))?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines().map(|line| line.split(':'));
    lines
        .find_map(|mut fields| (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?)
        .ok_or_else(|| format!("group {name:?} is not in {}; give its number", file.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use std::io::Write;

    #[test]
    fn names_are_found_and_missing_ones_are_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(
            b"root:x:0:\n# planner:x:7:\nplanners:x:1042:anna,ben\nbad:x:many:\n\xff:x:3:\n",
        )
        .unwrap();
        let of = |name| of_name(name, file.path());
        assert_eq!((of("root"), of("planners")), (Ok(0), Ok(1042)));
        for missing in ["planner", "bad", "", "x"] {
            let error = of(missing).unwrap_err();
            assert!(error.contains(&format!("{missing:?}")) && error.contains("number"), "{error}");
        }
        let error = of_name("root", Path::new("/nowhere/group")).unwrap_err();
        assert!(error.contains("/nowhere/group"), "{error}");
    }
}
