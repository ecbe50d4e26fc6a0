//! Doors for the fuzz targets: the index on any file, and its rows as bytes.

use super::{
    Changes, Durable, Held, Hold, Index, IndexError, LogConfig, LogLimits, RowChange, RowError, Shard, create_log, rows,
};
use crate::{
    drive::{ListFrom, RegisterKey},
    runtime::{File, Mutation},
};
use bytes::Bytes;
use model::{
    protocol::{Folder, Register},
    record::Record,
};
use std::sync::Arc;

/// A drive's index.
#[derive(Debug)]
pub struct IndexDoor(Index);

/// Rows of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: RegisterKey,
    /// Its register.
    pub register: Register<Record>,
    /// Its one folder.
    pub folder: Folder,
    /// The folder's shard, part 1.
    pub shard: Bytes,
}

impl IndexDoor {
    /// Makes an index and its log in empty files.
    ///
    /// # Errors
    /// As [`IndexError`] says; so everywhere below.
    pub fn create(file: Arc<dyn File>, log: &dyn File) -> Result<(), IndexError> {
        create_log(log, OWNER)?;
        Index::create(file)
    }

    /// Opens one with its log, which takes 100 rows. Generations are counted from `generation` on.
    pub fn open(file: Arc<dyn File>, log: Arc<dyn File>, mut generation: u64) -> Result<IndexDoor, IndexError> {
        let random = move || {
            generation += 1;
            generation
        };
        let log = LogConfig {
            file: log,
            owner: OWNER,
            limits: LogLimits {
                bytes: 1 << 20,
                rows: 100,
                bytes_max: 1 << 20,
                rows_max: 100,
            },
            random: Box::new(random),
        };
        Index::open(file, || Ok(log), Arc::new(|| false), Mutation::NONE).map(IndexDoor)
    }

    /// Writes rows, and the drive's epoch and `hi`, in one commit.
    pub fn put(&self, drive: (u64, u64), rows: &[Row], rest: bool) -> Result<(), IndexError> {
        let changes = Changes {
            drive: Some(drive),
            registers: rows
                .iter()
                .map(|row| (row.key.clone(), Some(row.register.clone())))
                .collect(),
            rows: rows
                .iter()
                .map(|row| RowChange {
                    owner: row.key.clone(),
                    folder: row.folder,
                    held: HELD,
                    change: Hold::Small(row.shard.clone()),
                })
                .collect(),
        };
        self.0
            .commit(&changes, if rest { Durable::Rest } else { Durable::Logged })
    }

    /// The drive's epoch and `hi`.
    pub fn drive_state(&self) -> Result<(u64, u64), IndexError> {
        self.0.drive_state()
    }

    /// Returns what is held of a key; `None` in place of a folder or shard that is lost.
    pub fn get(&self, key: &RegisterKey) -> Result<Option<Row>, IndexError> {
        let view = self.0.view()?;
        let register = view.register(key)?;
        let Some(folder) = view.held(key)?.into_keys().next() else {
            return Ok(None);
        };
        Ok(match view.shard(folder, 1)? {
            Some(Shard::Small(shard)) => Some(Row {
                key: key.clone(),
                register,
                folder,
                shard,
            }),
            Some(Shard::File) | None => None,
        })
    }

    /// All keys that begin so.
    pub fn keys(&self, prefix: &[u8]) -> Result<Vec<RegisterKey>, IndexError> {
        let (listed, _) = self.0.view()?.list(prefix, &ListFrom::Start, usize::MAX)?;
        let keys = listed.iter().map(|(key, _)| RegisterKey::from_bytes(key.to_vec()));
        Ok(keys.collect())
    }

    /// Closes it cleanly.
    pub fn close(&self) -> Result<(), IndexError> {
        self.0.close()
    }
}

/// UUID of the drive.
const OWNER: u128 = 7;

const HELD: Held = Held {
    upload: 0,
    part: 1,
    file: false,
};

/// The row of a register.
///
/// # Errors
/// None that is known.
pub fn encode_register(register: &Register<Record>) -> Result<Vec<u8>, RowError> {
    rows::encode_register(register)
}

/// A register of its row.
///
/// # Errors
/// [`RowError`].
pub fn decode_register(row: &[u8]) -> Result<Register<Record>, RowError> {
    rows::decode_register(row)
}

/// The key of a held folder.
#[must_use]
pub fn held_key(owner: &RegisterKey, folder: Folder, upload: u128, part: u16) -> Vec<u8> {
    let file = false;
    rows::held_key(owner, folder, Held { upload, part, file })
}

/// Owner, folder, upload, part and whether it is a file, of a held folder's key and row.
///
/// # Errors
/// [`RowError`].
pub fn decode_held(key: &[u8], row: &[u8]) -> Result<(RegisterKey, Folder, u128, u16, bool), RowError> {
    let owner = rows::held_owner(key)?;
    let (folder, held) = rows::decode_held(key, row)?;
    Ok((owner, folder, held.upload, held.part, held.file))
}

/// The bytes of a shard's row; `None` if they are a file.
///
/// # Errors
/// [`RowError`].
pub fn decode_shard(row: &[u8]) -> Result<Option<Bytes>, RowError> {
    Ok(match rows::decode_shard(row)? {
        Shard::Small(bytes) => Some(bytes),
        Shard::File => None,
    })
}

/// Number of rows in the body of a log entry.
///
/// # Errors
/// [`RowError`].
pub fn decode_batch(bytes: &[u8]) -> Result<usize, RowError> {
    super::batch::Rows::decode(bytes).map(|decoded| decoded.rows.len())
}
