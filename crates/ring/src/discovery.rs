//! Which streams there are on this machine.

use crate::reader::{ConnectError, Reader, ReaderOptions};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// A socket that was found, and what came of connecting to it.
#[derive(Debug)]
pub struct FoundStream {
    /// The socket.
    pub socket: PathBuf,
    /// A reader of the stream, or why there is none: its writer is gone, this user may not read it, or it is the socket of
    /// something else.
    pub reader: Result<Reader, ConnectError>,
}

/// Connects to every socket in `directory`, by name in ascending order.
///
/// A writer's own directory (`/run/occdepth`) has one socket for each stream. Each takes at most the time that `options` give
/// the handshake; one that does not answer holds up the others for as long.
///
/// # Errors
/// The directory cannot be read.
pub fn discover(directory: &Path, options: &ReaderOptions) -> std::io::Result<Vec<FoundStream>> {
    let mut sockets = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        // An entry that is gone by now is none.
        if entry.file_type().is_ok_and(|kind| kind.is_socket()) {
            sockets.push(entry.path());
        }
    }
    sockets.sort();
    let connect = |socket: PathBuf| {
        let reader = Reader::connect(&socket, options);
        FoundStream { socket, reader }
    };
    Ok(sockets.into_iter().map(connect).collect())
}
