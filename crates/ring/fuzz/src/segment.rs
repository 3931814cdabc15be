//! A segment of a writer that is broken or malicious, to a reader that asks for everything: what the segment holds when the
//! reader connects, what becomes of it between two questions, and what while a question is answered.

use crate::abi::{self, Due, u64_at};
use crate::damage;
use crate::fake_writer::{Answer, FakeWriter, open_descriptors};
use crate::good::{SEGMENTS, reply};
use crate::script::Script;
use memmap2::MmapMut;
use occdepth_ring::view::{GridView, Meaning, Meanings, Ray, RayEnd};
use occdepth_ring::{Grid, PublishedGrid, ReadError, Reader, ReaderOptions};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// Runs one input.
pub fn run(input: &[u8]) {
    thread_local!(static WRITER: FakeWriter = FakeWriter::start());
    let mut script = Script::new(input);
    let flags = script.u8();
    let mut bytes = if flags & RAW == 0 {
        SEGMENTS[usize::from(script.u8()) % 3].clone()
    } else {
        let mut bytes = vec![0; script.u16().into()];
        let start = script.take(bytes.len());
        bytes[..start.len()].copy_from_slice(start);
        bytes
    };
    damage::segment(&mut bytes, &mut script);
    if bytes.is_empty() {
        return;
    }

    WRITER.with(|writer| {
        let before = open_descriptors();
        let (file, memory) = shared(&bytes);
        let answer = Answer {
            datagrams: vec![(reply(&bytes), vec![Arc::new(file.into())])],
            hangs_up: flags & HANGS_UP != 0,
        };
        let checks_sums = flags & TRUSTS == 0;
        let options = ReaderOptions { verify_checksum: checks_sums, ..ReaderOptions::default() };
        let (reader, connection) = writer.offer(answer, &options);
        assert_eq!(reader.is_ok(), abi::is_segment(&bytes, bytes.len() as u64), "{reader:?}");
        match reader {
            Ok(reader) => {
                abi::assert_describes(&bytes, reader.description());
                assert_eq!(reader.epoch(), u64_at(&bytes, 112));
                let position = u64_at(&bytes, 1024).saturating_sub(1);
                let header = bytes[..8192].to_vec();
                let is_alive = connection.is_some();
                Questions { reader, position, checks_sums, is_alive, header, bytes, memory }
                    .ask(&mut script);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        drop(connection);
        assert_eq!(open_descriptors(), before);
    });
}

/// Flags of an input.
const TRUSTS: u8 = 1;
const HANGS_UP: u8 = 2;
const RAW: u8 = 4;

/// A sealed file as a writer makes it, and the mapping by which its writer still changes it.
#[allow(unsafe_code, reason = "a shared mapping")]
fn shared(bytes: &[u8]) -> (File, MmapMut) {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(rustix::fs::memfd_create("fuzz", flags).expect("memory"));
    file.write_all_at(bytes, 0).expect("memory");
    // SAFETY: this thread alone writes to the file, through this mapping alone, and never while it holds a reference to
    // bytes of it. The reader looks at it through a mapping of its own, by atomic loads, on this thread.
    let memory = unsafe { MmapMut::map_mut(&file) }.expect("memory");
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::FUTURE_WRITE | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).expect("a file that can be sealed");
    (file, memory)
}

struct Questions {
    reader: Reader,
    /// The reader's position, as it should be.
    position: u64,
    checks_sums: bool,
    is_alive: bool,
    /// What the reader saw when it connected: nothing of it may be looked at again.
    header: Vec<u8>,
    /// What the segment holds now.
    bytes: Vec<u8>,
    memory: MmapMut,
}

impl Questions {
    fn ask(mut self, script: &mut Script<'_>) {
        let mut grid = Grid::new();
        for _ in 0..MOST_QUESTIONS {
            match script.u8() {
                1 => change(&mut self.bytes, &mut self.memory, script),
                2 => {
                    let sequence = self.sequence(script);
                    self.copy(sequence, &mut grid);
                }
                3 => {
                    let sequence = self.sequence(script);
                    self.look(sequence, script);
                }
                4 => self.wait(script),
                5 => self.socket(),
                6 => self.view(&grid, script),
                7 => self.newest(&mut grid),
                // Also what an input that says nothing more asks.
                _ => self.next(&mut grid),
            }
            if script.is_at_end() {
                break;
            }
        }
        self.next(&mut grid);
        self.newest(&mut grid);
        self.view(&grid, script);
        let newest = u64_at(&self.bytes, 1024);
        self.look(newest, script);
    }

    fn next(&mut self, grid: &mut Grid) {
        let found = self.reader.next(grid, Duration::ZERO);
        let newest = u64_at(&self.bytes, 1024);
        if newest <= self.position {
            return match found {
                Ok(None) => assert!(self.is_alive),
                Err(ReadError::WriterGone) => assert!(!self.is_alive),
                other => panic!("nothing new: {other:?}"),
            };
        }
        let wanted = self.position + 1;
        match (self.due(wanted), found) {
            (Due::Grid, Ok(Some(sequence))) => {
                assert_eq!(sequence, wanted);
                abi::assert_copied(&self.header, &self.bytes, wanted, grid);
                self.position = wanted;
            }
            (Due::Corrupt, Err(ReadError::Corrupt { sequence, .. })) => {
                assert_eq!(sequence, wanted);
                self.position = wanted;
            }
            (Due::Overwritten, Err(ReadError::Lapped { missed })) => {
                let slots = u64::from(self.reader.slot_count());
                let resume = (u128::from(newest) + 2).saturating_sub(u128::from(slots));
                let resume = resume.max(u128::from(wanted) + 1);
                assert_eq!(u128::from(missed), resume - u128::from(wanted));
                self.position += missed;
            }
            (Due::NoGrid, Err(ReadError::NoGrid)) => {}
            (due, found) => panic!("{wanted} of {newest}: {due:?}, found {found:?}"),
        }
    }

    fn copy(&self, sequence: u64, grid: &mut Grid) {
        let before = grid.published;
        let found = self.reader.copy(sequence, grid);
        self.assert_copied(sequence, before, grid, found);
    }

    fn newest(&self, grid: &mut Grid) {
        let before = grid.published;
        let newest = u64_at(&self.bytes, 1024);
        assert_eq!(self.reader.newest(), newest);
        let found = self.reader.copy_newest(grid);
        self.assert_copied(newest, before, grid, found);
    }

    fn assert_copied(
        &self,
        sequence: u64,
        before: PublishedGrid,
        grid: &Grid,
        found: Result<(), ReadError>,
    ) {
        let bits = |grid: &PublishedGrid| format!("{grid:?}");
        match (self.due(sequence), found) {
            (Due::Grid, Ok(())) => {
                abi::assert_copied(&self.header, &self.bytes, sequence, grid);
            }
            (Due::NoGrid, Err(ReadError::NoGrid)) => {
                assert_eq!(bits(&grid.published), bits(&before));
            }
            (Due::Overwritten, Err(ReadError::Overwritten { .. }))
            | (Due::Corrupt, Err(ReadError::Corrupt { .. })) => {
                assert_eq!(grid.published, PublishedGrid::default());
            }
            (due, found) => panic!("{sequence}: {due:?}, found {found:?}"),
        }
    }

    /// Looks at a grid, and changes the segment in the middle of that.
    fn look(&mut self, sequence: u64, script: &mut Script<'_>) {
        let Self { reader, header, bytes, memory, .. } = self;
        // Sums are not checked.
        let due = abi::due(header, bytes, sequence, false);
        let mut has_looked = false;
        let found = reader.look(sequence, |live| {
            has_looked = true;
            let slot = &bytes[abi::slot_offset(header, sequence)..];
            abi::assert_published(header, slot, &live.published());
            let voxel = [script.u8(), script.u8(), script.u8()].map(u32::from);
            let index = reader.description().grid.index(voxel);
            let labels = abi::labels(header, slot);
            let confidence = abi::confidence(header, slot);
            assert_eq!(live.label(voxel), index.map(|index| labels[index]));
            let expected = index.and_then(|index| confidence.get(index).copied());
            assert_eq!(live.confidence(voxel), expected);
            let from = [usize::from(script.u16()), usize::MAX - 3][usize::from(script.u8() & 1)];
            let length = script.u8().into();
            let mut some = vec![0; length];
            let range = from..from.saturating_add(length);
            assert_eq!(live.copy_labels(from, &mut some), labels.get(range.clone()).is_some());
            assert_eq!(some, labels.get(range.clone()).unwrap_or(&vec![0; length]));
            some.fill(0);
            assert_eq!(
                live.copy_confidence(from, &mut some),
                confidence.get(range.clone()).is_some()
            );
            assert_eq!(some, confidence.get(range).unwrap_or(&vec![0; length]));
            change(bytes, memory, script);
            let slot = &bytes[abi::slot_offset(header, sequence)..];
            abi::assert_published(header, slot, &live.published());
        });
        let is_still = || u64_at(bytes, abi::slot_offset(header, sequence)) == 2 * sequence;
        match found {
            Err(ReadError::NoGrid) => assert_eq!(due, Due::NoGrid),
            Err(ReadError::Overwritten { .. }) => {
                assert!(due == Due::Overwritten || has_looked && !is_still());
            }
            Ok(()) => assert!(has_looked && is_still()),
            Err(error) => panic!("{error}"),
        }
    }

    fn wait(&self, script: &mut Script<'_>) {
        let newest = u64_at(&self.bytes, 1024);
        let newer_than = self.sequence(script);
        let timeout = Duration::from_micros(u64::from(script.u8()) / 4);
        match self.reader.wait(newer_than, timeout) {
            Ok(Some(found)) => assert!(found == newest && newest > newer_than),
            Ok(None) => assert!(newest <= newer_than && self.is_alive),
            Err(ReadError::WriterGone) => assert!(newest <= newer_than && !self.is_alive),
            Err(error) => panic!("{error}"),
        }
    }

    fn socket(&self) {
        assert_eq!(self.reader.is_writer_alive().ok(), Some(self.is_alive));
        match self.reader.drain_notifications() {
            Ok(count) => assert!(count == 0 && self.is_alive),
            Err(ReadError::WriterGone) => assert!(!self.is_alive),
            Err(error) => panic!("{error}"),
        }
    }

    /// What clients make of a grid whose description and labels are the writer's.
    fn view(&self, grid: &Grid, script: &mut Script<'_>) {
        let description = self.reader.description();
        let meanings = Meanings::of_stream(description);
        let Some(view) = GridView::of(grid, description, &meanings) else {
            return assert!(grid.labels.is_empty());
        };
        let is_occupied = |&&label: &&u8| meanings.of(label) == Meaning::Occupied;
        assert_eq!(view.points().count(), grid.labels.iter().filter(is_occupied).count());
        for occupied in view.occupied() {
            assert_eq!(view.voxel(occupied.voxel), Some((occupied.label, Meaning::Occupied)));
        }
        let (mut heights, mut seen) = (vec![0.0; view.columns()], vec![0; view.columns()]);
        assert_eq!((view.height_map(&mut heights), view.birds_eye(&mut seen)), (Ok(()), Ok(())));
        let ray = Ray {
            from_m: [script.f64(), script.f64(), script.f64()],
            direction: [script.u8(), script.u8(), script.u8()]
                .map(|part| part.cast_signed().into()),
            at_most_m: script.f64(),
        };
        match view.cast(&ray) {
            RayEnd::Occupied { voxel, label, .. } => {
                assert_eq!(view.voxel(voxel), Some((label, Meaning::Occupied)));
            }
            RayEnd::Unknown { voxel, .. } => {
                assert!(matches!(view.voxel(voxel), Some((_, Meaning::Unknown))));
            }
            RayEnd::Free { .. } | RayEnd::Outside => {}
        }
    }

    fn due(&self, sequence: u64) -> Due {
        abi::due(&self.header, &self.bytes, sequence, self.checks_sums)
    }

    /// One of the newest, or any.
    fn sequence(&self, script: &mut Script<'_>) -> u64 {
        match script.u8() {
            back @ ..=15 => u64_at(&self.bytes, 1024).wrapping_sub(u64::from(back)),
            16 => u64_at(&self.bytes, 1024).wrapping_add(1),
            _ => script.u64(),
        }
    }
}

/// What the writer does to a segment that is in use.
fn change(bytes: &mut Vec<u8>, memory: &mut MmapMut, script: &mut Script<'_>) {
    let size = bytes.len();
    damage::segment(bytes, script);
    bytes.resize(size, 0);
    memory.copy_from_slice(bytes);
}

const MOST_QUESTIONS: usize = 16;
