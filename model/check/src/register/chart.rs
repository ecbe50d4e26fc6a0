//! Paths through the world of the register in words: a chart of messages.

use super::change::{Content, INITIAL, Kind};
use super::order::order;
use super::state::{Action, State, World};
use crate::chart::{InWords, Names, answer, client, message};
use crate::harness::{Charted, World as _};
use crate::kit::drive::reply;
use model::protocol::{Drives, Reply, Request};

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn names(&self) -> Names {
        Names::new("set", [self.drives])
    }

    fn line(&self, last: &State, action: &Action, names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let line = self.describe(last, &next, *action, names);
        names.reorder(0, &order(&next));
        Some(line)
    }
}

impl World {
    /// Describes an action and its effects in words.
    fn describe(&self, last: &State, next: &State, action: Action, names: &Names) -> String {
        let drive = |index: u8| names.drive(0, index);
        let drives = |set: Drives| names.drives(0, set);
        let client = |index: u8| client(index, &wants(self.change(index).kind));
        let sent = |of: u8, mail: u8, to: u8, answered: bool| {
            let request = &last.system.clients[usize::from(of)].mail[usize::from(mail)].request;
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
            Action::StragglerTimeout(index) => format!("{} goes on with those that have answered", client(index)),
            Action::Read(index, to) => {
                let reply = answer(&self.reply_to(last, to, &Request::Read));
                format!("{} reads {}: {reply}", client(index), drive(to))
            }
            Action::Open(index, at) => format!("{} opens a shard on {}", client(index), drive(at)),
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
        for (index, (before, after)) in (0..).zip(last.system.clients.iter().zip(&next.system.clients)) {
            if after.answered && !before.answered {
                line += &format!("; {} is answered", client(index));
            }
        }
        line + &next.ledger.broken.since(last.ledger.broken)
    }

    /// Returns the reply that a drive would give.
    fn reply_to(&self, last: &State, drive: u8, request: &Request<Content>) -> Reply<Content> {
        let state = &last.system.drives[usize::from(drive)];
        reply((state.own, state.key.clone()), drive, request, self.mutation)
    }
}

/// Returns a client's operation in words.
pub(crate) fn wants(kind: Kind) -> String {
    match kind {
        Kind::Put => "put".to_owned(),
        Kind::Create => "create".to_owned(),
        Kind::Match(of) => format!("put over {}", value_named(of)),
        Kind::Delete => "delete".to_owned(),
        Kind::Get | Kind::PreparedGet | Kind::Fetch => "get".to_owned(),
        Kind::Head => "head".to_owned(),
        Kind::Recover => "recovery".to_owned(),
        Kind::Heal => "heal".to_owned(),
        Kind::Purge => "purge".to_owned(),
        Kind::CleanUp(of) => format!("clean-up of {of}"),
    }
}

/// Returns a value in words.
pub(crate) fn value_named(name: u8) -> String {
    match name {
        0 => "absence".to_owned(),
        INITIAL => "the first value".to_owned(),
        name => format!("value {name}"),
    }
}

impl InWords for Content {
    fn in_words(&self) -> String {
        if self.absent && self.name > 0 {
            return format!("deletion {}", self.name);
        }
        value_named(self.name)
    }
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::register::bounds::{NONE, world};
    use crate::register::rules::Rule;
    use model::protocol::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let mut broken = world(3, 2, "cc", 1, NONE);
        broken.mutation = Mutant::NoFencing.into();
        broken.broken = true;
        let words = [
            "client 1 (create) has staged on drives ",
            "-> drive ",
            ": Prepare 1.1: granted, has absence, chosen",
        ];
        assert_tells(&broken, Rule::PromiseHolds, &words);
    }
}
