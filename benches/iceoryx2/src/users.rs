//! Whether a reader may be another user than the writer.

use crate::child::{Child, Message, ReaderOrder, Role, WriterOrder};
use crate::contender::{Contender, Failure};
use crate::rounds::{SLOTS, as_late_as_the_ring, progress};
use crate::stream::{OUT_OF_TURN, Place, SOON};
use crate::{iceoryx, memory};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// What was tried, and what happened.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) happened: String,
}

/// All attempts; `None` where this process may not become another user.
pub(crate) fn measure() -> Result<Option<Vec<Attempt>>, Failure> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let mut attempts = Vec::new();
    for (name, contender, reader_uid, permission) in [
        ("ring, the writer's own user", Contender::Ring, WRITER_UID, Permission::AsItComes),
        (
            "ring, another user, who is not on its list",
            Contender::Ring,
            READER_UID,
            Permission::SomebodyElse,
        ),
        ("ring, another user, on its list", Contender::Ring, READER_UID, Permission::Allowed),
        ("iceoryx2, the writer's own user", Contender::Iceoryx2, WRITER_UID, Permission::AsItComes),
        ("iceoryx2, another user", Contender::Iceoryx2, READER_UID, Permission::AsItComes),
        (
            "iceoryx2, another user, all its files and directories opened to everybody by hand",
            Contender::Iceoryx2,
            READER_UID,
            Permission::OpenedByHand,
        ),
    ] {
        let happened = attempt(contender, reader_uid, permission)
            .map_err(|error| format!("{name}: {error}"))?;
        attempts.push(Attempt { name, happened });
    }
    progress("other users tried");
    Ok(Some(attempts))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    AsItComes,
    /// To the reader, by the ring's options.
    Allowed,
    /// To another than the reader, by the ring's options.
    SomebodyElse,
    /// By `chmod`, after the writer has made its files.
    OpenedByHand,
}

fn attempt(
    contender: Contender,
    reader_uid: u32,
    permission: Permission,
) -> Result<String, Failure> {
    let place = Place::new()?;
    place.give_to(WRITER_UID)?;
    let mut writer = Child::start(&Role::Writer(WriterOrder {
        contender,
        meeting: place.meeting.clone(),
        slots: SLOTS,
        limits: Some(as_late_as_the_ring(8)),
        last_frame: u64::MAX,
        every_us: 20_000,
        uid: Some(WRITER_UID),
        allowed_uid: match permission {
            Permission::Allowed => Some(reader_uid),
            Permission::SomebodyElse => Some(reader_uid - 2),
            Permission::AsItComes | Permission::OpenedByHand => None,
        },
    }))?;
    let Message::Ready { .. } = writer.message(SOON)? else { return Err(OUT_OF_TURN.into()) };
    if permission == Permission::OpenedByHand {
        open_to_everybody(&place)?;
    }
    writer.go_on()?;
    let reader = Child::start(&Role::Reader(ReaderOrder {
        contender,
        meeting: place.meeting.clone(),
        last_frame: 0,
        uid: Some(reader_uid),
    }))?;
    let mut happened = match reader.message(SOON) {
        Err(error) => format!("refused: {error}"),
        Ok(Message::Attached { .. }) => match reader.message(GRID_WITHIN) {
            Err(error) => format!("attached, but no grid: {error}"),
            Ok(Message::Received(reception)) if reception.wrong == 0 => "reads".to_owned(),
            Ok(Message::Received(_)) => return Err("a grid is not whole".into()),
            Ok(_) => return Err(OUT_OF_TURN.into()),
        },
        Ok(_) => return Err(OUT_OF_TURN.into()),
    };
    // It publishes without end, so whatever it says is that it failed.
    if let Err(error) = writer.message(Duration::from_millis(100)) {
        let error = error.to_string();
        if !error.starts_with("nothing within") {
            happened.push_str(&format!("; the writer failed: {error}"));
        }
    }
    // Names of directories made for this run say nothing.
    Ok(happened.replace(&*place.meeting.directory.to_string_lossy(), "DIRECTORY"))
}

fn open_to_everybody(place: &Place) -> Result<(), Failure> {
    let mut paths = memory::shared_memory(&place.meeting)?;
    paths.extend(memory::tree(&iceoryx::root(&place.meeting))?);
    for path in paths {
        let mode = if path.symlink_metadata()?.is_dir() { 0o777 } else { 0o666 };
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode))?;
    }
    Ok(())
}

const WRITER_UID: u32 = 65_533;
const READER_UID: u32 = 65_534;
/// A grid comes every 20 ms.
const GRID_WITHIN: Duration = Duration::from_secs(3);
