//! redb on the simulated drive: power loss at any write, also during a commit and during recovery.

use madsim::rand::{Rng, thread_rng};
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition};
use sim::{
    World,
    run::{Scenario, simulate},
};
use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};
use store::runtime::{File, OpenMode};

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("table");
const LIVES: usize = 12;

type Rows = BTreeMap<u64, Vec<u8>>;

/// Minimal storage backend for redb.
#[derive(Debug)]
struct Backend(Arc<dyn File>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.read_at(offset, out)? < out.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
}

/// Opens the database. redb makes one in many writes and refuses to open an unfinished one, so it is made under another
/// name and renamed.
fn open(world: &World) -> Result<Database, redb::Error> {
    let files = world.runtime(1).files();
    let [folder, new, index] = ["/drive", "/drive/new", "/drive/index"].map(Path::new);
    let database = |file| {
        Builder::new()
            .set_cache_size(1 << 20)
            .create_with_backend(Backend(file))
    };
    if files.kind(index).is_err() {
        let file = files.open(new, OpenMode::Create)?;
        file.set_len(0)?;
        drop(database(file.clone())?);
        file.sync()?;
        files.rename(new, index)?;
        files.sync_dir(folder)?;
    }
    Ok(database(files.open(index, OpenMode::Write)?)?)
}

fn rows(database: &Database) -> Result<Rows, redb::Error> {
    match database.begin_read()?.open_table(TABLE) {
        Ok(table) => table
            .iter()?
            .map(|row| row.map(|(k, v)| (k.value(), v.value().to_vec())))
            .collect::<Result<_, _>>(),
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(Rows::new()),
        Err(error) => return Err(error.into()),
    }
    .map_err(Into::into)
}

/// Commits a random change, and applies it to `rows`. Returns whether the commit was durable.
fn commit(database: &Database, rows: &mut Rows) -> Result<bool, redb::Error> {
    let mut rng = thread_rng();
    let mut transaction = database.begin_write()?;
    let durable = rng.gen_bool(0.5);
    if durable {
        transaction.set_quick_repair(rng.gen_bool(0.5));
    } else {
        transaction
            .set_durability(Durability::None)
            .map_err(redb::Error::from)?;
    }
    let mut table = transaction.open_table(TABLE)?;
    for _ in 0..rng.gen_range(1..30) {
        let key = rng.gen_range(0..200);
        if rng.gen_bool(0.3) {
            rows.remove(&key);
            table.remove(key)?;
        } else {
            let value = vec![rng.r#gen(); rng.gen_range(0..3000)];
            table.insert(key, &value[..])?;
            rows.insert(key, value);
        }
    }
    drop(table);
    transaction.commit()?;
    Ok(durable)
}

/// Runs lives of a database, each ended by a power loss. Returns whether each found the state of its last durable
/// commit or of a later commit.
fn keeps_what_it_commits(world: &World) -> bool {
    let drive = world.drive(1, "/drive");
    // States that the database may have after a power loss.
    let mut possible = vec![Rows::new()];
    for life in 0..LIVES {
        // In some lives the power fails before the database is open.
        drive.cut_after(thread_rng().gen_range(0..if life % 3 == 0 { 30 } else { 200 }));
        let database = open(world);
        if let Ok(database) = &database {
            let Ok(found) = rows(database) else { return false };
            if !possible.contains(&found) {
                return false;
            }
            possible = vec![found];
            loop {
                let mut next = possible.last().cloned().unwrap_or_default();
                let durable = commit(database, &mut next);
                if let Ok(true) = durable {
                    possible.clear();
                }
                possible.push(next);
                if durable.is_err() {
                    break;
                }
            }
            world.event(
                1,
                &format!("{} states are possible when the power fails", possible.len()),
            );
        }
        assert!(
            drive.is_cut(),
            "failed for another reason than the power: {:?}",
            database.err()
        );
        // The process is dead when the database is dropped, so that its last writes have no effect.
        world.power_off(1);
        drop(database);
    }
    drive.used_bytes() > 0
}

#[test]
fn every_committed_transaction_survives_and_no_part_of_another() {
    let scenario = |world: World| async move { assert!(keeps_what_it_commits(&world)) };
    Scenario::new("every_committed_transaction_survives_and_no_part_of_another")
        .seeds(40)
        .check(scenario);
}

/// Canary: on a drive whose syncs do nothing, the same database must lose data or break.
#[test]
fn a_lying_drive_is_caught() {
    let caught = (0..10).filter(|seed| {
        let lie = |world: World| async move {
            world.drive(1, "/drive").set_faults(|faults| faults.lying_sync = 1.0);
            assert!(keeps_what_it_commits(&world));
        };
        simulate(*seed, Duration::from_secs(600), lie).is_err()
    });
    assert!(caught.count() >= 8);
}
