#![allow(clippy::disallowed_methods, reason = "tests look at a drive's files from outside")]

use super::{file::Format, *};
use crate::drive::fixture::{host_files, tree};
use file::Parsed;
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

    /// Formats drives 1 to `n` in sets of `set_size`.
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
        let mut json = serde_json::from_slice(&fs::read(self.json(n)).expect("reads")).expect("JSON");
        edit(&mut json);
        json["checksum"] = "0".repeat(32).into();
        fs::write(self.json(n), file::seal(json.to_string())).expect("writes");
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

// `format.by-identity`
#[test]
fn drives_at_each_others_paths_are_used_in_their_own_places() {
    let mut drives = Drives::formatted(8, 4);
    let expected = ready(&drives.open(8, 4).expect("opens"));
    let paths = |order: [usize; 8]| order.map(|n| drives.path(n));
    let (in_order, renumbered) = (paths([1, 2, 3, 4, 5, 6, 7, 8]), paths([3, 1, 2, 4, 5, 8, 7, 6]));
    let (last, lost, other) = (
        drives.path(8),
        paths([3, 1, 2, 9, 5, 8, 7, 6]),
        paths([1, 2, 3, 5, 4, 6, 7, 8]),
    );
    let opened = drives.open_paths(&renumbered, 4).expect("opens");
    assert_eq!(ready(&opened), expected);
    let found: Vec<_> = opened.drives.iter().map(Slot::path).collect();
    assert_eq!(found, in_order);
    drop(opened);
    // The place of a missing drive stays empty, under the only path that is left over.
    let opened = drives.open_paths(&lost, 4).expect("opens");
    assert_eq!(ready(&opened).len(), 7);
    assert!(matches!(&opened.drives[3], Slot::Offline { path, .. } if path.ends_with("9")));
    drop(opened);
    // A drive at a path of another set is refused by name.
    let before = tree(drives.dir.path());
    let opened = drives.open_paths(&other, 4).expect("opens");
    let offline = offline(&opened);
    assert_eq!((ready(&opened).len(), offline.len()), (6, 2));
    assert!(
        offline[0].contains("/5: it is drive ")
            && offline[0].contains("of erasure set 2, and its path is one of set 1"),
        "{offline:?}"
    );
    assert!(last.exists() && before == tree(drives.dir.path()));
}

// `format.by-identity`
#[test]
fn of_a_drive_and_its_copy_neither_is_used() {
    let mut drives = Drives::formatted(4, 4);
    drives.wipe(3);
    for (path, bytes) in tree(&drives.path(2)) {
        let copy = drives.path(3).join(path.strip_prefix(drives.path(2)).expect("below"));
        match bytes {
            None => fs::create_dir_all(copy).expect("creates"),
            Some(bytes) => {
                fs::create_dir_all(copy.parent().expect("a folder")).expect("creates");
                fs::write(copy, bytes).expect("writes");
            }
        }
    }
    let opened = drives.open(4, 4).expect("opens");
    let offline = offline(&opened);
    assert_eq!((ready(&opened).len(), offline.len()), (2, 2));
    assert!(
        offline[0].contains("/3: unmount the one that is the copy"),
        "{offline:?}"
    );
    assert!(
        offline[1].contains("/2: unmount the one that is the copy"),
        "{offline:?}"
    );
}

// `format.topology`
#[test]
fn a_drive_of_another_deployment_is_refused_by_name_and_left_alone() {
    let mut drives = Drives::formatted(4, 4);
    let mut others = Drives::new();
    others.fresh = 1000;
    others.open(4, 4).expect("formats");
    let mixed = |ours: &[usize], theirs: &[usize]| {
        let ours = ours.iter().map(|n| drives.path(*n));
        ours.chain(theirs.iter().map(|n| others.path(*n))).collect::<Vec<_>>()
    };
    let (one, half) = (mixed(&[1, 2, 3], &[4]), mixed(&[1, 2], &[3, 4]));
    let before = (tree(drives.dir.path()), tree(others.dir.path()));
    let opened = drives.open_paths(&one, 4).expect("opens");
    let offline = offline(&opened);
    assert_eq!((ready(&opened).len(), offline.len()), (3, 1));
    assert!(offline[0].contains("/4: it is of deployment "), "{offline:?}");
    drop(opened);
    drives.refused(&half, 4, "3: this drive is of deployment");
    assert!(before == (tree(drives.dir.path()), tree(others.dir.path())));
}

type Damage = fn(&Drives);

// `format.foreign-data`
#[test]
fn a_drive_without_its_format_is_offline_alone_and_left_as_it_is() {
    let foreign: [(&str, Damage); 4] = [
        ("there is \"data\" and no format.json", |drives| {
            // Left by a server that staged shards at the path of a missing drive.
            drives.wipe(2);
            fs::create_dir_all(drives.path(2).join("data/ab/cd.1")).expect("creates");
        }),
        ("there is \"data\" and no format.json", |drives| {
            fs::remove_file(drives.json(2)).expect("removes");
        }),
        ("there is \"photo.jpg\" and no format.json", |drives| {
            drives.wipe(2);
            fs::write(drives.path(2).join("photo.jpg"), "").expect("writes");
        }),
        ("there is \".minio.sys/reserve\" and no format.json", |drives| {
            drives.wipe(2);
            fs::create_dir(drives.path(2).join(".minio.sys")).expect("creates");
            fs::write(drives.path(2).join(".minio.sys/reserve"), "").expect("writes");
        }),
    ];
    for (reason, make) in foreign {
        let mut drives = Drives::formatted(4, 4);
        make(&drives);
        let before = tree(drives.dir.path());
        let opened = drives.open(4, 4).expect("the others serve");
        let offline = offline(&opened);
        assert_eq!((ready(&opened).len(), offline.len()), (3, 1));
        assert!(
            offline[0].contains("/2: ") && offline[0].contains(reason),
            "{offline:?}"
        );
        // The message must not advise to empty the drive.
        assert!(!offline[0].contains("empty"), "{offline:?}");
        assert!(before == tree(drives.dir.path()));
    }
    // Without a quorum the start fails: these are probably the wrong drives.
    let mut drives = Drives::formatted(4, 4);
    for n in [1, 2, 4] {
        drives.wipe(n);
        fs::write(drives.path(n).join("photo.jpg"), "").expect("writes");
    }
    drives.refused_all(4, 4, "of erasure set 1 1 drives were found, and 2 are needed to read: ");
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
    drives.refused_all(4, 4, "3: there is \".minio.sys/buckets\"");
    fs::remove_dir_all(drives.path(3)).expect("removes");
    fs::write(drives.path(3), "a file").expect("writes");
    drives.refused_all(4, 4, "3: cannot read the folder");
}

// `format.minio`
#[test]
fn formats_of_others_and_of_other_versions_are_refused_by_name() {
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
            &file::seal(format!(
                r#"{{"version":"4","format":"erasure-register","new":1,"checksum":"{:032}"}}"#,
                0
            )),
            "format has version 4, this program knows versions up to 3",
        ),
        (
            &file::seal(format!(
                r#"{{"version":"1","format":"erasure-register","old":1,"checksum":"{:032}"}}"#,
                0
            )),
            "format has version 1, from before the first release",
        ),
    ];
    for (json, message) in cases {
        let mut drives = Drives::new();
        fs::create_dir_all(drives.path(2).join(".minio.sys")).expect("creates");
        fs::create_dir_all(drives.path(2).join("bucket")).expect("creates");
        fs::write(drives.json(2), json).expect("writes");
        drives.refused_all(4, 4, message);
        // If the others are formatted, the drive is offline and the others serve.
        let mut drives = Drives::formatted(4, 4);
        fs::write(drives.json(4), json).expect("writes");
        let before = tree(drives.dir.path());
        let opened = drives.open(4, 4).expect("opens");
        assert!(offline(&opened)[0].contains(message), "{:?}", offline(&opened));
        assert!(ready(&opened).len() == 3 && before == tree(drives.dir.path()));
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
        r#"{"version":"2","format":"erasure-register"}"#,
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
    // Number of drives with a format, with an index, and completed.
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
    // An unreadable drive may come back, whatever it holds.
    fs::rename(drives.path(4), drives.path(5)).expect("renames");
    fs::write(drives.path(4), "not a folder").expect("writes");
    drives.refused_all(4, 4, "the first start was not finished, which needs every drive");
    fs::remove_file(drives.path(4)).expect("removes");
    fs::rename(drives.path(5), drives.path(4)).expect("renames");
    // A drive with a corrupt format is offline for good, and left as it is.
    fs::write(drives.json(4), "{").expect("writes");
    let before = tree(&drives.path(4));
    let opened = drives.open(4, 4).expect("finishes");
    assert_eq!((ready(&opened).len(), offline(&opened).len()), (3, 1));
    assert!((1..=3).all(|n| drives.complete(n)) && before == tree(&drives.path(4)));
    drop(opened);
    // One complete drive proves that the fourth was formatted too, so it is empty because it was wiped.
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

// `format.unreadable-is-offline`
#[test]
fn no_flipped_bit_makes_another_format() {
    let mut id = 77;
    let mut fresh = || {
        id += 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128 >> 2;
        id
    };
    let layout = Layout::new(&[0, 1, 2, 3], 4, &mut fresh).expect("a shape");
    let this = layout.drives().nth(2).expect("a drive");
    let json = Format::begun(layout, this).to_json();
    assert!(matches!(file::parse(json.as_bytes()), Ok(Parsed::Ours(_))));
    for bit in 0..json.len() * 8 {
        let mut damaged = json.clone().into_bytes();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let parsed = file::parse(&damaged);
        assert!(
            matches!(parsed, Ok(Parsed::Corrupt(_))),
            "bit {bit}: {}",
            String::from_utf8_lossy(&damaged)
        );
    }
}

/// Four drives of four nodes, with short identifiers.
fn plain_layout() -> Layout {
    let mut id = 0;
    let mut fresh = || {
        id += 1;
        (id - 1) << 64
    };
    Layout::new(&[0, 1, 2, 3], 4, &mut fresh).expect("a shape")
}

fn parsed(json: &str) -> Format {
    match file::parse(json.as_bytes()) {
        Ok(Parsed::Ours(format)) => format,
        Ok(Parsed::Corrupt(reason)) => panic!("{reason}"),
        Err(refusal) => panic!("{refusal}"),
    }
}

// The example of `specs/format.md`.
#[test]
fn the_file_is_these_lines() {
    let layout = plain_layout();
    let this = layout.drives().next().expect("a drive");
    let expected = r#"{
  "version": "3",
  "format": "erasure-register",
  "complete": false,
  "id": "00000000-0000-4000-8000-000000000000",
  "this": "00000000-0000-4001-8000-000000000000",
  "level": 1,
  "own_device": false,
  "pool": 0,
  "nodes": 4,
  "acceptors": [
    "00000000-0000-4001-8000-000000000000",
    "00000000-0000-4002-8000-000000000000",
    "00000000-0000-4003-8000-000000000000",
    "00000000-0000-4004-8000-000000000000"
  ],
  "sets": [
    [
      "00000000-0000-4001-8000-000000000000",
      "00000000-0000-4002-8000-000000000000",
      "00000000-0000-4003-8000-000000000000",
      "00000000-0000-4004-8000-000000000000"
    ]
  ],
  "checksum": "128cebc87aabbc85dad5d05178c14126"
}
"#;
    let format = Format::begun(layout, this);
    assert_eq!(format.to_json(), expected);
    assert_eq!(parsed(expected), format);
}

#[test]
fn a_file_of_version_2_is_read() {
    let format = parsed(
        r#"{
  "version": "2",
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
  "checksum": "472f2455cac8a4d12f8b110d999c5832"
}
"#,
    );
    let expected = Layout {
        nodes: 1,
        acceptors: Vec::new(),
        ..plain_layout()
    };
    assert_eq!(
        (format.layout, format.level, format.is_own_device),
        (expected, 1, false)
    );
}

// `format.level-before-use`
#[test]
fn a_drive_that_was_raised_above_this_program_is_left_alone() {
    let message = "what is written to it may be of level 2, this program reads levels up to 1: start a newer release";
    let mut drives = Drives::formatted(4, 4);
    drives.edit_json(3, |json| json["level"] = 2.into());
    let before = tree(drives.dir.path());
    let opened = drives.open(4, 4).expect("opens");
    let named = format!("3: {message}");
    assert!(offline(&opened)[0].ends_with(&named), "{:?}", offline(&opened));
    assert!(ready(&opened).len() == 3 && before == tree(drives.dir.path()));
    drop(opened);
    for n in [1, 2, 4] {
        drives.edit_json(n, |json| json["level"] = 2.into());
    }
    drives.refused_all(4, 4, message);
}
