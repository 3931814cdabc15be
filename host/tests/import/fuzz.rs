//! Damaged and hostile files: never a panic, and no value that was not written.

use std::{fs, path::Path};

use occdepth_host::import::Checkpoint;
use proptest::prelude::*;

use super::{fixture, tensor_pickle};

/// All values of a checkpoint, or why it cannot be read.
fn read_all(path: &Path) -> Result<Vec<(String, Vec<u32>)>, String> {
    let mut checkpoint = Checkpoint::open(path).map_err(|error| error.to_string())?;
    let names: Vec<String> = checkpoint.entries().keys().cloned().collect();
    let mut all = Vec::new();
    for name in names {
        // Integers are refused in whole files too.
        let values = checkpoint.read(&name).map(|x| x.iter().map(|x| x.to_bits()).collect());
        all.push((name, values.unwrap_or_default()));
    }
    Ok(all)
}

#[test]
fn a_file_that_ends_early_is_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut");
    for file in ["zip.pth", "legacy.pth"] {
        fs::copy(fixture(file), &path).unwrap();
        let cut = fs::OpenOptions::new().write(true).open(&path).unwrap();
        for len in (0..cut.metadata().unwrap().len()).rev() {
            cut.set_len(len).unwrap();
            let error = Checkpoint::open(&path).err();
            assert!(error.is_some(), "{file} cut to {len} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// One changed byte of a zip file: an error, or nothing that matters. A tensor reads as it was
    /// written or not at all.
    #[test]
    fn a_damaged_zip_never_gives_other_values(at in any::<prop::sample::Index>(), bits in 1_u8..) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged");
        let mut bytes = fs::read(fixture("zip.pth")).unwrap();
        let whole = read_all(&fixture("zip.pth")).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        fs::write(&path, &bytes).unwrap();
        for (found, written) in read_all(&path).into_iter().flatten().zip(whole) {
            prop_assert_eq!(&found.0, &written.0);
            prop_assert!(found.1.is_empty() || found.1 == written.1, "{}", found.0);
        }
    }

    /// The legacy format has no checksums: damage may change values, but never panics.
    #[test]
    fn a_damaged_legacy_file_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("damaged");
        let mut bytes = fs::read(fixture("legacy.pth")).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        fs::write(&path, &bytes).unwrap();
        let _ = read_all(&path);
    }

    /// A legacy file whose objects are random programs of the pickle machine.
    #[test]
    fn random_pickles_never_panic(opcodes in prop::collection::vec(0_usize..OPCODES.len(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("random");
        let bytes = fs::read(fixture("legacy.pth")).unwrap();
        let objects = bytes.windows(OBJECTS.len()).position(|window| window == OBJECTS).unwrap();
        let mut file = bytes[..objects].to_vec();
        for opcode in opcodes {
            file.extend_from_slice(OPCODES[opcode]);
        }
        file.extend_from_slice(b".\x80\x02]q\x00.");
        fs::write(&path, &file).unwrap();
        let _ = read_all(&path);
    }
}

/// Asks for far more than there is: refused without taking the memory.
#[test]
fn absurd_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absurd");
    let bytes = fs::read(fixture("legacy.pth")).unwrap();
    let objects = bytes.windows(OBJECTS.len()).position(|window| window == OBJECTS).unwrap();
    let tensor = |shape: &[u8], strides: &[u8]| {
        let pickle = tensor_pickle(shape, strides);
        let mut file = [&bytes[..objects], &pickle, b"\x80\x02]X\x01\x00\x00\x000a."].concat();
        file.extend_from_slice(&4_u64.to_le_bytes());
        file.extend_from_slice(&[0; 16]);
        fs::write(&path, &file).unwrap();
        read_all(&path).unwrap().remove(0).1.len()
    };
    assert_eq!(tensor(b"K\x04\x85", b"K\x01\x85"), 4);
    assert_eq!(tensor(b"K\x03\x85", b"K\x00\x85"), 3);
    // 2^62 repeats of one element, 2^40 twice, a stride of 2^62, and 5 elements out of 4.
    let huge = b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40\x85";
    let large = b"\x8a\x06\x00\x00\x00\x00\x00\x01\x8a\x06\x00\x00\x00\x00\x00\x01\x86";
    assert_eq!(tensor(huge, b"K\x00\x85"), 0);
    assert_eq!(tensor(large, b"K\x00K\x00\x86"), 0);
    assert_eq!(tensor(b"K\x04\x85", huge), 0);
    assert_eq!(tensor(b"K\x05\x85", b"K\x01\x85"), 0);
    // One element in 16 axes, and in more than any weight has.
    let ones = |axes: usize| [&b"("[..], &b"K\x01".repeat(axes), b"t"].concat();
    assert_eq!(tensor(&ones(16), &ones(16)), 1);
    assert_eq!(tensor(&ones(17), &ones(17)), 0);
}

/// Where the objects of the legacy fixture begin: after the platform, an `OrderedDict`.
const OBJECTS: &[u8] = b"\x80\x02ccollections\nOrderedDict\n";
/// Pieces of pickles, complete and incomplete.
const OPCODES: [&[u8]; 34] = [
    b"\x80\x02",
    b"(",
    b")",
    b"]",
    b"}",
    b"t",
    b"l",
    b"d",
    b"s",
    b"u",
    b"a",
    b"e",
    b"0",
    b"1",
    b"2",
    b"N",
    b"\x88",
    b"K\x03",
    b"J\xff\xff\xff\xff",
    b"X\x01\x00\x00\x00a",
    b"R",
    b"\x81",
    b"b",
    b"Q",
    b"q\x01",
    b"h\x01",
    b"\x85",
    b"\x86",
    b"\x87",
    b"\x93",
    b"ccollections\nOrderedDict\n",
    b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ctorch._utils\n_rebuild_parameter\n",
    b"\x8b\xff\xff\xff\x7f",
];
