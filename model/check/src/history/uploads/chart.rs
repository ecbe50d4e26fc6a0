//! Paths through the world of uploads in words.

use super::actions::AGAIN;
use super::requests::{DRIVES, INITIAL, Request, Told, part_of};
use super::state::{Action, Fate, State, World};
use crate::chart::{Names, client, told};
use crate::harness::{Charted, World as _};
use model::protocol::Folder;
use model::record::{Change, Record};
use model::upload::Step;

impl Charted for World {
    fn bounds(&self) -> String {
        self.bounds()
    }

    fn names(&self) -> Names {
        Names::new("set", [DRIVES])
    }

    fn ask(&self, action: &Action) -> String {
        self.asks(*action, None, &self.names())
    }

    fn line(&self, last: &State, action: &Action, names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = self.asks(*action, Some(last), names);
        let came = self.came_of(last, &next, *action);
        if !came.is_empty() {
            line += &format!(": {came}");
        }
        for (vote, (before, after)) in last.system.votes.iter().zip(&next.system.votes).enumerate() {
            match after.fate {
                Fate::Chosen if before.fate == Fate::Open => line += &format!("; {} is chosen", self.cast(&next, vote)),
                Fate::Dead if before.fate == Fate::Open => {
                    line += &format!("; {} never will be", self.cast(&next, vote));
                }
                _ => {}
            }
        }
        line += &self.told(last, &next);
        line += &next.ledger.broken.since(last.ledger.broken);
        names.reorder(0, &order(&next));
        Some(line)
    }
}

impl World {
    fn client(&self, index: u8) -> String {
        let wants = match self.request(index) {
            Request::Put => "put".to_owned(),
            Request::Delete => "delete".to_owned(),
            Request::Get => "get".to_owned(),
            Request::Part(upload) => format!("part 1 of upload {upload}"),
            Request::Complete {
                upload,
                replaced: false,
            } => format!("complete upload {upload}"),
            Request::Complete { upload, replaced: true } => {
                format!("complete upload {upload} with the new part")
            }
            Request::Abort(upload) => format!("abort upload {upload}"),
        };
        client(index, &wants)
    }

    /// Describes an action: actor and receiver; with the state before, also the client of a vote.
    pub(super) fn asks(&self, action: Action, last: Option<&State>, names: &Names) -> String {
        let client = |index| self.client(index);
        let drive = |index| names.drive(0, index);
        match action {
            Action::Begin(index) => format!("{} begins", client(index)),
            Action::Go(index) => format!("{} goes on", client(index)),
            Action::ReadForgotten(index) => format!("{} reads the parts where they are forgotten", client(index)),
            Action::Hear(index) => format!("{} hears of its vote", client(index)),
            Action::Lose(index) => format!("{} never hears of its vote", client(index)),
            Action::PartLands(upload, number) => {
                format!("a vote on part {number} of upload {upload} comes late to its register")
            }
            Action::Accept(index, vote) => {
                let sent = last.map_or_else(|| format!("vote {vote}"), |last| self.cast(last, vote));
                format!("{sent} -> {}", drive(index))
            }
            Action::Finalize(index) => format!("{} hears that its vote is chosen", drive(index)),
            Action::End(index, upload, vote) => {
                format!(
                    "{} is asked to clean up after upload {upload}, which vote {vote} ended",
                    drive(index)
                )
            }
            Action::Heal(index) => format!("{} is healed", drive(index)),
        }
    }

    /// Describes the effect of an action.
    fn came_of(&self, last: &State, next: &State, action: Action) -> String {
        match action {
            Action::Go(index) => self.went_on(last, next, index),
            Action::Accept(index, vote) => {
                let votes = next.system.drives[usize::from(index)].voted >> vote & 1 == 1;
                let so = if votes { "accepted" } else { "refused" };
                so.to_owned()
            }
            Action::Finalize(index) => {
                let vote = last.system.drives[usize::from(index)]
                    .key
                    .register
                    .accepted
                    .ballot
                    .round as usize
                    - 1;
                let removed = removed(last, next, index);
                format!("{}{removed}", self.cast(last, vote))
            }
            Action::End(index, upload, _) => {
                if next.system.drives[usize::from(index)].forgot >> upload & 1 == 0 {
                    return "it has not heard of that, and removes nothing".to_owned();
                }
                let removed = removed(last, next, index);
                if removed.is_empty() {
                    return "there is nothing to remove".to_owned();
                }
                removed.trim_start_matches(", ").to_owned()
            }
            Action::Heal(index) => {
                let removed = removed(last, next, index);
                format!("it has {}{removed}", self.cast(last, last.system.latest()))
            }
            Action::PartLands(upload, number) => {
                let chosen = |s: &State| s.system.parts.get(&(upload, number)).map(|part| part.chosen.clone());
                let so = if chosen(last) == chosen(next) {
                    "too few drives hold its shards"
                } else {
                    "it is chosen"
                };
                so.to_owned()
            }
            Action::Begin(index) if last.system.clients[usize::from(index)].begun > 0 => "once more".to_owned(),
            Action::Begin(_) | Action::ReadForgotten(_) | Action::Hear(_) | Action::Lose(_) => String::new(),
        }
    }

    /// Describes the step that a client's machine has executed.
    fn went_on(&self, last: &State, next: &State, index: u8) -> String {
        let Some(running) = last.system.running(index) else {
            return String::new();
        };
        match &running.step {
            Step::ReadKey => format!("reads the key, {}", value(last.system.value(last.system.latest()))),
            Step::ReadParts => {
                let parts = last.system.parts.values().filter_map(|part| part.chosen.as_ref());
                let parts: Vec<String> = parts.map(|part| folder(part.data.folder)).collect();
                format!("reads the parts, {}", parts.join(", "))
            }
            Step::Stage(_) => "stages its part on all drives".to_owned(),
            Step::Vote(Change::PutPart(_)) => "votes on its part's register".to_owned(),
            Step::Vote(_) => match next.system.votes.get(last.system.votes.len()) {
                Some(cast) => {
                    let (base, made) = (value(next.system.value(cast.prev)), value(&cast.value.0));
                    format!("sends vote {}, which makes {made} of {base}", last.system.votes.len())
                }
                None => format!("finds the key, {}", value(last.system.value(last.system.latest()))),
            },
            Step::Refuse(_) | Step::Answer(_) | Step::Ended { .. } => String::new(),
        }
    }

    /// Describes replies to clients.
    fn told(&self, last: &State, next: &State) -> String {
        let mut words = String::new();
        for (index, (before, after)) in (0..).zip(last.system.clients.iter().zip(&next.system.clients)) {
            if before.running.is_none() || after.running.is_some() {
                continue;
            }
            let thread = if after.begun > 1 { index + AGAIN } else { index };
            let asked = (thread, (index, self.request(index)));
            let so = match told((&last.ledger.history, &next.ledger.history), asked, answers()) {
                Some(told) => format!("is told: {}", answer(told)),
                None if after.done => "is told: done".to_owned(),
                None if after.answered => "is refused".to_owned(),
                None => "is told that nothing is known".to_owned(),
            };
            words += &format!("; {} {so}", self.client(index));
        }
        words
    }

    /// Describes a vote: its number and its client.
    fn cast(&self, s: &State, vote: usize) -> String {
        match s.system.votes[vote].client {
            Some(index) => format!("vote {vote} of {}", self.client(index)),
            None => format!("vote {vote}, with which the key began"),
        }
    }
}

/// Returns the old indexes of the drives, sorted.
fn order(s: &State) -> Vec<u8> {
    let mut order: Vec<u8> = (0..s.system.drives.len() as u8).collect();
    order.sort_by_key(|drive| &s.system.drives[usize::from(*drive)]);
    order
}

/// Describes the folders that a drive has removed in a step.
fn removed(last: &State, next: &State, drive: u8) -> String {
    let held = |s: &State| s.system.drives[usize::from(drive)].key.folders.clone();
    let gone: Vec<String> = held(last).difference(&held(next)).map(|gone| folder(*gone)).collect();
    match gone.is_empty() {
        true => String::new(),
        false => format!(", it removes {}", gone.join(", ")),
    }
}

/// Describes the content of a folder.
fn folder(folder: Folder) -> String {
    match part_of(folder) {
        Some((upload, number, 0)) => format!("part {number} of upload {upload}"),
        Some((upload, number, by)) => format!("part {number} of upload {upload} by client {by}"),
        None => version(u8::try_from(folder).unwrap_or(INITIAL)),
    }
}

/// Describes a version by its client.
fn version(by: u8) -> String {
    match by {
        INITIAL => "the first version".to_owned(),
        by => format!("the version of client {}", by + 1),
    }
}

/// Describes a key's value.
fn value(record: &Record) -> String {
    let Some(object) = record.object() else {
        return "absence".to_owned();
    };
    let by = object.latest_data().and_then(|(_, data)| data.etag.parse().ok());
    let latest = by.map_or("no version".to_owned(), version);
    let open: Vec<String> = object.uploads.iter().map(|upload| upload.id.to_string()).collect();
    match open.is_empty() {
        true => latest,
        false => format!("{latest} with upload {} open", open.join(" and ")),
    }
}

/// Returns all possible replies to a client.
fn answers() -> impl Iterator<Item = Told> {
    let values = (0..=INITIAL).map(|by| Told::Value(Some(by)));
    [Told::Done, Told::NoSuchUpload, Told::InvalidPart, Told::Value(None)]
        .into_iter()
        .chain(values)
}

fn answer(told: Told) -> String {
    match told {
        Told::Done => "done".to_owned(),
        Told::NoSuchUpload => "no such upload".to_owned(),
        Told::InvalidPart => "invalid part".to_owned(),
        Told::Value(None) => "no such key".to_owned(),
        Told::Value(Some(by)) => version(by),
    }
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::history::uploads::bounds::world;
    use crate::history::uploads::rules::Rule;
    use model::record::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let mut broken = world("cc");
        broken.mutation = Mutant::CompleteInTwoVotes.into();
        let words = [
            "client 1 (complete upload 1) goes on: reads the key, the first version with upload 1 open",
            "goes on: reads the parts, part 1 of upload 1",
            "goes on: sends vote 2, which makes the version of client ",
            " of the first version with upload 1 open",
            "(complete upload 1) -> drive 0: accepted",
            "(complete upload 1) is chosen",
        ];
        assert_tells(&broken, Rule::Once, &words);
    }
}
