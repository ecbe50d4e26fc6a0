//! Paths through the world of listings in words.

use super::order::order;
use super::state::{Action, Page, Stage, State, World};
use crate::chart::{InWords, Names, answer, client, message, told};
use crate::harness::{Charted, World as _};
use crate::kit::drive::reply;
use crate::register::change::{Content, INITIAL, Told};
use crate::register::chart::{value_named, wants};
use model::list::Span;
use model::protocol::{KeyState, Reply, Request};

impl Charted for World {
    fn bounds(&self) -> String {
        self.words()
    }

    fn names(&self) -> Names {
        Names::new("set", vec![self.drives; usize::from(self.sets())])
    }

    fn ask(&self, action: &Action) -> String {
        self.asks(*action, None, &self.names())
    }

    fn line(&self, last: &State, action: &Action, names: &mut Names) -> Option<String> {
        let next = self.step(last, *action)?;
        let mut line = self.asks(*action, Some(last), names);
        let writers = last
            .system
            .clients
            .iter()
            .zip(&next.system.clients)
            .take(self.ops.len());
        for (index, (before, after)) in (0..).zip(writers) {
            let so = match after.told.filter(|_| before.told.is_none()) {
                Some(told) => format!("is told: {}", told.in_words()),
                None if before.machine.is_some()
                    && after.machine.is_none()
                    && after.told.is_none()
                    && !matches!(action, Action::Crash(_)) =>
                {
                    "is told nothing".to_owned()
                }
                None => continue,
            };
            line += &format!("; {} {so}", self.client(index));
        }
        line += &self.news(last, &next);
        line += &next.ledger.broken.since(last.ledger.broken);
        for set in 0..self.sets() {
            names.reorder(set, &order(self, &next, set));
        }
        Some(line)
    }
}

impl World {
    fn client(&self, index: u8) -> String {
        let (kind, key) = self.ops[usize::from(index)];
        client(index, &format!("{} key {key}", wants(kind)))
    }

    /// Describes an action: actor and receiver; with the state before, also its effect on a drive.
    pub(super) fn asks(&self, action: Action, last: Option<&State>, names: &Names) -> String {
        let client = |index| self.client(index);
        let set_of = |index: u8| self.spec(self.ops[usize::from(index)].1).set;
        match action {
            Action::Invoke(index, on) => {
                format!("{} begins, heard by {}", client(index), names.drives(set_of(index), on))
            }
            Action::Deliver {
                client: index,
                mail,
                drive,
            } => {
                let to = names.drive(set_of(index), drive);
                let Some(last) = last else {
                    return format!("{} -> {to}: message {mail}", client(index));
                };
                let request = &last.system.client(index).mail[usize::from(mail)].request;
                let reply = answer(&self.reply_to(last, last.system.client(index).key, drive, request));
                format!("{} -> {to}: {}: {reply}", client(index), message(request))
            }
            Action::Crash(index) => format!("{} is gone", client(index)),
            Action::Begin => "the listing begins".to_owned(),
            Action::Page(set, drive) => {
                let page =
                    last.map(|last| page(&self.page_of(last.system.drive(set, drive), last.system.listing.after)));
                let page = page.map_or_else(String::new, |page| format!(": {page}"));
                format!("{} gives its page{page}", names.drive(set, drive))
            }
            Action::ReadAlone(on) => match last.map(|last| last.system.client(last.system.reader()).key) {
                Some(key) => {
                    let on = names.drives(self.spec(key).set, on);
                    format!("the listing reads key {key} alone, on {on}")
                }
                None => format!("the listing reads the key alone, on {} of its drives", on.count()),
            },
        }
    }

    /// Returns the reply that a drive would give.
    fn reply_to(&self, last: &State, key: u8, drive: u8, request: &Request<Content>) -> Reply<Content> {
        let state = last.system.drive(self.spec(key).set, drive);
        let key = state.keys.get(&key).cloned().unwrap_or_else(KeyState::empty);
        reply((state.own, key), drive, request, self.register_mutation)
    }

    /// Describes the progress that a step has made in the listing.
    fn news(&self, last: &State, next: &State) -> String {
        let (before, after) = (&last.system.listing, &next.system.listing);
        if after.stage == Stage::Over {
            return match before.stage {
                Stage::Over => String::new(),
                _ => self.verdict(last, next),
            };
        }
        let found = after.found.iter().skip(before.found.len());
        let found: Vec<String> = found.map(|(key, name)| listed(*key, *name)).collect();
        let mut words = String::new();
        if !found.is_empty() {
            words += &format!("; it lists {}", found.join(", "));
        }
        match after.asked.first() {
            Some(key) if before.asked != after.asked => words += &format!("; of key {key} it cannot tell"),
            _ => {}
        }
        match after.after {
            Some(key) if before.after != after.after => words += &format!("; it goes on behind key {key}"),
            _ => {}
        }
        words
    }

    /// Describes the result of a finished listing for every key.
    fn verdict(&self, last: &State, next: &State) -> String {
        let asked = (last.system.reader(), last.system.client(last.system.reader()).change);
        let names = self.names_of_values();
        let of_key = |key: u8| {
            let place = usize::from(key) - 1;
            let histories = (&last.ledger.histories[place], &next.ledger.histories[place]);
            match told(histories, asked, names.clone()) {
                Some(Told::Value(name)) => Some(listed(key, name)),
                _ => None,
            }
        };
        let keys: Option<Vec<String>> = self.every_key().map(of_key).collect();
        match keys {
            Some(keys) => format!("; the listing ends: {}", keys.join(", ")),
            None => "; the listing is refused".to_owned(),
        }
    }

    /// Returns all possible results for a key.
    fn names_of_values(&self) -> impl Iterator<Item = Told> + Clone + use<> {
        (0..=self.ops.len() as u8).chain([INITIAL]).map(Told::Value)
    }
}

fn listed(key: u8, name: u8) -> String {
    format!("key {key}: {}", value_named(name))
}

/// Describes the rows of a page and the range that it covers.
fn page(page: &Page) -> String {
    let row = |(key, said): &(u8, _)| format!("key {key}: {}", answer(&Reply::Read(Clone::clone(said))));
    let rows: Vec<String> = page.rows.iter().map(row).collect();
    let rows = match rows.len() {
        0 => "nothing".to_owned(),
        _ => rows.join(", "),
    };
    let span = match page.span {
        Span::Nothing => "and speaks for nothing".to_owned(),
        Span::Through(key) => format!("and speaks through key {key}"),
        Span::Rest => "and speaks for all the rest".to_owned(),
    };
    format!("{rows}, {span}")
}

#[cfg(test)]
mod tests {
    use crate::chart::tests::assert_tells;
    use crate::list::bounds::world;
    use crate::list::rules::Rule;
    use crate::list::state::World;
    use model::list::mutant::Mutant;

    #[test]
    fn a_counterexample_reads_as_a_chart() {
        let broken = World {
            mutation: Mutant::LongestSpan.into(),
            ..world(3, &["012"], &[], 1)
        };
        let words = [
            "the listing begins",
            "gives its page: key 1: the first value in 1.0, chosen, and speaks through key 1",
        ];
        assert_tells(&broken, Rule::Complete, &words);
    }

    #[test]
    fn a_chart_tells_of_writers_and_keys_that_are_read_alone() {
        let broken = World {
            mutation: Mutant::PageFromBefore.into(),
            ..world(3, &["n"], &[('p', 1)], 1)
        };
        let words = [
            "gives its page: nothing, and speaks for all the rest",
            "client 1 (put key 1) begins, heard by drives ",
            ": Accept value 1 in 3.1 after absence: accepted",
            "client 1 (put key 1) is told: done",
            "the listing begins",
            "the listing ends: key 1: absence",
        ];
        assert_tells(&broken, Rule::Complete, &words);
    }
}
