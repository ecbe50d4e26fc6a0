//! What drives suffer.

use std::{fs, path::Path};

/// A flipped bit for every so many bytes.
const ROT_DISTANCE_BYTES: usize = 1000;

/// Flips bits all over every file below `folder`. `format.json` is spared: a drive without its identity is
/// not one with rotten data, and is tested elsewhere.
///
/// # Panics
/// When the host's file system does not do as told.
pub fn rot(folder: &Path) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files += rot(&path);
        } else if path.file_name().is_some_and(|name| name != "format.json") {
            let mut bytes = fs::read(&path).expect("a file");
            for (index, byte) in bytes.iter_mut().step_by(ROT_DISTANCE_BYTES).enumerate() {
                *byte ^= 1 << (index % 8);
            }
            fs::write(&path, bytes).expect("a file");
            files += 1;
        }
    }
    files
}
