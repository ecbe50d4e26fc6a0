//! What clients do in a scenario, what they share, and what they were told.

pub mod clients;
pub mod http;
pub mod uploads;

use crate::{
    World,
    linearizable::{Input, Operation, Output, Recorder, Ticket},
    listing::{self, Listing},
};
use clients::Page;
use madsim::{
    rand::{Rng, thread_rng},
    time::{Duration, timeout},
};
use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use store::store::StoreError;
use uploads::Uploads;

pub const BUCKET: &str = "bucket";
pub const KEYS: [&str; 6] = ["a", "a/b", "a/c", "b", "b/b/b", "c"];

/// Time limits of an operation: under any faults, and without faults.
pub const OPERATION_MAX: Duration = Duration::from_secs(300);
const CALM_OPERATION_MAX: Duration = Duration::from_secs(20);

/// Number of requests by what they were and how they were answered.
pub type Answered = BTreeMap<(&'static str, &'static str), u64>;

/// Choices of a run that clients depend on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// A drive may report syncs that it does not do.
    pub lies: bool,
    /// Probability that a client cancels its commit.
    pub vanish: f64,
    /// Probability that an operation belongs to an upload.
    pub uploads: f64,
    /// Clients speak S3 over HTTP.
    pub over_http: bool,
}

/// State that clients share outside of the nodes, so that it survives power loss.
pub struct Workload {
    pub world: World,
    pub settings: Settings,
    pub histories: Recorder<u64>,
    pub listings: Mutex<Vec<Listing>>,
    pub uploads: Uploads,
    /// Value that was last seen of each key.
    seen: Mutex<BTreeMap<String, u64>>,
    /// Number of requests that were answered over HTTP, by what they were and how.
    pub answered: Mutex<Answered>,
    next_value: AtomicU64,
    /// True once the nodes work without faults.
    is_calm: AtomicBool,
}

/// Returns a random duration below `max`.
pub fn random(max: Duration) -> Duration {
    max.mul_f64(thread_rng().gen_range(0.0..=1.0))
}

impl Workload {
    pub fn new(world: &World, settings: Settings) -> Workload {
        Workload {
            world: world.clone(),
            settings,
            histories: Recorder::default(),
            listings: Mutex::default(),
            uploads: Uploads::default(),
            seen: Mutex::default(),
            answered: Mutex::default(),
            next_value: AtomicU64::new(1),
            is_calm: AtomicBool::new(false),
        }
    }

    pub fn new_value(&self) -> u64 {
        self.next_value.fetch_add(1, Ordering::Relaxed)
    }

    /// Draws what a client does next: a number for `operation`.
    pub fn what(&self) -> u32 {
        let on_upload = thread_rng().gen_bool(self.settings.uploads);
        if on_upload { 100 } else { thread_rng().gen_range(0..100) }
    }

    /// Says whether the nodes work without faults from now on.
    pub fn set_calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Relaxed);
    }

    /// Awaits `operation`, and fails the run if it exceeds its time limit (`live.resolves`).
    pub async fn ends<T>(&self, what: &str, operation: impl Future<Output = T>) -> T {
        let limit = if self.is_calm.load(Ordering::Relaxed) {
            CALM_OPERATION_MAX
        } else {
            OPERATION_MAX
        };
        let ended = timeout(limit, operation).await;
        ended.unwrap_or_else(|_| panic!("live.resolves: {what} has not ended after {limit:?}"))
    }

    /// Records that an operation is about to be sent.
    pub fn invoke(&self, key: &str, input: Input<u64>) -> Ticket {
        self.histories.invoke(key, self.world.now(), input)
    }

    /// Records the answer to a write. A write that was reported as not done must never become visible.
    pub fn told<T>(&self, ticket: &Ticket, outcome: &Result<T, StoreError>) {
        let now = self.world.now();
        match outcome {
            Ok(_) => self.histories.complete(ticket, now, Output::Done),
            Err(StoreError::PreconditionFailed | StoreError::NoSuchKey) => {
                self.histories.complete(ticket, now, Output::Refused);
            }
            Err(StoreError::Ambiguous(_) | StoreError::Internal(_)) => {}
            Err(_) => self.histories.withdraw(ticket),
        }
    }

    /// Records the answer to a read.
    pub fn saw(&self, key: &str, ticket: &Ticket, found: Option<u64>) {
        if let Some(value) = found {
            self.seen.lock().expect("no panic").insert(key.to_owned(), value);
        }
        self.histories.complete(ticket, self.world.now(), Output::Value(found));
    }

    /// Records a page of a listing that was asked for and has just come.
    pub fn listed(&self, page: Page, keys: Vec<String>, truncated: bool) {
        let listing = Listing {
            invoked: page.invoked,
            completed: self.world.now(),
            prefix: page.prefix,
            after: page.after,
            truncated,
            keys,
        };
        self.listings.lock().expect("no panic").push(listing);
    }

    /// Counts a request that was answered over HTTP with success, or was refused by its condition.
    pub fn count<T>(&self, what: &'static str, outcome: &Result<T, StoreError>) {
        let refused = [StoreError::PreconditionFailed, StoreError::NoSuchKey];
        let how = match outcome {
            Ok(_) => "done",
            Err(error) if refused.contains(error) => "refused",
            Err(_) => return,
        };
        *self.answered.lock().expect("no panic").entry((what, how)).or_default() += 1;
    }

    /// Returns a value for a conditional request to expect, in most cases one that was seen at the key.
    pub fn expected(&self, key: &str) -> u64 {
        let seen = self.seen.lock().expect("no panic").get(key).copied();
        let guess = thread_rng().gen_range(1..=self.new_value());
        seen.filter(|_| thread_rng().gen_bool(0.8)).unwrap_or(guess)
    }

    /// Returns whether there need not be a bucket. Clients over HTTP create it themselves, and may have failed to,
    /// unless they were told that something was done in it.
    pub fn is_unused(&self) -> bool {
        let histories = self.histories.histories();
        let has_bucket = |operation: &Operation<u64>| {
            let output = operation.completed.as_ref().map(|(_, output)| output);
            !self.settings.over_http || matches!(output, Some(Output::Done | Output::Value(Some(_))))
        };
        !histories.values().flatten().any(has_bucket)
    }

    /// Checks that the recorded histories and listings are possible. If completions of uploads are `repeatable`, all of
    /// one upload count as one.
    pub fn check(&self, repeatable: bool) {
        self.uploads.check(&self.histories, repeatable);
        let histories = self.histories.histories();
        self.histories
            .check()
            .unwrap_or_else(|(key, violation)| panic!("register.linearizable: {key}: {violation}"));
        for listing in self.listings.lock().expect("no panic").iter() {
            listing::check(&histories, listing).unwrap_or_else(|why| panic!("list.complete: {why}: {listing:?}"));
        }
    }
}
