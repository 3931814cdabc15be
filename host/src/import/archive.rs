//! A zip file of stored (uncompressed) entries, which is what `torch.save` writes.
//!
//! Only the directory at the end is read when opening; the bytes of an entry are read where they
//! lie. The format is PKWARE's APPNOTE 6.3.10 (sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3),
//! with its 64-bit fields, which `torch.save` always writes.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
};

use super::opening::printable;

/// The entries of a zip file by name.
#[derive(Debug)]
pub(super) struct Archive {
    entries: BTreeMap<String, Entry>,
}

/// Where an entry lies, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Offset of its local header in the file.
    header_start: u64,
    /// Bytes of content.
    pub(super) len: u64,
    /// CRC-32 of the content.
    pub(super) crc: u32,
}

/// Why a file is not an archive that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file could not be read.
    #[error("cannot read the zip file")]
    Io(#[from] std::io::Error),
    /// A zip file ends with its directory; this one does not.
    #[error("the zip file is cut off: it has no directory at its end")]
    NoDirectory,
    /// A record is not where the directory says, or a range leaves the file.
    #[error("the zip file is damaged: {0}")]
    Damaged(&'static str),
    /// The entry is compressed or encrypted.
    #[error("the zip entry {name} is compressed or encrypted; torch.save stores plainly")]
    NotStored {
        /// The entry.
        name: String,
    },
    /// Two entries have the same name.
    #[error("the zip file has two entries {name}")]
    Duplicate {
        /// Their name.
        name: String,
    },
    /// The content of an entry is not what was written.
    #[error("the zip entry {name} is damaged: its CRC-32 is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// The entry.
        name: String,
        /// Of the content.
        found: u32,
        /// In the directory.
        expected: u32,
    },
}

impl Archive {
    /// Reads the directory.
    pub(super) fn open<R: Read + Seek>(file: &mut R) -> Result<Self, ArchiveError> {
        let file_len = file.seek(SeekFrom::End(0))?;
        let directory = Directory::find(file, file_len)?;
        if directory.len > MAX_DIRECTORY_BYTES {
            return Err(ArchiveError::Damaged("its directory is longer than any checkpoint's"));
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(directory.start))?;
        file.take(directory.len).read_to_end(&mut bytes)?;
        let mut fields = Fields(&bytes);
        let mut entries = BTreeMap::new();
        for _ in 0..directory.entries {
            let (name, entry) = fields.directory_entry()?;
            if entry.header_start.checked_add(entry.len).is_none_or(|end| end > file_len) {
                return Err(ArchiveError::Damaged("an entry lies outside the file"));
            }
            if entries.insert(name.clone(), entry).is_some() {
                return Err(ArchiveError::Duplicate { name });
            }
        }
        Ok(Self { entries })
    }

    /// Names of the entries, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The entry `name`.
    pub(super) fn entry(&self, name: &str) -> Option<Entry> {
        self.entries.get(name).copied()
    }
}

impl Entry {
    /// Offset of the content in the file.
    pub(super) fn content_start<R: Read + Seek>(&self, file: &mut R) -> Result<u64, ArchiveError> {
        let mut header = [0; LOCAL_HEADER_BYTES];
        file.seek(SeekFrom::Start(self.header_start))?;
        file.read_exact(&mut header)?;
        let mut fields = Fields(&header);
        if fields.u32()? != LOCAL_HEADER {
            return Err(ArchiveError::Damaged("an entry is not where the directory says"));
        }
        fields.skip(LOCAL_HEADER_BYTES - 8)?;
        let (name_len, extra_len) = (fields.u16()?, fields.u16()?);
        let start = self.header_start + LOCAL_HEADER_BYTES as u64 + u64::from(name_len);
        let start = start + u64::from(extra_len);
        let end = start.checked_add(self.len);
        if end.is_none_or(|end| file.seek(SeekFrom::End(0)).is_ok_and(|file_len| end > file_len)) {
            return Err(ArchiveError::Damaged("an entry lies outside the file"));
        }
        Ok(start)
    }

    /// Reads the whole content once, in pieces, and compares its checksum; `name` is for the error.
    pub(super) fn verify<R: Read + Seek>(
        &self,
        file: &mut R,
        name: &str,
    ) -> Result<(), ArchiveError> {
        let start = self.content_start(file)?;
        file.seek(SeekFrom::Start(start))?;
        let mut hasher = crc32fast::Hasher::new();
        let mut piece = vec![0; 1 << 16];
        let mut content = file.take(self.len);
        loop {
            match content.read(&mut piece)? {
                0 => break,
                n => hasher.update(&piece[..n]),
            }
        }
        let found = hasher.finalize();
        if found == self.crc {
            return Ok(());
        }
        Err(ArchiveError::Checksum { name: name.into(), found, expected: self.crc })
    }

    /// The whole content, verified; `name` is for the error.
    pub(super) fn read<R: Read + Seek>(
        &self,
        file: &mut R,
        name: &str,
    ) -> Result<Vec<u8>, ArchiveError> {
        self.verify(file, name)?;
        let start = self.content_start(file)?;
        file.seek(SeekFrom::Start(start))?;
        let mut content = Vec::new();
        file.take(self.len).read_to_end(&mut content)?;
        Ok(content)
    }
}

/// Where the central directory lies.
struct Directory {
    start: u64,
    len: u64,
    entries: u64,
}

impl Directory {
    fn find<R: Read + Seek>(file: &mut R, file_len: u64) -> Result<Self, ArchiveError> {
        // The last record may be followed by a comment of up to 64 KiB.
        let tail_start = file_len.saturating_sub((END_BYTES + usize::from(u16::MAX)) as u64);
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(tail_start))?;
        file.by_ref().take(file_len - tail_start).read_to_end(&mut tail)?;
        let end = (0..tail.len().saturating_sub(END_BYTES - 1))
            .rev()
            .find(|&at| tail[at..].starts_with(&END.to_le_bytes()))
            .ok_or(ArchiveError::NoDirectory)?;
        let mut fields = Fields(&tail[end + 4..]);
        fields.skip(6)?; // disk numbers, entries on this disk
        let entries = u64::from(fields.u16()?);
        let (len, start) = (u64::from(fields.u32()?), u64::from(fields.u32()?));
        let found = Self { start, len, entries };
        let is_64_bit =
            entries == u64::from(u16::MAX) || [start, len].contains(&u64::from(u32::MAX));
        let found =
            if is_64_bit { Self::find_64_bit(file, tail_start + end as u64)? } else { found };
        if found.start.checked_add(found.len).is_none_or(|end| end > file_len) {
            return Err(ArchiveError::Damaged("its directory lies outside the file"));
        }
        Ok(found)
    }

    /// The 64-bit record, which a locator right before the `end` record points at.
    fn find_64_bit<R: Read + Seek>(file: &mut R, end: u64) -> Result<Self, ArchiveError> {
        let damaged = ArchiveError::Damaged("its 64-bit directory record is not there");
        let Some(locator_start) = end.checked_sub(LOCATOR_BYTES as u64) else {
            return Err(damaged);
        };
        let mut bytes = [0; LOCATOR_BYTES];
        file.seek(SeekFrom::Start(locator_start))?;
        file.read_exact(&mut bytes)?;
        let mut fields = Fields(&bytes);
        if fields.u32()? != LOCATOR {
            return Err(damaged);
        }
        fields.skip(4)?; // disk number
        let record_start = fields.u64()?;
        if record_start > locator_start.saturating_sub(END_64_BYTES as u64) {
            return Err(damaged);
        }
        let mut bytes = [0; END_64_BYTES];
        file.seek(SeekFrom::Start(record_start))?;
        file.read_exact(&mut bytes)?;
        let mut fields = Fields(&bytes);
        if fields.u32()? != END_64 {
            return Err(damaged);
        }
        fields.skip(28)?; // size, versions, disk numbers, entries on this disk
        Ok(Self { entries: fields.u64()?, len: fields.u64()?, start: fields.u64()? })
    }
}

/// Little-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// One entry of the central directory.
    fn directory_entry(&mut self) -> Result<(String, Entry), ArchiveError> {
        if self.u32()? != DIRECTORY_ENTRY {
            return Err(ArchiveError::Damaged("its directory has fewer entries than it says"));
        }
        self.skip(4)?; // versions
        let flags = self.u16()?;
        let method = self.u16()?;
        self.skip(4)?; // time
        let crc = self.u32()?;
        let (mut stored_len, mut len) = (u64::from(self.u32()?), u64::from(self.u32()?));
        let (name_len, extra_len, comment_len) = (self.u16()?, self.u16()?, self.u16()?);
        self.skip(8)?; // disk number, attributes
        let mut header_start = u64::from(self.u32()?);
        let name = printable(&String::from_utf8_lossy(self.take(name_len.into())?));
        let mut extra = Fields(self.take(extra_len.into())?);
        self.skip(comment_len.into())?;
        while extra.0.len() >= 4 {
            let (kind, extra_len) = (extra.u16()?, extra.u16()?);
            let mut field = Fields(extra.take(extra_len.into())?);
            if kind == EXTRA_64_BIT {
                // Only the values that do not fit above are there, in this order.
                for value in [&mut len, &mut stored_len, &mut header_start] {
                    if *value == u64::from(u32::MAX) {
                        *value = field.u64()?;
                    }
                }
            }
        }
        if method != STORED || flags & ENCRYPTED != 0 || len != stored_len {
            return Err(ArchiveError::NotStored { name });
        }
        Ok((name, Entry { header_start, len, crc }))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ArchiveError> {
        let (taken, rest) = self
            .0
            .split_at_checked(len)
            .ok_or(ArchiveError::Damaged("a record of its directory is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn skip(&mut self, len: usize) -> Result<(), ArchiveError> {
        self.take(len).map(drop)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ArchiveError> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }

    fn u16(&mut self) -> Result<u16, ArchiveError> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, ArchiveError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, ArchiveError> {
        self.array().map(u64::from_le_bytes)
    }
}

/// Signatures of records, and lengths of their fixed parts in bytes.
const LOCAL_HEADER: u32 = 0x0403_4b50;
const LOCAL_HEADER_BYTES: usize = 30;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_BYTES: usize = 22;
const END_64: u32 = 0x0606_4b50;
const END_64_BYTES: usize = 56;
const LOCATOR: u32 = 0x0706_4b50;
const LOCATOR_BYTES: usize = 20;
const EXTRA_64_BIT: u16 = 1;
/// Compression method and flag.
const STORED: u16 = 0;
const ENCRYPTED: u16 = 1;
/// Ten thousand entries have about one megabyte of directory.
const MAX_DIRECTORY_BYTES: u64 = 1 << 26;
