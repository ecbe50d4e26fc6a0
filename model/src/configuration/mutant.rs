//! Deliberate breaks of configuration.

/// Deliberate break of configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// A change is answered once it is chosen.
    AnsweredWhenChosen,
    /// A change is answered once A - 1 drives of each set have it.
    StoredAtFewer,
    /// A change is answered once A drives of the first set have it.
    StoredInOneSet,
    /// A change is answered once more than half of the nodes have it.
    StoredByNodes,
    /// A change waits for every node, whoever is dead.
    StoredEverywhere,
    /// A change is told to the nodes before it is chosen.
    ToldBeforeChosen,
    /// A node serves from its copy alone.
    ServedAlone,
    /// A node is content with Q - 1 drives.
    HeardFewer,
    /// A node that is told of a later version serves the one that it has.
    BehindServes,
    /// A node that is behind asks the acceptors.
    FetchedFromAcceptors,
    /// A node takes whatever it is told last.
    TakesLower,
    /// A node that has lost its copy takes the first that it is told.
    LostTakesAny,
    /// A node takes an answer to a question from before it lost its copy.
    AnswerOutlivesLoss,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
