//! What drives suffer.

use std::{fs, path::Path};

/// A flipped bit for every so many bytes.
const ROT_DISTANCE_BYTES: usize = 1000;

/// Flips bits all over a file, or every file below a folder; how many files there are.
///
/// # Panics
/// When the host's file system does not do as told.
pub fn rot(path: &Path) -> usize {
    if path.is_dir() {
        let entries = fs::read_dir(path).expect("a folder");
        return entries.map(|entry| rot(&entry.expect("an entry").path())).sum();
    }
    let mut bytes = fs::read(path).expect("a file");
    for (index, byte) in bytes.iter_mut().step_by(ROT_DISTANCE_BYTES).enumerate() {
        *byte ^= 1 << (index % 8);
    }
    fs::write(path, bytes).expect("a file");
    1
}
