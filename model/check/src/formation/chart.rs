//! Paths through the world of a first start in words.

use super::audit::is_refused;
use super::state::{Action, Id, Message, State, World};
use crate::chart::Names;
use crate::harness::{Charted, World as _};
use model::formation::{Found, Request};

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn line(&self, last: &State, action: &Action, _names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = match *action {
            Action::Deliver(index, place) => {
                let message = &last.system.nodes[usize::from(index)].mail[usize::from(place)];
                let is_late = message.life() != last.system.life
                    || last.system.calls[usize::from(index)].as_ref() != Some(message);
                let late = if is_late { ", late" } else { "" };
                let refused = if is_refused(last, index, message) {
                    ": refused"
                } else {
                    ""
                };
                format!(
                    "leader {} -> node {index}: {}{late}{refused}",
                    message.life(),
                    asks(message)
                )
            }
            Action::Write(index) => format!("node {index} goes on"),
            Action::Ask(index, other) if index == other => format!("node {index} goes by its own drives"),
            Action::Ask(index, other) => format!("node {index} asks node {other}: {}", found(last.system.found(other))),
            Action::GiveUp(index) => format!("leader {} gives up its call to node {index}", last.system.life),
            Action::LookAgain(index) => format!("leader {} looks at node {index} again", last.system.life),
            Action::Restart(0) => format!("node 0 restarts, with leader {}", next.system.life),
            Action::Restart(index) => format!("node {index} restarts"),
            Action::Wipe(index, drive) => format!("drive {drive} of node {index} is replaced, and the node restarts"),
            Action::Swap((one, a), (other, b)) => {
                format!("drive {a} of node {one} and drive {b} of node {other} are swapped, and the nodes restart")
            }
            Action::Empty(index, drive) => format!("drive {drive} of node {index} is emptied"),
        };
        for (index, (before, after)) in (0..).zip(last.system.nodes.iter().zip(&next.system.nodes)) {
            if before.drives.found() != after.drives.found() {
                line += &format!("; node {index} has {}", found(next.system.found(index)));
            }
        }
        for (index, (before, after)) in last.ledger.served.iter().zip(&next.ledger.served).enumerate() {
            if before != after {
                line += &format!("; node {index} serves");
            }
        }
        Some(line + &next.ledger.broken.since(last.ledger.broken))
    }
}

/// Describes a request of the leader.
fn asks(message: &Message) -> String {
    match message.request {
        Request::Look => "Look".to_owned(),
        Request::Confirm(round) => format!("Confirm {round}"),
        Request::Begin(id) => format!("Begin {id}"),
        Request::Complete(id) => format!("Complete {id}"),
    }
}

/// Describes what is on a node's drives.
fn found(found: &[Found<Id>]) -> String {
    let words = found.iter().map(|found| match found {
        Found::Empty => "empty".to_owned(),
        Found::Begun(id) => format!("begun {id}"),
        Found::Complete(id) => format!("complete {id}"),
        Found::Refused => "refused".to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::formation::bounds::{NONE, world};
    use crate::formation::rules::Rule;
    use crate::formation::state::{Faults, World};
    use model::formation::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let faults = Faults { wipes: 1, ..NONE };
        let broken = World {
            mutation: Mutant::ServesAlone.into(),
            ..world(&[1, 1], faults)
        };
        let words = [
            "leader 1 -> node 0: Complete 1; node 0 has complete 1; node 0 serves",
            "drive 0 of node 0 is replaced, and the node restarts; node 0 has empty",
            "leader 2 -> node 0: Begin 1; node 0 has begun 1",
        ];
        assert_tells(&broken, Rule::WipedIsUnknown, &words);
    }
}
