//! Paths through the world of pools in words: a chart of messages.

use super::content::Content;
use super::order::order;
use super::state::{Action, Job, State, World};
use crate::chart::{InWords, Names, answer, client, message, told};
use crate::harness::{Charted, World as _};
use crate::kit::client::Stage;
use crate::kit::drive::reply;
use crate::register::change::{INITIAL, Told};
use crate::register::chart::{value_named, wants};
use model::pool::Placed;
use model::protocol::mutant::Mutation;
use model::protocol::{Reply, Request};

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn names(&self) -> Names {
        Names::new("pool", self.sizes.iter().copied())
    }

    fn ask(&self, action: &Action) -> String {
        self.asks(*action, None, &self.names())
    }

    fn line(&self, last: &State, action: &Action, names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = self.asks(*action, Some(last), names);
        for (index, (before, after)) in (0..).zip(last.system.clients.iter().zip(&next.system.clients)) {
            if before.stage == Stage::Over || after.stage != Stage::Over || matches!(action, Action::Crash(_)) {
                continue;
            }
            let histories = (&last.ledger.history, &next.ledger.history);
            let told = self
                .change(index)
                .and_then(|change| told(histories, (index, change), answers()));
            let so = match told {
                Some(told) => format!("is told: {}", told.in_words()),
                None if self.change(index).is_some() => "is told nothing".to_owned(),
                None => "is through".to_owned(),
            };
            line += &format!("; {} {so}", self.client(index));
        }
        line += &next.ledger.broken.since(last.ledger.broken);
        for pool in self.pools() {
            names.reorder(pool, &order(&next, pool));
        }
        Some(line)
    }
}

impl World {
    fn client(&self, index: u8) -> String {
        let wants = match &self.jobs[usize::from(index)] {
            Job::Change(change, pool) if change.has_data() => format!("{} in pool {pool}", wants(change.kind)),
            Job::Change(change, _) => wants(change.kind),
            Job::Move(to) => format!("move to pool {to}"),
            Job::Recover => "recovery".to_owned(),
            Job::Purge => "purge".to_owned(),
        };
        client(index, &wants)
    }

    /// Describes an action: actor and receiver; with the state before, also the message and its effect.
    pub(super) fn asks(&self, action: Action, last: Option<&State>, names: &Names) -> String {
        let client = |index| self.client(index);
        match action {
            Action::Invoke(index) => format!("{} begins", client(index)),
            Action::Deliver {
                client: index,
                mail,
                drive,
                answered,
            } => {
                let lost = if answered { "" } else { ", and the answer is lost" };
                let Some(last) = last else {
                    return format!("{} -> drive {drive}: message {mail}{lost}", client(index));
                };
                let mail = &last.system.clients[usize::from(index)].mail[usize::from(mail)];
                let reply = answer(&reply_to(last, mail.place, drive, &mail.request));
                let to = names.drive(mail.place, drive);
                format!("{} -> {to}: {}: {reply}{lost}", client(index), message(&mail.request))
            }
            Action::StragglerTimeout(index) => format!("{} goes on with those that have answered", client(index)),
            Action::Read(index, pool, drive) => {
                let has = last.map(|last| answer(&reply_to(last, pool, drive, &Request::Read)));
                let has = has.map_or_else(String::new, |has| format!(": {has}"));
                format!("{} reads {}{has}", client(index), names.drive(pool, drive))
            }
            Action::Conclude(index) => format!("{} decides on what it has read", client(index)),
            Action::Crash(index) => format!("{} is gone", client(index)),
            Action::Boot(pool, drive) => format!("{} loses power and is back", names.drive(pool, drive)),
        }
    }
}

/// Returns the reply that a drive would give.
fn reply_to(last: &State, pool: u8, drive: u8, request: &Request<Placed<Content>>) -> Reply<Placed<Content>> {
    let state = &last.system.sets[usize::from(pool)][usize::from(drive)];
    reply((state.own, state.key.clone()), drive, request, Mutation::NONE)
}

/// Returns all possible replies to a client.
fn answers() -> impl Iterator<Item = Told> {
    let values = (0..=u8::MAX).map(Told::Value);
    [Told::Done, Told::Refused, Told::Unavailable].into_iter().chain(values)
}

impl InWords for Told {
    fn in_words(&self) -> String {
        match self {
            Told::Done => "done".to_owned(),
            Told::Refused => "refused".to_owned(),
            Told::Value(name) => value_named(*name),
            Told::Unavailable => "not done".to_owned(),
        }
    }
}

impl InWords for Content {
    fn in_words(&self) -> String {
        match (self.name, self.absent, self.copy) {
            (0, ..) => value_named(0),
            (name, true, _) => format!("deletion {name}"),
            (name, false, 0) => value_named(name),
            // The initial copy was made by no client.
            (name, false, copy) if copy > INITIAL => format!("a copy of {}", value_named(name)),
            (name, false, copy) => format!("client {copy}'s copy of {}", value_named(name)),
        }
    }
}

impl InWords for Placed<Content> {
    fn in_words(&self) -> String {
        match self {
            Placed::Here(value) => value.in_words(),
            Placed::Incoming { copy, .. } => format!("{} that comes in", copy.in_words()),
            Placed::Forward { to, copy } => format!("the forward to {} in pool {to}", copy.in_words()),
            Placed::Withdrawn => "withdrawn".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::pool::bounds::{NONE, world};
    use crate::pool::rules::Rule;
    use model::pool::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let broken = world(&[1, 1], "cC", 1, NONE).with(Mutant::CreationInOnePool);
        let words = [
            "client 1 (create in pool 0) begins",
            "-> drive 0 of pool 1: Prepare 1.",
            ": granted, has absence, chosen",
            "-> drive 0 of pool 1: Accept value 2 in 1.2 after absence: accepted",
        ];
        assert_tells(&broken, Rule::OneHome, &words);
    }
}
