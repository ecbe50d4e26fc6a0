//! Deliberate breaks of the first start.

/// Deliberate break of the first start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// The leader begins where it has looked, before it has looked everywhere.
    BeginsBeforeLooking,
    /// The leader begins by what it has been told, without asking whether it is still so.
    BeginsUnconfirmed,
    /// The leader begins although a drive is refused.
    BeginsBesideRefused,
    /// The leader makes a new deployment although one was begun.
    MakesAnother,
    /// The leader begins again where a complete drive shows that all had begun.
    BeginsAfterComplete,
    /// The leader completes once more than half of the nodes have begun.
    CompletesEarly,
    /// The leader completes drives of other nodes before its own. As looks are confirmed, that breaks nothing in the
    /// checker's worlds: the simulation sees the order itself.
    CompletesOthersFirst,
    /// A node does what any leader says once one has looked.
    ObeysEarlierLeaders,
    /// A node does what the leader says that looked last, whatever look it is based on.
    ObeysEarlierLooks,
    /// A node does what a leader says that has not looked.
    ObeysStrangers,
    /// A node completes its drives when another has begun.
    FinishesAfterBegun,
    /// A node that has completed some of its drives needs another one to complete the rest.
    WaitsForOthers,
    /// A node formats its empty drives when another's are complete.
    AdoptsEmpty,
    /// A drive serves although no other is complete.
    ServesAlone,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
