//! The path of the socket: taken by one writer at a time, without a race.
//!
//! A socket file outlives its process, so its existence says nothing. Who holds an exclusive
//! `flock` on the file beside it (`front.sock.lock` for `front.sock`) owns the path: the kernel
//! gives the lock to one process and takes it back when that process dies, however it dies. The
//! lock file itself is never removed, because removing it would let two writers lock two files of
//! the same name.

use super::{WriterError, WriterOptions};
use rustix::fs::{AtFlags, FileType, FlockOperation, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A path that this process alone serves; given up on drop.
#[derive(Debug)]
pub(super) struct SocketPath {
    path: PathBuf,
    /// Device and inode of our socket, so that nobody else's is ever removed.
    identity: (u64, u64),
    _lock: OwnedFd,
}

impl SocketPath {
    /// Takes the path and listens on it.
    pub(super) fn take(options: &WriterOptions) -> Result<(Self, OwnedFd), WriterError> {
        let path = options.socket.as_path();
        let address = SocketAddrUnix::new(path)
            .map_err(|error| WriterError::path(path, "a socket path of 1 to 107 bytes", error))?;
        make_directory(path, options)?;
        let lock = lock(path)?;
        remove_stale(path, &address)?;

        let listener = socket()?;
        rustix::net::bind(&listener, &address)
            .map_err(|error| WriterError::path(path, "bind", error))?;
        let stat =
            rustix::fs::lstat(path).map_err(|error| WriterError::path(path, "stat", error))?;
        // From here on the drop removes the socket, whatever fails next.
        let taken = Self { path: path.to_owned(), identity: identity(&stat), _lock: lock };
        // Nobody can connect before `listen`, so mode and group are in place in time.
        set_owner(path, options.socket_mode, options.socket_group)?;
        rustix::net::listen(&listener, BACKLOG)
            .map_err(|error| WriterError::path(path, "listen", error))?;
        Ok((taken, listener))
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let ours = rustix::fs::lstat(&self.path).is_ok_and(|stat| identity(&stat) == self.identity);
        if ours && let Err(error) = rustix::fs::unlink(&self.path) {
            log::warn!("{}: cannot remove the socket: {error}", self.path.display());
        }
    }
}

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

fn make_directory(path: &Path, options: &WriterOptions) -> Result<(), WriterError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty())
    else {
        return Ok(());
    };
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(options.directory_mode)
        .create(directory)
        .map_err(|error| WriterError::path(directory, "make the directory", error))?;
    // Once more, because the umask has taken its bits away.
    set_owner(directory, options.directory_mode, options.socket_group)
}

fn set_owner(path: &Path, mode: u32, group: Option<u32>) -> Result<(), WriterError> {
    if let Some(group) = group {
        rustix::fs::chownat(
            rustix::fs::CWD,
            path,
            None,
            Some(Gid::from_raw(group)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .map_err(|error| WriterError::path(path, "set the group", error))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
        .map_err(|error| WriterError::path(path, "set the mode", error))
}

fn lock(path: &Path) -> Result<OwnedFd, WriterError> {
    let mut name = OsString::from(path);
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::open(&lock_path, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| WriterError::path(&lock_path, "open the lock file", error))?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(WriterError::SecondWriter { path: path.to_owned() }),
        Err(error) => Err(WriterError::path(&lock_path, "lock", error)),
    }
}

/// Removes a socket that nobody listens on. The lock says that no writer of ours does; a program
/// that does not know the lock is found by connecting.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), WriterError> {
    let stat = match rustix::fs::lstat(path) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(WriterError::path(path, "stat", error)),
    };
    if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
        return Err(WriterError::NotASocket { path: path.to_owned() });
    }
    match rustix::net::connect(socket()?, address) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => {}
        // Connected, or a full backlog, or a socket of another type: somebody is there.
        _ => return Err(WriterError::SecondWriter { path: path.to_owned() }),
    }
    rustix::fs::unlink(path)
        .map_err(|error| WriterError::path(path, "remove a stale socket", error))
}

fn socket() -> Result<OwnedFd, WriterError> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(|error| WriterError::system("socket", error))
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}
