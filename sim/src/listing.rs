//! Check of listings against the histories of the keys.
//!
//! A listing is no snapshot: a key that is made or deleted meanwhile may be in it or not. But it is sorted, has each
//! key that existed throughout once, and none that was absent throughout.

use crate::linearizable::{Input, Operation, Output};
use std::{collections::BTreeMap, time::Duration};

/// Page of a listing. Times are of the same clock as those of the histories.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Time of the call.
    pub invoked: Duration,
    /// Time of the answer.
    pub completed: Duration,
    /// Requested prefix of the keys.
    pub prefix: String,
    /// Key after which the page begins, exclusive.
    pub after: Option<String>,
    /// True if the answer announced more keys.
    pub truncated: bool,
    /// Keys of the answer, in its order.
    pub keys: Vec<String>,
}

/// Existence of a key during a listing, as far as its history tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    Throughout,
    Never,
    Unknown,
}

/// Checks a page against the histories of all keys. No key had a value at first.
///
/// # Errors
/// A description of the violation.
pub fn check<V: PartialEq>(histories: &BTreeMap<String, Vec<Operation<V>>>, listing: &Listing) -> Result<(), String> {
    if let Some(pair) = listing.keys.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(format!("{:?} is listed before {:?}", pair[0], pair[1]));
    }
    for key in &listing.keys {
        if !listing.asks_for(key) {
            return Err(format!("{key:?} was not asked for"));
        }
        let presence = histories
            .get(key)
            .map_or(Presence::Never, |history| presence(history, listing));
        if presence == Presence::Never {
            return Err(format!("{key:?} is listed and was absent all the time"));
        }
    }
    for (key, history) in histories {
        let listed = listing.keys.binary_search(key).is_ok();
        if !listed && listing.covers(key) && presence(history, listing) == Presence::Throughout {
            return Err(format!("{key:?} is not listed and was there all the time"));
        }
    }
    Ok(())
}

impl Listing {
    fn asks_for(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && self.after.as_deref().is_none_or(|after| key > after)
    }

    /// Returns whether the page must contain the key if it exists.
    fn covers(&self, key: &str) -> bool {
        let end = if self.truncated { self.keys.last() } else { None };
        // A truncated page without keys says nothing of any key.
        let reached = if self.truncated {
            end.is_some_and(|end| key <= end.as_str())
        } else {
            true
        };
        self.asks_for(key) && reached
    }
}

/// Returns the existence of a key during a listing, from its history.
///
/// Considers the writes that may be the last one at some moment of the listing: all but those that were certainly
/// overwritten before it began. If they agree, the answer is known.
fn presence<V: PartialEq>(history: &[Operation<V>], listing: &Listing) -> Presence {
    let writes: Vec<Write> = history.iter().filter_map(Write::of).collect();
    let overwritten = |write: &Write| {
        let by = |later: &Write| {
            write.completed.is_some_and(|end| end < later.invoked)
                && later.completed.is_some_and(|end| end < listing.invoked)
        };
        writes.iter().any(by)
    };
    let last = |write: &&Write| write.invoked <= listing.completed && !overwritten(write);
    let initial_counts = !writes
        .iter()
        .any(|write| write.completed.is_some_and(|end| end < listing.invoked));
    let (mut present, mut absent) = (false, initial_counts);
    for write in writes.iter().filter(last) {
        present |= write.present;
        absent |= !write.present;
    }
    match (present, absent) {
        (true, false) => Presence::Throughout,
        (false, _) => Presence::Never,
        (true, true) => Presence::Unknown,
    }
}

/// Operation that changed the key, or may have.
struct Write {
    invoked: Duration,
    /// `None` if it may take effect at any later time or never.
    completed: Option<Duration>,
    /// True if the key has a value afterwards.
    present: bool,
}

impl Write {
    fn of<V: PartialEq>(operation: &Operation<V>) -> Option<Write> {
        let present = match &operation.input {
            Input::Get => return None,
            Input::Put(_) => true,
            Input::Delete => false,
            Input::Compare { new, .. } => new.is_some(),
        };
        let completed = match &operation.completed {
            Some((_, Output::Refused)) => return None,
            Some((at, _)) => Some(*at),
            None => None,
        };
        Some(Write {
            invoked: operation.invoked,
            completed,
            present,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn op(from: u64, to: Option<u64>, input: Input<u64>) -> Operation<u64> {
        Operation {
            input,
            invoked: at(from),
            completed: to.map(|to| (at(to), Output::Done)),
        }
    }

    fn put(from: u64, to: u64) -> Operation<u64> {
        op(from, Some(to), Input::Put(1))
    }

    fn delete(from: u64, to: u64) -> Operation<u64> {
        op(from, Some(to), Input::Delete)
    }

    /// Lists a key with this history from time 100 to 200; returns whether it may be present and may be absent.
    fn may(history: Vec<Operation<u64>>) -> (bool, bool) {
        let histories = BTreeMap::from([("k".to_owned(), history)]);
        let listing = |keys: &[&str]| page("", None, false, keys);
        (
            check(&histories, &listing(&["k"])).is_ok(),
            check(&histories, &listing(&[])).is_ok(),
        )
    }

    fn page(prefix: &str, after: Option<&str>, truncated: bool, keys: &[&str]) -> Listing {
        Listing {
            invoked: at(100),
            completed: at(200),
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            truncated,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        }
    }

    #[test]
    fn presence_follows_from_the_history() {
        const MUST: (bool, bool) = (true, false);
        const MUST_NOT: (bool, bool) = (false, true);
        const MAY: (bool, bool) = (true, true);
        assert_eq!(may(vec![]), MUST_NOT);
        assert_eq!(may(vec![put(0, 10)]), MUST);
        assert_eq!(may(vec![put(0, 10), delete(20, 30)]), MUST_NOT);
        assert_eq!(may(vec![put(0, 10), delete(5, 30)]), MAY);
        assert_eq!(may(vec![put(0, 10), delete(20, 30), put(40, 50)]), MUST);
        assert_eq!(may(vec![put(0, 10), delete(150, 300)]), MAY);
        assert_eq!(may(vec![put(0, 10), delete(201, 300)]), MUST);
        assert_eq!(may(vec![put(150, 160)]), MAY);
        assert_eq!(may(vec![put(90, 110)]), MAY);
        assert_eq!(may(vec![put(0, 10), put(150, 160)]), MUST);
        assert_eq!(may(vec![op(0, None, Input::Put(1))]), MAY);
        assert_eq!(may(vec![put(0, 10), op(20, None, Input::Delete), put(40, 50)]), MAY);
        let refused = |input| Operation {
            input,
            invoked: at(0),
            completed: Some((at(1), Output::Refused)),
        };
        assert_eq!(
            may(vec![refused(Input::Compare {
                expected: Some(1),
                new: Some(2)
            })]),
            MUST_NOT
        );
        assert_eq!(
            may(vec![op(
                0,
                Some(9),
                Input::Compare {
                    expected: None,
                    new: Some(2)
                }
            )]),
            MUST
        );
    }

    #[test]
    fn canaries_duplicate_unsorted_and_foreign_keys() {
        let histories: BTreeMap<_, _> = ["a", "b"].map(|key| (key.to_owned(), vec![put(0, 10)])).into();
        let verdict = |listing: Listing| check(&histories, &listing);
        assert_eq!(verdict(page("", None, false, &["a", "b"])), Ok(()));
        assert!(verdict(page("", None, false, &["a", "a", "b"])).is_err());
        assert!(verdict(page("", None, false, &["b", "a"])).is_err());
        assert!(verdict(page("", None, false, &["a", "b", "c"])).is_err());
        assert!(verdict(page("b", None, false, &["a", "b"])).is_err());
        assert!(verdict(page("", Some("a"), false, &["a", "b"])).is_err());
    }

    #[test]
    fn a_page_answers_for_its_range_alone() {
        let histories: BTreeMap<_, _> = ["a", "b", "c"].map(|key| (key.to_owned(), vec![put(0, 10)])).into();
        let verdict = |listing: Listing| check(&histories, &listing).is_ok();
        assert!(verdict(page("", None, true, &["a"])));
        assert!(!verdict(page("", None, true, &["b"])));
        assert!(verdict(page("", Some("a"), false, &["b", "c"])));
        assert!(!verdict(page("", Some("a"), false, &["c"])));
        assert!(verdict(page("b", None, false, &["b"])));
        assert!(verdict(page("", None, true, &[])));
    }
}
