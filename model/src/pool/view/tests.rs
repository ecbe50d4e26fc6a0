use super::*;
use crate::protocol::fixture::{Named, named, snapshots};

/// N = 4: A = 3, Q = 2.
const SET: (u8, u8) = (2, 2);

/// Returns what the value of a name means here: 21 is the copy of 1, 31 the forward to it in the second pool, 40 a
/// withdrawal.
fn placed(value: Named) -> Placed<Named> {
    let name = |name| named(name, SET.0, SET.1);
    match value.name {
        21..=29 => Placed::Incoming {
            copy: value,
            of: name(value.name - 20),
        },
        31..=39 => Placed::Forward {
            to: 1,
            copy: name(value.name - 10),
        },
        40 => Placed::Withdrawn,
        _ => Placed::Here(value),
    }
}

fn vote(vote: Vote<Named>) -> Vote<Placed<Named>> {
    Vote {
        ballot: vote.ballot,
        value: placed(vote.value),
    }
}

/// The answers of each pool, in the words of [`snapshots`].
fn answers(pools: &[&str]) -> Answers<Named> {
    let of_pool = |words: &&str| {
        let snapshots = snapshots(SET.0, SET.1, words).into_iter();
        let placed = snapshots.map(|(drive, snapshot)| {
            let Snapshot {
                accepted,
                prev,
                committed,
                folders,
                authoritative,
                floor,
                epoch,
            } = snapshot;
            let snapshot = Snapshot {
                accepted: vote(accepted),
                prev: vote(prev),
                committed,
                folders,
                authoritative,
                floor,
                epoch,
            };
            (drive, snapshot)
        });
        placed.collect()
    };
    pools.iter().map(of_pool).collect()
}

fn shown(value: &Placed<Named>) -> String {
    match value {
        Placed::Here(value) => value.name.to_string(),
        Placed::Incoming { copy, .. } => format!("copy {}", copy.name),
        Placed::Forward { copy, .. } => format!("forward to {}", copy.name),
        Placed::Withdrawn => "withdrawn".into(),
    }
}

fn shown_base(base: &Base<Named>) -> String {
    match base {
        Base::Known(vote) => format!("known {}@{}", shown(&vote.value), vote.ballot.round),
        Base::Repeat { value, prev } => format!("repeat {} after {}", shown(value), shown(&prev.value)),
        Base::Stuck { top, .. } => format!("stuck {}", shown(&top.value)),
        Base::TooFew => "too few".into(),
    }
}

fn view(pools: &[&str]) -> View<Named> {
    let quorums = vec![Quorums::of(SET.0 + SET.1); pools.len()];
    View::of(&quorums, &answers(pools), Mutation::NONE)
}

fn check(pools: &[&str], expected: &str) {
    let said = match view(pools).placement() {
        Placement::Home { pool, base } => format!("{} in {pool}", shown(&base.value)),
        Placement::Absent => "absent".into(),
        Placement::Unsettled { pool, first } => format!("{} in {pool}", shown_base(&first)),
        Placement::TooFew => "too few".into(),
    };
    assert_eq!(said, expected, "{pools:?}");
}

fn check_base(pools: &[&str], pool: u8, expected: &str) {
    assert_eq!(shown_base(&view(pools).base(pool)), expected, "{pools:?}");
}

fn check_read(pools: &[&str], expected: &str) {
    let quorums = vec![Quorums::of(SET.0 + SET.1); pools.len()];
    let said = match decide_read(&quorums, &answers(pools), Mutation::NONE) {
        ReadDecision::Chosen(vote) => vote.value.name.to_string(),
        ReadDecision::Undecided => "undecided".into(),
        ReadDecision::TooFew => "too few".into(),
    };
    assert_eq!(said, expected, "{pools:?}");
}

/// `pool.unknown-is-not-absent`
#[test]
fn a_live_key_answers_alone_and_absence_needs_every_pool() {
    check(&["1@3* 1@3* ? ?", "? ? ? ?"], "1 in 0");
    check(&["? - ? ?", "? ? 1@3* 1@3"], "1 in 1");
    check(&["- - - -", "? - ? ?"], "too few");
    check(&["- - ? ?", "- - ? ?"], "absent");
    check(&["90@4* 90@4* ? ?", "- - ? ?"], "absent");
    check_read(&["1@3* - ? ?", "? ? ? ?"], "1");
    check_read(&["- - - -", "? - ? ?"], "too few");
    check_read(&["- - ? ?", "90@4* - ? ?"], "0");
}

#[test]
fn the_highest_that_speaks_of_the_key_is_settled_first() {
    check(&["1@3<0@0+1 -+1 - ?", "2@4<0@0+2 -+2 ? ?"], "repeat 2 after 0 in 1");
    check(&["1@5<0@0+1 -+1 -+1 ?", "2@4<0@0+2 -+2 ? ?"], "repeat 1 after 0 in 0");
    // The lower one is dead, and called off by whoever builds on its set.
    let dead = ["1@3<0@0+1 1@3<0@0+1 - ?", "90@4* 90@4* ? ?"];
    check(&dead, "absent");
    check_base(&dead, 0, "repeat withdrawn after 0");
    // A delete below a creation that was built on it is chosen.
    check_base(&["90@3<1@2 1@2* ? ?", "2@4* 2@4* ? ?"], 0, "known 90@3");
}

#[test]
fn copies_and_forwards_outrank_nothing() {
    check(&["1@3<0@0+1 1@3<0@0+1 ? ?", "21@4* 21@4* ? ?"], "repeat 1 after 0 in 0");
    check(&["1@3<0@0+1 1@3<0@0+1 ? ?", "40@4* 40@4* ? ?"], "repeat 1 after 0 in 0");
}

#[test]
fn a_copy_counts_once_the_key_is_forwarded_to_it() {
    check(&["1@3* 1@3* ? ?", "21@4* 21@4* ? ?"], "1 in 0");
    check(&["31@4* 31@4* ? ?", "21@4* 21@4* ? ?"], "copy 21 in 1");
    check(&["31@4* 31@4* ? ?", "22@4* 22@4* ? ?"], "absent");
    // Whatever a third pool still has.
    let old = ["31@4* 31@4* ? ?", "21@4* 21@4* ? ?", "2@3<0@0+2 2@3<0@0+2 ? ?"];
    check(&old, "copy 21 in 1");
    check(&["- - ? ?", "21@4* 21@4* ? ?"], "absent");
    check(&["? ? ? ?", "21@4* 21@4* ? ?"], "too few");
    // A forward that may be chosen is carried on in its set alone.
    check(
        &["31@4<1@3 31@4<1@3 ? ?", "? ? ? ?"],
        "repeat forward to 21 after 1 in 0",
    );
    check_read(&["31@4* 31@4* ? ?", "21@4* 21@4* ? ?"], "undecided");
    check_read(&["- - ? ?", "31@4* 31@4* ? ?"], "undecided");
}
