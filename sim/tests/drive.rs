//! Power loss and fault injection on a simulated drive. Each test runs many seeds and compares the set of outcomes, so
//! that impossible outcomes never occur and all possible ones do.

use sim::{SimDrive, World, run::simulate};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use store::runtime::{File, Files, OpenMode};

const SEEDS: u64 = 150;

struct Node {
    world: World,
    drive: SimDrive,
    files: Arc<dyn Files>,
}

impl Node {
    fn write(&self, path: &str, bytes: &[u8]) -> Arc<dyn File> {
        let file = self.files.open(&at(path), OpenMode::Create).expect("opens");
        file.write_at(0, bytes).expect("writes");
        file
    }

    fn sync_dir(&self, path: &str) {
        self.files.sync_dir(&at(path)).expect("syncs");
    }

    /// Returns the content of a file, or `None` if it does not exist.
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        match self.files.open(&at(path), OpenMode::Read) {
            Ok(file) => Some(read(&*file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Returns the node after a power loss, with a new process.
    fn after_power_loss(self) -> Node {
        self.world.power_off(1);
        Node {
            files: self.world.runtime(1).files(),
            ..self
        }
    }
}

fn at(path: &str) -> PathBuf {
    Path::new("/drive").join(path)
}

fn read(file: &dyn File) -> Vec<u8> {
    let mut bytes = vec![0; file.len().expect("length") as usize];
    assert_eq!(file.read_at(0, &mut bytes).expect("read"), bytes.len());
    bytes
}

/// Returns the outcomes of `test` over many seeds.
fn outcomes<T: Ord + Send + 'static>(test: impl Fn(Node) -> T + Clone + Send + 'static) -> BTreeSet<T> {
    let found = Arc::new(Mutex::new(BTreeSet::new()));
    for seed in 0..SEEDS {
        let (test, found) = (test.clone(), found.clone());
        let run = simulate(seed, Duration::from_secs(1), |world| async move {
            let drive = world.drive(1, "/drive");
            let files = world.runtime(1).files();
            let outcome = test(Node { world, drive, files });
            found.lock().expect("no panic").insert(outcome);
        });
        run.expect("the test");
    }
    std::mem::take(&mut *found.lock().expect("no panic"))
}

fn once(test: impl Fn(Node) + Clone + Send + 'static) {
    outcomes(test);
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("an error").kind()
}

fn is_eio<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.raw_os_error() == Some(5))
}

// `sim.synced-survives`
#[test]
fn what_is_synced_with_its_name_survives() {
    once(|node| {
        let file = node.write("f", b"bytes");
        file.sync().expect("syncs");
        node.sync_dir("");
        assert_eq!(node.after_power_loss().read("f"), Some(b"bytes".to_vec()));
    });
}

// `sim.unsynced-is-lost`
#[test]
fn content_and_name_are_durable_apart_from_each_other() {
    let nameless = outcomes(|node| {
        node.write("f", b"bytes").sync().expect("syncs");
        node.after_power_loss().read("f")
    });
    assert_eq!(nameless, BTreeSet::from([None, Some(b"bytes".to_vec())]));
    let empty = outcomes(|node| {
        node.write("f", b"bytes");
        node.sync_dir("");
        node.after_power_loss().read("f").expect("a durable name")
    });
    assert_eq!(empty, BTreeSet::from([vec![], vec![0; 5], b"bytes".to_vec()]));
}

#[test]
fn a_rename_is_old_or_new_and_never_neither() {
    let renamed = outcomes(|node| {
        node.write("old", b"1").sync().expect("syncs");
        node.write("new", b"2").sync().expect("syncs");
        node.sync_dir("");
        node.files.rename(&at("old"), &at("new")).expect("renames");
        let node = node.after_power_loss();
        (node.read("old"), node.read("new"))
    });
    let one = || Some(b"1".to_vec());
    assert_eq!(renamed, BTreeSet::from([(one(), Some(b"2".to_vec())), (None, one())]));
}

#[test]
fn a_rename_between_folders_is_durable_with_either() {
    for synced in ["a", "b"] {
        let renamed = outcomes(move |node| {
            node.files.create_dir_all(&at("a")).expect("makes");
            node.files.create_dir_all(&at("b")).expect("makes");
            node.write("a/f", b"1").sync().expect("syncs");
            node.sync_dir("a");
            node.files.rename(&at("a/f"), &at("b/f")).expect("renames");
            node.sync_dir(synced);
            let node = node.after_power_loss();
            (node.read("a/f").is_some(), node.read("b/f").is_some())
        });
        assert_eq!(renamed, BTreeSet::from([(false, true)]));
    }
}

#[test]
fn names_of_another_folder_are_not_durable_by_chance() {
    let lost = outcomes(|node| {
        node.files.create_dir_all(&at("a")).expect("makes");
        node.files.create_dir_all(&at("b/c/d")).expect("makes");
        node.write("a/f", b"").sync().expect("syncs");
        node.write("b/c/d/g", b"").sync().expect("syncs");
        node.sync_dir("a");
        let node = node.after_power_loss();
        assert!(
            node.files.kind(&at("b/c/d")).is_ok(),
            "create_dir_all makes names durable"
        );
        (node.read("a/f").is_some(), node.read("b/c/d/g").is_some())
    });
    assert_eq!(lost, BTreeSet::from([(true, false), (true, true)]));
}

#[test]
fn changes_of_names_survive_in_order() {
    let found = outcomes(|node| {
        for name in ["a", "b", "c"] {
            node.write(name, b"");
        }
        let node = node.after_power_loss();
        let entries = node.files.read_dir(&at("")).expect("lists");
        entries.into_iter().map(|entry| entry.name).collect::<String>()
    });
    assert_eq!(found, ["", "a", "ab", "abc"].map(str::to_owned).into());
}

#[test]
fn a_write_tears_between_sectors_only() {
    let torn = outcomes(|node| {
        let file = node.write("f", &[b'o'; 2048]);
        file.sync().expect("syncs");
        node.sync_dir("");
        file.write_at(0, &[b'n'; 2048]).expect("writes");
        let bytes = node.after_power_loss().read("f").expect("there");
        let sectors = bytes.chunks(512).map(|sector| {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
            char::from(sector[0])
        });
        sectors.collect::<String>()
    });
    assert!(torn.contains("oooo") && torn.contains("nnnn"));
    assert!(torn.len() > 8, "{torn:?}");
}

#[test]
fn any_content_since_the_last_sync_may_come_back() {
    let found = outcomes(|node| {
        let file = node.write("f", b"0");
        file.sync().expect("syncs");
        node.sync_dir("");
        file.write_at(0, b"1").expect("writes");
        file.write_at(0, b"2").expect("writes");
        node.after_power_loss().read("f").expect("there")
    });
    assert_eq!(found, [b"0", b"1", b"2"].map(|byte| byte.to_vec()).into());
}

#[test]
fn lengths_survive_in_order_and_cut_space_is_zero() {
    let found = outcomes(|node| {
        let file = node.write("f", b"abcdef");
        file.sync().expect("syncs");
        node.sync_dir("");
        file.set_len(2).expect("cuts");
        file.set_len(4).expect("extends");
        node.after_power_loss().read("f").expect("there")
    });
    // The sector that was zeroed beyond the cut may be durable before the cut itself.
    let possible = [&b"abcdef"[..], b"ab\0\0\0\0", b"ab", b"ab\0\0"].map(<[u8]>::to_vec);
    assert_eq!(found, possible.into());
}

#[test]
fn a_removed_file_lives_as_long_as_its_descriptor() {
    once(|node| {
        let file = node.write("f", &[1; 4096]);
        let id = file.id().expect("id");
        node.files.remove_file(&at("f")).expect("removes");
        assert_eq!(node.read("f"), None);
        assert_eq!(read(&*file), [1; 4096]);
        assert_eq!(node.drive.used_bytes(), 4096);
        drop(file);
        assert_eq!(node.drive.used_bytes(), 0);
        node.write("f", b"");
        assert_ne!(node.files.id(&at("f")).expect("id"), id);
    });
}

// `sim.kill-is-silent`
#[test]
fn a_killed_process_leaves_its_writes_and_nothing_else() {
    once(|node| {
        let file = node.write("f", b"1");
        let guard = node.files.lock(&at("")).expect("free");
        assert_eq!(kind(node.files.lock(&at(""))), io::ErrorKind::WouldBlock);
        node.world.kill(1);
        assert!(file.write_at(0, b"2").is_err() && node.files.kind(&at("f")).is_err());
        let node = Node {
            files: node.world.runtime(1).files(),
            ..node
        };
        assert_eq!(node.read("f"), Some(b"1".to_vec()));
        let again = node.files.lock(&at("")).expect("died with its process");
        // The guard of the killed process must not release the lock of the new one.
        drop(guard);
        assert_eq!(kind(node.files.lock(&at(""))), io::ErrorKind::WouldBlock);
        drop(again);
        assert!(node.files.lock(&at("")).is_ok());
    });
}

#[test]
fn a_cut_drive_fails_for_good_and_its_last_write_may_have_happened() {
    let found = outcomes(|node| {
        let file = node.write("f", b"0");
        file.sync().expect("syncs");
        node.sync_dir("");
        node.drive.cut_after(1);
        file.write_at(0, b"1").expect("the last one");
        assert!(!node.drive.is_cut());
        assert!(is_eio(file.write_at(0, b"2")) && node.drive.is_cut());
        assert!(is_eio(file.sync()) && is_eio(file.set_len(0)) && is_eio(node.files.sync_dir(&at(""))));
        assert!(is_eio(node.files.open(&at("g"), OpenMode::Create)));
        let node = node.after_power_loss();
        node.write("g", b"works again");
        node.read("f").expect("there")
    });
    assert_eq!(found, [b"0", b"1", b"2"].map(|byte| byte.to_vec()).into());
}

#[test]
fn errors_come_as_the_switches_say() {
    once(|node| {
        let file = node.write("f", b"0");
        node.drive.set_faults(|faults| faults.read_error = 1.0);
        assert!(is_eio(file.read_at(0, &mut [0])) && is_eio(node.files.read_dir(&at(""))));
        node.drive
            .set_faults(|faults| (faults.read_error, faults.write_error) = (0.0, 1.0));
        assert!(is_eio(file.write_at(0, b"1")) && is_eio(node.files.remove_file(&at("f"))));
        assert_eq!(node.read("f"), Some(b"0".to_vec()));
        node.drive
            .set_faults(|faults| (faults.write_error, faults.read_flip) = (0.0, 1.0));
        assert_eq!((node.read("f").expect("there")[0] ^ b'0').count_ones(), 1);
        node.drive.set_faults(|faults| faults.read_flip = 0.0);
        assert_eq!(node.read("f"), Some(b"0".to_vec()));
    });
}

#[test]
fn after_a_failed_sync_the_next_one_succeeds_without_the_bytes() {
    let found = outcomes(|node| {
        let file = node.write("f", b"0");
        file.sync().expect("syncs");
        node.sync_dir("");
        file.write_at(0, b"1").expect("writes");
        node.drive.set_faults(|faults| faults.sync_error = 1.0);
        assert!(is_eio(file.sync()));
        node.drive.set_faults(|faults| faults.sync_error = 0.0);
        file.sync().expect("syncs");
        assert_eq!(read(&*file), b"1");
        node.after_power_loss().read("f").expect("there")
    });
    assert_eq!(found, [b"0", b"1"].map(|byte| byte.to_vec()).into());
}

#[test]
fn a_lying_sync_does_nothing() {
    let found = outcomes(|node| {
        node.drive.set_faults(|faults| faults.lying_sync = 1.0);
        node.write("f", b"1").sync().expect("says so");
        node.sync_dir("");
        node.after_power_loss().read("f").is_some()
    });
    assert_eq!(found, BTreeSet::from([false, true]));
}

#[test]
fn a_full_drive_refuses_to_grow_and_still_removes() {
    once(|node| {
        node.drive.set_faults(|faults| faults.capacity_bytes = 4 * 4096);
        let file = node.write("f", &[1; 4 * 4096]);
        assert_eq!(kind(file.write_at(4 * 4096, b"1")), io::ErrorKind::StorageFull);
        assert_eq!(
            kind(node.files.open(&at("g"), OpenMode::Create)),
            io::ErrorKind::StorageFull
        );
        file.write_at(0, b"over what is there").expect("takes no space");
        assert_eq!(node.files.space(&at("")).expect("space").free_bytes, 0);
        file.punch(0, 4096).expect("punches");
        assert_eq!(node.files.space(&at("")).expect("space").free_bytes, 4096);
        node.write("g", &[2; 4096]);
        node.files.remove_file(&at("f")).expect("removes");
        drop(file);
        assert_eq!(node.files.space(&at("")).expect("space").free_bytes, 3 * 4096);
    });
}

#[test]
fn bitrot_flips_bits_of_the_media() {
    once(|node| {
        let file = node.write("f", &[0; 5000]);
        file.sync().expect("syncs");
        node.sync_dir("");
        let [struck] = &node.drive.rot("f", 1)[..] else {
            panic!("one bit")
        };
        let mut expected = vec![0; 5000];
        expected[struck.offset as usize] = 1 << struck.bit;
        assert_eq!(read(&*file), expected);
        // A sector that is dirty in the page cache hides the rot, and a sync repairs it.
        file.write_at(0, &[7; 5000]).expect("writes");
        assert!(node.drive.rot_anywhere());
        assert_eq!(read(&*file), [7; 5000]);
        file.sync().expect("syncs");
        let node = node.after_power_loss();
        assert_eq!(node.read("f"), Some(vec![7; 5000]));
        assert_eq!(node.drive.rot("missing", 1), []);
    });
}

#[test]
fn a_drive_is_pulled_put_back_and_replaced() {
    once(|node| {
        let file = node.write("f", b"1");
        file.sync().expect("syncs");
        node.sync_dir("");
        let before = node.files.id(&at("")).expect("id");
        node.drive.remove();
        assert!(is_eio(file.read_at(0, &mut [0])) && is_eio(file.write_at(0, b"2")));
        assert_eq!(kind(node.files.kind(&at(""))), io::ErrorKind::NotFound);
        assert_eq!(kind(node.files.create_dir_all(&at("x"))), io::ErrorKind::NotFound);
        node.drive.insert();
        assert_eq!(node.read("f"), Some(b"1".to_vec()));
        assert!(
            is_eio(file.read_at(0, &mut [0])),
            "the descriptor is of the drive as it was"
        );
        node.drive.replace();
        assert_eq!(node.read("f"), None);
        assert_ne!(node.files.id(&at("")).expect("id"), before);
    });
}

#[test]
fn drives_of_a_node_are_apart() {
    once(|node| {
        let other = node.world.drive(1, "/drive/inner");
        node.write("f", b"1");
        node.write("inner/f", b"22");
        assert_eq!(
            kind(node.files.rename(&at("f"), &at("inner/g"))),
            io::ErrorKind::CrossesDevices
        );
        let ids = ["f", "inner/f"].map(|path| node.files.id(&at(path)).expect("id"));
        assert_ne!(ids[0].device, ids[1].device);
        other.remove();
        assert_eq!((node.read("f"), node.read("inner/f")), (Some(b"1".to_vec()), None));
        for bad in ["relative", "/drive/../x"] {
            assert_eq!(kind(node.files.kind(Path::new(bad))), io::ErrorKind::InvalidInput);
        }
    });
}
