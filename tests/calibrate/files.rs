//! Which files make pairs, and what is said of those that show no board.

use crate::support::{SIZE, board};
use occdepth::calibrate::files::look;
use occdepth::capture::directory::{FileError, PairFiles};
use occdepth_calibration::corners::{BoardNotFound, CornerFinder};
use std::fs;
use std::path::Path;

fn save(path: &Path, grey: &[u8]) {
    image::save_buffer(path, grey, SIZE.width, SIZE.height, image::ExtendedColorType::L8).unwrap();
}

fn names(pairs: &PairFiles) -> Vec<[String; 2]> {
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    pairs.list().unwrap().iter().map(|[left, right]| [name(left), name(right)]).collect()
}

#[test]
fn folders_of_both_layouts_make_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let flat = folder.path().join("flat");
    fs::create_dir(&flat).unwrap();
    // `left` in the folder's own name counts for nothing.
    let deep = folder.path().join("left-overs");
    for view in ["left", "right"] {
        fs::create_dir_all(deep.join(view)).unwrap();
        for number in ["2", "10", "3"] {
            fs::write(flat.join(format!("{view}{number}.png")), "").unwrap();
            fs::write(deep.join(view).join(format!("{number}.JPG")), "").unwrap();
        }
    }
    fs::write(flat.join("board.png"), "").unwrap();
    fs::write(flat.join("left.txt"), "").unwrap();
    let flat = PairFiles::Folder(flat);
    for [left, right] in names(&flat) {
        assert_eq!(left.strip_prefix("left").unwrap(), right.strip_prefix("right").unwrap());
    }
    assert_eq!(names(&flat).len(), 3);
    let deep = PairFiles::Folder(deep);
    assert!(names(&deep).iter().all(|[left, right]| left == right));
    assert_eq!(names(&deep).len(), 3);
}

#[test]
fn a_file_without_partner_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["left1.png", "right1.png", "Right2.png"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let pairs = PairFiles::Folder(folder.path().to_owned());
    let said = pairs.list().unwrap_err().to_string();
    assert!(said.contains("Right2.png") && said.contains("other view"), "{said}");
    let empty = tempfile::tempdir().unwrap();
    let said = PairFiles::Folder(empty.path().to_owned()).list().unwrap_err().to_string();
    assert!(said.contains("0 left and 0 right images"), "{said}");
    let missing = PairFiles::Folder(empty.path().join("nowhere"));
    assert!(missing.list().unwrap_err().to_string().contains("nowhere"));
}

#[test]
fn pictures_without_the_board_are_set_aside_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let black = vec![0; (SIZE.width * SIZE.height) as usize];
    for (index, [left, right]) in crate::pictures(2).iter().enumerate() {
        save(&folder.path().join(format!("left{index}.png")), left);
        save(
            &folder.path().join(format!("right{index}.png")),
            if index == 1 { &black } else { right },
        );
    }
    let files = PairFiles::Folder(folder.path().to_owned()).list().unwrap();
    let found = look(&CornerFinder::new(board()), &files).unwrap();
    assert_eq!((found.size, found.pairs.len()), (SIZE, 1));
    assert_eq!(found.files, files[..1]);
    assert_eq!(found.without.len(), 1);
    assert_eq!(found.without[0].files, files[1]);
    assert_eq!(found.without[0].reasons, [None, Some(BoardNotFound::Nothing)]);
}

#[test]
fn damaged_files_and_other_sizes_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["left1.png", "right1.png"].map(|name| folder.path().join(name));
    let black = vec![0; (SIZE.width * SIZE.height) as usize];
    save(&paths[0], &black);
    save(&paths[1], &black);
    let finder = CornerFinder::new(board());
    let whole = fs::read(&paths[1]).unwrap();
    for length in [0, 7, 30, whole.len() / 2] {
        fs::write(&paths[1], &whole[..length]).unwrap();
        let error = look(&finder, std::slice::from_ref(&paths)).unwrap_err();
        assert_eq!(error.path(), paths[1], "cut to {length}");
    }
    image::save_buffer(&paths[1], &black[..64 * 48], 64, 48, image::ExtendedColorType::L8).unwrap();
    let error = look(&finder, std::slice::from_ref(&paths)).unwrap_err();
    assert!(matches!(error, FileError::Size { .. }), "{error}");
    assert!(error.to_string().contains("found 64x48, expected 640x480"), "{error}");
}
