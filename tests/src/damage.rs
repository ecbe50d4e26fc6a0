//! Damage to drives.

use std::{fs, path::Path};

/// Distance between flipped bits, in bytes.
const ROT_DISTANCE_BYTES: usize = 1000;

/// Flips bits all over a file, or every file below a folder; returns the number of files.
///
/// # Panics
/// On an I/O error.
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
