//! Records as the explorer must tell them apart.

use model::record::Record;
use std::hash::{Hash, Hasher};

/// A record with all that it says. A register compares records by their names, because in one run a name stands for
/// one value; in another run the same change was made of another base.
#[derive(Clone, Debug)]
pub struct Exact(pub Record);

impl PartialEq for Exact {
    fn eq(&self, other: &Exact) -> bool {
        self.0 == other.0 && self.0.content() == other.0.content()
    }
}

impl Eq for Exact {}

impl Hash for Exact {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.0.content().hash(state);
    }
}
