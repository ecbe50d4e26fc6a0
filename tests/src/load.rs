//! Load on a cluster whose nodes go away: writers that know what they have written, and what may be read.

use crate::{
    cluster::client_of,
    s3::{Client, Error},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Bucket of the load.
pub const BUCKET: &str = "lost-nodes";
/// Requests of one operation, as boto3 makes them, and the pause before each further one.
const TRIES: u32 = 3;
const TRY_PAUSE: Duration = Duration::from_millis(500);
/// Pause of a writer between two keys.
const KEY_PAUSE: Duration = Duration::from_millis(10);

/// What the only writer of a key knows of it.
#[derive(Debug, Default)]
pub struct Known {
    /// Number of the content that was acknowledged last, and when.
    pub acknowledged: Option<(u64, Instant)>,
    /// Contents that were sent since, and may be there or not.
    pub attempted: Vec<u64>,
}

/// What a writer knows of each of its keys.
pub type Journal = BTreeMap<String, Known>;

/// Returns bytes that follow from a key and a number, which they begin with. Every sixteenth is large.
#[must_use]
pub fn content(key: &str, number: u64) -> Vec<u8> {
    let size = match number % 16 {
        0 => 1_200_000,
        rest if rest % 4 == 0 => 200_000,
        rest if rest % 2 == 0 => 20_000,
        _ => 100,
    };
    let seed = key.bytes().fold(number + 1, |seed, byte| {
        (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Repeated at a distance that fits no stripe and no shard, so that no piece of either can stand for another.
    let block: Vec<u8> = (1..=4093u64)
        .map(|at| (seed.wrapping_mul(at * 2 + 1) >> 48).to_le_bytes()[0])
        .collect();
    let mut bytes = format!("{number:020}").into_bytes();
    while bytes.len() < size {
        bytes.extend(&block);
    }
    bytes
}

/// Returns the number whose content a key has.
///
/// # Panics
/// If it has the content of none.
#[must_use]
pub fn number_of(key: &str, bytes: &[u8]) -> u64 {
    let number = bytes.get(..20).and_then(|head| std::str::from_utf8(head).ok());
    let number = number.and_then(|number| number.parse().ok());
    let number: u64 = number.unwrap_or_else(|| panic!("{key}: {} wrong bytes", bytes.len()));
    assert!(bytes == content(key, number), "{key}: wrong bytes of number {number}");
    number
}

/// Returns whether a client repeats the request: there was no answer, or one that says so.
fn is_retried(error: &Error) -> bool {
    matches!(error, Error::Io(_)) || matches!(error.status(), Some(500 | 503))
}

/// Makes up to three requests, as a client does.
///
/// # Errors
/// The last request's, or the first that no client repeats.
pub fn with_retries<T>(mut request: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for attempt in 1..TRIES {
        match request() {
            Err(error) if is_retried(&error) => thread::sleep(TRY_PAUSE * attempt),
            other => return other,
        }
    }
    request()
}

/// The nodes that are away, and whether the load is to end.
#[derive(Debug, Default)]
pub struct Away(Mutex<(BTreeSet<usize>, bool)>);

impl Away {
    fn state(&self) -> MutexGuard<'_, (BTreeSet<usize>, bool)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a node is about to go away.
    pub fn goes(&self, node: usize) {
        self.state().0.insert(node);
    }

    /// Notes that a node is back.
    pub fn is_back(&self, node: usize) {
        self.state().0.remove(&node);
    }

    /// Ends the load.
    pub fn end(&self) {
        self.state().1 = true;
    }

    fn is_over(&self) -> bool {
        self.state().1
    }

    fn count(&self) -> usize {
        self.state().0.len()
    }

    /// Returns whether requests to a node may fail: it is away, or more than one is.
    fn may_fail(&self, node: usize) -> bool {
        self.count() >= 2 || self.state().0.contains(&node)
    }
}

/// Writes at one of the nodes that listen on these ports and reads at all, until the load ends or two nodes are away.
/// Returns what it knows, and the longest time of a write and a read at nodes that were there.
///
/// # Panics
/// If an operation at a node that is there fails whatever is tried, or reads what was not written.
#[must_use]
pub fn load(ports: &[u16], writer: usize, node: usize, away: &Away) -> (Journal, Duration) {
    let mut client = client_of(ports[node]);
    let mut readers: Vec<(usize, Client)> = ports.iter().map(|&port| client_of(port)).enumerate().collect();
    let (mut journal, mut longest) = (Journal::new(), Duration::ZERO);
    for number in 1.. {
        if away.is_over() {
            break;
        }
        // A new key, or an older one again.
        let key = match number % 2 {
            0 => format!("w{writer}/{number}"),
            _ => format!("w{writer}/{}", number * 7919 % number / 2 * 2),
        };
        let known = journal.entry(key.clone()).or_default();
        let (body, began) = (content(&key, number), Instant::now());
        known.attempted.push(number);
        match with_retries(|| client.put(BUCKET, &key, &body)) {
            Ok(_) => {
                *known = Known {
                    acknowledged: Some((number, Instant::now())),
                    attempted: Vec::new(),
                }
            }
            Err(error) if away.may_fail(node) && is_retried(&error) => match away.count() {
                0 | 1 => {
                    thread::sleep(TRY_PAUSE);
                    continue;
                }
                _ => break,
            },
            Err(error) => panic!("node {node} fails with {:?}, whatever is tried: {error}", away.state()),
        }
        let count = readers.len();
        let (reader, client) = &mut readers[usize::try_from(number).unwrap_or(0) % count];
        // One that is stopped would only answer once it goes on.
        if !away.may_fail(*reader) {
            match with_retries(|| client.get(BUCKET, &key)) {
                Ok(bytes) => assert_eq!(number_of(&key, &bytes), number, "{key}: old bytes"),
                Err(error) if away.may_fail(*reader) && is_retried(&error) => {}
                Err(error) => panic!("{key} cannot be read at node {reader} with {:?}: {error}", away.state()),
            }
        }
        if !away.may_fail(node) {
            longest = longest.max(began.elapsed());
        }
        thread::sleep(KEY_PAUSE);
    }
    (journal, longest)
}

/// Reads a key. Returns its number, 0 if there is no such key, or `None` if the node cannot tell.
///
/// # Panics
/// On wrong or old bytes, and if an acknowledged key is not there.
pub fn read(client: &mut Client, key: &str, known: &Known) -> Option<u64> {
    let possible = || {
        let acknowledged = known.acknowledged.map_or(0, |(number, _)| number);
        known.attempted.iter().copied().chain([acknowledged])
    };
    let found = match client.get(BUCKET, key) {
        Ok(bytes) => number_of(key, &bytes),
        Err(error) if error.status() == Some(404) => 0,
        Err(error) if error.status() == Some(503) => return None,
        Err(error) => panic!("{key}: {error}"),
    };
    assert!(
        possible().any(|number| number == found),
        "{key} has {found}, not one of {:?} (0: there is none)",
        possible().collect::<Vec<_>>()
    );
    Some(found)
}
