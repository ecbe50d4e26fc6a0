//! Workload of one server: its objects, the operations on them, and the check of every answer.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::tests::s3::{Client, Error};
use sha2::{Digest, Sha256};

use crate::load::{self, Limit, Run};
use crate::operation::{Kind, Operation, size_text};

const BUCKET: &str = "bench";
/// Maximum bytes that one run of PUT writes, so that a fast server does not fill a small tmpfs; also the maximum that
/// is written in advance for one run of DELETE.
const RUN_BYTES_MAX: u64 = 2 << 30;
/// Number of keys written in advance for each second of DELETE; a run ends when they are used up.
const DELETED_PER_SECOND: f64 = 2_000.0;
/// Bytes of each object size that are kept between two runs, beyond those that are read.
const SPARE_BYTES_MAX: u64 = 512 << 20;
/// Connections of unmeasured work.
const PREPARE_CONNECTIONS: usize = 16;
/// Time limit of unmeasured work.
const PREPARE_TIME: Duration = Duration::from_secs(3_600);
/// Pause before an operation whose failure was tolerated is repeated.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);
/// Bytes of each object size that are read again at the end, within these counts of objects.
const SAMPLE_BYTES: u64 = 64 << 20;
const SAMPLE_OBJECTS_MIN: u64 = 4;
const SAMPLE_OBJECTS_MAX: u64 = 256;
/// Number of keys in one group; servers with folders see a group as one folder.
const GROUP_KEYS: u64 = 10_000;

/// Objects of one server, and the connections to it.
pub struct Workload {
    clients: Vec<Client>,
    contents: Contents,
    /// Sets of objects by object size.
    sets: BTreeMap<u64, Set>,
    reads: u64,
}

impl Workload {
    /// Prepares for these operations, each on at most `connections_max` connections, which are spread evenly over
    /// `nodes`, clients of at least one node. Creates the bucket, which must not exist: the objects of an earlier run
    /// would be in the listing.
    pub fn new(nodes: &[Client], operations: &[Operation], connections_max: usize) -> Result<Workload, Error> {
        let clients = nodes.iter().cycle().take(connections_max.max(PREPARE_CONNECTIONS));
        let mut clients: Vec<Client> = clients.cloned().collect();
        clients[0].create_bucket(BUCKET)?;
        let mut kept = BTreeMap::new();
        for operation in operations {
            let kept: &mut u64 = kept.entry(operation.object_bytes()).or_default();
            *kept = operation.objects_read().max(*kept);
        }
        let object_bytes_max = kept.last_key_value().map_or(0, |(&bytes, _)| bytes);
        let sets = kept
            .into_iter()
            .map(|(object_bytes, kept)| (object_bytes, Set::new(object_bytes, kept)));
        Ok(Workload {
            clients,
            contents: Contents::new(object_bytes_max),
            sets: sets.collect(),
            reads: 0,
        })
    }

    /// Writes the objects that a run of length `time` reads or deletes and that do not exist yet.
    pub fn prepare(&mut self, operation: Operation, connections: usize, time: Duration) -> Result<(), Error> {
        let set = self.set(operation);
        let wanted = match operation.kind {
            Kind::Put => 0,
            Kind::Get | Kind::Head | Kind::List => set.kept,
            Kind::Delete | Kind::DeleteObjects => {
                let in_time = (DELETED_PER_SECOND * time.as_secs_f64()) as u64;
                let keys = in_time.min(RUN_BYTES_MAX / set.object_bytes);
                // At least one operation for each connection.
                let ops = (keys / operation.keys()).max(connections as u64);
                set.deleted + ops * operation.keys()
            }
        };
        let missing = wanted.saturating_sub(set.written);
        self.run_unmeasured(Kind::Put, set.object_bytes, missing)
    }

    /// Deletes objects that runs of PUT have left, beyond those read later and some spare ones.
    pub fn trim(&mut self, operation: Operation) -> Result<(), Error> {
        let set = self.set(operation);
        let excess = set.spare().saturating_sub(SPARE_BYTES_MAX / set.object_bytes);
        self.run_unmeasured(Kind::Delete, set.object_bytes, excess)
    }

    /// Runs one operation for `time`, and checks each answer. The objects that it reads or deletes must have been
    /// written ([`Self::prepare`]).
    pub fn run(&mut self, operation: Operation, connections: usize, time: Duration) -> Result<Run, Error> {
        let ops_max = self.ops_max(operation, connections);
        self.run_limited(operation, connections, Limit { time, ops_max }, &Tolerance::default())
    }

    /// Runs like [`Self::run`] right after a node was stopped: an operation that fails within `time` is repeated until
    /// it succeeds, so that what is stored stays known. Returns how many failures there were.
    pub fn run_tolerant(
        &mut self,
        operation: Operation,
        connections: usize,
        time: Duration,
    ) -> Result<(Run, u64), Error> {
        let tolerance = Tolerance::until(Instant::now() + time);
        let ops_max = self.ops_max(operation, connections);
        let run = self.run_limited(operation, connections, Limit { time, ops_max }, &tolerance)?;
        Ok((run, tolerance.failures.into_inner()))
    }

    /// Returns how many operations a run may do.
    fn ops_max(&self, operation: Operation, connections: usize) -> u64 {
        let set = self.set(operation);
        match operation.kind {
            Kind::Put => (RUN_BYTES_MAX / set.object_bytes).max(connections as u64),
            Kind::Get | Kind::Head | Kind::List => u64::MAX,
            Kind::Delete | Kind::DeleteObjects => set.spare() / operation.keys(),
        }
    }

    /// Checks that the server has exactly the objects that it acknowledged, and reads a sample.
    ///
    /// The listing is that of one node; the sample is read on all connections in turn, so from all nodes.
    pub fn check(&mut self) -> Result<(), Error> {
        let mut wanted: Vec<String> = self.sets.values().flat_map(Set::live_keys).collect();
        wanted.sort_unstable();
        check_keys(&self.clients[0].list_all(BUCKET, "")?, wanted)?;
        let connections = self.clients.len() as u64;
        for set in self.sets.values() {
            let sample = (SAMPLE_BYTES / set.object_bytes).clamp(SAMPLE_OBJECTS_MIN, SAMPLE_OBJECTS_MAX);
            for index in 0..sample.min(set.live_count()) {
                let client = &mut self.clients[(index % connections) as usize];
                let number = set.live_number(scatter(index) % set.live_count());
                get(client, set, &self.contents, number)?;
            }
        }
        Ok(())
    }

    /// Repeats the check on new connections to the nodes of a restarted store.
    pub fn check_after_restart(&mut self, nodes: &[Client]) -> Result<(), Error> {
        for (client, node) in self.clients.iter_mut().zip(nodes.iter().cycle()) {
            *client = node.clone();
        }
        self.check()
    }

    fn set(&self, operation: Operation) -> &Set {
        &self.sets[&operation.object_bytes()]
    }

    fn run_unmeasured(&mut self, kind: Kind, object_bytes: u64, ops: u64) -> Result<(), Error> {
        let size = object_bytes;
        let limit = Limit {
            time: PREPARE_TIME,
            ops_max: ops,
        };
        let operation = Operation { kind, size };
        self.run_limited(operation, PREPARE_CONNECTIONS, limit, &Tolerance::default())
            .map(drop)
    }

    fn run_limited(
        &mut self,
        operation: Operation,
        connections: usize,
        limit: Limit,
        tolerance: &Tolerance,
    ) -> Result<Run, Error> {
        let Workload {
            clients,
            contents,
            sets,
            reads,
        } = self;
        let set = &sets[&operation.object_bytes()];
        let first = if operation.kind == Kind::Put {
            set.written
        } else {
            *reads
        };
        let counter = AtomicU64::new(first);
        let clients = &mut clients[..connections];
        let once = |client: &mut Client, number| match operation.kind {
            Kind::Put => {
                let body = contents.of(number, set.object_bytes);
                client.put(BUCKET, &set.key(number), body).map(drop)
            }
            Kind::Get => get(client, set, contents, scatter(number) % set.kept),
            Kind::Head => head(client, set, scatter(number) % set.kept),
            Kind::List => {
                let keys = client.list_all(BUCKET, &set.prefix(operation.size))?;
                check_keys(&keys, (0..operation.size).map(|number| set.key(number)))
            }
            Kind::Delete => client.delete(BUCKET, &set.key(set.deleted + number - first)),
            Kind::DeleteObjects => {
                let start = set.deleted + (number - first) * operation.size;
                delete_objects(client, (start..start + operation.size).map(|number| set.key(number)))
            }
        };
        let run = load::run(clients, limit, &counter, |client, number| {
            tolerance.repeat(|| once(client, number))
        })?;
        let set = sets.get_mut(&operation.object_bytes()).expect("it was read above");
        match operation.kind {
            Kind::Put => set.written = counter.load(Ordering::Relaxed),
            Kind::Delete | Kind::DeleteObjects => set.deleted += run.ops() * operation.keys(),
            Kind::Get | Kind::Head | Kind::List => *reads = counter.load(Ordering::Relaxed),
        }
        Ok(run)
    }
}

/// Failures that are counted instead of ending a run: those before a point in time; by default none.
#[derive(Default)]
struct Tolerance {
    /// `None` if no failure is tolerated.
    until: Option<Instant>,
    failures: AtomicU64,
}

impl Tolerance {
    fn until(time: Instant) -> Tolerance {
        Tolerance {
            until: Some(time),
            failures: AtomicU64::new(0),
        }
    }

    /// Does an operation, again and again while its failures are tolerated.
    fn repeat(&self, mut operation: impl FnMut() -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let result = operation();
            if result.is_ok() || self.until.is_none_or(|until| Instant::now() >= until) {
                return result;
            }
            self.failures.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(REPEAT_PAUSE);
        }
    }
}

/// Objects of one size, by number. The first ones are kept for reads; of the others PUT appends new ones at the end and
/// DELETE takes the oldest, so that no key is written twice.
struct Set {
    object_bytes: u64,
    /// Lower numbers are never deleted.
    kept: u64,
    /// Lower numbers have been written.
    written: u64,
    /// Numbers from `kept` up to this have been deleted.
    deleted: u64,
}

impl Set {
    fn new(object_bytes: u64, kept: u64) -> Set {
        Set {
            object_bytes,
            kept,
            written: 0,
            deleted: kept,
        }
    }

    /// Returns the number of objects that may be deleted.
    fn spare(&self) -> u64 {
        self.written.saturating_sub(self.deleted)
    }

    fn live_count(&self) -> u64 {
        self.kept.min(self.written) + self.spare()
    }

    /// Returns the number of the object at this index among those that exist.
    fn live_number(&self, index: u64) -> u64 {
        if index < self.kept {
            index
        } else {
            index - self.kept + self.deleted
        }
    }

    fn live_keys(&self) -> impl Iterator<Item = String> {
        (0..self.live_count()).map(|index| self.key(self.live_number(index)))
    }

    /// Returns the key of an object; keys sort by number.
    fn key(&self, number: u64) -> String {
        let size = size_text(self.object_bytes);
        format!("{size}/{:04}/{:04}", number / GROUP_KEYS, number % GROUP_KEYS)
    }

    /// Returns the common prefix of the keys below `count`, a power of ten, which no other key has.
    fn prefix(&self, count: u64) -> String {
        let digits = count.ilog10() as usize;
        let slash = usize::from(count > GROUP_KEYS);
        let mut key = self.key(0);
        key.truncate(key.len() - digits - slash);
        key
    }
}

fn get(client: &mut Client, set: &Set, contents: &Contents, number: u64) -> Result<(), Error> {
    let key = set.key(number);
    let mut check = BodyCheck::new(contents.of(number, set.object_bytes));
    client.get_to(BUCKET, &key, &mut check)?;
    check.finish(&key)
}

fn head(client: &mut Client, set: &Set, number: u64) -> Result<(), Error> {
    let key = set.key(number);
    let response = client.head(BUCKET, &key)?;
    let length = response.header("content-length").and_then(|value| value.parse().ok());
    if length == Some(set.object_bytes) && response.header("etag").is_some() {
        return Ok(());
    }
    Err(Error::Wrong(format!("{key}: headers {:?}", response.headers)))
}

fn delete_objects(client: &mut Client, keys: impl Iterator<Item = String>) -> Result<(), Error> {
    let keys: Vec<String> = keys.collect();
    let mut body = String::from(r#"<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">"#);
    for key in &keys {
        body.extend(["<Object><Key>", key, "</Key></Object>"]);
    }
    body.push_str("</Delete>");
    // Other servers refuse the request without a checksum.
    let checksum = base64_simd::STANDARD.encode_to_string(Sha256::digest(&body));
    let headers = [
        ("content-type", "application/xml"),
        ("x-amz-checksum-sha256", checksum.as_str()),
    ];
    let path = format!("/{BUCKET}");
    let response = client.request("POST", &path, &[("delete", "")], &headers, body.as_bytes())?;
    if !response.is_success() {
        return Err(Error::Status(response));
    }
    check_deleted(&String::from_utf8_lossy(&response.body), keys)
}

/// Checks that the answer to DeleteObjects names each key once, in any order, and no error.
fn check_deleted(document: &str, keys: Vec<String>) -> Result<(), Error> {
    let mut errors = document.split("<Error>").skip(1);
    if let Some(first) = errors.next() {
        let first = first.split("</Error>").next().unwrap_or_default();
        let count = 1 + errors.count();
        return Err(Error::Wrong(format!("{count} keys were not deleted, such as {first}")));
    }
    let texts = document.split("<Key>").skip(1);
    let mut deleted: Vec<String> = texts
        .filter_map(|text| Some(text.split_once("</Key>")?.0.to_string()))
        .collect();
    deleted.sort_unstable();
    check_keys(&deleted, keys)
}

fn check_keys(got: &[String], wanted: impl IntoIterator<Item = String>) -> Result<(), Error> {
    let mut got_keys = got.iter();
    for key in wanted {
        let got_key = got_keys.next();
        if got_key != Some(&key) {
            let got_key = got_key.map_or("the end", String::as_str);
            let count = got.len();
            return Err(Error::Wrong(format!("of {count} keys one is {got_key}, not {key}")));
        }
    }
    match got_keys.next() {
        None => Ok(()),
        Some(key) => Err(Error::Wrong(format!(
            "{key} is one key too many, or the first of several"
        ))),
    }
}

/// Compares a body with the expected one as it arrives.
struct BodyCheck<'a> {
    wanted: &'a [u8],
    got_bytes: usize,
    wrong_at: Option<usize>,
}

impl BodyCheck<'_> {
    fn new(wanted: &[u8]) -> BodyCheck<'_> {
        BodyCheck {
            wanted,
            got_bytes: 0,
            wrong_at: None,
        }
    }

    /// Returns the result after the last piece.
    fn finish(self, key: &str) -> Result<(), Error> {
        let (got, wanted) = (self.got_bytes, self.wanted.len());
        match self.wrong_at.or((got < wanted).then_some(got)) {
            None => Ok(()),
            Some(at) => Err(Error::Wrong(format!(
                "{key}: {got} bytes for {wanted}, different from byte {at} on"
            ))),
        }
    }
}

impl io::Write for BodyCheck<'_> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let wanted = self.wanted.get(self.got_bytes..).unwrap_or_default();
        if self.wrong_at.is_none() && !wanted.starts_with(piece) {
            let same = piece.iter().zip(wanted).take_while(|(a, b)| a == b).count();
            self.wrong_at = Some(self.got_bytes + same);
        }
        self.got_bytes += piece.len();
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Random bytes of which each object is a slice: objects differ, none is compressible, and none is copied.
struct Contents {
    pool: Vec<u8>,
}

impl Contents {
    /// Number of possible starts of a slice.
    const STARTS: u64 = 8 << 20;

    /// Makes contents for objects of at most `object_bytes_max`.
    fn new(object_bytes_max: u64) -> Contents {
        let words = (0..(Self::STARTS + object_bytes_max).div_ceil(8)).map(scatter);
        Contents {
            pool: words.flat_map(u64::to_le_bytes).collect(),
        }
    }

    /// Returns the content of an object.
    fn of(&self, number: u64, object_bytes: u64) -> &[u8] {
        let start = (scatter(number) % Self::STARTS) as usize;
        &self.pool[start..start + object_bytes as usize]
    }
}

/// Maps a number through a fixed, random-looking permutation of u64 (the finalizer of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn keys_are_in_order_and_in_groups() {
        let set = Set::new(4 << 10, 0);
        assert_eq!(set.key(0), "4KiB/0000/0000");
        assert_eq!(set.key(9_999), "4KiB/0000/9999");
        assert_eq!(set.key(10_000), "4KiB/0001/0000");
        assert!((0..20_000).map(|number| set.key(number)).is_sorted());
    }

    #[test]
    fn a_prefix_has_as_many_keys_as_the_listing() {
        let set = Set::new(4 << 10, 0);
        for count in [10, 1_000, 10_000, 100_000] {
            let prefix = set.prefix(count);
            let listed = (0..120_000).filter(|&number| set.key(number).starts_with(&prefix));
            assert!(listed.eq(0..count), "{prefix}");
        }
        assert_eq!(set.prefix(10_000), "4KiB/0000/");
        assert_eq!(set.prefix(100_000), "4KiB/000");
    }

    #[test]
    fn what_lives_is_what_was_written_and_not_deleted() {
        let live = |set: &Set| {
            let indexes = 0..set.live_count();
            indexes.map(|index| set.live_number(index)).collect::<Vec<_>>()
        };
        let mut set = Set::new(4 << 10, 3);
        assert_eq!((live(&set), set.spare()), (vec![], 0));
        set.written = 2;
        assert_eq!((live(&set), set.spare()), (vec![0, 1], 0));
        set.written = 7;
        assert_eq!((live(&set), set.spare()), (vec![0, 1, 2, 3, 4, 5, 6], 4));
        set.deleted = 5;
        assert_eq!((live(&set), set.spare()), (vec![0, 1, 2, 5, 6], 2));
        assert_eq!(set.live_keys().last().as_deref(), Some("4KiB/0000/0006"));
    }

    #[test]
    fn contents_differ_and_repeat() {
        let contents = Contents::new(1 << 20);
        assert_eq!(contents.of(7, 4_096), Contents::new(4_096).of(7, 4_096));
        assert_ne!(contents.of(7, 4_096), contents.of(8, 4_096));
        assert!((0..1_000).all(|number| contents.of(number, 1 << 20).len() == 1 << 20));
    }

    #[test]
    fn failures_are_repeated_while_they_are_tolerated() {
        let failing = |tolerance: &Tolerance, failures: u64| {
            let mut tries = 0;
            tolerance.repeat(|| {
                tries += 1;
                let fails = || Error::Wrong("refused".into());
                if tries > failures { Ok(()) } else { Err(fails()) }
            })
        };
        assert!(failing(&Tolerance::default(), 0).is_ok());
        assert!(failing(&Tolerance::default(), 1).is_err());
        let tolerance = Tolerance::until(Instant::now() + Duration::from_secs(60));
        assert!(failing(&tolerance, 3).is_ok());
        assert_eq!(tolerance.failures.into_inner(), 3);
        assert!(failing(&Tolerance::until(Instant::now()), 1).is_err());
    }

    #[test]
    fn wrong_bodies_are_noticed() {
        let check = |pieces: &[&str]| {
            let mut check = BodyCheck::new(b"abc");
            for piece in pieces {
                check.write_all(piece.as_bytes()).unwrap();
            }
            check.finish("key")
        };
        for right in [&["abc"][..], &["a", "bc"], &["ab", "c"]] {
            assert!(check(right).is_ok(), "{right:?}");
        }
        let wrong: [(&[&str], usize); 7] = [
            (&["abx"], 2),
            (&["ab", "x"], 2),
            (&["x", "bc"], 0),
            (&["ab"], 2),
            (&["abcd"], 3),
            (&["abc", "d"], 3),
            (&[], 0),
        ];
        for (got, at) in wrong {
            let error = check(got).unwrap_err().to_string();
            assert!(error.ends_with(&format!("different from byte {at} on")), "{error}");
        }
    }

    #[test]
    fn wrong_keys_are_noticed() {
        let keys = |text: &str| text.chars().map(String::from).collect::<Vec<_>>();
        assert!(check_keys(&keys("abc"), keys("abc")).is_ok());
        for got in ["", "ab", "abcd", "acb", "abb", "bc"] {
            assert!(check_keys(&keys(got), keys("abc")).is_err(), "{got}");
        }
    }

    #[test]
    fn a_key_that_was_not_deleted_is_noticed() {
        let check = |document: &str| check_deleted(document, vec!["a".into(), "b".into()]);
        let deleted = |key: &str| format!("<Deleted><Key>{key}</Key></Deleted>");
        let (a, b) = (deleted("a"), deleted("b"));
        assert!(check(&format!("<R>{a}{b}</R>")).is_ok());
        assert!(check(&format!("<R>{b}{a}</R>")).is_ok());
        assert!(check(&format!("<R>{a}</R>")).is_err());
        assert!(check(&format!("<R>{a}{b}{b}</R>")).is_err());
        let error = check(&format!("<R>{a}<Error><Key>b</Key><Code>X</Code></Error></R>")).unwrap_err();
        let text = "wrong answer: 1 keys were not deleted, such as <Key>b</Key><Code>X</Code>";
        assert_eq!(error.to_string(), text);
    }
}
