//! Deliberate breaks of the locks.

/// Deliberate break of locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// Half of the servers are enough.
    GrantedByHalf,
    /// A server that has restarted grants at once.
    RestartGrants,
    /// A server that has restarted renews what it does not know.
    RestartRenews,
    /// A server grants what another one's lease has not left.
    LeaseIgnored,
    /// A lease is kept until it is released.
    NeverExpires,
    /// A server that has restarted grants nothing any more.
    QuietForEver,
    /// A server takes anybody's release.
    ReleasedByAnybody,
    /// A holder counts its deadline from the answer.
    DeadlineFromAnswer,
    /// A renewal by one server is enough.
    RenewedByOne,
    /// A holder believes until it is refused.
    BelievesUntilRefused,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
