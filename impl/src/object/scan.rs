//! Scans of a range of registers: the union over Q drives of each set, page by page.
//!
//! A drive speaks only for the range that its page covers. Where the drives differ, each key is read as a
//! single read would (`list.complete`).

use super::{error::StoreError, read, set::ErasureSet};
use crate::{
    drive::{ListFrom, Page, RegisterKey, RowError, decode_register},
    runtime::{self, Mutant},
};
use futures::future::join_all;
use model::{
    protocol::{Ballot, ReadDecision, Register, Snapshot, Value},
    record::Record,
};
use std::{collections::BTreeMap, sync::Arc};

/// The chosen values of a range, in order of the keys, absent ones left out.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub registers: Vec<(RegisterKey, Record)>,
    /// Up to where the scan has come, if the range goes on.
    pub covered: Option<RegisterKey>,
}

/// Scans the registers of all `sets` that begin with `prefix`. At most about `limit` per set and call.
///
/// # Errors
/// [`StoreError::Unreadable`] when fewer than Q drives of a set answer for the range.
pub(super) async fn scan(
    sets: &[Arc<ErasureSet>],
    prefix: &[u8],
    from: &ListFrom,
    limit: usize,
) -> Result<Scanned, StoreError> {
    let mut parts = Vec::with_capacity(sets.len());
    for part in join_all(sets.iter().map(|set| scan_set(set, prefix, from, limit))).await {
        parts.push(part?);
    }
    let covered = parts.iter().filter_map(|part| part.covered.clone()).min();
    let mut registers: Vec<_> = parts.into_iter().flat_map(|part| part.registers).collect();
    registers.retain(|(key, _)| covered.as_ref().is_none_or(|covered| key <= covered));
    registers.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Scanned { registers, covered })
}

async fn scan_set(set: &Arc<ErasureSet>, prefix: &[u8], from: &ListFrom, limit: usize) -> Result<Scanned, StoreError> {
    let pages = pages(set, prefix, from, limit).await?;
    let covered = pages
        .values()
        .filter(|page| !page.complete)
        .filter_map(Page::last_key)
        .min();
    let covers = |key: &[u8]| covered.as_ref().is_none_or(|covered| key <= covered.as_bytes());
    let mut places: Vec<_> = pages.iter().map(|(index, page)| (*index, page, 0)).collect();
    let mut registers = Vec::new();
    // One map for all keys: each of them replaces every drive's answer.
    let mut answers = BTreeMap::new();
    loop {
        let next = places.iter().filter_map(|(_, page, at)| page.get(*at));
        let Some(key) = next.map(|(key, _)| key).min().filter(|key| covers(key)) else {
            return Ok(Scanned { registers, covered });
        };
        let decision = if take(key, &mut places, &mut answers).is_ok() {
            read::decide(set, key, &answers)
        } else {
            ReadDecision::Undecided
        };
        let register = || RegisterKey::from_bytes(key.to_vec());
        let record = match decision {
            ReadDecision::Chosen(vote) => vote.value,
            ReadDecision::Undecided | ReadDecision::TooFew => read::read(set, &register()).await?,
        };
        if !record.is_absent() {
            registers.push((register(), record));
        }
    }
}

/// Puts what each drive's page says of `key` among the answers, and goes past it. Drives that agree have the same
/// bytes, which are decoded once. An error says that the answers are not whole: the drives must be asked.
fn take<'a>(
    key: &[u8],
    places: &mut [(u8, &'a Page, usize)],
    answers: &mut BTreeMap<u8, Snapshot<Record>>,
) -> Result<(), RowError> {
    let mut decoded: Option<(&[u8], Register<Record>)> = None;
    let mut outcome = Ok(());
    for (index, page, at) in places {
        let page: &'a Page = page;
        let Some((_, row)) = page.get(*at).filter(|(found, _)| *found == key) else {
            answers.insert(*index, not_listed());
            continue;
        };
        *at += 1;
        if decoded.as_ref().is_none_or(|(bytes, _)| *bytes != row) {
            match decode_register(row) {
                Ok(register) => decoded = Some((row, register)),
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            }
        }
        if let Some((_, register)) = &decoded {
            answers.insert(*index, page.snapshot(register.clone()));
        }
    }
    outcome
}

/// What a drive says of a key that is not in its page: nothing, and it may have purged it.
fn not_listed() -> Snapshot<Record> {
    Snapshot {
        floor: Ballot::ceiling(u64::MAX, u64::MAX),
        ..read::nothing()
    }
}

/// Pages of Q drives, asked side by side; of others when some fail.
async fn pages(
    set: &Arc<ErasureSet>,
    prefix: &[u8],
    from: &ListFrom,
    limit: usize,
) -> Result<BTreeMap<u8, Page>, StoreError> {
    let mutation = set.rt.mutation();
    let fewer = usize::from(mutation.is(Mutant::ListFromFewer));
    let wanted = usize::from(set.quorums.prepare) - fewer;
    let mut pages = BTreeMap::new();
    let mut rest = 0..set.len();
    while pages.len() < wanted {
        let batch: Vec<usize> = rest.by_ref().take(wanted - pages.len()).collect();
        if batch.is_empty() {
            return Err(StoreError::Unreadable("too few drives answer for the listing".into()));
        }
        let ask = |index: &usize| set.drives[*index].list(prefix, from.clone(), limit);
        let answers = batch
            .iter()
            .map(|index| runtime::timeout(&set.rt, set.patience.shard, ask(index)));
        for (index, answer) in batch.iter().zip(join_all(answers).await) {
            if let Some(Ok(page)) = answer {
                pages.insert(*index as u8, page);
            } else if mutation.is(Mutant::OfflineIsAbsent) {
                pages.insert(*index as u8, Page::empty());
            }
        }
    }
    Ok(pages)
}
