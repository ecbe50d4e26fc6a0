//! Records with full equality, as the explorer needs it.

use model::record::Record;
use std::hash::{Hash, Hasher};

/// A record that is compared by its content too. A register compares records by name, since a name stands for one value
/// within a run; in another run the same change may have been made of another base.
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
