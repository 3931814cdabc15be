//! Whether memory can be had, asked before it is taken.
//!
//! The kernel does not refuse the pages of a memory file when memory is short: it hands them out until there are none, and
//! then kills a process, perhaps not even the one that asked. Nor does it refuse a file above the file size limit: it sends
//! a signal that kills. So both are looked at first. That is no reservation, and memory that somebody else takes at the
//! same time is not noticed; it turns a segment that cannot fit into an error that says so.

use rustix::process::{Resource, getrlimit};
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

/// Fails, and says what is too small, when a memory file of `bytes` bytes cannot be had. What cannot be found out is no
/// reason to fail.
pub(crate) fn check(bytes: u64) -> Result<(), Error> {
    let short = |whose: &str, left: u64| {
        let message = format!("{whose} has {left} bytes left");
        Err(Error::new(ErrorKind::OutOfMemory, message))
    };
    let meminfo = read(Path::new("/proc/meminfo"));
    let swap = meminfo.as_deref().and_then(|text| kibibytes(text, "SwapFree:")).unwrap_or(0);
    let available = meminfo.as_deref().and_then(|text| kibibytes(text, "MemAvailable:"));
    if let Some(left) = available.map(|left| left.saturating_add(swap))
        && left < bytes
    {
        return short("the machine", left);
    }
    let groups = read(Path::new("/proc/self/cgroup")).unwrap_or_default();
    for (group, version) in memory_groups(&groups) {
        if let Some(left) = version.left_in(&group).map(|left| left.saturating_add(swap))
            && left < bytes
        {
            return short(&format!("the control group {}", group.display()), left);
        }
    }
    if let Some(limit) = getrlimit(Resource::Fsize).current.filter(|&limit| limit < bytes) {
        let message = format!("the limit of file sizes (RLIMIT_FSIZE) is {limit} bytes");
        return Err(Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(())
}

/// The directories of the control groups that limit this process's memory, innermost first.
fn memory_groups(of_process: &str) -> Vec<(PathBuf, Version)> {
    // `4:memory:/a/b` of version 1, `0::/a/b` of version 2; a process that is in both is limited by the first.
    let group_of = |is_it: &dyn Fn(&str, &str) -> bool| {
        of_process.lines().find_map(|line| {
            let (id, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            is_it(id, controllers).then_some(path)
        })
    };
    let first = group_of(&|_, controllers| controllers.split(',').any(|name| name == "memory"));
    let (version, path) = match first {
        Some(path) => (Version::One, path),
        None => match group_of(&|id, _| id == "0") {
            Some(path) => (Version::Two, path),
            None => return Vec::new(),
        },
    };
    let root = Path::new(version.root());
    let group = root.join(path.trim_start_matches('/'));
    // In a container the path may be the host's and lead nowhere; the root is then the container's own group.
    group
        .ancestors()
        .take_while(|level| level.starts_with(root))
        .map(|level| (level.to_owned(), version))
        .collect()
}

/// The two kinds of control groups, with other names for the same.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn root(self) -> &'static str {
        match self {
            Self::One => "/sys/fs/cgroup/memory",
            Self::Two => "/sys/fs/cgroup",
        }
    }

    /// What a group can still take, file pages that can be dropped counted as free; `None` without a limit.
    fn left_in(self, group: &Path) -> Option<u64> {
        let (limit, usage, dropped) = match self {
            Self::One => (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                ["total_inactive_file ", "total_active_file "],
            ),
            Self::Two => ("memory.max", "memory.current", ["inactive_file ", "active_file "]),
        };
        let number = |name: &str| read(&group.join(name))?.trim().parse::<u64>().ok();
        // `max` of version 2 is no number: no limit.
        let (limit, usage) = (number(limit)?, number(usage)?);
        let stat = read(&group.join("memory.stat")).unwrap_or_default();
        let dropped = dropped.iter().filter_map(|key| value(&stat, key)).sum::<u64>();
        Some(limit.saturating_sub(usage.saturating_sub(dropped)))
    }
}

fn kibibytes(text: &str, key: &str) -> Option<u64> {
    Some(value(text, key)?.saturating_mul(1024))
}

/// The number after `key` at the start of a line.
fn value(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_little_can_be_had_and_more_than_any_machine_has_cannot() {
        check(4096).unwrap();
        let error = check(1 << 50).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert!(error.to_string().ends_with(" bytes left"), "{error}");
    }

    #[test]
    fn a_line_is_found_by_the_whole_of_its_key() {
        let meminfo = "MemTotal:       100 kB\nMemAvailable:    7 kB\nSwapFree: 0 kB\n";
        assert_eq!(kibibytes(meminfo, "MemAvailable:"), Some(7 * 1024));
        assert_eq!(kibibytes(meminfo, "SwapFree:"), Some(0));
        assert_eq!(kibibytes(meminfo, "Mem:"), None);
        assert_eq!(value("inactive_file 3\nfile 4\nactive_file 5\n", "active_file "), Some(5));
        assert_eq!(value("active_file many\n", "active_file "), None);
    }

    #[test]
    fn every_group_from_the_process_up_to_the_root_may_have_the_limit() {
        let paths = |text: &str| -> Vec<String> {
            memory_groups(text).into_iter().map(|(path, _)| path.display().to_string()).collect()
        };
        assert_eq!(
            paths("5:cpu,memory:/a/b\n1:name=systemd:/x\n0::/y\n"),
            ["/sys/fs/cgroup/memory/a/b", "/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"]
        );
        assert_eq!(paths("0::/y\n"), ["/sys/fs/cgroup/y", "/sys/fs/cgroup"]);
        assert_eq!(paths("1:name=systemd:/x\n"), [""; 0]);
        assert_eq!(paths("nonsense"), [""; 0]);
    }

    #[test]
    fn what_is_left_is_the_limit_less_what_cannot_be_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let group = directory.path();
        let write = |name: &str, text: &str| std::fs::write(group.join(name), text).unwrap();
        assert_eq!(Version::Two.left_in(group), None, "the root has no such files");
        write("memory.current", "600\n");
        write("memory.stat", "anon 300\ninactive_file 100\nactive_file 50\n");
        write("memory.max", "max\n");
        assert_eq!(Version::Two.left_in(group), None);
        write("memory.max", "1000\n");
        assert_eq!(Version::Two.left_in(group), Some(550));
        write("memory.max", "100\n");
        assert_eq!(Version::Two.left_in(group), Some(0));

        assert_eq!(Version::One.left_in(group), None);
        write("memory.limit_in_bytes", "1000\n");
        write("memory.usage_in_bytes", "900\n");
        write("memory.stat", "inactive_file 1\ntotal_inactive_file 200\ntotal_active_file 0\n");
        assert_eq!(Version::One.left_in(group), Some(300));
    }
}
