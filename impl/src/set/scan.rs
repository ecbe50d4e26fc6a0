//! Scans of a range of registers: the union over Q drives of each set, page by page.
//!
//! A drive speaks only for the span of its page, and what the pages say together is put together by the protocol's
//! own [`Union`]. Where they cannot tell, the key is read as a single read would (`list.complete`, `list.as-read`).

use super::{
    ErasureSet, StoreError,
    pace::{AGAIN, Alarm, Round, Work, waiting},
    read,
};
use crate::{
    drive::{ListFrom, Page, RegisterKey, RowError, decode_register},
    runtime::Mutant,
};
use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use model::{
    list::{self, Found, Span, Union, mutant::Mutation},
    protocol::{ReadDecision, Register, Snapshot, Value},
    record::Record,
};
use std::{collections::BTreeMap, sync::Arc};

/// The chosen values of a range, in order of the keys, absent ones left out.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub registers: Vec<(RegisterKey, Record)>,
    /// End of the range that the scan covers.
    pub span: Span<RegisterKey>,
}

/// Scans the registers of all `sets` that begin with `prefix`. At most about `limit` per set and call.
///
/// # Errors
/// [`StoreError::Unreadable`] when fewer than Q drives of a set answer for the range.
pub(crate) async fn scan(
    sets: &[Arc<ErasureSet>],
    prefix: &[u8],
    from: &ListFrom,
    limit: usize,
) -> Result<Scanned, StoreError> {
    let mut parts = Vec::with_capacity(sets.len());
    for part in join_all(sets.iter().map(|set| scan_set(set, prefix, from, limit))).await {
        parts.push(part?);
    }
    let span = Span::common(parts.iter().map(|part| part.span.clone()), Mutation::NONE);
    let mut registers: Vec<_> = parts.into_iter().flat_map(|part| part.registers).collect();
    registers.retain(|(key, _)| span.covers(key));
    registers.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Scanned { registers, span })
}

async fn scan_set(set: &Arc<ErasureSet>, prefix: &[u8], from: &ListFrom, limit: usize) -> Result<Scanned, StoreError> {
    let mut quorums = set.quorums;
    quorums.prepare -= u8::from(set.rt.mutation().is(Mutant::ListFromFewer));
    let pages = pages(set, usize::from(quorums.prepare), prefix, from, limit).await;
    let Some(mut union) = Union::of(quorums, &pages, Mutation::NONE) else {
        return Err(StoreError::Unreadable("too few drives answer for the listing".into()));
    };
    let mut registers = Vec::new();
    // One map for all keys: each of them replaces every drive's answer.
    let mut answers = BTreeMap::new();
    while let Some(key) = union.next_key() {
        let decision = if take(&union, &mut answers).is_ok() {
            read::decide(set, key, &answers)
        } else {
            ReadDecision::Undecided
        };
        let register = || RegisterKey::from_bytes(key.to_vec());
        let record = match list::found(decision, Mutation::NONE) {
            Found::Listed(record) => record,
            Found::LeftOut => continue,
            Found::Ask => read::read(set, &register()).await?,
        };
        if !record.is_absent() {
            registers.push((register(), record));
        }
    }
    let span = union.span().map(|key| RegisterKey::from_bytes(key.to_vec()));
    Ok(Scanned { registers, span })
}

/// Adds each drive's row for the union's key to the answers. Drives that agree have the same bytes, which are decoded
/// once.
///
/// # Errors
/// A row cannot be decoded, so the answers are incomplete: the key must be read from the drives.
fn take(union: &Union<'_, Page>, answers: &mut BTreeMap<u8, Snapshot<Record>>) -> Result<(), RowError> {
    let mut decoded: Option<(&[u8], Register<Record>)> = None;
    let mut outcome = Ok(());
    for (index, page, at) in union.rows() {
        let Some((_, row)) = at.and_then(|at| page.get(at)) else {
            answers.insert(index, list::unlisted());
            continue;
        };
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
            answers.insert(index, page.snapshot(register.clone()));
        }
    }
    outcome
}

/// Reads pages of `wanted` drives side by side, and of further drives when some fail or are slow. Returns fewer if no
/// drives are left.
async fn pages(
    set: &Arc<ErasureSet>,
    wanted: usize,
    prefix: &[u8],
    from: &ListFrom,
    limit: usize,
) -> BTreeMap<u8, Page> {
    let mut pages = BTreeMap::new();
    let mut rest = set.pace.preferred((0..set.len()).collect(), Work::Look).into_iter();
    let ask = |drive: usize| {
        let page = set.drives[drive].list(prefix, from.clone(), limit);
        set.pace.call(drive, Work::Look, page)
    };
    let mut calls: FuturesUnordered<_> = rest.by_ref().take(wanted).map(ask).collect();
    let mut round = Round::new(set.rt.mono());
    let mut hedge = Alarm::new(&set.rt);
    let mut deadline = set.rt.sleep(set.timeouts.shard);
    while pages.len() < wanted {
        tokio::select! {
            biased;
            Some((drive, page)) = calls.next(), if !calls.is_empty() => {
                round.answered(set.rt.mono());
                hedge.reset(|| set.pace.hedge_at(&round, &waiting(&calls), Work::Look));
                match page {
                    Ok(page) => drop(pages.insert(drive as u8, page)),
                    Err(_) if set.rt.mutation().is(Mutant::OfflineIsAbsent) => {
                        pages.insert(drive as u8, Page::empty());
                    }
                    Err(_) => calls.extend(rest.next().map(ask)),
                }
            }
            () = hedge.rings() => {
                let now = set.rt.mono();
                let at = set.pace.hedge_at(&round, &waiting(&calls), Work::Look);
                if at <= now {
                    calls.extend(rest.by_ref().take(wanted - pages.len()).map(ask));
                }
                hedge.set(at.max(now + AGAIN));
            }
            () = &mut deadline => break,
        }
        if calls.is_empty() {
            break;
        }
    }
    pages
}
