//! Paths through the world of buckets in words.

use super::order::order;
use super::state::{Action, Client, Content, Drive, Kind, State, Told, World};
use crate::chart::{InWords, Names, client, told, vote};
use crate::harness::{Charted, World as _};
use model::bucket::{Bucket, Change, Gate, Incarnation, Phase, Record};

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn names(&self) -> Names {
        Names::new("set", vec![self.drives; usize::from(self.sets)])
    }

    fn ask(&self, action: &Action) -> String {
        self.asks(*action, &self.names())
    }

    fn line(&self, last: &State, action: &Action, names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = self.asks(*action, names);
        let came = self.came_of(last, &next, *action);
        if !came.is_empty() {
            line += &format!(": {came}");
        }
        for (index, kind) in (0..).zip(&self.kinds) {
            let asked = (index, *kind);
            if let Some(told) = told((&last.ledger.history, &next.ledger.history), asked, Told::ALL) {
                line += &format!("; {} is told: {}", self.client(index), told.in_words());
            }
        }
        line += &next.ledger.broken.since(last.ledger.broken);
        for set in 0..self.sets {
            names.reorder(set, &order(&next, set));
        }
        Some(line)
    }
}

impl World {
    fn client(&self, index: u8) -> String {
        let wants = match self.kinds[usize::from(index)] {
            Kind::Put(set) if self.sets > 1 => format!("put in set {set}"),
            Kind::Put(_) => "put".to_owned(),
            Kind::Unput(set) if self.sets > 1 => format!("delete in set {set}"),
            Kind::Unput(_) => "delete".to_owned(),
            Kind::Create => "create bucket".to_owned(),
            Kind::Delete => "delete bucket".to_owned(),
        };
        client(index, &wants)
    }

    /// Describes an action: actor and receiver.
    pub(super) fn asks(&self, action: Action, names: &Names) -> String {
        let client = |index| self.client(index);
        match action {
            Action::Invoke(index) => format!("{} begins", client(index)),
            Action::Propose(index, on) => {
                let drives = names.drives(self.set_of(index), on);
                format!("{} prepares on {drives}, and sends its Accept", client(index))
            }
            Action::CallOff(index) => format!("{} is refused, and reads the bucket anew", client(index)),
            Action::Accept(index, to) => {
                let drive = names.drive(self.set_of(index), to);
                format!("{} -> {drive}: Accept", client(index))
            }
            Action::Commit(index) => format!("{} has its change of the bucket chosen", client(index)),
            Action::Look(index) => format!("{} looks at the keys", client(index)),
            Action::LookAway(index) => format!("{} has looked at the keys before anything was there", client(index)),
            Action::Survey(index, set, to) => format!("{} -> {}: Survey", client(index), names.drive(set, to)),
            Action::StragglerTimeout(index) => format!("{} goes on with the drives that have listed", client(index)),
            Action::Ask(set, drive, of) => {
                let drive = names.drive(set, drive);
                format!("{drive} asks for the bucket of incarnation {of}; the answer is on its way")
            }
            Action::Answer(set, drive, of) => {
                let drive = names.drive(set, drive);
                format!("{drive} is answered what it asked of incarnation {of}")
            }
            Action::Lose(set, drive) => format!("{} loses its gates", names.drive(set, drive)),
            Action::Boot(set, drive) => format!("{} loses power and is back", names.drive(set, drive)),
        }
    }

    /// Describes the effect of an action.
    fn came_of(&self, last: &State, next: &State, action: Action) -> String {
        match action {
            Action::Invoke(index) | Action::Look(index) | Action::LookAway(index) | Action::StragglerTimeout(index) => {
                self.does(last, next, index)
            }
            Action::Propose(index, _) => proposal(next, index),
            Action::CallOff(_) => format!("it is {}", bucket(next.system.bucket)),
            Action::Accept(index, drive) => {
                let set = self.set_of(index);
                let votes = next.system.drive(set, drive).voted.contains(index);
                let chosen = |s: &State| s.system.proposals.get(&index).is_some_and(|sent| sent.chosen);
                let so = match (votes, !chosen(last) && chosen(next)) {
                    (true, true) => "accepted, and chosen",
                    (true, false) => "accepted",
                    (false, _) => "refused",
                };
                format!("{}: {so}", proposal(last, index))
            }
            Action::Commit(index) => {
                let wanted = match &last.system.clients[usize::from(index)] {
                    Client::Deleting {
                        change: Some(change), ..
                    } => format!("{}, ", change_named(*change)),
                    _ => String::new(),
                };
                let does = self.does(last, next, index);
                let does = if does.is_empty() { does } else { format!("; {does}") };
                format!("{wanted}it is {}{does}", bucket(next.system.bucket))
            }
            Action::Survey(index, set, drive) => {
                let Client::Deleting {
                    survey: Some((incarnation, turn)),
                    ..
                } = last.system.clients[usize::from(index)]
                else {
                    return String::new();
                };
                let state = next.system.drive(set, drive);
                let answer = if state.listed.get(&incarnation).is_some_and(|listed| *listed >= turn) {
                    let listing = self.listing(next, set, drive, incarnation);
                    let votes = listing.keys.values().map(|key| vote(&key.accepted));
                    let votes: Vec<String> = votes.collect();
                    let votes = if votes.is_empty() {
                        "nothing".to_owned()
                    } else {
                        votes.join(", ")
                    };
                    format!("lists {votes}")
                } else {
                    "refused".to_owned()
                };
                let does = self.does(last, next, index);
                let does = if does.is_empty() { does } else { format!("; {does}") };
                format!("turn {turn}: {answer}, {}{does}", gate(state, incarnation))
            }
            Action::Ask(..) => bucket(last.system.bucket),
            Action::Answer(set, drive, incarnation) => {
                let told = last.system.drive(set, drive).told.get(&incarnation);
                let told = told.map_or_else(String::new, |(_, of)| bucket(*of));
                format!("{told}, {}", gate(next.system.drive(set, drive), incarnation))
            }
            Action::Lose(..) | Action::Boot(..) => String::new(),
        }
    }

    /// Describes a client's next step, if it is new.
    fn does(&self, last: &State, next: &State, index: u8) -> String {
        let client = &next.system.clients[usize::from(index)];
        if last.system.clients[usize::from(index)] == *client {
            return String::new();
        }
        let before = &last.system.clients[usize::from(index)];
        let surveyed = matches!(before, Client::Deleting { survey: Some(_), .. });
        match client {
            Client::Ready(_) => format!("the bucket is {}", bucket(next.system.bucket)),
            Client::Creating => "its change is on its way".to_owned(),
            Client::Deleting {
                change: Some(change), ..
            } => format!("it wants to {}", change_named(*change)),
            Client::Deleting { looking: Some(_), .. } => {
                format!("the bucket is {}, it looks at the keys", bucket(next.system.bucket))
            }
            Client::Deleting {
                survey: Some((_, turn)),
                ..
            } if !surveyed => format!("all drives are to list for turn {turn}"),
            Client::Deleting { .. } | Client::Idle | Client::Voting | Client::Over => String::new(),
        }
    }
}

/// Describes a writer's proposal.
fn proposal(s: &State, index: u8) -> String {
    let Some(sent) = s.system.proposals.get(&index) else {
        return String::new();
    };
    format!("{} after {}", vote(&sent.vote), vote(&sent.prev))
}

fn gate(drive: &Drive, incarnation: Incarnation) -> String {
    let words = match drive.gates.get(&incarnation).and_then(|gate: &Gate| gate.record()) {
        None => "not known".to_owned(),
        Some(Record::Gone) => "closed for ever".to_owned(),
        Some(Record::At(turn, Phase::Live)) => format!("open in turn {turn}"),
        Some(Record::At(turn, Phase::Deleting)) => format!("closed in turn {turn}"),
    };
    format!("its gate is {words}")
}

fn bucket(bucket: Option<Bucket>) -> String {
    match bucket {
        None => "gone".to_owned(),
        Some(Bucket {
            incarnation,
            turn,
            phase,
        }) => {
            let phase = match phase {
                Phase::Live => "live",
                Phase::Deleting => "in deletion",
            };
            format!("{phase} in turn {turn} of incarnation {incarnation}")
        }
    }
}

fn change_named(change: Change) -> String {
    match change {
        Change::Create(_) => "create it".to_owned(),
        Change::Close(_) => "close it".to_owned(),
        Change::Reopen(_, turn) => format!("reopen turn {turn}"),
        Change::Remove(_, turn) => format!("remove turn {turn}"),
    }
}

impl InWords for Content {
    fn in_words(&self) -> String {
        match (self.writer, self.absent) {
            (0, _) => "absence".to_owned(),
            (writer, true) => format!("deletion {writer}"),
            (writer, false) => format!("value {writer}"),
        }
    }
}

impl Told {
    /// All possible replies.
    const ALL: [Told; 5] = [
        Told::Done,
        Told::NoSuchBucket,
        Told::Exists,
        Told::NotEmpty,
        Told::Unavailable,
    ];
}

impl InWords for Told {
    fn in_words(&self) -> String {
        match self {
            Told::Done => "done",
            Told::NoSuchBucket => "no such bucket",
            Told::Exists => "it exists",
            Told::NotEmpty => "not empty",
            Told::Unavailable => "not done",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use crate::bucket::bounds::world;
    use crate::bucket::rules::Rule;
    use crate::bucket::state::{Faults, World};
    use crate::chart::tests::assert_tells;
    use model::bucket::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let broken = World {
            mutation: Mutant::SurveyUnfenced.into(),
            ..world(1, 2, "pd", Faults::default())
        };
        let words = [
            "client 1 (put) prepares on drive",
            ", and sends its Accept: value 1 in 1.1 after absence",
            "-> drive 1: Accept: value 1 in 1.1 after absence: accepted",
            "client 2 (delete bucket) -> drive ",
            ": Survey: turn 1: lists ",
        ];
        assert_tells(&broken, Rule::DeletedIsEmpty, &words);
    }
}
