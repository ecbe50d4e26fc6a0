#![allow(clippy::disallowed_methods, reason = "tests damage the file from outside")]

use super::{super::header::HEADER_BYTES, *};
use crate::{
    drive::fixture::{FullFile, open_file},
    runtime::OpenMode,
};
use proptest::prelude::*;
use std::{
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const B: u64 = BLOCK_BYTES as u64;

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("temp folder");
    let path = dir.path().join("index");
    (dir, path)
}

fn create(path: &Path) -> Blocks {
    Blocks::create(open_file(path, OpenMode::CreateNew), Arc::new(|| false))
}

fn open(path: &Path) -> io::Result<Blocks> {
    Blocks::open(open_file(path, OpenMode::Write), Arc::new(|| false), Mutation::NONE)
}

fn read(blocks: &Blocks, offset: u64, len: usize) -> io::Result<Vec<u8>> {
    let mut out = vec![1; len];
    blocks.read(offset, &mut out)?;
    Ok(out)
}

fn flip(path: &Path, offset: u64) {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).expect("reads");
    byte[0] ^= 0x10;
    file.write_all_at(&byte, offset).expect("writes");
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Read(u64, usize),
    SetBlocks(u64),
    Sync,
    /// Syncs, and opens the file again.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Offsets around the boundaries of the first block and of the first group.
    let offset = || prop_oneof![0..3 * B, 250 * B..262 * B, (250..262u64).prop_map(|block| block * B)];
    let bytes = prop_oneof![
        (1..300usize, any::<u8>()).prop_map(|(n, byte)| vec![byte; n]),
        (1..8usize, any::<u8>()).prop_map(|(n, byte)| vec![byte; n * BLOCK_BYTES]),
    ];
    let step = prop_oneof![
        6 => (offset(), bytes).prop_map(|(offset, bytes)| Step::Write(offset, bytes)),
        6 => (offset(), 1..20_000usize).prop_map(|(offset, n)| Step::Read(offset, n)),
        2 => (245..265u64).prop_map(Step::SetBlocks),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn blocks_behave_like_plain_bytes(steps in steps()) {
        let (_dir, path) = scratch();
        let mut blocks = create(&path);
        let mut model = vec![0u8; 260 * BLOCK_BYTES];
        blocks.set_len(260 * B).expect("grows");
        for step in steps {
            match step {
                // The first block holds a header and nothing beyond it.
                Step::Write(offset, bytes) if offset < B && offset as usize + bytes.len() > HEADER_BYTES => {}
                Step::Write(offset, bytes) => {
                    let range = offset as usize..offset as usize + bytes.len();
                    prop_assert_eq!(blocks.write(offset, &bytes).is_ok(), range.end <= model.len());
                    if range.end <= model.len() {
                        model[range].copy_from_slice(&bytes);
                    }
                }
                Step::Read(offset, n) => {
                    let expected = model.get(offset as usize..offset as usize + n);
                    prop_assert_eq!(read(&blocks, offset, n).ok(), expected.map(<[u8]>::to_vec));
                }
                Step::SetBlocks(n) => {
                    blocks.set_len(n * B).expect("resizes");
                    model.resize(n as usize * BLOCK_BYTES, 0);
                }
                Step::Sync => blocks.sync().expect("syncs"),
                Step::Reopen => {
                    blocks.sync().expect("syncs");
                    blocks = open(&path).expect("opens");
                }
            }
            prop_assert_eq!(blocks.state().header.len(), model.len() as u64);
        }
        prop_assert_eq!(read(&blocks, 0, model.len()).expect("reads"), model);
    }
}

// `drive.index-verified`
#[test]
fn every_flipped_bit_of_a_block_or_its_checksum_is_an_error() {
    let (_dir, path) = scratch();
    let blocks = create(&path);
    blocks.set_len(300 * B).expect("grows");
    for block in [1u64, 255, 256, 299] {
        blocks
            .write(block * B, &vec![block as u8; BLOCK_BYTES])
            .expect("writes");
    }
    blocks.sync().expect("syncs");
    drop(blocks);
    for block in [1u64, 255, 256, 299] {
        let sum = super::super::header::AREA_BYTES + block / 256 * 257 * B + block % 256 * 16;
        for at in [block_offset(block), block_offset(block) + B - 1, sum, sum + 15] {
            flip(&path, at);
            let blocks = open(&path).expect("opens");
            let error = read(&blocks, block * B + 7, 1).expect_err("damaged");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            assert!(error.to_string().contains(&format!("block {block} ")), "{error}");
            let error = blocks
                .write(block * B + 7, b"x")
                .expect_err("a part of a damaged block");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
            flip(&path, at);
            let blocks = open(&path).expect("opens");
            assert_eq!(read(&blocks, block * B + 7, 1).expect("repaired"), [block as u8]);
        }
    }
}

#[test]
fn a_block_in_the_place_of_another_is_an_error() {
    let (_dir, path) = scratch();
    let blocks = create(&path);
    blocks.set_len(4 * B).expect("grows");
    blocks.write(B, &[5; BLOCK_BYTES]).expect("writes");
    blocks.write(2 * B, &[5; BLOCK_BYTES]).expect("writes");
    blocks.sync().expect("syncs");
    drop(blocks);
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .expect("opens");
    let mut sums = [0; 64];
    let at = super::super::header::AREA_BYTES;
    file.read_exact_at(&mut sums, at).expect("reads");
    sums.copy_within(16..32, 32);
    file.write_all_at(&sums, at).expect("writes");
    let blocks = open(&path).expect("opens");
    assert!(read(&blocks, B, 1).is_ok());
    assert!(read(&blocks, 2 * B, 1).is_err());
}

/// Makes a file with two synced states of the header, the second of them newer.
fn two_generations(path: &Path) {
    let blocks = create(path);
    blocks.set_len(2 * B).expect("grows");
    for state in [1, 2] {
        blocks.write(0, &[state; 320]).expect("writes");
        blocks.sync().expect("syncs");
    }
}

// `drive.index-header`
#[test]
fn one_damaged_copy_of_the_header_changes_nothing() {
    let (_dir, path) = scratch();
    two_generations(&path);
    for copy in 0..4 {
        for at in [0, 17, 25, 33, 40, 359, 511] {
            flip(&path, copy * B + at);
            let blocks = open(&path).expect("opens");
            assert_eq!(read(&blocks, 0, 320).expect("reads"), [2; 320]);
            flip(&path, copy * B + at);
        }
    }
}

#[test]
fn two_damaged_copies_never_bring_an_older_header_back() {
    let (_dir, path) = scratch();
    two_generations(&path);
    for pair in [0, 1] {
        flip(&path, pair * B + 50);
        flip(&path, (pair + 2) * B + 400);
        assert_eq!(open(&path).expect_err("damaged").kind(), io::ErrorKind::InvalidData);
        flip(&path, pair * B + 50);
        flip(&path, (pair + 2) * B + 400);
    }
}

#[test]
fn whichever_copies_a_crash_keeps_the_header_is_the_last_synced_or_the_next() {
    let (_dir, path) = scratch();
    two_generations(&path);
    let before = std::fs::read(&path).expect("reads");
    let blocks = open(&path).expect("opens");
    // Two writes between syncs: neither may overwrite the synced pair of copies.
    blocks.write(0, &[3; 320]).expect("writes");
    blocks.state().header.flush(&*blocks.file).expect("writes");
    blocks.write(0, &[4; 320]).expect("writes");
    blocks.state().header.flush(&*blocks.file).expect("writes");
    drop(blocks);
    let after = std::fs::read(&path).expect("reads");
    for kept in 0..16u64 {
        let mut crashed = before.clone();
        for copy in (0..4).filter(|copy| kept >> copy & 1 == 1) {
            let range = copy * BLOCK_BYTES..copy * BLOCK_BYTES + 512;
            crashed[range.clone()].copy_from_slice(&after[range]);
        }
        std::fs::write(&path, &crashed).expect("writes");
        let header = read(&open(&path).expect("opens"), 0, 1).expect("reads")[0];
        let newest = before[..4 * BLOCK_BYTES] != crashed[..4 * BLOCK_BYTES];
        assert_eq!(header, if newest { 4 } else { 2 }, "kept {kept:04b}");
    }
}

#[test]
fn a_torn_block_passes_only_while_redb_verifies_and_is_sealed_then() {
    let (_dir, path) = scratch();
    let blocks = create(&path);
    blocks.set_len(3 * B).expect("grows");
    blocks.write(B, &[9; BLOCK_BYTES]).expect("writes");
    blocks.sync().expect("syncs");
    drop(blocks);
    flip(&path, block_offset(1) + 100);
    let blocks = open(&path).expect("opens");
    assert!(read(&blocks, B, 1).is_err());
    blocks.verify_by_redb();
    assert_eq!(read(&blocks, B, 1).expect("passes"), [9]);
    assert_eq!(blocks.verify_here().expect("seals"), 1);
    assert!(read(&blocks, B, 1).is_ok());
    drop(blocks);
    let blocks = open(&path).expect("opens");
    assert!(read(&blocks, B, 1).is_ok());
    assert_eq!(blocks.verify_here().expect("nothing to seal"), 0);
}

#[test]
fn a_file_that_lost_its_end_is_refused_and_a_longer_one_is_cut() {
    let (_dir, path) = scratch();
    two_generations(&path);
    let file = std::fs::File::options().write(true).open(&path).expect("opens");
    let len = file.metadata().expect("metadata").len();
    file.set_len(len + 300 * B).expect("grows");
    drop(open(&path).expect("opens"));
    assert_eq!(file.metadata().expect("metadata").len(), len);
    file.set_len(len - 1).expect("shrinks");
    assert_eq!(open(&path).expect_err("short").kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_header_that_survived_without_the_length_it_counts_is_not_used() {
    let (_dir, path) = scratch();
    two_generations(&path);
    let len = std::fs::metadata(&path).expect("metadata").len();
    let blocks = open(&path).expect("opens");
    blocks.set_len(600 * B).expect("grows");
    blocks.write(0, &[3; 320]).expect("writes");
    blocks.sync().expect("syncs");
    drop(blocks);
    let file = std::fs::File::options().write(true).open(&path).expect("opens");
    file.set_len(len).expect("shrinks");
    let blocks = open(&path).expect("opens");
    assert_eq!(read(&blocks, 0, 1).expect("reads"), [2]);
    assert!(read(&blocks, 2 * B, 1).is_err(), "beyond the end again");
    // Later syncs work as usual.
    blocks.set_len(600 * B).expect("grows");
    blocks.write(0, &[4; 320]).expect("writes");
    blocks.sync().expect("syncs");
    assert_eq!(read(&open(&path).expect("opens"), 0, 1).expect("reads"), [4]);
}

// `drive.full-still-deletes`
#[test]
fn a_full_file_system_makes_room_and_goes_on() {
    let (_dir, path) = scratch();
    let full = Arc::new(AtomicBool::new(false));
    let file = Arc::new(FullFile(open_file(&path, OpenMode::CreateNew), full.clone()));
    let room = full.clone();
    let blocks = Blocks::create(file, Arc::new(move || room.swap(false, Ordering::SeqCst)));
    let fill = || full.store(true, Ordering::SeqCst);
    fill();
    blocks.set_len(3 * B).expect("grows");
    fill();
    blocks.write(B, &[1; BLOCK_BYTES]).expect("writes");
    fill();
    blocks.sync().expect("syncs");
    assert_eq!(read(&open(&path).expect("opens"), B, 1).expect("reads"), [1]);
}
