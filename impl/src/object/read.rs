//! Reads of registers: without promise and lock, from any Q drives; resolved only when those cannot tell.

use super::{
    driver::{execute, settled},
    error::StoreError,
    set::ErasureSet,
};
use crate::{
    drive::{DriveError, RegisterKey},
    runtime::{self, Mutant},
};
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use model::{
    list::unlisted,
    protocol::{Ballot, ReadDecision, Reply, Request, Snapshot},
    record::{Change, Op, Record},
    trace,
};
use std::{collections::BTreeMap, sync::Arc};
use xxhash_rust::xxh3::xxh3_64;

/// The chosen value of a register.
///
/// # Errors
/// [`StoreError::Unreadable`] when fewer than Q drives answer (`read.not-found-is-known`).
pub(super) async fn read(set: &Arc<ErasureSet>, key: &RegisterKey) -> Result<Record, StoreError> {
    match plain(set, key).await {
        ReadDecision::Chosen(vote) => Ok(vote.value),
        ReadDecision::TooFew => Err(StoreError::Unreadable("too few drives answer".into())),
        ReadDecision::Undecided => resolve(set, key).await,
    }
}

/// Finds out what is chosen and finishes what is not: Prepare and Resolve.
pub(super) async fn resolve(set: &Arc<ErasureSet>, key: &RegisterKey) -> Result<Record, StoreError> {
    let op = Op {
        change: runtime::random_id(&set.rt),
        now_nanos: set.rt.wall_nanos(),
        kind: Change::Read,
    };
    settled(execute(set, key.clone(), op, None).await.outcome).map_err(|error| match error {
        StoreError::Unwritable(why) => StoreError::Unreadable(why),
        StoreError::Ambiguous(why) => StoreError::Unreadable(format!("{why:?}")),
        other => other,
    })
}

/// What a reader may conclude from what drives say of a key.
pub(super) fn decide(set: &ErasureSet, key: &[u8], answers: &BTreeMap<u8, Snapshot<Record>>) -> ReadDecision<Record> {
    #[cfg(not(feature = "mutants"))]
    let decision = model::protocol::decide_read(set.quorums, answers);
    #[cfg(feature = "mutants")]
    let decision = {
        use model::protocol::resolve::decide_read_mutated;
        decide_read_mutated(set.quorums, answers, runtime::of_protocol(set.rt.mutation()))
    };
    if let (Some(recorder), ReadDecision::Chosen(_)) = (&set.recorder, &decision) {
        recorder.record(trace::Event::Decided {
            set: set.index,
            key: trace::Key(key.to_vec()),
            quorums: set.quorums,
            answers: answers.clone(),
            decision: decision.clone(),
        });
    }
    decision
}

/// Asks Q drives, then the others if those do not suffice.
async fn plain(set: &Arc<ErasureSet>, key: &RegisterKey) -> ReadDecision<Record> {
    let count = set.len();
    let first = (xxh3_64(key.as_bytes()) % count as u64) as usize;
    let mut order = (0..count).map(|i| (first + i) % count);
    let mut calls = FuturesUnordered::new();
    for index in order.by_ref().take(usize::from(set.quorums.prepare)) {
        calls.push(ask(set, key, index));
    }
    let mut answers: BTreeMap<u8, Snapshot<Record>> = BTreeMap::new();
    let mut straggler = set.rt.sleep(set.patience.read_straggler);
    let mut deadline = set.rt.sleep(set.patience.operation);
    let mut asked_all = false;
    loop {
        tokio::select! {
            biased;
            Some((index, answer)) = calls.next(), if !calls.is_empty() => {
                if let Ok(Reply::Read(snapshot)) = answer {
                    answers.insert(index, snapshot);
                }
            }
            () = &mut straggler, if !asked_all => {
                asked_all = true;
                order.by_ref().for_each(|index| calls.push(ask(set, key, index)));
            }
            () = &mut deadline => return decide(set, key.as_bytes(), &answers),
        }
        let decision = decide(set, key.as_bytes(), &answers);
        if matches!(decision, ReadDecision::Chosen(_)) {
            return decision;
        }
        if calls.is_empty() {
            if asked_all {
                return decision;
            }
            asked_all = true;
            order.by_ref().for_each(|index| calls.push(ask(set, key, index)));
            if calls.is_empty() {
                return decision;
            }
        }
    }
}

/// The snapshot of a drive that has nothing of a key and never had.
fn nothing() -> Snapshot<Record> {
    Snapshot {
        floor: Ballot::ZERO,
        ..unlisted()
    }
}

type Answer = (u8, Result<Reply<Record>, DriveError>);

fn ask(set: &Arc<ErasureSet>, key: &RegisterKey, index: usize) -> BoxFuture<'static, Answer> {
    let (drive, key) = (set.drives[index].clone(), key.clone());
    let mutation = set.rt.mutation();
    Box::pin(async move {
        let mut answer = drive.register(&key, Request::Read).await;
        if answer.is_err() && mutation.is(Mutant::OfflineIsAbsent) {
            answer = Ok(Reply::Read(nothing()));
        }
        (index as u8, answer)
    })
}
