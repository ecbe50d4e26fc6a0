//! Reads of registers: without promise and lock, from any Q drives; resolved only when those cannot tell.

use super::{
    ErasureSet, StoreError,
    driver::{execute, settled},
    pace::{AGAIN, Alarm, Paced, Round, Work, waiting},
};
use crate::{
    drive::{Answer, DriveError, KeyRead, RegisterKey},
    runtime::{self, Mutant},
};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use model::{
    list::unlisted,
    protocol::{Ballot, Folder, ReadDecision, Reply, Request, Snapshot},
    record::{Change, Op, Record},
    trace,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use xxhash_rust::xxh3::xxh3_64;

/// Reads the chosen value of a register.
///
/// # Errors
/// [`StoreError::Unreadable`] when fewer than Q drives answer (`read.not-found-is-known`).
pub(crate) async fn read(set: &Arc<ErasureSet>, key: &RegisterKey) -> Result<Record, StoreError> {
    let count = set.len();
    let first = (xxh3_64(key.as_bytes()) % count as u64) as usize;
    let order = (0..count).map(|i| (first + i) % count).collect();
    let (decision, _) = plain(set, key, order, None).await;
    decided(set, key, decision).await
}

/// Reads the chosen value of an object's register, and the small shards of its data that come with the answers.
/// `order` lists the drives from the one with the first data shard on; `enough` of them can decode an object.
///
/// # Errors
/// As [`read`].
pub(crate) async fn read_object(
    set: &Arc<ErasureSet>,
    key: &RegisterKey,
    order: Vec<usize>,
    enough: usize,
) -> Result<(Record, SmallShards), StoreError> {
    let (decision, shards) = plain(set, key, order, Some(enough)).await;
    Ok((decided(set, key, decision).await?, shards))
}

/// Small shards by drive, each with its data folder.
pub(crate) type SmallShards = BTreeMap<usize, (Folder, Bytes)>;

async fn decided(
    set: &Arc<ErasureSet>,
    key: &RegisterKey,
    decision: ReadDecision<Record>,
) -> Result<Record, StoreError> {
    match decision {
        ReadDecision::Chosen(vote) => Ok(vote.value),
        ReadDecision::TooFew => Err(StoreError::Unreadable("too few drives answer".into())),
        ReadDecision::Undecided => resolve(set, key).await,
    }
}

/// Resolves a register: learns the chosen value with a Prepare and finishes an unfinished vote.
pub(crate) async fn resolve(set: &Arc<ErasureSet>, key: &RegisterKey) -> Result<Record, StoreError> {
    let op = Op::new(runtime::random_id(&set.rt), set.rt.wall_nanos(), Change::Read);
    settled(execute(set, key.clone(), op, None).await.outcome).map_err(|error| match error {
        StoreError::Unwritable(why) => StoreError::Unreadable(why),
        StoreError::Ambiguous(why) => StoreError::Unreadable(format!("{why:?}")),
        other => other,
    })
}

/// Decides what a reader may conclude from the snapshots that drives gave of a key.
pub(super) fn decide(set: &ErasureSet, key: &[u8], answers: &BTreeMap<u8, Snapshot<Record>>) -> ReadDecision<Record> {
    let decision = model::protocol::decide_read(set.quorums, answers, runtime::of_protocol(set.rt.mutation()));
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

/// Asks Q drives in this order, then the others if those do not suffice or are slow. With `enough`, so many drives at
/// least are asked, for their small shards too, and waited for a moment even when the value is known before. Drives
/// that are suspected to hang come last.
async fn plain(
    set: &Arc<ErasureSet>,
    key: &RegisterKey,
    order: Vec<usize>,
    enough: Option<usize>,
) -> (ReadDecision<Record>, SmallShards) {
    let mut order = set.pace.preferred(order, Work::Look).into_iter();
    let mut calls = FuturesUnordered::new();
    let ask = |index| ask(set, key, index, enough.is_some());
    let first = usize::from(set.quorums.prepare).max(enough.unwrap_or(0));
    calls.extend(order.by_ref().take(first).map(ask));
    let mut answers: BTreeMap<u8, Snapshot<Record>> = BTreeMap::new();
    let mut shards = SmallShards::new();
    let mut decision = ReadDecision::TooFew;
    let mut round = Round::new(set.rt.mono());
    let mut alarm = Alarm::new(&set.rt);
    let mut deadline = set.rt.sleep(set.timeouts.operation);
    let mut patient = true;
    loop {
        tokio::select! {
            biased;
            Some((index, answer)) = calls.next(), if !calls.is_empty() => {
                round.answered(set.rt.mono());
                alarm.reset(|| alarm_at(set, &round, &waiting(&calls), patient));
                if let Ok(KeyRead { snapshot, shard }) = answered(set, answer) {
                    set.ballots.saw(&snapshot);
                    answers.insert(index as u8, snapshot);
                    shards.extend(shard.map(|shard| (index, shard)));
                }
            }
            () = alarm.rings() => {
                let now = set.rt.mono();
                let at = alarm_at(set, &round, &waiting(&calls), patient);
                if at > now {
                    alarm.set(at);
                    continue;
                }
                if !patient && matches!(decision, ReadDecision::Undecided) {
                    // A Prepare tells with those that answer.
                    return (decision, shards);
                }
                patient = false;
                if !is_chosen(&decision) {
                    calls.extend(order.by_ref().map(ask));
                }
                alarm.set(now + AGAIN);
            }
            () = &mut deadline => return (decision, shards),
        }
        if !is_chosen(&decision) {
            decision = decide(set, key.as_bytes(), &answers);
        }
        if is_chosen(&decision) {
            // Without any shard so far, the object is none of a single small part.
            let too_few = enough.is_some_and(|enough| (1..enough).contains(&shards.len()));
            if !(too_few && patient && !calls.is_empty()) {
                return (decision, shards);
            }
        } else if calls.is_empty() {
            calls.extend(order.by_ref().map(ask));
            if calls.is_empty() {
                return (decision, shards);
            }
        }
    }
}

/// Time up to which a read waits before it asks further drives (`patient`), and then before it goes on without those
/// that have not answered.
fn alarm_at(set: &ErasureSet, round: &Round, waiting: &[usize], patient: bool) -> Duration {
    match patient {
        true => set.pace.hedge_at(round, waiting, Work::Look),
        false => set.pace.give_up_at(round, waiting.iter().copied(), Work::Look),
    }
}

fn is_chosen(decision: &ReadDecision<Record>) -> bool {
    matches!(decision, ReadDecision::Chosen(_))
}

/// The snapshot of a drive that has nothing of a key and never had.
fn nothing() -> Snapshot<Record> {
    Snapshot {
        floor: Ballot::ZERO,
        ..unlisted()
    }
}

fn ask(set: &ErasureSet, key: &RegisterKey, index: usize, with_shard: bool) -> Paced<Result<KeyRead, DriveError>> {
    let drive = &set.drives[index];
    let answer: Answer<KeyRead> = if with_shard {
        drive.read_key(key)
    } else {
        let answer = drive.register(key, Request::Read);
        Box::pin(async move {
            match answer.await? {
                Reply::Read(snapshot) => Ok(KeyRead { snapshot, shard: None }),
                reply => Err(DriveError::Invalid(format!("{reply:?} to a read"))),
            }
        })
    };
    set.pace.call(index, Work::Look, answer)
}

/// Returns a drive's answer; under a mutant, an empty one for an error.
fn answered(set: &ErasureSet, answer: Result<KeyRead, DriveError>) -> Result<KeyRead, DriveError> {
    if answer.is_err() && set.rt.mutation().is(Mutant::OfflineIsAbsent) {
        let (snapshot, shard) = (nothing(), None);
        return Ok(KeyRead { snapshot, shard });
    }
    answer
}
