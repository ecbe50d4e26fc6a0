//! Range of keys that a page covers.

use super::mutant::{Mutant, Mutation};
use crate::protocol::Recovering;
use std::collections::BTreeMap;

/// The part of a range that a page speaks for, from the marker that it was asked to begin behind. In their order: of
/// two spans the smaller is what both speak for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Span<K> {
    /// None of it.
    Nothing,
    /// Up to this key, itself included.
    Through(K),
    /// All the rest.
    Rest,
}

impl<K: Ord> Span<K> {
    /// Returns whether a key behind the marker is in it.
    pub fn covers(&self, key: &K) -> bool {
        match self {
            Span::Nothing => false,
            Span::Through(last) => key <= last,
            Span::Rest => true,
        }
    }

    /// The same span, its key told otherwise.
    pub fn map<L>(self, tell: impl FnOnce(K) -> L) -> Span<L> {
        match self {
            Span::Nothing => Span::Nothing,
            Span::Through(last) => Span::Through(tell(last)),
            Span::Rest => Span::Rest,
        }
    }

    /// Returns what all of these spans, one a set, cover; all the rest if there are none.
    pub fn common(spans: impl IntoIterator<Item = Span<K>>, mutation: Mutation) -> Span<K> {
        let spans = spans.into_iter();
        let common = if mutation.is(Mutant::LongestSet) {
            spans.max()
        } else {
            spans.min()
        };
        common.unwrap_or(Span::Rest)
    }

    /// The marker that the listing goes on behind; none when the range has been walked to its end.
    ///
    /// # Panics
    /// If it covers nothing: to ask again behind the same marker would go on for ever.
    pub fn marker(self) -> Option<K> {
        match self {
            Span::Nothing => panic!("a listing goes on behind what its pages speak for"),
            Span::Through(last) => Some(last),
            Span::Rest => None,
        }
    }
}

/// A drive's rows of a range: each key, with what it has of it; nothing of a key that it knows to have lost.
pub type Rows<K, R> = Vec<(K, Option<R>)>;

/// A drive's page: of the registers that it has behind `after`, given in their order, the first `limit`, and how far it
/// speaks. A drive that is recovering speaks only for what it has gone past, and says which of those keys it does not
/// know (`heal.authority-is-earned`).
pub fn page<K: Ord + Clone, R>(
    registers: impl IntoIterator<Item = (K, R)>,
    after: Option<&K>,
    limit: usize,
    recovering: Option<&Recovering<K>>,
    mutation: Mutation,
) -> (Rows<K, R>, Span<K>) {
    let behind = |key: &K| after.is_none_or(|after| key > after);
    let recovering = recovering.filter(|_| !mutation.is(Mutant::RecoveringSpeaks));
    // One more than the page may have tells whether the range goes on.
    let there = registers.into_iter().filter(|(key, _)| behind(key)).take(limit + 1);
    let mut rows: BTreeMap<K, Option<R>> = there.map(|(key, register)| (key, Some(register))).collect();
    let unknown = recovering.into_iter().flat_map(Recovering::unknown);
    for key in unknown.filter(|key| behind(key) && !mutation.is(Mutant::UnknownPassedOver)) {
        rows.entry(key.clone()).or_insert(None);
    }
    let goes_on = rows.len() > limit;
    let mut rows: Rows<K, R> = rows.into_iter().take(limit).collect();
    let cut = match rows.last() {
        Some((last, _)) if goes_on => Span::Through(last.clone()),
        None if goes_on => Span::Nothing,
        _ => Span::Rest,
    };
    let known = match recovering {
        None => Span::Rest,
        Some(drive) => match drive.cursor().filter(|cursor| behind(cursor)) {
            Some(cursor) => Span::Through(cursor.clone()),
            None => Span::Nothing,
        },
    };
    let span = cut.min(known);
    rows.retain(|(key, _)| span.covers(key));
    (rows, span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_span_is_what_both_speak_for() {
        assert!(Span::Nothing < Span::Through(0) && Span::Through(3) < Span::Through(4));
        let common = |spans: &[Span<u8>]| Span::common(spans.iter().copied(), Mutation::NONE);
        assert_eq!(
            common(&[Span::Rest, Span::Through(4), Span::Through(3)]),
            Span::Through(3)
        );
        assert_eq!(common(&[]), Span::Rest);
        assert_eq!((Span::Through(3).marker(), Span::<u8>::Rest.marker()), (Some(3), None));
    }

    const KEYS: [(u8, char); 3] = [(1, 'a'), (3, 'b'), (5, 'c')];

    fn page(after: Option<u8>, limit: usize, recovering: Option<&Recovering<u8>>) -> (Rows<u8, char>, Span<u8>) {
        super::page(KEYS, after.as_ref(), limit, recovering, Mutation::NONE)
    }

    fn of(keys: &[(u8, char)]) -> Rows<u8, char> {
        keys.iter().map(|(key, what)| (*key, Some(*what))).collect()
    }

    #[test]
    fn a_page_speaks_up_to_its_last_key_unless_the_range_ends() {
        assert_eq!(page(None, 2, None), (of(&KEYS[..2]), Span::Through(3)));
        assert_eq!(page(Some(1), 2, None), (of(&KEYS[1..]), Span::Rest));
        assert_eq!(page(Some(5), 2, None), (vec![], Span::Rest));
        assert_eq!(page(None, 0, None), (vec![], Span::Nothing));
    }

    #[test]
    fn a_recovering_drive_speaks_up_to_its_cursor_and_says_what_it_lost() {
        let mut drive = Recovering::new(1);
        assert_eq!(page(None, 9, Some(&drive)), (vec![], Span::Nothing));
        drive.pass(4, []);
        assert_eq!(page(None, 9, Some(&drive)), (of(&KEYS[..2]), Span::Through(4)));
        assert_eq!(page(None, 1, Some(&drive)), (of(&KEYS[..1]), Span::Through(1)));
        assert_eq!(page(Some(4), 9, Some(&drive)), (vec![], Span::Nothing));
        drive.pass(4, [2, 3]);
        let rows = vec![(1, Some('a')), (2, None), (3, Some('b'))];
        assert_eq!(page(None, 9, Some(&drive)), (rows.clone(), Span::Through(4)));
        assert_eq!(page(None, 2, Some(&drive)), (rows[..2].to_vec(), Span::Through(2)));
    }
}
