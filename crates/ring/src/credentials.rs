//! Who is at the other end of a socket, as the kernel reports it.
#![allow(unsafe_code, reason = "socket options and ioctls that rustix has no safe call for")]

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

/// Who is at the other end of a socket: recorded by the kernel when it connected or listened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Process id; 0 when the process cannot be seen from this pid namespace (from a container).
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
}

/// `SO_PEERCRED`.
///
/// Not by rustix, whose type has no room for the process id 0 that a client in a container gets.
pub(crate) fn peer(socket: impl AsFd) -> std::io::Result<Credentials> {
    let mut credentials = MaybeUninit::<libc::ucred>::zeroed();
    let mut bytes = socklen(size_of::<libc::ucred>());
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the option writes at most
    // `bytes` bytes to a buffer that has as many, and the new length to a valid socklen_t.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            credentials.as_mut_ptr().cast(),
            &raw mut bytes,
        )
    };
    if result != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: `ucred` is three integers; zeroed before and overwritten since, it is initialised.
    let credentials = unsafe { credentials.assume_init() };
    Ok(Credentials { pid: credentials.pid, uid: credentials.uid, gid: credentials.gid })
}

/// `SO_PEERGROUPS`: the supplementary groups, which `SO_PEERCRED` does not have.
pub(crate) fn peer_groups(socket: impl AsFd) -> std::io::Result<Vec<u32>> {
    let mut groups: Vec<u32> = vec![0; 32];
    loop {
        let capacity = size_of_val(groups.as_slice());
        let mut bytes = socklen(capacity);
        // SAFETY: the descriptor is open for as long as `socket` is borrowed; the option writes at
        // most `bytes` bytes of gid_t (a u32) to a buffer that has as many, and the length that it
        // has, or that it needs, to a valid socklen_t.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut bytes,
            )
        };
        let length = bytes as usize / size_of::<u32>();
        if result == 0 {
            groups.truncate(length);
            return Ok(groups);
        }
        let error = std::io::Error::last_os_error();
        // ERANGE: the buffer is too small, and `bytes` says what is needed.
        if error.raw_os_error() != Some(libc::ERANGE) || bytes as usize <= capacity {
            return Err(error);
        }
        groups.resize(length, 0);
    }
}

/// `SIOCOUTQ`: kernel memory of what was sent on a socket and not yet read by the other end, in
/// bytes; 0 exactly when the other end has read, or dropped, everything.
pub(crate) fn unread_bytes(socket: impl AsFd) -> std::io::Result<usize> {
    #[allow(clippy::cast_possible_truncation, reason = "ioctl numbers have 32 bits")]
    const SIOCOUTQ: rustix::ioctl::Opcode = libc::TIOCOUTQ as rustix::ioctl::Opcode;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) on a socket writes one int, see unix(7).
    let request = unsafe { rustix::ioctl::Getter::<SIOCOUTQ, libc::c_int>::new() };
    // SAFETY: the request reads nothing, and writes only its own output.
    let unread = unsafe { rustix::ioctl::ioctl(socket, request) }?;
    Ok(usize::try_from(unread).unwrap_or(0))
}

/// A length for the kernel: never more than `bytes`.
fn socklen(bytes: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(bytes).unwrap_or(libc::socklen_t::MAX)
}
