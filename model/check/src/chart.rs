//! Traces of paths in words: the parts that the charts of all worlds share.

use model::protocol::{Ballot, Drives, Reply, Request, Snapshot, Vote};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::fmt::Debug;

/// A value that charts can describe.
pub trait InWords {
    fn in_words(&self) -> String;
}

/// The original names, by group, of what symmetry reduction sorts: a chart calls a drive the same in all lines, though
/// states are kept with their drives sorted.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Noun for a group of drives, such as "set".
    group: &'static str,
    names: Vec<Vec<u8>>,
}

impl Names {
    /// Creates groups of these sizes, whose members are named by their index. `group` is the noun for a group of
    /// drives.
    pub fn new(group: &'static str, sizes: impl IntoIterator<Item = u8>) -> Names {
        let names = sizes.into_iter().map(|size| (0..size).collect()).collect();
        Names { group, names }
    }

    /// Reorders a group. `order` is the old indexes in the new order.
    pub fn reorder(&mut self, group: u8, order: &[u8]) {
        let names = &mut self.names[usize::from(group)];
        *names = order.iter().map(|old| names[usize::from(*old)]).collect();
    }

    /// Returns the name of a member.
    #[must_use]
    pub fn of(&self, group: u8, index: u8) -> u8 {
        self.names[usize::from(group)][usize::from(index)]
    }

    /// Describes a drive; its group is left out where there is only one.
    #[must_use]
    pub fn drive(&self, group: u8, drive: u8) -> String {
        format!("drive {}{}", self.of(group, drive), self.of_group(group))
    }

    /// Describes several drives of a group.
    #[must_use]
    pub fn drives(&self, group: u8, drives: Drives) -> String {
        let mut named: Vec<u8> = drives.iter().map(|drive| self.of(group, drive)).collect();
        named.sort_unstable();
        let named: Vec<String> = named.iter().map(u8::to_string).collect();
        let drives = if named.len() == 1 { "drive" } else { "drives" };
        format!("{drives} {}{}", named.join(" "), self.of_group(group))
    }

    fn of_group(&self, group: u8) -> String {
        match self.names.len() {
            1 => String::new(),
            _ => format!(" of {} {group}", self.group),
        }
    }
}

/// Describes a client and its request.
#[must_use]
pub fn client(index: u8, wants: &str) -> String {
    format!("client {} ({wants})", index + 1)
}

/// Returns the reply that a client received in a step: the one of `answers` that turns the history before it into the
/// one after it.
pub fn told<S>(
    (last, next): (&LinearizabilityTester<u8, S>, &LinearizabilityTester<u8, S>),
    (client, asked): (u8, S::Op),
    answers: impl IntoIterator<Item = S::Ret>,
) -> Option<S::Ret>
where
    S: SequentialSpec + Clone + PartialEq,
    S::Op: Clone + Debug + PartialEq,
    S::Ret: Clone + Debug + PartialEq,
{
    let mut asking = last.clone();
    if asking.on_invoke(client, asked).is_err() {
        asking = last.clone();
    }
    let makes_it = |answer: &S::Ret| {
        let mut told = asking.clone();
        told.on_return(client, answer.clone()).is_ok() && told == *next
    };
    answers.into_iter().find(makes_it)
}

/// Formats a ballot: its epoch unless that is 0, its round and its node.
#[must_use]
pub fn ballot(ballot: Ballot) -> String {
    let Ballot { epoch, round, node, .. } = ballot;
    match epoch {
        0 => format!("{round}.{node}"),
        epoch => format!("{epoch}/{round}.{node}"),
    }
}

pub fn vote<V: InWords>(vote: &Vote<V>) -> String {
    if vote.ballot.is_zero() {
        return "absence".to_owned();
    }
    format!("{} in {}", vote.value.in_words(), ballot(vote.ballot))
}

/// Describes a request to a drive.
pub fn message<V: InWords>(request: &Request<V>) -> String {
    match request {
        Request::Prepare { ballot: of } => format!("Prepare {}", ballot(*of)),
        Request::Accept { vote: of, prev } => format!("Accept {} after {}", vote(of), vote(prev)),
        Request::Finalize { ballot: of } => format!("Finalize {}", ballot(*of)),
        Request::Discard { ballot: of, folder } => format!("Discard {folder} under {}", ballot(*of)),
        Request::Install {
            ballot: of, vote: what, ..
        } => format!("Install {} under {}", vote(what), ballot(*of)),
        Request::Purge { ballot: of } => format!("Purge {}", ballot(*of)),
        Request::Read => "Read".to_owned(),
        Request::Fence { ballot: of } => format!("Fence {}", of.epoch),
        Request::Membership => "Membership".to_owned(),
    }
}

/// Describes a drive's reply.
pub fn answer<V: InWords>(reply: &Reply<V>) -> String {
    match reply {
        Reply::Granted(snapshot) => format!("granted, has {}", held(snapshot)),
        Reply::Accepted => "accepted".to_owned(),
        Reply::Done => "done".to_owned(),
        Reply::Read(snapshot) => held(snapshot),
        Reply::Membership { epoch, .. } => format!("epoch {epoch}"),
        Reply::Refused(nack) => format!("refused, has promised {}", ballot(nack.promised.max(nack.floor))),
    }
}

fn held<V: InWords>(snapshot: &Snapshot<V>) -> String {
    let committed = if snapshot.committed { ", chosen" } else { "" };
    let mute = if snapshot.authoritative {
        ""
    } else {
        ", and may not speak for it"
    };
    format!("{}{committed}{mute}", vote(&snapshot.accepted))
}

#[cfg(test)]
pub(crate) mod tests {
    use crate::explore::path_to;
    use crate::harness::Charted;
    use crate::rules::Named;
    use std::time::Duration;

    /// Checks the chart of a shortest path on which a rule is broken: it contains these words, and ends with the rule.
    pub(crate) fn assert_tells<W: Charted>(world: &W, rule: W::Rule, words: &[&str]) {
        let rule = rule.name();
        let path = path_to(world, rule, Duration::from_secs(60)).expect("it is broken");
        let chart = world.chart(&path);
        let text = chart.join("\n");
        assert_eq!(chart.len() + 1, path.len(), "{text}");
        for word in words {
            assert!(text.contains(word), "{word:?} is not in\n{text}");
        }
        let broken = format!("; {rule} is broken");
        let last = chart.last().expect("something happens");
        assert!(last.contains(&broken), "{broken:?} does not end\n{text}");
    }
}
