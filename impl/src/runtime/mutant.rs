//! Deliberate breaks of the server, one switch each: the simulation must notice every one.
//!
//! Without the feature `mutants` a [`Mutation`] is empty and every question to it is the constant `false`, so a
//! server carries no trace of them. With it, only a runtime that says so is broken: the host's never is.

use model::protocol::mutant;

/// Deliberate break of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(not(feature = "mutants"), allow(dead_code))] // asked for by name, answered "no" in a server
pub enum Mutant {
    /// A drive answers a batch before it has committed it.
    ReplyBeforeCommit,
    /// A block of the index is taken as it is read.
    IndexNotVerified,
    /// A shard that is given up is removed also while a job on it is under way.
    RemovedUnderJob,
    /// A drive applies the calls of a batch in the opposite order.
    CallsReversed,
    /// A register takes over a chosen vote whose shards the drive does not hold.
    InstallsUnstaged,
    /// The log is not applied when the index is opened.
    LogNotReplayed,
    /// An entry of the log is taken whatever its checksum says.
    LogNotVerified,
    /// A checkpoint does not change the log's generation: older entries still count.
    LogGenerationKept,
    /// A drive forgets its floor while it serves.
    FloorForgotten,
    /// A checkpoint leaves out a row of the memtable.
    CheckpointMissesRow,
    /// A compaction of the index does not copy rows again that commits change meanwhile.
    CompactionMissesChanges,
    /// The copy that a compaction has made is not synced before it takes the index's place.
    CompactionNotSynced,
    /// The name of a compacted index is not synced before commits go to it.
    CompactionNameNotSynced,
    /// The sweep after a start does not ask the index what is held.
    SweepRemovesHeld,
    /// The end of an upload removes also those of its folders that the committed value names.
    EndUploadDropsNamed,
    /// A drive that was wiped is formatted anew, in its old place, and takes part.
    WipedIsMember,
    /// A frame is taken for good whatever its hash says.
    FrameHashIgnored,
    /// All writes of a key use the same data folder.
    FolderReused,
    /// A drive that gives no answer to a read or a listing counts as one that holds nothing.
    OfflineIsAbsent,
    /// A listing asks one drive fewer than Q.
    ListFromFewer,
    /// A writer removes its folder also when its Accept may have left, and the drives obey.
    AbandonAfterAccept,
    /// A put goes on with one staged shard fewer than W.
    WriteQuorumTooSmall,
    /// A vote counts as chosen with one acceptance fewer than A.
    AcceptQuorumTooSmall,
    /// Q is taken one too small, for grants and for answers to a read.
    PrepareQuorumTooSmall,
    /// The completion of an upload votes on the version first, and then takes the upload out.
    CompleteInTwoVotes,
    /// A drive that hangs is waited for as long as one that is slow.
    NeverSuspected,
    /// A node that is silent makes none of its drives suspected.
    SilenceIgnored,
    /// An operation waits for its drives as long as they like.
    NoDeadline,
    /// Staging, reading shards and listing wait for each drive as long as it likes.
    NoShardDeadline,
    /// A version of which too few shards can be read is answered as one that is not there.
    UnreadableIsAbsent,
    /// A delete that was not done, or may not have been, is answered as done.
    DeleteErrorSwallowed,
    /// All drives get the same shard.
    OneShardForAll,
    /// A read ends at a frame that does not hold, as if there were no other shards.
    BadFrameEndsRead,
    /// A listing shows keys that have nothing but an open upload.
    ListShowsUploads,
    /// A write's condition is looked at before its vote, and the vote is without one.
    ConditionApart,
    /// What proves that a node knows the secret says nothing of the session that it is said in.
    ProofOfAnySession,
    /// What proves it is the same for both sides.
    ProofOfEitherSide,
    /// A node proves that it knows the secret to who has not.
    ProvesToAnyone,
    /// A node talks to another one than the one that it dialled.
    PeerIndexIgnored,
    /// Numbers of calls to a peer are used again while a late answer may still come.
    CallNumbersReused,
    /// A call to a peer without an answer is made again.
    CallRepeated,
    /// Calls of a peer are taken however many answers wait to be sent.
    AnswersUnbounded,
    /// A call whose connection ends counts as not sent, whatever was sent of it.
    LostIsNotSent,
    /// A call to a peer waits for its answer without end.
    CallWithoutDeadline,
    /// A call of a peer is run however late it comes.
    ExpiredIsRun,
    /// A new connection of a node leaves those before it as they are.
    OldConnectionsKept,
    /// A node greets whoever dials it with the same nonce.
    NonceRepeated,
    /// A peer that takes what is sent to it, and has nothing to say yet, counts as silent.
    SlowIsSilent,
    /// How late calls are is estimated from calls alone.
    PingsNotCompared,
    /// Calls to a peer are taken however many wait to be sent.
    CallsUnbounded,
    /// Calls of a peer are taken however many of them are under way.
    CallsUnderWayUnbounded,
    /// Answers to a peer are kept however many of them wait.
    AnswersAllKept,
    /// Answers of a peer are not read while calls to it wait to be sent.
    AnswersNotRead,
    /// Strangers have as many places as they come.
    StrangersUnbounded,
    /// Every lock is granted to everyone. No break: nothing rests on them (`lock.not-for-safety`).
    LocksGranted,
    /// A break of the first start, in the machines that the server runs.
    Formation(model::formation::mutant::Mutant),
    /// A break of the protocol itself, in the machines that the server runs.
    Protocol(mutant::Mutant),
    /// The same, and every lock is granted to everyone: votes for a key meet each other more often.
    Unlocked(mutant::Mutant),
}

/// The break that is switched on, if any.
pub type Mutation = model::mutation::Mutation<Mutant>;

/// Returns whether every lock is granted to everyone.
pub(crate) fn grants_every_lock(mutation: Mutation) -> bool {
    matches!(mutation.get(), Some(Mutant::LocksGranted | Mutant::Unlocked(_)))
}

/// Returns what is broken in the machines of the protocol.
pub(crate) fn of_protocol(mutation: Mutation) -> mutant::Mutation {
    mutation.and_then(|mutant| match mutant {
        Mutant::Protocol(mutant) | Mutant::Unlocked(mutant) => Some(mutant),
        // The machine counts the shards as well.
        Mutant::WriteQuorumTooSmall => Some(mutant::Mutant::TrustStaging),
        _ => None,
    })
}

/// Returns what is broken in the machines of a first start.
pub(crate) fn of_formation(mutation: Mutation) -> model::formation::mutant::Mutation {
    mutation.and_then(|mutant| match mutant {
        Mutant::Formation(mutant) => Some(mutant),
        _ => None,
    })
}

/// Returns what is broken in the machines of uploads.
pub(crate) fn of_uploads(mutation: Mutation) -> model::record::mutant::Mutation {
    use model::record::mutant::Mutant as Broken;
    mutation.and_then(|mutant| match mutant {
        Mutant::EndUploadDropsNamed => Some(Broken::EndDropsNamed),
        Mutant::CompleteInTwoVotes => Some(Broken::CompleteInTwoVotes),
        _ => None,
    })
}
