//! Paths through the world of versions in words.

use super::requests::{Entry, Mode, Request, Told, When};
use super::state::{Action, Client, FIRST, State, World, versions_of};
use crate::chart::{Names, client, told};
use crate::harness::{Charted, World as _};
use model::record::Record;

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn ask(&self, action: &Action) -> String {
        self.asks(*action)
    }

    fn line(&self, last: &State, action: &Action, _names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = self.asks(*action);
        if next.system.chain.len() > last.system.chain.len() {
            line += &format!(": chosen, now {}", value(next.system.latest()));
        } else if let (Action::Try(_), Some((open, _))) = (action, &next.system.open) {
            line += &format!(": may become {}", value(&open.0));
        } else if let Action::Hear = action {
            line += &format!(", {}", value(next.system.latest()));
            let gone = last.system.drive.folders.difference(&next.system.drive.folders);
            let gone: Vec<String> = gone.map(|folder| owner(*folder as u8 - 1)).collect();
            if !gone.is_empty() {
                line += &format!("; it drops the data of {}", gone.join(", "));
            }
        }
        if let (Some((_, of)), true) = (&last.system.open, next.system.chain.len() > last.system.chain.len())
            && *action != Action::Land
        {
            line += &format!("; the vote of {} never will be", self.client(*of));
        }
        for (index, (before, after)) in (0..).zip(last.system.clients.iter().zip(&next.system.clients)) {
            if before == after {
                continue;
            }
            let asked = (index, (index, self.request(index)));
            let answers = answers(versions_of(last.system.latest()));
            line += &match (
                told((&last.ledger.history, &next.ledger.history), asked, answers),
                after,
            ) {
                (Some(told), _) => format!("; {} is told: {}", self.client(index), answer(&told)),
                (None, Client::Unknown) => format!("; {} is told that nothing is known", self.client(index)),
                (None, _) => String::new(),
            };
        }
        Some(line + &next.ledger.broken.since(last.ledger.broken))
    }
}

impl World {
    fn client(&self, index: u8) -> String {
        let request = self.request(index);
        let (what, of) = match request {
            Request::Put(..) => ("put", String::new()),
            Request::Complete(..) => ("complete", String::new()),
            Request::Delete(..) => ("delete", String::new()),
            Request::DeleteVersion(id) => ("delete", format!(" {}", id_named(id))),
            Request::List => ("list", String::new()),
        };
        let how = match request.adds() {
            Some((mode, when)) => {
                let mode = match mode {
                    Mode::Unversioned => ", unversioned",
                    Mode::Enabled => ", versioning enabled",
                    Mode::Suspended => ", versioning suspended",
                };
                let when = match when {
                    When::Always => String::new(),
                    When::Absent => ", if there is none".to_owned(),
                    When::Is(by) => format!(", if it is that of client {}", by + 1),
                };
                format!("{mode}{when}")
            }
            None => String::new(),
        };
        client(index, &format!("{what}{of}{how}"))
    }

    /// Describes an action.
    pub(super) fn asks(&self, action: Action) -> String {
        match action {
            Action::Do(index) => format!("{} asks", self.client(index)),
            Action::Try(index) => format!("{} asks, and the fate of its vote is open", self.client(index)),
            Action::Land => "the open vote".to_owned(),
            Action::Look(index) => format!("{} looks for its change in what is chosen", self.client(index)),
            Action::Hear => "the drive hears of the latest vote".to_owned(),
        }
    }
}

/// Describes the client of a version.
fn owner(by: u8) -> String {
    match FIRST.contains(&by) {
        true => "the beginning".to_owned(),
        false => format!("client {}", by + 1),
    }
}

fn id_named(id: u8) -> String {
    match id {
        0 => "the null version".to_owned(),
        id => format!("version {id}"),
    }
}

/// Describes a key's value: its versions, the current one first.
fn value(record: &Record) -> String {
    let open = record.object().is_some_and(|object| !object.uploads.is_empty());
    let open = if open { ", an upload open" } else { "" };
    format!("{}{open}", listed(&versions_of(record)))
}

fn listed(versions: &[(u8, Entry)]) -> String {
    let version = |(id, (by, marker)): &(u8, Entry)| {
        let marker = if *marker { "delete marker, " } else { "" };
        format!("{} ({marker}{})", id_named(*id), owner(*by))
    };
    let words: Vec<String> = versions.iter().map(version).collect();
    match words.is_empty() {
        true => "no version".to_owned(),
        false => words.join(" over "),
    }
}

/// Returns all possible replies to a client.
fn answers(versions: Vec<(u8, Entry)>) -> [Told; 5] {
    [
        Told::Done,
        Told::PreconditionFailed,
        Told::NoSuchKey,
        Told::NoSuchUpload,
        Told::Versions(versions),
    ]
}

fn answer(told: &Told) -> String {
    match told {
        Told::Done => "done".to_owned(),
        Told::PreconditionFailed => "precondition failed".to_owned(),
        Told::NoSuchKey => "no such key".to_owned(),
        Told::NoSuchUpload => "no such upload".to_owned(),
        Told::Versions(versions) => listed(versions),
    }
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::history::versions::bounds::world;
    use crate::history::versions::rules::Rule;
    use model::record::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let mut broken = world("pe x10").with_lost(1);
        broken.mutation = Mutant::ChangeProposedAgain.into();
        let words = [
            "client 1 (put, versioning enabled) asks, and the fate of its vote is open: \
             may become version 10 (client 1)",
            "the open vote: chosen, now version 10 (client 1)",
            "client 2 (delete version 10) asks: chosen, now no version; client 2 (delete version 10) is told: done",
        ];
        assert_tells(&broken, Rule::NoResurrection, &words);
    }
}
