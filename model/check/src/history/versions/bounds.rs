//! Short notation for worlds: requests in words of two or three letters.

use super::requests::{Mode, Request, When};
use super::state::World;
use crate::rules::Seen;
use model::protocol::mutant::Mutation as ProtocolMutation;
use model::record::mutant::Mutation;

/// Creates a world with one client for each word. `p` put, `c` complete the upload, `d` delete, then the bucket's
/// setting: `u` unversioned, `e` enabled, `s` suspended; then optionally `n` if there is no object, `m` if it is the
/// first client's. `x` with an id: delete this version, 0 the null version, 10 the first client's. `l` list.
///
/// # Panics
/// If a word is none of these.
#[must_use]
pub fn world(words: &str) -> World {
    World {
        requests: words.split(' ').map(request).collect(),
        initial: false,
        lost: 0,
        mutation: Mutation::NONE,
        protocol: ProtocolMutation::NONE,
        seen: Seen::default(),
    }
}

fn request(word: &str) -> Request {
    if let Some(id) = word.strip_prefix('x') {
        return Request::DeleteVersion(id.parse().expect("a version's id"));
    }
    let letter = |at: usize| word.chars().nth(at);
    let mode = match letter(1) {
        Some('e') => Mode::Enabled,
        Some('s') => Mode::Suspended,
        _ => Mode::Unversioned,
    };
    let when = match letter(2) {
        Some('n') => When::Absent,
        Some('m') => When::Is(0),
        _ => When::Always,
    };
    match letter(0) {
        Some('p') => Request::Put(mode, when),
        Some('c') => Request::Complete(mode, when),
        Some('d') => Request::Delete(mode, when),
        Some('l') => Request::List,
        _ => panic!("no request {word}"),
    }
}

fn word(request: &Request) -> String {
    let letter = match request {
        Request::Put(..) => "p",
        Request::Complete(..) => "c",
        Request::Delete(..) => "d",
        Request::DeleteVersion(id) => return format!("x{id}"),
        Request::List => return "l".to_owned(),
    };
    let (mode, when) = request.adds().unwrap_or((Mode::Unversioned, When::Always));
    let mode = match mode {
        Mode::Unversioned => "u",
        Mode::Enabled => "e",
        Mode::Suspended => "s",
    };
    let when = match when {
        When::Always => "",
        When::Absent => "n",
        When::Is(_) => "m",
    };
    [letter, mode, when].concat()
}

/// Returns the worlds that the tests explore exhaustively.
#[must_use]
pub fn worlds() -> Vec<World> {
    vec![
        world("pu pu du l").with_lost(2),
        world("pe pe de l").with_lost(2),
        world("pe ps ds l").on_versions().with_lost(1),
        world("ps ps de x0").on_versions().with_lost(2),
        world("pe x10 x0 l").on_versions().with_lost(2),
        world("de x10 pen l").on_versions().with_lost(1),
        world("pe pem dsn l").on_versions().with_lost(1),
        world("du x90 ps x0").on_versions().with_lost(2),
        world("ce pe x10 l").with_lost(2),
        world("cs ps ds l").on_versions().with_lost(1),
        world("cu du pun x0").with_lost(2),
        world("pe x99 de cs l").on_versions().with_lost(1),
        world("pe de ps x10 x0").on_versions().with_lost(1),
        world("ce ds pum x0 l").on_versions().with_lost(1),
    ]
}

/// Returns the worlds that take minutes or more.
#[must_use]
pub fn larger() -> Vec<World> {
    vec![
        world("pe ps de x10 l").on_versions().with_lost(2),
        world("ce pe ds x10 l").on_versions().with_lost(2),
        world("pu du pun x0 l").with_lost(3),
        world("cs pe pem dsn x0").on_versions().with_lost(2),
        world("pe de x10 pen x13 l").with_lost(2),
        world("ce ps de x10 x90 l").on_versions().with_lost(3),
    ]
}

impl World {
    /// Starts the key with a null version and a later one, of id 90.
    #[must_use]
    pub fn on_versions(mut self) -> World {
        self.initial = true;
        self
    }

    /// Sets the number of votes whose outcome is left open.
    #[must_use]
    pub fn with_lost(mut self, lost: u8) -> World {
        self.lost = lost;
        self
    }

    /// Returns the bounds in words.
    #[must_use]
    pub fn bounds(&self) -> String {
        let mut words: Vec<String> = self.requests.iter().map(word).collect();
        if self.initial {
            words.push("on versions".to_owned());
        }
        if self.lost > 0 {
            words.push(format!("lost {}", self.lost));
        }
        words.join(" ")
    }
}
