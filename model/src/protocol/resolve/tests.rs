use super::*;
use crate::protocol::fixture::{Named, snapshots};

/// What Resolve says of the drives in `words` (see [`snapshots`]), as a word and a value.
fn check((data, parity): (u8, u8), words: &str, expected: &str) {
    let grants = snapshots(data, parity, words);
    let said = match resolve(Quorums::of(data + parity), &grants, Mutation::NONE) {
        Resolution::Chosen(vote) => format!("chosen {}@{}", vote.value.name, vote.ballot.round),
        Resolution::Repeat { value, prev } => format!("repeat {} after {}", value.name, shown(&prev)),
        Resolution::Stuck { top, prev } => format!("stuck {} after {}", top.value.name, shown(&prev)),
        Resolution::TooFew => "too few".into(),
    };
    assert_eq!(said, expected, "{words}");
}

fn shown(vote: &Vote<Named>) -> String {
    format!("{}@{}", vote.value.name, vote.ballot.round)
}

/// What a plain read concludes from the drives in `words`.
fn check_read((data, parity): (u8, u8), words: &str, expected: &str) {
    let said = match decide_read(
        Quorums::of(data + parity),
        &snapshots(data, parity, words),
        Mutation::NONE,
    ) {
        ReadDecision::Chosen(vote) => format!("chosen {}", shown(&vote)),
        ReadDecision::Undecided => "undecided".into(),
        ReadDecision::TooFew => "too few".into(),
    };
    assert_eq!(said, expected, "{words}");
}

/// N = 4: A = 3, Q = 2, W = 3.
const EC2: (u8, u8) = (2, 2);

#[test]
fn too_few_authoritative_answers_decide_nothing() {
    check(EC2, "? ? ? ?", "too few");
    check(EC2, "1@1* ? ? ?", "too few");
    check(EC2, "1@1* -~ -~ ?", "too few");
}

#[test]
fn absence_is_chosen_from_the_start() {
    check(EC2, "- - ? ?", "chosen 0@0");
    check(EC2, "-+1 -+1 -+1 -", "chosen 0@0");
}

#[test]
fn chosen_by_a_votes_or_by_one_that_knows() {
    check(EC2, "1@1<0@0 1@1<0@0 1@1<0@0 ?", "chosen 1@1");
    check(EC2, "1@1* - ? ?", "chosen 1@1");
    check(EC2, "1@1* 2@2<1@1+2 2@2<1@1+2 2@2<1@1+2", "chosen 2@2");
}

#[test]
fn rolls_back_what_can_never_be_chosen() {
    check(EC2, "1@1<0@0+1 - - ?", "repeat 0 after 0@0");
    check(EC2, "2@2<1@1+2 1@1*+1+2 1@1*+1 1@1*+1", "repeat 1 after 1@1");
}

#[test]
fn rolls_forward_when_all_shards_are_there() {
    check(EC2, "1@1<0@0+1 -+1 -+1 ?", "repeat 1 after 0@0");
    check(EC2, "90@2<1@1+1 1@1*+1 1@1*+1 1@1*+1", "repeat 90 after 1@1");
    // Shards count on a drive that may not speak for the key.
    check(EC2, "1@1<0@0+1 -+1 -+1~ -", "repeat 1 after 0@0");
}

#[test]
fn adopts_what_may_be_chosen() {
    check(EC2, "1@1<0@0+1 1@1<0@0+1 ? ?", "repeat 1 after 0@0");
    check(EC2, "1@1<0@0+1 1@1<0@0+1 - ?", "repeat 1 after 0@0");
}

#[test]
fn is_stuck_when_it_may_be_chosen_but_not_rebuilt() {
    check(EC2, "1@1<0@0+1 - ? ?", "stuck 1 after 0@0");
    check(EC2, "1@1<0@0 1@1<0@0 - ?", "stuck 1 after 0@0");
}

#[test]
fn votes_are_counted_by_lineage() {
    // 1 was chosen in round 1 by drives 0 to 2; drive 1 has since repeated it, drive 0 voted for its
    // successor. By ballot, round 3 has one vote and could be called off.
    check(EC2, "1@3<0@0+1 1@1<0@0+1 1@1<0@0+1 -", "repeat 1 after 0@0");
    check(EC2, "2@4<1@3+1+2 1@3<0@0+1+2 1@1<0@0+1 -", "repeat 1 after 1@3");
}

#[test]
fn a_read_returns_what_is_chosen() {
    check_read(EC2, "? - ? ?", "too few");
    check_read(EC2, "- - ? ?", "chosen 0@0");
    check_read(EC2, "1@1* - ? ?", "chosen 1@1");
    check_read(EC2, "1@1<0@0 1@1<0@0 1@1<0@0 ?", "chosen 1@1");
}

#[test]
fn a_read_steps_around_what_was_not_chosen_when_it_began() {
    check_read(EC2, "2@2<1@1 1@1* 1@1* ?", "chosen 1@1");
    check_read(EC2, "2@2<1@1 1@1* ? ?", "undecided");
    check_read(EC2, "1@1<0@0 1@1<0@0 - ?", "undecided");
}

#[test]
fn a_read_takes_no_word_from_a_drive_that_may_have_purged() {
    check_read(EC2, "1@1* -^1 ? ?", "undecided");
    check_read(EC2, "1@2* -^1 ? ?", "chosen 1@2");
    check_read(EC2, "-^9 -^9 ? ?", "chosen 0@0");
}
