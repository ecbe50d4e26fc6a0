//! Values of one set's register for a key that may be in another.

use crate::protocol::{FolderNeed, Value};

/// A key in one set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placed<V> {
    /// Its value: it lives here. Or its absence.
    Here(V),
    /// A copy, which becomes the key when the set that it is copied from forwards the key to it.
    Incoming {
        /// The copy: the same versions in folders of their own.
        copy: V,
        /// The value that it was made of.
        of: V,
    },
    /// The key lived here until it was forwarded to this copy in the set of another pool.
    Forward {
        /// The pool.
        to: u8,
        /// The copy.
        copy: V,
    },
    /// A copy was here and has been withdrawn. It says nothing of the key.
    Withdrawn,
}

impl<V: Value> Placed<V> {
    /// Returns whether the key lives here.
    pub fn is_live(&self) -> bool {
        matches!(self, Placed::Here(value) if !value.is_absent())
    }

    /// Returns whether this speaks of the key itself, live or absent.
    pub fn is_here(&self) -> bool {
        matches!(self, Placed::Here(_))
    }

    /// Returns whether this is a copy.
    pub fn is_incoming(&self) -> bool {
        matches!(self, Placed::Incoming { .. })
    }

    /// Returns whether this is a copy of that value.
    pub fn is_copy_of(&self, value: &V) -> bool {
        matches!(self, Placed::Incoming { of, .. } if of == value)
    }

    /// The value that is here, as the key or as its copy.
    pub fn value(&self) -> Option<&V> {
        match self {
            Placed::Here(value) => Some(value),
            Placed::Incoming { copy, .. } => Some(copy),
            Placed::Forward { .. } | Placed::Withdrawn => None,
        }
    }
}

impl<V: Value> Value for Placed<V> {
    fn absent() -> Self {
        Placed::Here(V::absent())
    }

    /// A forward is no tombstone: a drive forgets it only after one has replaced it.
    fn is_absent(&self) -> bool {
        matches!(self, Placed::Here(value) if value.is_absent())
    }

    fn folders(&self) -> Vec<FolderNeed> {
        self.value().map_or_else(Vec::new, Value::folders)
    }

    fn drops_unnamed(&self) -> bool {
        self.value().is_none_or(Value::drops_unnamed)
    }
}
