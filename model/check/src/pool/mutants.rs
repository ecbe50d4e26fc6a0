//! Mutants of the protocol of pools, and the rules that catch them.

use super::bounds::{NONE, world};
use super::rules::Rule;
use super::state::{Start, World};
use crate::topic::Break;
use model::pool::mutant::Mutant;

/// A mutant's name, its switch, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, Mutant, &'static [Rule], World);

fn table() -> Vec<Row> {
    use Rule::*;
    vec![
        (
            "creation resolved in one pool",
            Mutant::CreationInOnePool,
            &[OneHome, Precondition, Linearizable],
            world(&[1, 1], "cC", 1, NONE),
        ),
        (
            "absence answered by one pool",
            Mutant::AbsenceByOnePool,
            &[NotFoundIsKnown, AliveAlone, Linearizable],
            world(&[1, 1], "g", 1, NONE).on(Start::Value),
        ),
        (
            "lowest creation first",
            Mutant::LowestCreationFirst,
            &[OneHome, SupersededStaysDead],
            world(&[2, 2], "cCG", 1, NONE),
        ),
        (
            "tombstone repeated alone",
            Mutant::TombstoneAlone,
            &[Linearizable],
            world(&[2, 2], "CG", 1, NONE).with_rounds(&[1, 2]).on(Start::Deleted),
        ),
        (
            "any vote calls a creation off",
            Mutant::AnyVoteSupersedes,
            &[Linearizable],
            world(&[2, 1], "pbG", 1, NONE),
        ),
        (
            "delete called off like a creation",
            Mutant::DeleteSuperseded,
            &[Chain],
            world(&[1, 2], "dcr", 1, NONE).on(Start::Forwarded),
        ),
        (
            "dead creation called off by absence",
            Mutant::CalledOffByAbsence,
            &[MoveKeepsData, Chain],
            world(&[2, 2], "cCr", 1, NONE),
        ),
        (
            "open creation before a forward",
            Mutant::ForwardLast,
            &[OneHome, SupersededStaysDead],
            world(&[2, 1, 1], "cCe", 1, NONE),
        ),
        (
            "live in the new set before the forward",
            Mutant::LiveBeforeForward,
            &[OneHome],
            world(&[1, 1], "bg", 1, NONE).on(Start::Value),
        ),
        (
            "forward before the copy is chosen",
            Mutant::ForwardAtOnce,
            &[NoResurrection, Linearizable],
            world(&[1, 1], "bg", 1, NONE).on(Start::Value),
        ),
        (
            "copy visible without a forward",
            Mutant::IncomingVisible,
            &[Linearizable],
            world(&[1, 1], "bpg", 1, NONE).on(Start::Value),
        ),
        (
            "forward to a copy of an older value",
            Mutant::StaleCopyForwarded,
            &[Linearizable],
            world(&[1, 1], "prG", 1, NONE).on(Start::StaleCopy),
        ),
        (
            "copy withdrawn that may be forwarded to",
            Mutant::CopyWithdrawn,
            &[MoveKeepsData],
            world(&[2, 1], "br", 1, NONE).on(Start::Value),
        ),
        (
            "copy withdrawn by a tombstone",
            Mutant::WithdrawnByTombstone,
            &[Linearizable],
            world(&[2, 1], "prG", 1, NONE).on(Start::StaleCopy),
        ),
        (
            "writer in the old set after a move",
            Mutant::WriterInOldSet,
            &[OneHome],
            world(&[1, 1], "rp", 1, NONE).with_rounds(&[2, 2]).on(Start::Forwarded),
        ),
        (
            "forward purged alone",
            Mutant::ForwardPurgedAlone,
            &[MoveKeepsData, Linearizable],
            world(&[1, 1], "ug", 1, NONE).on(Start::Forwarded),
        ),
        (
            "purged while another pool holds older",
            Mutant::PurgeInOnePool,
            &[PurgeIsTotal],
            world(&[2, 1], "cCdu", 1, NONE),
        ),
        (
            "the copy's folders have the names of the old",
            Mutant::FolderNamesKept,
            &[MoveKeepsData],
            world(&[1, 1], "ba", 1, NONE).on(Start::Value),
        ),
    ]
}

/// Returns the mutants, with the worlds in which they must be caught.
pub(super) fn mutants() -> Vec<Break> {
    let breaks = table()
        .into_iter()
        .map(|(name, mutant, rules, sound)| Break::new(name, rules, sound.clone().with(mutant), sound));
    breaks.collect()
}
