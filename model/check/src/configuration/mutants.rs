//! Mutants of the protocol of configuration, and the rules that catch them.

use super::bounds::{NONE, world};
use super::rules::Rule;
use super::state::Kind::{Change, Serve};
use super::state::{Faults, World};
use crate::topic::Break;
use model::configuration::mutant::Mutant;

/// A mutant's name, its switch, the rules that must be found broken, and the world to find them in.
type Row = (&'static str, Mutant, &'static [Rule], World);

fn table() -> Vec<Row> {
    use Rule::*;
    let losing = Faults { losses: 1, ..NONE };
    let without = Faults {
        no_acceptors: 1,
        ..NONE
    };
    let one_set = || world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], NONE);
    let two_sets = || world(&[&[0, 1], &[1, 2]], &[Change, Serve(2, 1)], NONE);
    vec![
        (
            "configuration answered when chosen",
            Mutant::AnsweredWhenChosen,
            &[AnsweredIsSeen],
            one_set(),
        ),
        (
            "configuration at A - 1 drives",
            Mutant::StoredAtFewer,
            &[AnsweredIsSeen],
            one_set(),
        ),
        (
            "configuration stored in one set",
            Mutant::StoredInOneSet,
            &[AnsweredIsSeen],
            two_sets(),
        ),
        (
            "configuration at most of the nodes",
            Mutant::StoredByNodes,
            &[AnsweredIsSeen],
            two_sets(),
        ),
        (
            "configuration at every node",
            Mutant::StoredEverywhere,
            &[NeedsNotAllNodes],
            one_set(),
        ),
        (
            "told before it is chosen",
            Mutant::ToldBeforeChosen,
            &[ServedIsChosen],
            one_set(),
        ),
        (
            "a node that returns serves its old copy",
            Mutant::ServedAlone,
            &[AnsweredIsSeen],
            one_set(),
        ),
        (
            "a node hears Q - 1 drives",
            Mutant::HeardFewer,
            &[AnsweredIsSeen],
            one_set(),
        ),
        (
            "a node that is behind serves",
            Mutant::BehindServes,
            &[AnsweredIsSeen],
            one_set(),
        ),
        (
            "a node that is behind asks the acceptors",
            Mutant::FetchedFromAcceptors,
            &[NeedsNoAcceptors],
            world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], without),
        ),
        (
            "an older copy taken for a newer one",
            Mutant::TakesLower,
            &[OnlyForward, AnsweredIsSeen],
            world(&[&[0, 1, 2]], &[Change, Change, Serve(2, 0)], NONE),
        ),
        (
            "a lost copy replaced by anybody's",
            Mutant::LostTakesAny,
            &[OnlyForward, AnsweredIsSeen],
            world(&[&[0, 1]], &[Change, Change, Serve(1, 0)], losing),
        ),
        (
            "an answer outlives the loss of the copy",
            Mutant::AnswerOutlivesLoss,
            &[OnlyForward, AnsweredIsSeen],
            world(&[&[0, 1, 2]], &[Change, Serve(2, 0)], losing),
        ),
    ]
}

/// Returns the mutants, with the worlds in which they must be caught.
pub(super) fn mutants() -> Vec<Break> {
    let breaks = table().into_iter().map(|(name, mutant, rules, sound)| {
        let mut world = sound.clone();
        world.mutation = mutant.into();
        Break::new(name, rules, world, sound)
    });
    breaks.collect()
}
