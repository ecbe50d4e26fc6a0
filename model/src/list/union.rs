//! The union of pages, key by key.

use super::Span;
use super::mutant::{Mutant, Mutation};
use crate::protocol::Quorums;
use std::collections::BTreeMap;

/// A drive's page, in whatever form it came: keys in their order, each with what the drive has of it.
pub trait Page {
    /// Name of a register.
    type Key: Ord + ?Sized;

    /// The key at a place; none behind the last.
    fn key(&self, at: usize) -> Option<&Self::Key>;

    /// Returns how far it speaks.
    fn span(&self) -> Span<&Self::Key>;
}

/// The pages of Q drives of a set, walked side by side.
#[derive(Debug)]
pub struct Union<'a, P: Page + ?Sized> {
    places: Vec<Place<'a, P>>,
    span: Span<&'a P::Key>,
    mutation: Mutation,
}

/// Cursor in a page, and whether the page has the current key.
#[derive(Debug)]
struct Place<'a, P: ?Sized> {
    drive: u8,
    page: &'a P,
    next: usize,
    has_key: bool,
}

impl<'a, P: Page> Union<'a, P> {
    /// The union of pages by drive; none if fewer than Q of them speak for anything: what a listing that goes on
    /// without them leaves out might be there (`list.complete`).
    #[must_use]
    pub fn of(quorums: Quorums, pages: &'a BTreeMap<u8, P>, mutation: Mutation) -> Option<Self> {
        let speaking = pages.iter().filter(|(_, page)| page.span() > Span::Nothing);
        let places: Vec<_> = speaking
            .map(|(drive, page)| Place {
                drive: *drive,
                page,
                next: 0,
                has_key: false,
            })
            .collect();
        if places.len() < usize::from(quorums.prepare) {
            return None;
        }
        let spans = places.iter().map(|place| place.page.span());
        let span = if mutation.is(Mutant::LongestSpan) {
            spans.max()
        } else {
            spans.min()
        };
        let span = span.unwrap_or(Span::Rest);
        Some(Union { places, span, mutation })
    }

    /// Returns how far all of the pages speak.
    #[must_use]
    pub fn span(&self) -> Span<&'a P::Key> {
        self.span
    }

    /// Goes to the next key that any of the pages has; none behind the span.
    pub fn next_key(&mut self) -> Option<&'a P::Key> {
        loop {
            let keys = self.places.iter().filter_map(|place| place.page.key(place.next));
            let key = keys.min().filter(|key| self.span.covers(key))?;
            let mut having = 0;
            for place in &mut self.places {
                place.has_key = place.page.key(place.next) == Some(key);
                place.next += usize::from(place.has_key);
                having += usize::from(place.has_key);
            }
            if having > 1 || !self.mutation.is(Mutant::SeenOnceLeftOut) {
                return Some(key);
            }
        }
    }

    /// Returns for each page its drive, itself, and at which place it has the key that [`Union::next_key`] went to, if
    /// it does.
    pub fn rows(&self) -> impl Iterator<Item = (u8, &'a P, Option<usize>)> {
        let row = |place: &Place<'a, P>| (place.drive, place.page, place.has_key.then(|| place.next - 1));
        self.places.iter().map(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keys(&'static [u8], Span<u8>);

    impl Page for Keys {
        type Key = u8;

        fn key(&self, at: usize) -> Option<&u8> {
            self.0.get(at)
        }

        fn span(&self) -> Span<&u8> {
            match &self.1 {
                Span::Nothing => Span::Nothing,
                Span::Through(last) => Span::Through(last),
                Span::Rest => Span::Rest,
            }
        }
    }

    #[test]
    fn keys_come_once_in_order_as_far_as_all_pages_speak() {
        let pages = BTreeMap::from([
            (0, Keys(&[1, 4, 6], Span::Through(6))),
            (2, Keys(&[2, 4, 8], Span::Rest)),
        ]);
        let mut union = Union::of(Quorums::of(3), &pages, Mutation::NONE).unwrap();
        assert_eq!(union.span(), Span::Through(&6));
        let mut seen = Vec::new();
        while let Some(key) = union.next_key() {
            let places: Vec<_> = union.rows().map(|(drive, _, at)| (drive, at)).collect();
            seen.push((*key, places));
        }
        let expected = [
            (1, vec![(0, Some(0)), (2, None)]),
            (2, vec![(0, None), (2, Some(0))]),
            (4, vec![(0, Some(1)), (2, Some(1))]),
            (6, vec![(0, Some(2)), (2, None)]),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_page_that_speaks_for_nothing_makes_no_quorum() {
        let pages = BTreeMap::from([(0, Keys(&[1], Span::Rest)), (1, Keys(&[], Span::Nothing))]);
        assert!(Union::of(Quorums::of(3), &pages, Mutation::NONE).is_none());
        assert!(Union::of(Quorums::of(2), &pages, Mutation::NONE).is_some());
    }
}
