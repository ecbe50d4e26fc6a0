//! Deliberate breaks of the protocol, one switch each: the checker must notice every one.
//!
//! Without the feature `mutants` a [`Mutation`] is empty and every question to it is the constant `false`,
//! so a server carries no trace of them.

/// Deliberate break of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// A drive grants and accepts whatever its promise.
    NoFencing,
    /// A drive drops what the previous value named when it accepts, not when the new value is chosen.
    PreviousDroppedAtAccept,
    /// A drive that learns that a value is chosen drops all that the previous one named.
    FinalizeDropsKept,
    /// A drive that learns that a value is chosen keeps what the previous one named.
    FinalizeDropsNothing,
    /// A drive that votes forgets which folders the votes before the last named.
    SupersededForgotten,
    /// A drive that votes drops at once what the votes before the last named.
    SupersededDroppedAtAccept,
    /// A drive votes for a value that names it as a holder of a shard which has yet to arrive.
    AcceptWithoutShard,
    /// A drive drops a staged folder whatever it accepted since.
    DiscardWithoutAccepted,
    /// A drive's clean-up looks at promises in memory only: those that a restart took do not fence it.
    DiscardIgnoresFloor,
    /// A drive restarts without raising its floor: promises of its last life are forgotten.
    FloorNotRaised,
    /// A drive promises and votes in rounds above those that it has reserved.
    HiNotRaised,
    /// A process that starts again issues ballots that one before it has used: nothing in them tells the two apart.
    BallotsUsedAgain,
    /// A drive that lost everything speaks for every key as soon as it has joined.
    WipedSpeaks,
    /// A coordinator uses an epoch that it has heard of without having it stored at A drives first.
    EpochUnsettled,
    /// A drive that lost everything joins under the epoch that there is.
    JoinWithoutEpoch,
    /// A drive that lost everything joins with a floor above what the others tell of, in the epoch that there is.
    JoinWithFloor,
    /// A drive that lost everything joins with the floor of one that never had anything.
    JoinLeavesFloor,
    /// A recovering drive takes a key for absent on the word of drives that may still vote in older epochs.
    HealUnfenced,
    /// A drive takes over what a healer sends whatever it has promised since.
    InstallWithoutPromise,
    /// A drive that learns what is chosen removes what a vote that was never chosen named, parts of an open upload
    /// too.
    InstallDropsParts,
    /// A drive that is healed removes what shards it has but those that the healer sends.
    InstallReplacesShards,
    /// A drive takes over what a healer sends though it has voted above it.
    InstallLowersVote,
    /// A healer installs the highest vote, chosen or not.
    InstallUnchosen,
    /// A healer leaves alone what is not known to be chosen.
    HealOnlyChosen,
    /// A healer deletes a version of which it sees fewer than K shards, drives that do not answer counted as without.
    DanglingDeleted,
    /// Resolve calls a value off of which fewer than K shards are seen, though it may be chosen.
    DanglingCalledOff,
    /// Resolve calls a value off while exactly A drives may have voted for it.
    CalledOffOneEarly,
    /// A drive purges a tombstone and does not raise its floor.
    PurgeWithoutFloor,
    /// A drive purges a tombstone though it has promised a higher ballot, and forgets that promise.
    PurgeForgetsPromise,
    /// A tombstone is purged though one drive was not asked.
    PurgeAtFewer,
    /// A reader takes a purged drive's *none* for its vote.
    ReadTakesPurged,
    /// A drive that cannot read its record of a key takes the key for absent.
    RottenIsAbsent,
    /// A drive that cannot read its record of a key goes on with the floor that it has.
    RottenWithoutFloor,
    /// A drive answers an Accept before the vote is durable.
    ReplyBeforeDurable,
    /// A drive takes its vote back when the coordinator asks, and removes the shard.
    BestEffortUndo,
    /// Resolve rolls back whatever is not known to be chosen, without counting.
    RollBackWithoutCounting,
    /// Resolve counts votes of the top ballot instead of the lineage.
    AbortCountedByBallot,
    /// A reader returns the highest value that it sees, chosen or not.
    ReadWithoutWriteBack,
    /// A reader that reads a key again keeps the shards that it has opened.
    OpenedKept,
    /// A reader takes too few visible shards for absence.
    NotFoundBelowK,
    /// A drive makes a change of whatever it holds as chosen.
    ChangeOnAnyBase,
    /// A coordinator that sends changes brings their base to drives that have forgotten what they voted for.
    BaseToForgetful,
    /// A coordinator that sends changes goes on to do so after a drive has refused one for want of its base.
    ChangesAgain,
    /// A coordinator that sends changes leaves the drives alone that it has seen to lack their base.
    LaggardNotHealed,
    /// A coordinator proposes its change again after an Accept of it has left.
    ProposeAgain,
    /// A coordinator counts stage acknowledgements instead of grants that hold the folder.
    TrustStaging,
    /// A coordinator goes on waiting for a drive that will not answer.
    FailureIgnored,
    /// A clean-up is done with the drives that take its first ballot.
    CleanUpOfSome,
    /// A coordinator evaluates its precondition on the highest value, chosen or not.
    BaseNotChosen,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
