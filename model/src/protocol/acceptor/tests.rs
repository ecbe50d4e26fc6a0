use super::*;
use crate::protocol::Drives;
use crate::protocol::fixture::{Named, ballot, named};

/// A drive of a set with K = M = 2.
struct Drive {
    drive: DriveState,
    key: KeyState<Named>,
}

impl Drive {
    fn new() -> Drive {
        Drive {
            drive: DriveState::boot(0, 0),
            key: KeyState::empty(),
        }
    }

    fn reboot(&mut self) {
        self.drive = DriveState::boot(self.drive.epoch, self.drive.hi);
        self.key.promised = Ballot::ZERO;
    }

    /// Sends a message, given as words; asserts the answer and the effects, given as words.
    fn check(&mut self, message: &str, expected: &str) {
        let (reply, effects) = Acceptor {
            drive: &mut self.drive,
            key: &mut self.key,
            index: 0,
            mutation: Mutation::NONE,
        }
        .step(request(message));
        let mut said = match reply {
            Reply::Granted(s) => format!("granted {}", shown(&s)),
            Reply::Read(s) => format!("read {}", shown(&s)),
            Reply::Accepted => "accepted".into(),
            Reply::Done => "done".into(),
            Reply::Membership { epoch, whole } => {
                format!("epoch {epoch}, {}", if whole { "whole" } else { "recovering" })
            }
            Reply::Refused(nack) => format!("refused {}", nack.promised.round),
        };
        for effect in effects {
            said += &match effect {
                DriveEffect::PersistDrive => "; drive".into(),
                DriveEffect::PersistRegister => "; register".into(),
                DriveEffect::PersistRegisterLazily => "; register lazily".into(),
                DriveEffect::Remove(folders) => format!("; remove {folders:?}"),
            };
        }
        assert_eq!(said, expected, "{message}");
    }
}

fn shown(s: &Snapshot<Named>) -> String {
    let vote = |v: &Vote<Named>| format!("{}@{}", v.value.name, v.ballot.round);
    let known = if s.committed { "*" } else { "" };
    format!("{}{known}<{} {:?}", vote(&s.accepted), vote(&s.prev), s.folders)
}

/// `prepare 1`, `accept 1@2<0@0` (with a trailing `!` the value lists this drive as a holder),
/// `finalize 2`, `drop 3 7`, `read`; a leading `e1` is the ballot's epoch.
fn request(words: &str) -> Request<Named> {
    let (epoch, words) = match words.strip_prefix('e') {
        Some(rest) => rest.split_once(' ').map(|(e, w)| (e.parse().unwrap(), w)).unwrap(),
        None => (0, words),
    };
    let at = |round: &str| Ballot {
        epoch,
        ..ballot(round.parse().unwrap())
    };
    let mut words = words.split(' ');
    match (words.next().unwrap(), words.next()) {
        ("prepare", Some(round)) => Request::Prepare { ballot: at(round) },
        ("accept", Some(votes)) => {
            let held = votes.ends_with('!');
            let (vote, prev) = votes.trim_end_matches('!').split_once('<').unwrap();
            let parse = |text: &str, epoch: u64| {
                let (name, round) = text.split_once('@').unwrap();
                Vote {
                    ballot: Ballot {
                        epoch,
                        ..ballot(round.parse().unwrap())
                    },
                    value: named(name.parse().unwrap(), 2, 2),
                }
            };
            let mut vote = parse(vote, epoch);
            if held {
                vote.value.holders = Drives::one(0);
            }
            Request::Accept {
                vote,
                prev: parse(prev, 0),
            }
        }
        ("finalize", Some(round)) => Request::Finalize { ballot: at(round) },
        ("drop", Some(round)) => Request::Discard {
            ballot: at(round),
            folder: words.next().unwrap().parse().unwrap(),
        },
        ("install", Some(round)) => {
            let (name, chosen) = words.next().unwrap().split_once('@').unwrap();
            let vote = Vote {
                ballot: ballot(chosen.parse().unwrap()),
                value: named(name.parse().unwrap(), 2, 2),
            };
            Request::Install {
                ballot: at(round),
                shards: vec![Folder::from(vote.value.name)],
                vote,
            }
        }
        ("read", None) => Request::Read,
        ("fence", Some(round)) => Request::Fence { ballot: at(round) },
        ("membership", None) => Request::Membership,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_promise_is_for_higher_ballots_only_and_waits_for_hi_once() {
    let mut d = Drive::new();
    d.check("prepare 0", "refused 0");
    d.check("prepare 2", "granted 0@0*<0@0 []; drive");
    d.check("prepare 2", "refused 2");
    d.check("prepare 1", "refused 2");
    d.check("prepare 3", "granted 0@0*<0@0 []");
    d.check("accept 1@2<0@0", "refused 3");
    assert_eq!(d.drive.hi, 2 + DriveState::RESERVE);
}

#[test]
fn a_vote_raises_hi_before_promises_have_to_wait_for_it() {
    let mut d = Drive::new();
    d.check("prepare 2", "granted 0@0*<0@0 []; drive");
    let round = DriveState::RESERVE / 2 + 3;
    d.check(&format!("prepare {round}"), "granted 0@0*<0@0 []");
    d.check(&format!("accept 1@{round}<0@0"), "accepted; drive; register");
    assert_eq!(d.drive.hi, round + DriveState::RESERVE);
}

#[test]
fn a_vote_is_a_promise_too_and_repeating_it_changes_nothing() {
    let mut d = Drive::new();
    d.check("accept 1@2<0@0", "accepted; drive; register");
    d.check("prepare 2", "refused 2");
    d.check("accept 1@2<0@0", "accepted");
    d.check("accept 2@2<0@0", "refused 2");
    d.check("finalize 2", "done; register lazily");
    d.check("accept 1@2<0@0", "accepted");
    d.check("read", "read 1@2*<1@2 []");
}

#[test]
fn a_vote_follows_something_older() {
    Drive::new().check("accept 1@2<3@2", "refused 0");
    Drive::new().check("accept 0@0<0@0", "accepted");
}

#[test]
fn a_holder_must_hold() {
    let mut d = Drive::new();
    d.check("accept 7@1<0@0!", "refused 0");
    d.key.folders.insert(7);
    d.check("accept 7@1<0@0!", "accepted; drive; register");
    // It may vote again for what it voted for, though the shard is lost by now.
    d.key.folders.clear();
    d.check("accept 7@2<0@0!", "accepted; register");
}

#[test]
fn data_goes_when_its_successor_is_known_chosen_and_not_before() {
    let mut d = Drive::new();
    d.key.folders.extend([1, 2, 3]);
    d.check("accept 1@1<0@0", "accepted; drive; register");
    d.check("finalize 1", "done; register lazily");
    d.check("accept 2@2<1@1", "accepted; register");
    d.check("read", "read 2@2<1@1 [1, 2, 3]");
    d.check("finalize 1", "done");
    // 3 is staged for a write that is still under way.
    d.check("finalize 2", "done; register; remove [1]");
    d.check("finalize 2", "done");
    d.check("read", "read 2@2*<2@2 [2, 3]");
}

#[test]
fn a_repeat_keeps_the_data() {
    let mut d = Drive::new();
    d.key.folders.insert(1);
    d.check("accept 1@1<0@0", "accepted; drive; register");
    d.check("accept 1@2<1@1", "accepted; register");
    d.check("finalize 2", "done; register lazily");
    d.check("read", "read 1@2*<1@2 [1]");
}

#[test]
fn staging_is_dropped_only_under_the_clean_ups_own_vote() {
    let mut d = Drive::new();
    d.key.folders.extend([1, 7]);
    d.check("accept 1@1<0@0", "accepted; drive; register");
    d.check("drop 1 1", "done");
    d.check("drop 2 7", "done");
    d.check("prepare 3", "granted 1@1<0@0 [1, 7]");
    d.check("drop 1 7", "done");
    d.check("accept 1@3<1@1", "accepted; register");
    d.check("drop 3 7", "done; remove [7]");
    d.check("drop 3 7", "done");
}

// `put.accepted-means-staged`: round 3 has counted the shard, and goes on without this drive.
#[test]
fn a_forgotten_promise_still_keeps_the_staging() {
    let granted = || {
        let mut d = Drive::new();
        d.key.folders.extend([1, 7]);
        d.check("accept 1@1<0@0", "accepted; drive; register");
        d.check("prepare 3", "granted 1@1<0@0 [1, 7]");
        d
    };
    let mut d = granted();
    d.reboot();
    d.check("drop 1 7", "done");
    let mut d = granted();
    d.drive.forget(std::mem::take(&mut d.key.promised));
    d.check("drop 1 7", "done");
    // The next clean-up votes above the floor.
    d.check("accept 1@4<1@1", "accepted; register");
    d.check("drop 4 7", "done; remove [7]");
}

#[test]
fn an_older_epoch_is_refused_and_a_newer_one_is_stored() {
    let mut d = Drive::new();
    d.check("prepare 5", "granted 0@0*<0@0 []; drive");
    d.check("e2 prepare 1", "granted 0@0*<0@0 []; drive");
    d.check("accept 1@5<0@0", "refused 1");
    d.check("drop 5 1", "refused 1");
    d.check("e3 finalize 1", "done");
    d.check("e3 drop 1 9", "done; drive");
    assert_eq!(d.drive.epoch, 3);
}

#[test]
fn a_reboot_forgets_no_promise() {
    let mut d = Drive::new();
    d.check("prepare 5", "granted 0@0*<0@0 []; drive");
    d.reboot();
    d.check("accept 1@4<0@0", "refused 0");
    d.check("accept 1@5<0@0", "refused 0");
    d.check(&format!("prepare {}", d.drive.hi), "refused 0");
    d.check(&format!("prepare {}", d.drive.hi + 1), "granted 0@0*<0@0 []; drive");
}

#[test]
fn a_forgotten_key_raises_the_floor() {
    let mut d = Drive::new();
    d.check("prepare 5", "granted 0@0*<0@0 []; drive");
    d.drive.forget(std::mem::take(&mut d.key.promised));
    d.check("accept 1@4<0@0", "refused 0");
    d.check("prepare 5", "refused 0");
    d.check("prepare 6", "granted 0@0*<0@0 []");
}

#[test]
fn a_fence_stores_the_epoch_and_older_ballots_are_refused() {
    let mut d = Drive::new();
    d.check("membership", "epoch 0, whole");
    d.check("prepare 7", "granted 0@0*<0@0 []; drive");
    d.check("e2 fence 0", "epoch 2, whole; drive");
    d.check("e2 fence 0", "epoch 2, whole");
    d.check("e1 fence 0", "refused 7");
    d.check("accept 1@7<0@0", "refused 7");
    d.check("e2 accept 1@1<0@0", "accepted; register");
}

/// Else a key that was not finalized before a drive joined would stay uncommitted until its next write.
#[test]
fn what_was_chosen_in_an_older_epoch_can_still_be_finalized() {
    let mut d = Drive::new();
    d.check("accept 1@7<0@0", "accepted; drive; register");
    d.check("e2 prepare 1", "granted 1@7<0@0 []; drive");
    d.check("finalize 7", "done; register lazily");
    d.check("e2 prepare 2", "granted 1@7*<1@7 []");
    assert_eq!(d.drive.epoch, 2);
}

#[test]
fn a_drive_that_lost_everything_is_silent_until_it_joins_and_speaks_for_what_it_votes_on() {
    let mut d = Drive::new();
    d.drive = DriveState::outside();
    d.key = KeyState::lost();
    for message in ["read", "membership", "e9 fence 0", "e9 prepare 1"] {
        d.check(message, "refused 0");
    }
    assert_eq!(d.drive, DriveState::outside());
    d.drive = DriveState::joined(3);
    let speaks = |d: &mut Drive| {
        let mut acceptor = Acceptor {
            drive: &mut d.drive,
            key: &mut d.key,
            index: 0,
            mutation: Mutation::NONE,
        };
        match acceptor.step(Request::Read).0 {
            Reply::Read(snapshot) => snapshot.authoritative,
            other => panic!("{other:?}"),
        }
    };
    assert!(!speaks(&mut d));
    d.check("membership", "epoch 3, recovering");
    d.check("e2 prepare 9", "refused 0");
    d.check("e3 prepare 1", "granted 0@0*<0@0 []; drive");
    assert!(!speaks(&mut d));
    d.check("e3 accept 1@1<0@0", "accepted; register");
    assert!(speaks(&mut d));
}

#[test]
fn an_install_takes_over_what_is_chosen_under_the_healers_own_promise() {
    let mut d = Drive::new();
    d.key.folders = [1, 7].into();
    d.check("accept 1@2<0@0", "accepted; drive; register");
    d.check("install 5 4@3", "refused 2");
    d.check("prepare 5", "granted 1@2<0@0 [1, 7]");
    d.check("install 4 4@3", "refused 5");
    d.check("install 5 4@1", "refused 5");
    d.check("install 5 4@3", "done; register; remove [1]");
    d.check("read", "read 4@3*<4@3 [4, 7]");
    d.check("prepare 6", "granted 4@3*<4@3 [4, 7]");
    d.check("install 5 4@3", "refused 6");
}

#[test]
fn a_drive_speaks_for_what_was_installed_on_it() {
    let mut d = Drive::new();
    (d.drive, d.key) = (DriveState::joined(1), KeyState::lost());
    d.check("e1 prepare 1", "granted 0@0*<0@0 []; drive");
    d.check("e1 install 1 0@0", "done; register");
    assert!(d.key.known);
}

/// The assertion of every step, which no test of the machine can trip without a mutant.
mod high_water {
    use super::*;

    fn marks(drive: &Drive) -> HighWater {
        HighWater::of(&drive.drive, &drive.key)
    }

    fn promised() -> Drive {
        let mut drive = Drive::new();
        drive.drive = DriveState::boot(3, 5);
        drive.key.promised = ballot(9);
        drive
    }

    #[test]
    #[should_panic(expected = "drive.promise-holds")]
    fn a_promise_is_not_forgotten_without_a_floor() {
        let (before, mut after) = (promised(), promised());
        after.key.promised = Ballot::ZERO;
        after.drive.forget(ballot(9));
        marks(&after).assert_not_below(&marks(&before), false);
        after.drive.floor = before.drive.floor;
        let refused = Ballot::ceiling(9, 9);
        let before = HighWater {
            refused,
            ..marks(&before)
        };
        marks(&after).assert_not_below(&before, true);
        marks(&after).assert_not_below(&before, false);
    }

    #[test]
    #[should_panic(expected = "drive.epoch-fences")]
    fn an_epoch_does_not_fall() {
        let (before, mut after) = (promised(), promised());
        after.drive.epoch -= 1;
        marks(&after).assert_not_below(&marks(&before), false);
    }

    #[test]
    #[should_panic(expected = "drive.hi-covers")]
    fn hi_does_not_fall() {
        let (before, mut after) = (promised(), promised());
        after.drive.hi -= 1;
        marks(&after).assert_not_below(&marks(&before), false);
    }

    #[test]
    #[should_panic(expected = "register.chain")]
    fn a_vote_follows_an_older_one() {
        let mut drive = Drive::new();
        let vote = |n, name| Vote {
            ballot: ballot(n),
            value: named(name, 2, 2),
        };
        drive.key.register = Register::open(vote(1, 1), vote(2, 2));
        drive.check("read", "");
    }
}
