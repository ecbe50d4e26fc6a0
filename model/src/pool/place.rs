//! What the register of one set holds of a key that may be in another.

use crate::protocol::{FolderNeed, Value};

/// Where a key is, as far as one set says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// Here; or nowhere, if the value is absent.
    Here,
    /// A copy of it is here, which counts from the moment that the old set forwards the key to it.
    Incoming,
    /// Not here: it was forwarded to the copy in the set of this pool, or a stale copy was withdrawn from here.
    Elsewhere(Option<u8>),
}

/// A key's value in one set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Placed<V> {
    /// Where the key is.
    pub place: Place,
    /// Its value; of a key that was forwarded, the one that the copy has.
    pub value: V,
}

impl<V: Value> Placed<V> {
    /// A key's value, or its absence.
    pub fn here(value: V) -> Self {
        let place = Place::Here;
        Placed { place, value }
    }

    /// The copy of a key that is to move here.
    pub fn incoming(value: V) -> Self {
        let place = Place::Incoming;
        Placed { place, value }
    }

    /// The end of a key in this set: the copy of `value` in the set of pool `to` is the key from now on.
    pub fn forward(to: u8, value: V) -> Self {
        let place = Place::Elsewhere(Some(to));
        Placed { place, value }
    }

    /// What a stale copy is replaced by. No copy belongs to it.
    #[must_use]
    pub fn withdrawn() -> Self {
        Placed {
            place: Place::Elsewhere(None),
            value: V::absent(),
        }
    }

    /// Whether the key lives here.
    pub fn is_live(&self) -> bool {
        self.place == Place::Here && !self.value.is_absent()
    }

    /// Whether this speaks of the key itself, live or absent.
    pub fn is_here(&self) -> bool {
        self.place == Place::Here
    }

    /// Whether this is the copy that a set forwarded the key to.
    pub fn is_copy_of(&self, forwarded: &V) -> bool {
        self.place == Place::Incoming && self.value == *forwarded
    }
}

impl<V: Value> Value for Placed<V> {
    fn absent() -> Self {
        Placed::here(V::absent())
    }

    /// A forward is no tombstone: it is purged as one only after a tombstone has replaced it.
    fn is_absent(&self) -> bool {
        self.is_here() && self.value.is_absent()
    }

    fn folders(&self) -> Vec<FolderNeed> {
        match self.place {
            Place::Here | Place::Incoming => self.value.folders(),
            Place::Elsewhere(_) => Vec::new(),
        }
    }

    fn drops_unnamed(&self) -> bool {
        self.value.drops_unnamed()
    }
}
