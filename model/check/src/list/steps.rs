//! The actions that are possible in a state, and their effects.

use super::rules::{Occasion, Rule};
use super::state::{Action, Drive, Ledger, Listing, Mail, Page, Stage, Start, State, System, Throughout, World};
use crate::kit::client::next_ballot;
use crate::kit::mail::send;
use crate::register::change::{Content, Kind, Told};
use model::list::mutant::Mutant;
use model::list::{self, Found, Span, Union, page, unlisted};
use model::protocol::{
    Acceptor, Ballot, Coordinator, Drives, Effect, Event, Folder, KeyState, Outcome, Quorums, Request, Snapshot,
    decide_read,
};
use stateright::semantics::ConsistencyTester;
use std::collections::BTreeMap;
use std::sync::Arc;

impl list::Page for Page {
    type Key = u8;

    fn key(&self, at: usize) -> Option<&u8> {
        self.rows.get(at).map(|(key, _)| key)
    }

    fn span(&self) -> Span<&u8> {
        match &self.span {
            Span::Nothing => Span::Nothing,
            Span::Through(last) => Span::Through(last),
            Span::Rest => Span::Rest,
        }
    }
}

impl World {
    pub(super) fn possible(&self, s: &State, actions: &mut Vec<Action>) {
        let is_over = s.system.listing.stage == Stage::Over;
        for (index, client) in (0u8..).zip(&s.system.clients).take(self.ops.len()) {
            // Once the listing has ended, only a read may still contradict it.
            if !client.invoked && (!is_over || client.change.is_get()) {
                actions.extend(self.groups().map(|drives| Action::Invoke(index, drives)));
            }
            if is_over {
                continue;
            }
            if client.machine.is_some() && s.system.crashes > 0 {
                actions.push(Action::Crash(index));
            }
            for (mail, letter) in (0u8..).zip(&client.mail) {
                actions.extend(letter.to.iter().map(|drive| Action::Deliver {
                    client: index,
                    mail,
                    drive,
                }));
            }
        }
        match s.system.listing.stage {
            Stage::Idle => actions.push(Action::Begin),
            Stage::Reading => actions.extend(self.groups().map(Action::ReadAlone)),
            Stage::Paging | Stage::Over => {}
        }
        let early = s.system.listing.stage == Stage::Idle && self.mutation.is(Mutant::PageFromBefore);
        if s.system.listing.stage == Stage::Paging || early {
            for (set, pages) in (0u8..).zip(&s.system.listing.pages) {
                let wanted = |drive: &u8| !pages.contains_key(drive) && self.wants_pages(pages.values());
                let left = (0..self.drives).filter(wanted);
                actions.extend(left.map(|drive| Action::Page(set, drive)));
            }
        }
    }

    /// Returns the sets of drives that may answer an operation: all drives, or any A of them.
    fn groups(&self) -> impl Iterator<Item = Drives> + use<> {
        let (drives, needed) = (self.drives, usize::from(Quorums::of(self.drives).accept));
        let all = Drives::all(drives);
        let subsets = (0..=all.bits()).map(Drives::from_bits);
        subsets.filter(move |group| group.count() == needed || *group == all)
    }

    /// Returns whether more pages of a set are needed.
    fn wants_pages<'a>(&self, pages: impl Iterator<Item = &'a Page>) -> bool {
        pages.filter(|page| page.span > Span::Nothing).count() < usize::from(self.quorums.prepare)
    }

    pub(super) fn act(&self, s: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Invoke(client, drives) => self.invoke(s, client, drives),
            Action::Deliver { client, mail, drive } => self.deliver(s, client, usize::from(mail), drive),
            Action::Crash(client) => {
                s.system.crashes -= 1;
                s.system.client_mut(client).machine = None;
            }
            Action::ReadAlone(drives) => {
                let reader = s.system.reader();
                self.start_machine(s, reader);
                self.converse(s, reader, drives);
            }
            Action::Begin => self.begin_listing(s),
            Action::Page(set, drive) => {
                let page = self.page_of(s.system.drive(set, drive), s.system.listing.after);
                if page.span == Span::Nothing {
                    self.seen.see(Occasion::Silent);
                }
                s.system.listing.pages[usize::from(set)].insert(drive, page);
                if s.system.listing.stage == Stage::Paging {
                    self.put_together(s);
                }
            }
        }
        for client in &mut s.system.clients {
            if client.mail.iter().any(Mail::is_spent) {
                Arc::make_mut(client).mail.retain(|letter| !letter.is_spent());
            }
        }
        Some(())
    }

    fn invoke(&self, s: &mut State, client: u8, drives: Drives) {
        let (change, key) = (s.system.client(client).change, s.system.client(client).key);
        let place = usize::from(key) - 1;
        s.ledger.histories[place]
            .on_invoke(client, change)
            .expect("a client asks once");
        if matches!(s.system.listing.stage, Stage::Paging | Stage::Reading) && !change.is_get() {
            self.seen.see(Occasion::Written);
        }
        match change.kind {
            Kind::Put => s.ledger.throughout[place].absent = false,
            Kind::Delete => s.ledger.throughout[place].present = false,
            _ => {}
        }
        s.system.client_mut(client).invoked = true;
        let set = self.spec(key).set;
        for drive in (0..self.drives).filter(|_| change.has_data()) {
            let keys = &mut s.system.drive_mut(set, drive).keys;
            let state = keys.entry(key).or_insert_with(KeyState::empty);
            state.folders.insert(Folder::from(change.name));
        }
        self.start_machine(s, client);
        self.converse(s, client, drives);
    }

    fn start_machine(&self, s: &mut State, client: u8) {
        let (machine, effects) = Coordinator::new(Quorums::of(self.drives), s.system.client(client).change);
        let machine = machine
            .with_mutation(self.register_mutation)
            .with_settled(u64::from(self.recovering.is_some()));
        let state = s.system.client_mut(client);
        state.machine = Some(machine);
        state.rounds = 0;
        self.apply_effects(s, client, effects);
    }

    /// Exchanges a client's requests and their replies with these drives, all at once; those of a write only up to its
    /// Accept, which drives receive one by one. Promises make no difference to a listing, and contention between
    /// operations on one key is explored in the register's world.
    fn converse(&self, s: &mut State, client: u8, drives: Drives) {
        loop {
            let state = s.system.client_mut(client);
            let is_read = state.change.is_get();
            let goes_now = |mail: &Mail| match mail.request {
                Request::Prepare { .. } => true,
                Request::Accept { .. } => is_read,
                _ => false,
            };
            let Some(at) = state.mail.iter().position(goes_now) else {
                return;
            };
            let Mail {
                place: key, request, ..
            } = state.mail.remove(at);
            for drive in drives.iter() {
                self.hand(s, client, key, &request, drive);
            }
            let silent = Drives::all(self.drives).without(drives);
            let failed = |from| Event::Failed {
                from,
                ballot: request.ballot().unwrap_or(Ballot::ZERO),
            };
            for event in silent.iter().map(failed).chain([Event::StragglerTimeout]) {
                self.feed(s, client, event);
            }
        }
    }

    fn deliver(&self, s: &mut State, client: u8, mail: usize, drive: u8) {
        let letter = &mut s.system.client_mut(client).mail[mail];
        letter.to.remove(drive);
        let (key, request) = (letter.place, letter.request.clone());
        self.hand(s, client, key, &request, drive);
    }

    /// Delivers a request to a drive, and its reply to the client.
    fn hand(&self, s: &mut State, client: u8, key: u8, request: &Request<Content>, from: u8) {
        let Drive { own, keys, .. } = s.system.drive_mut(self.spec(key).set, from);
        let mut acceptor = Acceptor {
            drive: own,
            key: keys.entry(key).or_insert_with(KeyState::empty),
            index: from,
            mutation: self.register_mutation,
        };
        let (reply, _) = acceptor.step(request.clone());
        if let Some(ballot) = request.ballot() {
            self.feed(s, client, Event::Reply { from, ballot, reply });
        }
    }

    fn feed(&self, s: &mut State, client: u8, event: Event<Content>) {
        if let Some(machine) = &mut s.system.client_mut(client).machine {
            let effects = machine.on(event);
            self.apply_effects(s, client, effects);
        }
    }

    fn apply_effects(&self, s: &mut State, client: u8, effects: Vec<Effect<Content>>) {
        for effect in effects {
            match effect {
                Effect::Begin { epoch, round, .. } => {
                    let state = s.system.client_mut(client);
                    if state.rounds == self.rounds {
                        state.machine = None;
                        if client == s.system.reader() {
                            // The listing is refused.
                            s.system.listing.stage = Stage::Over;
                        }
                        return;
                    }
                    state.rounds += 1;
                    // The process has seen the rounds of the initial values.
                    let epoch = epoch.max(u64::from(self.recovering.is_some()));
                    let ballot = next_ballot(client, epoch, round.max(2));
                    let machine = state.machine.as_mut().expect("it asked");
                    let effects = machine.on(Event::Begin(ballot));
                    self.apply_effects(s, client, effects);
                }
                Effect::Send { to, mut request } => {
                    if let Request::Accept { vote, .. } = &mut request {
                        // All drives have the shards; a subset would have to be renamed with the drives.
                        vote.value.holders = Drives::all(self.drives);
                    }
                    let state = s.system.client_mut(client);
                    let letter = Mail::new(state.key, request, to);
                    send(&mut state.mail, letter);
                }
            }
        }
        let outcome = s
            .system
            .client(client)
            .machine
            .as_ref()
            .and_then(|machine| machine.outcome())
            .cloned();
        if let Some(outcome) = outcome {
            self.tell(s, client, outcome);
        }
    }

    fn tell(&self, s: &mut State, client: u8, outcome: Outcome<Content, ()>) {
        s.system.client_mut(client).machine = None;
        if client == s.system.reader() {
            return self.hear(s, outcome);
        }
        let change = s.system.client(client).change;
        let told = match outcome {
            Outcome::Kept(value) if change.is_get() => Told::Value(if value.absent { 0 } else { value.name }),
            outcome => match Told::of(&outcome) {
                Some(told) => told,
                None => return,
            },
        };
        let key = s.system.client(client).key;
        s.system.client_mut(client).told = Some(told);
        self.answer(s, key, client, told);
    }

    fn answer(&self, s: &mut State, key: u8, client: u8, told: Told) {
        let history = &mut s.ledger.histories[usize::from(key) - 1];
        history.on_return(client, told).expect("a client is answered once");
        let consistent = history.is_consistent();
        s.ledger.broken.check(Rule::AsRead, consistent);
    }

    fn begin_listing(&self, s: &mut State) {
        s.system.listing.stage = Stage::Paging;
        let (reader, read) = (s.system.reader(), s.system.client(s.system.reader()).change);
        for key in self.every_key() {
            let place = usize::from(key) - 1;
            s.ledger.histories[place]
                .on_invoke(reader, read)
                .expect("it is listed once");
            s.ledger.throughout[place] = self.stands(s, key);
        }
        self.put_together(s);
    }

    /// Returns whether a key is present, or absent, whatever the outcome of the operations that have begun.
    fn stands(&self, s: &State, key: u8) -> Throughout {
        let own: Vec<_> = s
            .system
            .clients
            .iter()
            .filter(|client| client.key == key && client.invoked)
            .collect();
        let begun = |kind| own.iter().any(|client| client.change.kind == kind);
        let done = |kind| {
            own.iter()
                .any(|client| client.change.kind == kind && client.told == Some(Told::Done))
        };
        let at_first = matches!(self.spec(key).start, Start::Put(_) | Start::Open);
        Throughout {
            present: (at_first || done(Kind::Put)) && !begun(Kind::Delete),
            absent: (!at_first || done(Kind::Delete)) && !begun(Kind::Put),
        }
    }

    pub(super) fn page_of(&self, drive: &Drive, after: Option<u8>) -> Page {
        let voted = |state: &KeyState<Content>| !state.register.accepted.ballot.is_zero();
        let registers = drive.keys.iter().filter(|(_, state)| voted(state));
        let registers = registers.map(|(key, state)| (*key, state));
        let (rows, span) = page(
            registers,
            after.as_ref(),
            self.limit,
            drive.recovering.as_ref(),
            self.mutation,
        );
        let says = |state: Option<&KeyState<Content>>| match state {
            Some(KeyState { register, .. }) => Snapshot {
                accepted: register.accepted.clone(),
                prev: register.prev.clone(),
                committed: register.committed,
                floor: drive.own.floor,
                epoch: drive.own.epoch,
                ..unlisted()
            },
            None => Snapshot {
                authoritative: false,
                ..unlisted()
            },
        };
        Page {
            rows: rows.into_iter().map(|(key, state)| (key, says(state))).collect(),
            span,
        }
    }

    /// Merges the pages, once there are enough of each set.
    fn put_together(&self, s: &mut State) {
        let (mut spans, mut found, mut asked) = (Vec::new(), Vec::new(), Vec::new());
        for pages in &s.system.listing.pages {
            let Some(mut union) = Union::of(self.quorums, pages, self.mutation) else {
                return;
            };
            spans.push(union.span().map(|key| *key));
            while let Some(key) = union.next_key() {
                let says = |(drive, page, at): (u8, &Page, Option<usize>)| {
                    (drive, at.map_or_else(unlisted, |at| page.rows[at].1.clone()))
                };
                let answers = union.rows().map(says).collect();
                let decision = decide_read(self.quorums, &answers, self.register_mutation);
                match list::found(decision, self.mutation) {
                    Found::Listed(value) => found.push((*key, value.name)),
                    Found::LeftOut => {}
                    Found::Ask => asked.push(*key),
                }
            }
        }
        let span = Span::common(spans, self.mutation);
        found.retain(|(key, _)| span.covers(key));
        asked.retain(|key| span.covers(key));
        s.ledger.judge_pages(self, &s.system, span, &asked);
        let done = s.system.listing.found.len();
        s.system.listing.page_begins = done;
        s.system.listing.found.extend(found);
        s.system.listing.asked = asked;
        s.system.listing.span = span;
        s.system.listing.pages.iter_mut().for_each(BTreeMap::clear);
        self.go_on(s);
    }

    /// Reads the next undecided key, or requests the next pages.
    fn go_on(&self, s: &mut State) {
        if let Some(key) = s.system.listing.asked.first().copied() {
            self.seen.see(Occasion::ReadAlone);
            s.system.listing.stage = Stage::Reading;
            let reader = s.system.reader();
            s.system.client_mut(reader).key = key;
            return;
        }
        let Listing {
            found,
            page_begins,
            span,
            ..
        } = &mut s.system.listing;
        let (before, page) = found.split_at_mut(*page_begins);
        page.sort_unstable();
        let in_order = before
            .last()
            .is_none_or(|last| page.first().is_none_or(|first| last.0 < first.0));
        let marker = span.marker();
        s.ledger.broken.check(Rule::InOrder, in_order);
        match marker {
            Some(last) if in_order => {
                self.seen.see(Occasion::Turned);
                s.system.listing.after = Some(last - u8::from(self.mutation.is(Mutant::LastKeyAgain)));
                s.system.listing.stage = Stage::Paging;
            }
            _ => self.end_listing(s),
        }
    }

    /// Takes the result of reading an individual key.
    fn hear(&self, s: &mut State, outcome: Outcome<Content, ()>) {
        match outcome {
            Outcome::Kept(value) => {
                let key = s.system.listing.asked.remove(0);
                if !value.absent {
                    s.system.listing.found.push((key, value.name));
                }
                self.go_on(s);
            }
            // The listing is refused.
            _ => s.system.listing.stage = Stage::Over,
        }
    }

    fn end_listing(&self, s: &mut State) {
        s.system.listing.stage = Stage::Over;
        for key in self.every_key() {
            let listed: Vec<u8> = s
                .system
                .listing
                .found
                .iter()
                .filter(|(found, _)| *found == key)
                .map(|(_, name)| *name)
                .collect();
            let Throughout { present, absent } = s.ledger.throughout[usize::from(key) - 1];
            let complete = (listed.len() == 1 || !present) && (listed.is_empty() || !absent) && listed.len() < 2;
            s.ledger.broken.check(Rule::Complete, complete);
            let reader = s.system.reader();
            self.answer(s, key, reader, Told::Value(listed.first().copied().unwrap_or(0)));
        }
        s.system.listing.found.clear();
        s.system.listing.span = Span::Nothing;
    }
}

impl Ledger {
    /// Checks `list.speaks-for-range`: each key that the pages decide is covered by pages of Q drives that know it.
    fn judge_pages(&mut self, world: &World, s: &System, span: Span<u8>, asked: &[u8]) {
        let behind = |key: &u8| s.listing.after.is_none_or(|after| *key > after);
        let told = world
            .every_key()
            .filter(|key| behind(key) && span.covers(key) && !asked.contains(key));
        let needed = usize::from(world.drives - world.drives / 2);
        let mut is_known = told.map(|key| {
            let set = world.spec(key).set;
            let spoke = s.listing.pages[usize::from(set)].iter().filter(|(drive, page)| {
                let state = s.drive(set, **drive).keys.get(&key);
                page.span.covers(&key) && state.is_none_or(|state| state.known)
            });
            spoke.count() >= needed
        });
        let all_known = is_known.all(|known| known);
        self.broken.check(Rule::SpeaksForRange, all_known);
    }
}
