//! The first start of a deployment over nodes: which drives are formatted, and when they count (`specs/format.md`).
//!
//! The node of the first endpoint leads. It looks at all drives, has each node confirm that they still are as it was
//! told, has the format begun on all of them, and then has it completed, on its own drives first. A format that is
//! begun on all drives is the deployment's: whoever finds a complete drive may complete its own. `I` identifies a
//! deployment and the places of its drives.

mod drives;
mod leader;
pub mod mutant;

pub use drives::{Drives, Job};
pub use leader::{Leader, Standing};

use serde::{Deserialize, Serialize};

/// Random number of a process.
pub type Boot = u64;

/// A look of the leader at a node. What it asks for afterwards is based on this look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Look {
    /// The leader's process.
    pub boot: Boot,
    /// Number of its looks at this node before this one.
    pub number: u64,
}

/// What a start finds at the path of a drive.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Found<I> {
    /// Nothing of anybody.
    Empty,
    /// A format that was begun.
    Begun(I),
    /// A format that is complete.
    Complete(I),
    /// Something else, which is not to be written to.
    Refused,
}

/// Request of the leader to a node, for all of that node's drives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Request<I> {
    /// Asks for the contents of the drives. From then on the node does what is based on this look, and nothing else.
    Look,
    /// Asks for the contents again, of a process that remembers the last look: they are those of that look, or the
    /// leader begins anew. The number tells the leader's rounds of looks apart.
    Confirm(u64),
    /// Begin this format on each drive that is empty.
    Begin(I),
    /// Complete this format on each drive.
    Complete(I),
}

/// Answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reply<I> {
    /// What is on the drives.
    Found(Vec<Found<I>>),
    /// The format is begun on all drives of the node, durably.
    Begun,
    /// It is complete on all of them.
    Complete,
    /// The node does not do that.
    Refused,
}
