//! File trees that stand for machines.

use occdepth::board::Root;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

/// A tree below a directory that goes away with it.
pub(crate) struct Tree(tempfile::TempDir);

impl Tree {
    /// A tree of these files. Values of the kernel end in a line break; a device tree's end in NUL, and say so.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, content) in files {
            let ends = path.starts_with("/proc/device-tree") || content.contains('\n');
            let content = if ends { (*content).to_owned() } else { format!("{content}\n") };
            tree.write(path, &content);
        }
        tree
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A symbolic link, as sysfs's classes and NVIDIA's packages have them.
    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap();
    }

    pub(crate) fn root(&self) -> Root {
        Root::at(self.0.path())
    }
}
