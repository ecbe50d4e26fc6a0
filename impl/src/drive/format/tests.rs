#![allow(clippy::disallowed_methods, reason = "tests look at a drive's files from outside")]

use super::*;
use crate::drive::fixture::{host_files, tree};
use std::fs;

struct Drives {
    dir: tempfile::TempDir,
    files: Arc<dyn Files>,
    fresh: u128,
}

impl Drives {
    fn new() -> Drives {
        let (dir, files) = (tempfile::tempdir().expect("temp folder"), host_files());
        Drives { dir, files, fresh: 0 }
    }

    /// Drives 1 to `n`, formatted in sets of `set_size`.
    fn formatted(n: usize, set_size: usize) -> Drives {
        let mut drives = Drives::new();
        drives.open(n, set_size).expect("formats");
        drives
    }

    fn path(&self, n: usize) -> PathBuf {
        self.dir.path().join(n.to_string())
    }

    fn json(&self, n: usize) -> PathBuf {
        format_path(&self.path(n))
    }

    fn open(&mut self, n: usize, set_size: usize) -> Result<Opened, FormatError> {
        let paths: Vec<_> = (1..=n).map(|n| self.path(n)).collect();
        self.open_paths(&paths, set_size)
    }

    fn open_paths(&mut self, paths: &[PathBuf], set_size: usize) -> Result<Opened, FormatError> {
        let fresh = &mut self.fresh;
        open_all(&self.files, paths, set_size, &mut || {
            *fresh += 1;
            *fresh
        })
    }

    /// `format.refuse-changes-nothing`
    fn refused(&mut self, paths: &[PathBuf], set_size: usize, message: &str) {
        let before = tree(self.dir.path());
        let error = self.open_paths(paths, set_size).expect_err("refused").to_string();
        assert!(error.contains(message), "{error:?} does not say {message:?}");
        assert!(
            before == tree(self.dir.path()),
            "a refused start changed something: {error}"
        );
    }

    fn refused_all(&mut self, n: usize, set_size: usize, message: &str) {
        let paths: Vec<_> = (1..=n).map(|n| self.path(n)).collect();
        self.refused(&paths, set_size, message);
    }

    fn edit_json(&self, n: usize, edit: impl FnOnce(&mut serde_json::Value)) {
        let mut json: serde_json::Value =
            serde_json::from_slice(&fs::read(self.json(n)).expect("reads")).expect("JSON");
        edit(&mut json);
        json.as_object_mut().expect("an object").remove("checksum");
        let sealed = file::seal(&serde_json::to_string_pretty(&json).expect("JSON"));
        fs::write(self.json(n), sealed).expect("writes");
    }

    fn complete(&self, n: usize) -> bool {
        let json: serde_json::Value = serde_json::from_slice(&fs::read(self.json(n)).expect("reads")).expect("JSON");
        json["complete"].as_bool().expect("a bool")
    }

    fn wipe(&self, n: usize) {
        fs::remove_dir_all(self.path(n)).expect("removes");
        fs::create_dir(self.path(n)).expect("creates");
    }
}

fn ready(opened: &Opened) -> Vec<(u128, usize, u8)> {
    let slots = opened.drives.iter().filter_map(|slot| match slot {
        Slot::Ready(slot) => Some((slot.drive, slot.set, slot.index)),
        Slot::Offline { .. } => None,
    });
    slots.collect()
}

fn offline(opened: &Opened) -> Vec<String> {
    let slots = opened.drives.iter().filter_map(|slot| match slot {
        Slot::Ready(_) => None,
        Slot::Offline { path, reason } => Some(format!("{}: {reason}", path.display())),
    });
    slots.collect()
}

// `format.first-start`
#[test]
fn a_first_start_formats_and_the_next_finds_the_same_drives() {
    let mut drives = Drives::new();
    fs::create_dir_all(drives.path(2).join("lost+found")).expect("creates");
    let first = drives.open(8, 4).expect("formats");
    let places: Vec<_> = ready(&first).into_iter().map(|(_, set, index)| (set, index)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1), (1, 2), (1, 3)]);
    let (deployment, slots) = (first.deployment, ready(&first));
    drop(first);
    let before = tree(drives.dir.path());
    let again = drives.open(8, 4).expect("opens");
    assert_eq!((again.deployment, ready(&again)), (deployment, slots));
    assert!(before == tree(drives.dir.path()));
    assert!((1..=8).all(|n| drives.complete(n)));
}

#[test]
fn one_path_is_a_store_of_one_drive() {
    let mut drives = Drives::formatted(1, 1);
    assert_eq!(ready(&drives.open(1, 1).expect("opens")).len(), 1);
}

#[test]
fn the_number_of_drives_and_the_size_of_sets_are_checked() {
    let mut drives = Drives::new();
    drives.refused_all(2, 2, "2 drives given: give 1 drive without redundancy, or at least 4");
    drives.refused_all(3, 3, "at least 4");
    drives.refused_all(0, 1, "0 drives given");
    drives.refused_all(6, 4, "6 drives given, which do not make erasure sets of 4 drives");
    let path = drives.path(1);
    let paths = [1, 2, 3].map(|n| drives.path(n));
    let twice = [&paths[..], &[path.join(".")]].concat();
    drives.refused(&twice, 4, "given twice");
    fs::create_dir(&path).expect("creates");
    std::os::unix::fs::symlink(&path, drives.path(4)).expect("links");
    drives.refused_all(4, 4, "4: this path is given twice");
}

// `format.topology`
#[test]
fn another_number_of_drives_is_refused_with_both_numbers() {
    let mut drives = Drives::formatted(6, 6);
    drives.refused_all(8, 8, "8 drives given, the drives' format has 6");
    drives.refused_all(5, 5, "5 drives given, the drives' format has 6");
    drives.refused_all(4, 4, "1: 4 drives given, the drives' format has 6");
    let mut drives = Drives::formatted(8, 4);
    drives.refused_all(8, 8, "erasure sets of 8 drives given, the drives' format has sets of 4");
}

#[test]
fn foreign_and_misplaced_drives_are_refused_by_name() {
    let mut drives = Drives::formatted(4, 4);
    let mut others = Drives::new();
    others.fresh = 1000;
    others.open(4, 4).expect("formats");
    let paths = |order: [usize; 4]| order.map(|n| drives.path(n));
    let swapped = paths([1, 3, 2, 4]);
    let foreign = [drives.path(1), others.path(2), drives.path(3), drives.path(4)];
    drives.refused(&swapped, 4, "is number 3 of its deployment, and given as number 2");
    let before = tree(others.dir.path());
    drives.refused(&foreign, 4, "2: this drive is of deployment");
    assert!(before == tree(others.dir.path()));
}

// `format.foreign-data`
#[test]
fn a_drive_with_anything_on_it_is_not_formatted() {
    let mut drives = Drives::new();
    fs::create_dir_all(drives.path(3)).expect("creates");
    fs::write(drives.path(3).join("thesis.tex"), "text").expect("writes");
    drives.refused_all(4, 4, "3: there is \"thesis.tex\"");
    fs::remove_file(drives.path(3).join("thesis.tex")).expect("removes");
    fs::create_dir_all(drives.path(3).join(".minio.sys/buckets")).expect("creates");
    drives.refused_all(4, 4, "3/.minio.sys: there is \"buckets\"");
    fs::remove_dir_all(drives.path(3)).expect("removes");
    fs::write(drives.path(3), "a file").expect("writes");
    drives.refused_all(4, 4, "3: cannot read the folder");
}

// `format.minio`
#[test]
fn formats_of_others_and_newer_ones_are_refused_by_name() {
    let cases = [
        (
            r#"{"version":"1","format":"xl","id":"x","xl":{"version":"3"}}"#,
            "the format \"xl\" of MinIO",
        ),
        (
            r#"{"version":"1","format":"xl-single","id":"x"}"#,
            "the format \"xl-single\" of MinIO",
        ),
        (r#"{"version":"1","format":"other"}"#, "the unknown format \"other\""),
        (
            r#"{"version":"2","format":"erasure-register","new":1}"#,
            "format has version 2, this program knows versions up to 1",
        ),
    ];
    for (json, message) in cases {
        let mut drives = Drives::new();
        fs::create_dir_all(drives.path(2).join(".minio.sys")).expect("creates");
        fs::create_dir_all(drives.path(2).join("bucket")).expect("creates");
        fs::write(drives.json(2), json).expect("writes");
        drives.refused_all(4, 4, message);
        let mut drives = Drives::formatted(4, 4);
        fs::write(drives.json(4), json).expect("writes");
        drives.refused_all(4, 4, message);
    }
}

// `format.wiped-is-unknown`
#[test]
fn an_empty_or_missing_drive_among_formatted_ones_is_offline_and_stays_empty() {
    let mut drives = Drives::formatted(6, 6);
    drives.wipe(2);
    fs::remove_dir_all(drives.path(5)).expect("removes");
    let before = tree(drives.dir.path());
    let opened = drives.open(6, 6).expect("opens");
    assert!(before == tree(drives.dir.path()));
    assert_eq!(ready(&opened).len(), 4);
    let offline = offline(&opened);
    assert!(
        offline[0].contains("/2: it is empty, but the other drives are formatted"),
        "{offline:?}"
    );
    assert!(offline[1].contains("/5: there is nothing at its path"), "{offline:?}");
}

// `format.unreadable-is-offline`
#[test]
fn a_damaged_format_takes_its_drive_offline_alone() {
    for damage in [
        "",
        "{",
        r#"{"version":"1","format":"erasure-register"}"#,
        r#"{"version":"x","format":"erasure-register"}"#,
    ] {
        let mut drives = Drives::formatted(4, 4);
        fs::write(drives.json(3), damage).expect("writes");
        let before = tree(drives.dir.path());
        let opened = drives.open(4, 4).expect("opens");
        assert_eq!(ready(&opened).len(), 3);
        assert!(
            offline(&opened)[0].contains("/3: format.json is not readable"),
            "{:?}",
            offline(&opened)
        );
        assert!(before == tree(drives.dir.path()));
    }
    let mut drives = Drives::formatted(4, 4);
    drives.edit_json(1, |json| json["this"] = json["id"].clone());
    assert!(offline(&drives.open(4, 4).expect("opens"))[0].contains("not among the drives"));
    for n in 1..=4 {
        fs::write(drives.json(n), "").expect("writes");
    }
    drives.refused_all(4, 4, "no drive has a readable format, and not all are empty");
}

// `format.complete-after-all`
#[test]
fn a_first_start_that_was_cut_short_is_finished() {
    let formatted = || {
        let mut drives = Drives::new();
        let opened = drives.open(4, 4).expect("formats");
        (opened.deployment, ready(&opened), drives)
    };
    // After how many drives had begun, how many had an index, how many were complete.
    for (begun, indexed, complete) in [
        (0, 0, 0),
        (1, 0, 0),
        (3, 0, 0),
        (4, 2, 0),
        (4, 4, 0),
        (4, 4, 1),
        (4, 4, 3),
    ] {
        let (deployment, slots, mut drives) = formatted();
        for n in 1..=4 {
            if n > begun {
                drives.wipe(n);
                fs::create_dir(drives.path(n).join(".minio.sys")).expect("creates");
                fs::write(drives.path(n).join(".minio.sys/format.json.tmp"), "{").expect("writes");
            } else if n > complete {
                drives.edit_json(n, |json| json["complete"] = false.into());
            }
            if n <= begun && n > indexed {
                fs::remove_file(index_path(&drives.path(n))).expect("removes");
            }
        }
        let opened = drives.open(4, 4).expect("finishes");
        assert_eq!(ready(&opened).len(), 4, "{:?}", offline(&opened));
        if begun > 0 {
            assert_eq!((opened.deployment, ready(&opened)), (deployment, slots));
        }
        assert!((1..=4).all(|n| drives.complete(n) && index_path(&drives.path(n)).exists()));
    }
}

#[test]
fn an_unfinished_first_start_needs_every_drive() {
    let mut drives = Drives::formatted(4, 4);
    for n in 1..=3 {
        drives.edit_json(n, |json| json["complete"] = false.into());
    }
    fs::write(drives.json(4), "{").expect("writes");
    drives.refused_all(4, 4, "the first start was not finished, which needs every drive");
    // With a complete one, the fourth was formatted with the others, and is empty because it was wiped.
    let mut drives = Drives::formatted(4, 4);
    drives.edit_json(1, |json| json["complete"] = false.into());
    drives.wipe(4);
    let opened = drives.open(4, 4).expect("opens");
    assert_eq!((ready(&opened).len(), offline(&opened).len()), (3, 1));
    assert!(drives.complete(1));
}

// `format.one-process`
#[test]
fn a_second_process_is_refused_by_path() {
    let mut drives = Drives::new();
    let opened = drives.open(4, 4).expect("formats");
    drives.refused_all(4, 4, "1: another process has this drive open");
    drop(opened);
    drives.open(4, 4).expect("opens");
}

// `format.checksum`: whichever bit of it rots, the drive is offline, and never refused as somebody else's.
#[test]
fn every_bit_of_the_format_is_covered() {
    let mut id = 0;
    let format = Format::new(7, 4, 4, &mut || {
        id += 1;
        id << 64
    });
    let this = format.drives().next().expect("a drive");
    let whole = Format { this, ..format }.to_json();
    for bit in 0..8 * whole.len() {
        let mut rotten = whole.clone().into_bytes();
        rotten[bit / 8] ^= 1 << (bit % 8);
        let parsed = file::parse(Path::new("/d"), &rotten);
        assert!(
            matches!(parsed, Ok(Parsed::Corrupt(_))),
            "bit {bit} of byte {}",
            bit / 8
        );
    }
}

// The example of `specs/format.md`.
#[test]
fn the_file_is_these_lines() {
    let mut id = 0;
    let mut fresh = || {
        id += 1;
        id << 64
    };
    let format = Format::new(0, 4, 4, &mut fresh);
    let this = format.drives().next().expect("a drive");
    let expected = r#"{
  "version": "1",
  "format": "erasure-register",
  "complete": false,
  "id": "00000000-0000-4000-8000-000000000000",
  "this": "00000000-0000-4001-8000-000000000000",
  "sets": [
    [
      "00000000-0000-4001-8000-000000000000",
      "00000000-0000-4002-8000-000000000000",
      "00000000-0000-4003-8000-000000000000",
      "00000000-0000-4004-8000-000000000000"
    ]
  ],
  "checksum": "9572ac693b76b19e6f8c5f40221eaca0"
}
"#;
    let format = Format { this, ..format };
    assert_eq!(format.to_json(), expected);
    let Ok(Parsed::Ours(parsed)) = file::parse(Path::new("/d"), expected.as_bytes()) else {
        panic!("not parsed");
    };
    assert_eq!(parsed, format);
}
