//! What happens on a way through the world of the register, in words: a chart of messages.

use super::change::{Content, INITIAL, Kind};
use super::order::order;
use super::rules::Rule;
use super::world::{Action, State, World};
use crate::explore::Charted;
use model::protocol::{Acceptor, Ballot, Drives, Reply, Request, Vote};

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    /// One line for each action. Drives keep the names that they begin with, though states are kept in another order.
    fn chart(&self, path: &[(State, Option<Action>)]) -> Vec<String> {
        let mut names: Vec<u8> = (0..self.drives).collect();
        let mut lines = Vec::new();
        for (last, action) in path {
            let Some(action) = *action else { break };
            lines.extend(self.describe(last, action, &names));
            if let Some(next) = self.step(last, action) {
                names = order(&next).iter().map(|old| names[usize::from(*old)]).collect();
            }
        }
        lines
    }
}

impl World {
    /// An action in words. `names` are those of the drives.
    pub(super) fn describe(&self, last: &State, action: Action, names: &[u8]) -> Option<String> {
        let next = self.step(last, action)?;
        let drive = |index: u8| format!("drive {}", names[usize::from(index)]);
        let drives = |set: Drives| {
            let mut named: Vec<u8> = set.iter().map(|index| names[usize::from(index)]).collect();
            named.sort_unstable();
            let named: Vec<String> = named.iter().map(u8::to_string).collect();
            format!("drives {}", named.join(" "))
        };
        let client = |index: u8| format!("client {} ({})", index + 1, told(self.change(index).kind));
        let sent = |of: u8, mail: u8, to: u8, answered: bool| {
            let request = &last.clients[usize::from(of)].mail[usize::from(mail)].request;
            let reply = answer(&self.reply_to(last, to, request));
            let lost = if answered { "" } else { ", and the answer is lost" };
            format!("{} -> {}: {}: {reply}{lost}", client(of), drive(to), message(request))
        };
        let mut line = match action {
            Action::Invoke(index, staged) if staged.is_empty() => format!("{} begins", client(index)),
            Action::Invoke(index, staged) => format!("{} has staged on {}", client(index), drives(staged)),
            Action::Deliver {
                client,
                mail,
                drive,
                answered,
            } => sent(client, mail, drive, answered),
            Action::Double { client, mail, drive } => format!("once more: {}", sent(client, mail, drive, true)),
            Action::Hurry(index) => format!("{} goes on with those that have answered", client(index)),
            Action::Read(index, to) => {
                let reply = answer(&self.reply_to(last, to, &Request::Read));
                format!("{} reads {}: {reply}", client(index), drive(to))
            }
            Action::Conclude(index) => format!("{} decides on what it has read", client(index)),
            Action::Crash(index) => format!("{} is gone", client(index)),
            Action::Deadline(index) => format!("{} has waited long enough", client(index)),
            Action::Fail(index, to) => format!("{} takes {} for failed", client(index), drive(to)),
            Action::Boot(index) => format!("{} loses power and is back", drive(index)),
            Action::Wipe(index) => format!("{} loses everything", drive(index)),
            Action::Rot(index) => format!("{} cannot read its record any more", drive(index)),
            Action::Join(index, from) => format!("{} asks {} for epochs", drive(index), drives(from)),
            Action::Fence(index, to) => format!("{} has its epoch stored by {}", drive(index), drive(to)),
            Action::Scan(index, of) => format!("{} asks {} whether it lacks the key", drive(index), drive(of)),
            Action::Lose(index, folder) => format!("{} loses its shard of {folder}", drive(index)),
        };
        for (index, (before, after)) in (0..).zip(last.clients.iter().zip(&next.clients)) {
            if after.answered && !before.answered {
                line += &format!("; {} is answered", client(index));
            }
        }
        for rule in Rule::ALL {
            if next.is_broken(*rule) && !last.is_broken(*rule) {
                line += &format!("; {} is broken", rule.name());
            }
        }
        Some(line)
    }

    /// What a drive would answer.
    fn reply_to(&self, last: &State, drive: u8, request: &Request<Content>) -> Reply<Content> {
        let state = &last.drives[usize::from(drive)];
        let (mut own, mut key) = (state.own, state.key.clone());
        let mut acceptor = Acceptor {
            drive: &mut own,
            key: &mut key,
            index: drive,
        };
        acceptor.step_mutated(request.clone(), self.mutation).0
    }
}

fn told(kind: Kind) -> String {
    match kind {
        Kind::Put => "put".to_owned(),
        Kind::Create => "create".to_owned(),
        Kind::Match(of) => format!("put over {}", value_named(of)),
        Kind::Delete => "delete".to_owned(),
        Kind::Get | Kind::PreparedGet => "get".to_owned(),
        Kind::Recover => "recovery".to_owned(),
        Kind::Heal => "heal".to_owned(),
        Kind::Purge => "purge".to_owned(),
        Kind::CleanUp(of) => format!("clean-up of {of}"),
    }
}

fn value_named(name: u8) -> String {
    match name {
        0 => "absence".to_owned(),
        INITIAL => "the first value".to_owned(),
        name => format!("value {name}"),
    }
}

fn value(value: &Content) -> String {
    if value.absent && value.name > 0 {
        return format!("deletion {}", value.name);
    }
    value_named(value.name)
}

fn ballot(ballot: Ballot) -> String {
    let Ballot { epoch, round, node, .. } = ballot;
    match epoch {
        0 => format!("{round}.{node}"),
        epoch => format!("{epoch}/{round}.{node}"),
    }
}

fn vote(vote: &Vote<Content>) -> String {
    if vote.ballot.is_zero() {
        return "absence".to_owned();
    }
    format!("{} in {}", value(&vote.value), ballot(vote.ballot))
}

fn message(request: &Request<Content>) -> String {
    match request {
        Request::Prepare { ballot: of } => format!("Prepare {}", ballot(*of)),
        Request::Accept { vote: of, prev } => format!("Accept {} after {}", vote(of), vote(prev)),
        Request::Finalize { ballot: of } => format!("Finalize {}", ballot(*of)),
        Request::Drop { ballot: of, folder } => format!("Drop {folder} under {}", ballot(*of)),
        Request::Install {
            ballot: of, vote: what, ..
        } => format!("Install {} under {}", vote(what), ballot(*of)),
        Request::Purge { ballot: of } => format!("Purge {}", ballot(*of)),
        Request::Read => "Read".to_owned(),
        Request::Fence { ballot: of } => format!("Fence {}", of.epoch),
        Request::Standing => "Standing".to_owned(),
    }
}

fn answer(reply: &Reply<Content>) -> String {
    let held = |snapshot: &model::protocol::Snapshot<Content>| {
        let committed = if snapshot.committed { ", chosen" } else { "" };
        let mute = if snapshot.authoritative {
            ""
        } else {
            ", and may not speak for it"
        };
        format!("{}{committed}{mute}", vote(&snapshot.accepted))
    };
    match reply {
        Reply::Granted(snapshot) => format!("granted, has {}", held(snapshot)),
        Reply::Accepted => "accepted".to_owned(),
        Reply::Done => "done".to_owned(),
        Reply::Read(snapshot) => held(snapshot),
        Reply::Standing { epoch, .. } => format!("epoch {epoch}"),
        Reply::Refused(nack) => format!("refused, has promised {}", ballot(nack.promised.max(nack.floor))),
    }
}

#[cfg(test)]
mod tests {
    use crate::explore::{Charted, path_to};
    use crate::register::bounds::{NONE, world};
    use crate::register::rules::Rule;
    use model::protocol::mutant::Mutant;
    use std::time::Duration;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let mut broken = world(3, 2, "cc", 1, NONE);
        broken.mutation = Mutant::NoFencing.into();
        broken.broken = true;
        let rule = Rule::PromiseHolds.name();
        let path = path_to(&broken, rule, Duration::from_secs(60)).expect("it is broken");
        let chart = broken.chart(&path);
        assert_eq!(chart.len() + 1, path.len());
        let text = chart.join("\n");
        assert!(text.contains("client 1 (create) has staged on drives "), "{text}");
        assert!(text.contains("-> drive "), "{text}");
        assert!(text.contains(": Prepare 1.1: granted, has absence, chosen"), "{text}");
        assert!(text.contains("; drive.promise-holds is broken"), "{text}");
    }
}
