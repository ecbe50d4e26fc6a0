//! Mutants below the server: files whose syncs report success and do nothing.

use std::path::Path;

/// Files or folders whose syncs do nothing (`specs/mutants.md`), so that a power loss may lose their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsynced {
    /// Files of staged shards.
    ShardFiles,
    /// Folders of staged shards.
    ShardFolders,
    /// The index file, and so its checkpoints.
    Index,
    /// The log of the index.
    Log,
}

impl Unsynced {
    /// Returns whether the file at `path` is affected.
    pub(super) fn is_file(self, path: &Path) -> bool {
        let is_named = |name: &str| path.file_name().is_some_and(|own| own == name);
        match self {
            Unsynced::ShardFiles => is_of_shards(path),
            Unsynced::ShardFolders => false,
            Unsynced::Index => is_named("index.redb"),
            Unsynced::Log => is_named("index.log"),
        }
    }

    /// Returns whether the folder at `path` is affected.
    pub(super) fn is_folder(self, path: &Path) -> bool {
        self == Unsynced::ShardFolders && is_of_shards(path)
    }
}

/// Returns whether `path` is in the folder `data`, which has a subfolder for each first byte of a shard's name.
fn is_of_shards(path: &Path) -> bool {
    let folders = path.parent().map(Path::components).into_iter().flatten();
    folders.into_iter().any(|folder| folder.as_os_str() == "data")
}
