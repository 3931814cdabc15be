//! One stream from its creation to its end: a writer, its readers, and what they report.

use crate::child::{Child, Message, ReaderOrder, Reception, Role, WriterOrder};
use crate::contender::{Contender, Failure, Meeting, PublishCost};
use crate::iceoryx::Limits;
use crate::memory::{self, ProcessMemory, Reserved};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) contender: Contender,
    pub(crate) slots: u32,
    pub(crate) limits: Option<Limits>,
    pub(crate) readers: usize,
    /// Besides the warm-up.
    pub(crate) grids: u64,
    pub(crate) every_us: u64,
    pub(crate) loaded: bool,
}

/// What came of it, without the warm-up.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) costs: Vec<PublishCost>,
    pub(crate) readers: Vec<Reception>,
    pub(crate) writer_memory: ProcessMemory,
    pub(crate) reserved: Reserved,
}

impl Setting {
    /// Runs all processes and waits for them.
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        let place = Place::new()?;
        let last_frame = WARM_UP_GRIDS + self.grids - 1;
        let mut writer = self.start_writer(&place, last_frame)?;
        let Message::Ready { .. } = writer.message(SOON)? else { return Err(OUT_OF_TURN.into()) };
        let mut readers = Vec::new();
        for _ in 0..self.readers {
            readers.push(self.start_reader(&place, last_frame)?);
        }
        for reader in &readers {
            let Message::Attached { .. } = reader.message(SOON)? else {
                return Err(OUT_OF_TURN.into());
            };
        }
        let load = self.loaded.then(|| Child::start(&Role::Load)).transpose()?;
        writer.go_on()?;

        // Ten times as long as planned: a loaded machine is late, a lost wake-up never comes.
        let planned = Duration::from_micros(self.every_us.saturating_mul(last_frame + 1));
        let within = SOON + planned * 10;
        let Message::Published { mut costs, memory, reserved } = writer.message(within)? else {
            return Err(OUT_OF_TURN.into());
        };
        let mut receptions = Vec::new();
        for reader in &readers {
            let Message::Received(mut reception) = reader.message(SOON)? else {
                return Err(OUT_OF_TURN.into());
            };
            reception.samples.retain(|sample| sample.frame >= WARM_UP_GRIDS);
            receptions.push(reception);
        }
        drop(load);
        for reader in readers {
            reader.end()?;
        }
        writer.end()?;
        costs.drain(..usize::try_from(WARM_UP_GRIDS)?);
        Ok(Outcome { costs, readers: receptions, writer_memory: memory, reserved })
    }

    pub(crate) fn start_writer(&self, place: &Place, last_frame: u64) -> Result<Child, Failure> {
        Child::start(&Role::Writer(WriterOrder {
            contender: self.contender,
            meeting: place.meeting.clone(),
            slots: self.slots,
            limits: self.limits,
            last_frame,
            every_us: self.every_us,
            uid: None,
            allowed_uid: None,
        }))
    }

    pub(crate) fn start_reader(&self, place: &Place, last_frame: u64) -> Result<Child, Failure> {
        Child::start(&Role::Reader(ReaderOrder {
            contender: self.contender,
            meeting: place.meeting.clone(),
            last_frame,
            uid: None,
        }))
    }
}

/// A meeting place of one stream's own; nothing is left of it, even when the stream was killed.
#[derive(Debug)]
pub(crate) struct Place {
    directory: TempDir,
    pub(crate) meeting: Meeting,
}

impl Place {
    pub(crate) fn new() -> Result<Self, Failure> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = tempfile::tempdir()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let meeting = Meeting {
            directory: directory.path().to_owned(),
            prefix: format!("occbench_{}_{number}_", std::process::id()),
        };
        Ok(Self { directory, meeting })
    }

    /// Gives the directory to a user, who lets everybody in.
    pub(crate) fn give_to(&self, uid: u32) -> Result<(), Failure> {
        let path = self.directory.path();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
        Ok(std::os::unix::fs::chown(path, Some(uid), Some(uid))?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // iceoryx2 leaves a segment behind at every end, and all of them where a process was killed.
        for file in memory::shared_memory(&self.meeting).unwrap_or_default() {
            let _ = std::fs::remove_file(file);
        }
    }
}

/// More than the samples of any setting measured for latency, so that every page of theirs was
/// touched, by both sides.
pub(crate) const WARM_UP_GRIDS: u64 = 50;
/// For what takes milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// A process answered what it was not asked.
pub(crate) const OUT_OF_TURN: &str = "a message out of turn";
