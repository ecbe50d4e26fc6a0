//! Bitrot of a drive's index: rows that are read are as they were written, or the index fails.

use bolero::{TypeGenerator, check};
use bytes::Bytes;
use model::{
    protocol::{Ballot, Register, Vote},
    record::{Content, Object, Record, Upload},
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use store::{
    drive::{
        IndexError, RegisterKey,
        fuzzing::{IndexDoor, Row},
    },
    runtime::{File, FileId},
};

const KEYS: u64 = 60;
const BLOCK_BYTES: usize = 4096;

/// File in memory. All writes count as synced.
#[derive(Debug)]
struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryFile {
    fn new(bytes: Vec<u8>) -> Arc<MemoryFile> {
        Arc::new(MemoryFile(Mutex::new(bytes)))
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl File for MemoryFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes();
        let found = bytes.get(offset as usize..).unwrap_or_default();
        let len = found.len().min(buf.len());
        buf[..len].copy_from_slice(&found[..len]);
        Ok(len)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut bytes, end) = (self.bytes(), offset as usize + data.len());
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[offset as usize..end].copy_from_slice(data);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes().resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn id(&self) -> io::Result<FileId> {
        Ok(FileId { device: 0, inode: 0 })
    }
}

fn vote(round: u64, name: u128) -> Vote<Record> {
    let upload = Upload {
        id: name,
        started_nanos: round,
        data_shards: 2,
        parity_shards: 2,
        headers: BTreeMap::from([("x-amz-meta-a".to_owned(), "b".repeat(name as usize % 90))]),
        checksum: None,
    };
    let object = Object {
        versions: Vec::new(),
        uploads: vec![upload],
    };
    let ballot = Ballot { round, ..Ballot::ZERO };
    Vote {
        ballot,
        value: Record::new(name, Content::Object(object)),
    }
}

fn row(n: u64) -> Row {
    Row {
        key: RegisterKey::object(u128::from(n % 3), &format!("key-{:03}", n * 7 % 100)),
        register: Register {
            superseded: (0..n % 3).map(|of| u128::from(n * 10 + of)).collect(),
            ..Register::open(vote(n + 5, u128::from(n) + 1), vote(n + 2, u128::from(n) + 1000))
        },
        folder: u128::from(n) + 1,
        shard: Bytes::from(vec![n as u8; 100 + n as usize * 40]),
    }
}

fn rows() -> Vec<Row> {
    (0..KEYS).map(row).collect()
}

/// Returns an index with all rows, and its log: closed, or as a crash leaves them after the index had come to rest.
fn image(closed: bool) -> Image {
    let (file, log) = (MemoryFile::new(Vec::new()), MemoryFile::new(Vec::new()));
    IndexDoor::create(file.clone(), &*log).expect("creates");
    let index = IndexDoor::open(file.clone(), log.clone(), 1).expect("opens");
    for (n, rows) in rows().chunks(20).enumerate() {
        index.put((3, n as u64), rows, false).expect("commits");
    }
    index.put((3, 9), &[], true).expect("commits");
    if closed {
        index.close().expect("closes");
    }
    let (index, log) = (file.bytes().clone(), log.bytes().clone());
    Image { index, log }
}

#[derive(Clone)]
struct Image {
    index: Vec<u8>,
    log: Vec<u8>,
}

impl Image {
    fn open(&self) -> Result<IndexDoor, IndexError> {
        let (index, log) = (MemoryFile::new(self.index.clone()), MemoryFile::new(self.log.clone()));
        IndexDoor::open(index, log, 100)
    }
}

/// Damage to a file.
#[derive(Clone, Debug, TypeGenerator)]
enum Rot {
    Flip {
        at: u32,
        bits: u8,
    },
    Overwrite {
        at: u32,
        bytes: Vec<u8>,
    },
    /// Lost extent.
    ZeroBlocks {
        block: u16,
        count: u8,
    },
    CopyBlock {
        from: u16,
        to: u16,
    },
    Append {
        bytes: Vec<u8>,
    },
    /// Within the used bytes of the header's copies, which a flip anywhere rarely hits.
    FlipHeader {
        copy: u8,
        at: u16,
        bits: u8,
    },
}

impl Rot {
    fn befall(&self, file: &mut Vec<u8>) {
        let (len, blocks) = (file.len(), file.len() / BLOCK_BYTES);
        let block = |n: u16| usize::from(n) % blocks * BLOCK_BYTES;
        match self {
            Rot::Flip { at, bits } => file[*at as usize % len] ^= bits,
            Rot::Overwrite { at, bytes } => {
                let at = *at as usize % len;
                let end = len.min(at + bytes.len());
                file[at..end].copy_from_slice(&bytes[..end - at]);
            }
            Rot::ZeroBlocks { block: n, count } => {
                let start = block(*n);
                let end = len.min(start + (usize::from(count % 64) + 1) * BLOCK_BYTES);
                file[start..end].fill(0);
            }
            Rot::CopyBlock { from, to } => file.copy_within(block(*from)..block(*from) + BLOCK_BYTES, block(*to)),
            Rot::Append { bytes } => file.extend_from_slice(bytes),
            Rot::FlipHeader { copy, at, bits } => {
                file[usize::from(copy % 4) * BLOCK_BYTES + usize::from(*at) % 512] ^= bits;
            }
        }
    }
}

/// Reads all rows and writes another one. Panics if a row is wrong or missing.
fn read_all(image: &Image, expected: &[Row]) -> Result<(), IndexError> {
    let index = image.open()?;
    assert_eq!(index.drive_state()?, (3, 9), "the drive's own promises");
    for row in expected {
        let found = index.get(&row.key)?;
        let same = found.as_ref() == Some(row) && format!("{found:?}") == format!("{:?}", Some(row));
        assert!(same, "{:?} is wrong or lost: {found:?}", row.key);
    }
    for incarnation in 0..3 {
        let prefix = RegisterKey::objects_prefix(incarnation, "");
        let mut keys: Vec<_> = expected.iter().map(|row| row.key.clone()).collect();
        keys.retain(|key| key.as_bytes().starts_with(&prefix));
        keys.sort();
        assert_eq!(index.keys(&prefix)?, keys, "a listing");
    }
    let late = row(KEYS);
    index.put((3, 10), std::slice::from_ref(&late), false)?;
    assert_eq!(index.get(&late.key)?, Some(late), "a row written to a rotten index");
    index.close()
}

fn check_rot(closed: bool) {
    let (image, rows) = (image(closed), rows());
    read_all(&image, &rows).expect("an index without rot is read");
    check!().with_type::<Vec<Rot>>().for_each(|rot| {
        let mut file = image.clone();
        rot.iter().take(6).for_each(|rot| rot.befall(&mut file.index));
        // A block of zeroes with a checksum of zeroes counts as never written. redb panics on it, which the index
        // returns as an error.
        read_all(&file, &rows).ok();
    });
}

/// `drive.index-verified`, `drive.index-header`: under any bitrot, no row is wrong and none is lost.
#[test]
fn rot_of_a_closed_index_is_never_read() {
    check_rot(true);
}

/// The same after a crash, once the index had come to rest.
#[test]
fn rot_of_a_crashed_index_is_never_read() {
    check_rot(false);
}

/// `drive.log-verified`: under any bitrot of the log, a prefix of its entries is read, each of them whole.
#[test]
fn rot_of_a_log_is_never_read() {
    let (file, log) = (MemoryFile::new(Vec::new()), MemoryFile::new(Vec::new()));
    IndexDoor::create(file.clone(), &*log).expect("creates");
    let index = IndexDoor::open(file.clone(), log.clone(), 1).expect("opens");
    let rows: Vec<_> = (0..30).map(row).collect();
    for rows in rows.chunks(10) {
        index.put((3, 9), rows, false).expect("commits");
    }
    let (index, log) = (file.bytes().clone(), log.bytes().clone());
    let image = Image { index, log };
    check!().with_type::<Vec<Rot>>().for_each(|rot| {
        let mut rotten = image.clone();
        // Most of a log is empty, and damage there would have no effect.
        rotten.log.truncate(16 * BLOCK_BYTES);
        rot.iter().take(6).for_each(|rot| rot.befall(&mut rotten.log));
        let Ok(index) = rotten.open() else {
            return;
        };
        let found = |row: &Row| index.get(&row.key).expect("the index itself is whole").as_ref() == Some(row);
        let there: Vec<_> = rows.iter().map(found).collect();
        let count = there.iter().filter(|there| **there).count();
        assert!(
            count.is_multiple_of(10) && there[..count].iter().all(|there| *there),
            "{there:?}"
        );
    });
}

/// No file without a valid header opens as an index.
#[test]
fn any_file_is_an_index_or_an_error() {
    check!().with_type::<(Vec<u8>, u8)>().for_each(|(bytes, blocks)| {
        let mut file = bytes.clone();
        file.resize(bytes.len() + usize::from(blocks % 8) * BLOCK_BYTES, 0);
        assert!(
            IndexDoor::open(MemoryFile::new(file), MemoryFile::new(Vec::new()), 1).is_err(),
            "it has no valid header"
        );
    });
}

/// Canary: a row that was never written must be reported as lost.
#[test]
#[should_panic(expected = "is wrong or lost")]
fn canary_a_lost_row_is_noticed_by_the_check() {
    let mut expected = rows();
    expected.push(Row {
        key: RegisterKey::object(1, "never-written"),
        ..row(0)
    });
    read_all(&image(true), &expected).expect("reads");
}
