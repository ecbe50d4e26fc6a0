//! Deliberate breaks of the protocol over pools, one switch each: the checker must notice every one.
//!
//! Without the feature `mutants` a [`Mutation`] is empty and every question to it is the constant `false`.

/// Deliberate break of the protocol over pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// A writer takes the word of the pool that it has chosen that the key is absent.
    CreationInOnePool,
    /// A plain read takes the word of one pool that the key is absent.
    AbsenceByOnePool,
    /// Of two creations that may be chosen, the one under the lower ballot is carried on.
    LowestCreationFirst,
    /// A tombstone that is not known to be chosen is repeated on the word of its own set.
    TombstoneAlone,
    /// Any higher vote of another set, of whatever kind, calls a creation off.
    AnyVoteSupersedes,
    /// A delete that is not known to be chosen is called off like a creation when the key was created anew elsewhere.
    DeleteSuperseded,
    /// A creation that is dead is called off by a vote for absence.
    CalledOffByAbsence,
    /// What speaks of the key is settled before a forward is looked at.
    ForwardLast,
    /// A mover makes the key live in the new set before the old one has forwarded it.
    LiveBeforeForward,
    /// A mover forwards the key before the copy in the new set is chosen.
    ForwardAtOnce,
    /// A mover, or recovery, forwards the key to a copy of a value that it no longer has.
    StaleCopyForwarded,
    /// A copy that has arrived is taken for the key, forwarded or not.
    IncomingVisible,
    /// A copy that does not belong to the key's value yet is withdrawn though the key may still be forwarded to it.
    CopyWithdrawn,
    /// A stale copy is withdrawn by a tombstone.
    WithdrawnByTombstone,
    /// A writer that meets a forward votes in the old set.
    WriterInOldSet,
    /// A forward is forgotten while its key lives in another pool.
    ForwardPurgedAlone,
    /// A tombstone is forgotten without a look at the other pools.
    PurgeInOnePool,
    /// A copy's folders have the names of those that it is a copy of.
    FolderNamesKept,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
