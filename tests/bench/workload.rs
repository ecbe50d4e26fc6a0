//! The operations that are measured, their objects, and the check of every answer.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::tests::s3::{Client, Error};
use clap::ValueEnum;

use crate::load::{self, Limit, Run};

const BUCKET: &str = "bench";
const SMALL_BYTES: usize = 4 << 10;
/// Size of a large object.
pub const LARGE_BYTES: usize = 1 << 20;
/// Keys of one listing; small objects are read at random from the first group of so many.
pub const LISTED_KEYS: u64 = 10_000;
/// Large objects that one run writes at most, so that a fast server does not fill a small tmpfs.
const LARGE_OPS_MAX: u64 = 1_024;
/// Large objects among which one is read, at least.
const LARGE_READ_MIN: u64 = 64;

/// One measured operation; in the order in which they run, so that what is read was written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Operation {
    /// PUT of a new 4 KiB object.
    PutSmall,
    /// GET of one of 10,000 objects of 4 KiB, at random.
    GetSmall,
    /// Listing of 10,000 keys, in pages of 1,000, on one connection.
    List,
    /// PUT of a new 1 MiB object.
    PutLarge,
    /// GET of one of the 1 MiB objects, at random.
    GetLarge,
}

impl Operation {
    /// How many of `concurrency` connections it uses.
    pub fn connections(self, concurrency: usize) -> usize {
        if self == Operation::List { 1 } else { concurrency }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Operation::PutSmall => "PUT 4 KiB",
            Operation::GetSmall => "GET 4 KiB",
            Operation::List => "LIST 10,000 keys",
            Operation::PutLarge => "PUT 1 MiB",
            Operation::GetLarge => "GET 1 MiB",
        })
    }
}

/// The objects of one server, and the connections to it.
pub struct Workload {
    clients: Vec<Client>,
    contents: Contents,
    small_written: AtomicU64,
    large_written: AtomicU64,
    reads: AtomicU64,
}

impl Workload {
    /// Creates the bucket, which must not exist: the objects of an earlier run would be in the listing.
    pub fn new(client: &Client, concurrency: usize) -> Result<Workload, Error> {
        let mut clients = vec![client.clone(); concurrency.max(1)];
        clients[0].create_bucket(BUCKET)?;
        let zero = || AtomicU64::new(0);
        Ok(Workload {
            clients,
            contents: Contents::new(),
            small_written: zero(),
            large_written: zero(),
            reads: zero(),
        })
    }

    /// Runs one operation for `time`, each answer checked. What it reads must have been written ([`Self::prepare`]).
    pub fn run(&mut self, operation: Operation, time: Duration) -> Result<Run, Error> {
        let ops_max = if operation == Operation::PutLarge {
            LARGE_OPS_MAX
        } else {
            u64::MAX
        };
        self.run_limited(operation, Limit { time, ops_max })
    }

    /// Writes what the operation reads and what is not there yet.
    pub fn prepare(&mut self, operation: Operation) -> Result<(), Error> {
        let (write, written, wanted) = match operation {
            Operation::GetSmall | Operation::List => (Operation::PutSmall, &self.small_written, LISTED_KEYS),
            Operation::GetLarge => (Operation::PutLarge, &self.large_written, LARGE_READ_MIN),
            Operation::PutSmall | Operation::PutLarge => return Ok(()),
        };
        let ops_max = wanted.saturating_sub(written.load(Ordering::Relaxed));
        self.run_limited(
            write,
            Limit {
                time: Duration::from_secs(3_600),
                ops_max,
            },
        )?;
        Ok(())
    }

    /// Checks on new connections that a restarted server still has what it acknowledged.
    pub fn check_after_restart(&mut self, client: &Client) -> Result<(), Error> {
        self.clients.fill_with(|| client.clone());
        let small = self.small_written.load(Ordering::Relaxed).min(1);
        let large = self.large_written.load(Ordering::Relaxed).min(1);
        let checks = [
            (Operation::List, small),
            (Operation::GetSmall, 256 * small),
            (Operation::GetLarge, 64 * large),
        ];
        let time = Duration::from_secs(600);
        for (operation, ops_max) in checks {
            self.run_limited(operation, Limit { time, ops_max })?;
        }
        Ok(())
    }

    fn run_limited(&mut self, operation: Operation, limit: Limit) -> Result<Run, Error> {
        let Workload {
            clients,
            contents,
            small_written,
            large_written,
            reads,
        } = self;
        let connections = operation.connections(clients.len());
        let clients = &mut clients[..connections];
        let small_count = small_written.load(Ordering::Relaxed).min(LISTED_KEYS);
        let large_count = large_written.load(Ordering::Relaxed);
        match operation {
            Operation::PutSmall => load::run(clients, limit, small_written, |client, number| {
                let key = small_key(number);
                client.put(BUCKET, &key, contents.of(number, SMALL_BYTES)).map(drop)
            }),
            Operation::PutLarge => load::run(clients, limit, large_written, |client, number| {
                client
                    .put(BUCKET, &large_key(number), contents.of(number, LARGE_BYTES))
                    .map(drop)
            }),
            Operation::GetSmall => load::run(clients, limit, reads, |client, number| {
                let number = scatter(number) % small_count;
                let key = small_key(number);
                check(&key, &client.get(BUCKET, &key)?, contents.of(number, SMALL_BYTES))
            }),
            Operation::GetLarge => load::run(clients, limit, reads, |client, number| {
                let number = scatter(number) % large_count;
                let key = large_key(number);
                check(&key, &client.get(BUCKET, &key)?, contents.of(number, LARGE_BYTES))
            }),
            Operation::List => load::run(clients, limit, reads, |client, _| {
                let keys = client.list_all(BUCKET, &small_prefix(0))?;
                match keys.iter().eq(&(0..small_count).map(small_key).collect::<Vec<_>>()) {
                    true => Ok(()),
                    false => Err(Error::Wrong(format!(
                        "the listing, of {} keys, is not right",
                        keys.len()
                    ))),
                }
            }),
        }
    }
}

fn small_prefix(group: u64) -> String {
    format!("small/{group:04}/")
}

/// Groups of as many keys as a listing has, so that the listing does not grow with the speed of the server.
fn small_key(number: u64) -> String {
    format!("{}{:05}", small_prefix(number / LISTED_KEYS), number % LISTED_KEYS)
}

fn large_key(number: u64) -> String {
    format!("large/{number:08}")
}

fn check(key: &str, got: &[u8], wanted: &[u8]) -> Result<(), Error> {
    if got == wanted {
        return Ok(());
    }
    let at = got.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let lengths = format!("{} bytes for {}", got.len(), wanted.len());
    Err(Error::Wrong(format!("{key}: {lengths}, different from byte {at} on")))
}

/// Random bytes of which each object is a slice: no two objects alike, none compressible, and no copy to make one.
struct Contents {
    pool: Vec<u8>,
}

impl Contents {
    const POOL_BYTES: usize = 8 << 20;

    fn new() -> Contents {
        let words = (0..Self::POOL_BYTES as u64 / 8).map(scatter);
        Contents {
            pool: words.flat_map(u64::to_le_bytes).collect(),
        }
    }

    /// Contents of the object of this number.
    fn of(&self, number: u64, length: usize) -> &[u8] {
        let start = scatter(number) as usize % (Self::POOL_BYTES - length);
        &self.pool[start..start + length]
    }
}

/// A fixed permutation of the 64-bit numbers that looks random (the finalizer of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_in_order_and_in_groups() {
        assert_eq!(small_key(0), "small/0000/00000");
        assert_eq!(small_key(9_999), "small/0000/09999");
        assert_eq!(small_key(10_000), "small/0001/00000");
        assert!((0..20_000).map(small_key).is_sorted());
    }

    #[test]
    fn contents_differ_and_repeat() {
        let contents = Contents::new();
        assert_eq!(contents.of(7, SMALL_BYTES), Contents::new().of(7, SMALL_BYTES));
        assert_ne!(contents.of(7, SMALL_BYTES), contents.of(8, SMALL_BYTES));
        assert_eq!(contents.of(u64::MAX, LARGE_BYTES).len(), LARGE_BYTES);
    }

    #[test]
    fn wrong_bodies_are_noticed() {
        assert!(check("key", b"abc", b"abc").is_ok());
        for (got, at) in [("abx", 2), ("ab", 2), ("abcd", 3), ("", 0)] {
            let error = check("key", got.as_bytes(), b"abc").unwrap_err().to_string();
            assert!(error.ends_with(&format!("different from byte {at} on")), "{error}");
        }
    }
}
