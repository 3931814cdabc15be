//! Zip files made entry by entry: 64-bit directories, and archives that contradict themselves.

use std::fs;

use occdepth_host::import::Checkpoint;

use super::{fixture, tensor_pickle};

/// A zip file of stored entries.
struct Zip {
    /// Every size and offset in 64-bit fields, as beyond 4 GiB.
    wide: bool,
    content: Vec<u8>,
    directory: Vec<u8>,
    entries: u16,
}

impl Zip {
    fn new(wide: bool) -> Self {
        Self { wide, content: Vec::new(), directory: Vec::new(), entries: 0 }
    }

    /// The entries of a checkpoint `{"a": tensor([1, 2, 3, 4])}`.
    fn checkpoint(wide: bool) -> Self {
        let values: Vec<u8> =
            [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        Self::new(wide)
            .entry("x/data.pkl", &tensor_pickle(b"K\x04\x85", b"K\x01\x85"))
            .entry("x/data/0", &values)
    }

    fn entry(self, name: &str, content: &[u8]) -> Self {
        self.entry_with_crc(name, content, crc32fast::hash(content))
    }

    fn entry_with_crc(mut self, name: &str, content: &[u8], crc: u32) -> Self {
        let (start, len) = (self.content.len(), content.len());
        let name_len = (name.len() as u16).to_le_bytes();
        let small = |value: usize| if self.wide { u32::MAX } else { value as u32 }.to_le_bytes();
        let mut extra = Vec::new();
        if self.wide {
            extra.extend_from_slice(&[1, 0, 24, 0]);
            for value in [len, len, start] {
                extra.extend_from_slice(&(value as u64).to_le_bytes());
            }
        }
        let crc = crc.to_le_bytes();
        let local =
            [&b"PK\x03\x04"[..], &[0; 10], &crc, &small(len), &small(len), &name_len, &[0, 0]];
        let directory = [
            &b"PK\x01\x02"[..],
            &[0; 12],
            &crc,
            &small(len),
            &small(len),
            &name_len,
            &(extra.len() as u16).to_le_bytes(),
            &[0; 10],
            &small(start),
            name.as_bytes(),
            &extra,
        ];
        self.directory.extend_from_slice(&directory.concat());
        self.content.extend_from_slice(&local.concat());
        self.content.extend_from_slice(name.as_bytes());
        self.content.extend_from_slice(content);
        self.entries += 1;
        self
    }

    /// The whole file.
    fn bytes(&self) -> Vec<u8> {
        let (start, len) = (self.content.len() as u64, self.directory.len() as u64);
        let mut file = [&self.content[..], &self.directory].concat();
        let record_start = file.len() as u64;
        let entries = u64::from(self.entries);
        if self.wide {
            file.extend_from_slice(b"PK\x06\x06");
            file.extend_from_slice(&[0; 20]);
            for value in [entries, entries, len, start] {
                file.extend_from_slice(&value.to_le_bytes());
            }
            file.extend_from_slice(b"PK\x06\x07\x00\x00\x00\x00");
            file.extend_from_slice(&record_start.to_le_bytes());
            file.extend_from_slice(&1_u32.to_le_bytes());
        }
        let small = |value: u64| if self.wide { u32::MAX } else { value as u32 }.to_le_bytes();
        file.extend_from_slice(b"PK\x05\x06\x00\x00\x00\x00");
        file.extend_from_slice(&self.entries.to_le_bytes());
        file.extend_from_slice(&self.entries.to_le_bytes());
        file.extend_from_slice(&small(len));
        file.extend_from_slice(&small(start));
        file.extend_from_slice(&[0, 0]);
        file
    }

    /// The tensor `a` of the checkpoint, or all causes of why there is none.
    fn read(&self) -> Result<Vec<f32>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("made.ckpt");
        fs::write(&path, self.bytes()).unwrap();
        let read = Checkpoint::open(&path).and_then(|mut checkpoint| checkpoint.read("a"));
        read.map_err(|error| {
            let causes =
                std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        })
    }
}

#[test]
fn directories_of_32_and_64_bits_are_read() {
    for wide in [false, true] {
        assert_eq!(Zip::checkpoint(wide).read(), Ok(vec![1.0, 2.0, 3.0, 4.0]), "{wide}");
    }
}

/// `torch.save` always writes the 64-bit record; here the fields that make a reader look at it.
#[test]
fn the_64_bit_record_of_torch_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wide.pth");
    let mut bytes = fs::read(fixture("zip.pth")).unwrap();
    let end = bytes.len() - 22;
    assert!(
        bytes[end..].starts_with(b"PK\x05\x06") && bytes[end - 20..].starts_with(b"PK\x06\x07")
    );
    bytes[end + 8..end + 20].fill(0xff);
    fs::write(&path, &bytes).unwrap();
    let mut wide = Checkpoint::open(&path).unwrap();
    let mut plain = Checkpoint::open(&fixture("zip.pth")).unwrap();
    assert_eq!(wide.read("plain").unwrap(), plain.read("plain").unwrap());
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let pickle = tensor_pickle(b"K\x04\x85", b"K\x01\x85");
    let with_pickle = || Zip::new(false).entry("x/data.pkl", &pickle);
    let whole = || Zip::checkpoint(false);
    for (zip, expected) in [
        (with_pickle(), "the storage x/data/0 is missing"),
        (with_pickle().entry("x/data/0", &[0; 15]), "the storage x/data/0 is 15 bytes"),
        (whole().entry("x/data/0", &[0; 16]), "two entries x/data/0"),
        (whole().entry("y/data.pkl", &pickle), "without exactly one data.pkl"),
        (whole().entry("x/byteorder", b"big"), "byteorder is big, expected little"),
        (with_pickle().entry_with_crc("x/data/0", &[0; 16], 7), "its CRC-32 is"),
        (Zip::new(false).entry_with_crc("x/data.pkl", &pickle, 7), "its CRC-32 is"),
        (Zip::new(false).entry("x/data.pkl", b"\x80\x02}q\x00"), "the pickle is cut off at byte 5"),
    ] {
        let error = zip.read().unwrap_err();
        assert!(error.contains(expected) && error.contains("made.ckpt"), "{expected} in {error}");
    }
}

/// A pickle repeats a name in two bytes; what is kept of it does not repeat.
#[test]
fn repeated_and_countless_names_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.ckpt");
    let open = |pickle: &[u8]| {
        fs::write(&path, Zip::new(false).entry("x/data.pkl", pickle).bytes()).unwrap();
        Checkpoint::open(&path)
    };
    let text =
        |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
    let key = text("epoch");
    // {"state_dict": {}, "epoch": None, "epoch": None, ..., None: None, None: None}
    let repeated = [b"q\x01N", &b"h\x01N".repeat(100)[..], b"NNNN"].concat();
    let pickle = [b"\x80\x02}(", &text("state_dict")[..], b"}", &key, &repeated, b"u."].concat();
    assert_eq!(open(&pickle).unwrap().beside(), ["epoch", "None"]);

    // {"0": None, "1": None, ...}
    let state_dict = |names: usize| {
        let entries = (0..names).flat_map(|i| [text(&i.to_string()), b"N".to_vec()]);
        [b"\x80\x02}(", &entries.collect::<Vec<_>>().concat()[..], b"u."].concat()
    };
    assert_eq!(open(&state_dict(1 << 16)).unwrap().entries().len(), 1 << 16);
    let error = open(&state_dict((1 << 16) + 1)).unwrap_err().to_string();
    assert!(error.contains("the state dict is of more than 65536 names"), "{error}");
    assert!(error.contains("names.ckpt"), "{error}");
}

/// Names come from the file and are printed: nothing in them reaches a terminal.
#[test]
fn control_characters_in_names_are_escaped() {
    let pickle = b"\x80\x02}X\x05\x00\x00\x00\x1b[2Jacos\nsy\x1bstem\n)Rs.";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("escapes.ckpt");
    fs::write(&path, Zip::new(false).entry("x/data.pkl", pickle).bytes()).unwrap();
    let checkpoint = Checkpoint::open(&path).unwrap();
    let (name, entry) = checkpoint.entries().first_key_value().unwrap();
    assert_eq!(name, "\\u{1b}[2Ja");
    assert_eq!(entry.to_string(), "a call of os.sy\\u{1b}stem");
    assert_eq!(checkpoint.calls_not_made(), ["os.sy\\u{1b}stem"]);
}
