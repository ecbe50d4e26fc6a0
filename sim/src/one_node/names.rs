//! Names of the mutants: the rows of their table in `specs/mutants.md`.

use super::mutants::AnyMutant;
use crate::drive::Unsynced;
use model::protocol::mutant::Mutant as Break;
use store::runtime::{Mutant, Mutant::*};

/// Returns a mutant's name in `specs/mutants.md`.
pub fn name(mutant: AnyMutant) -> String {
    match mutant {
        AnyMutant::Server(mutant) => name_of_server(mutant),
        AnyMutant::Files(unsynced) => name_of_files(unsynced).to_owned(),
    }
}

fn name_of_files(unsynced: Unsynced) -> &'static str {
    match unsynced {
        Unsynced::ShardFiles => "the file of a staged shard is not synced",
        Unsynced::ShardFolders => "the folder of a staged shard is not synced",
        Unsynced::Index => "a checkpoint of the index is not synced",
        Unsynced::Log => "an entry of the index's log is not synced",
    }
}

fn name_of_server(mutant: Mutant) -> String {
    let name = match mutant {
        ReplyBeforeCommit => "a drive answers a batch before it has committed it",
        IndexNotVerified => "a block of the index is taken as it is read",
        RemovedUnderJob => "a shard that is given up is removed under a job",
        CallsReversed => "a drive applies the calls of a batch in the opposite order",
        InstallsUnstaged => "a drive installs a vote whose shards it does not hold",
        LogNotReplayed => "the log is not applied when an index is opened",
        LogNotVerified => "an entry of the log is taken whatever its checksum says",
        LogGenerationKept => "a checkpoint leaves the log's generation as it is",
        CheckpointMissesRow => "a checkpoint leaves out a row of the memtable",
        FloorForgotten => "a drive forgets its floor while it serves",
        CompactionMissesChanges => "a compaction does not copy again what commits change",
        CompactionNotSynced => "a compacted index is not synced before it takes its place",
        CompactionNameNotSynced => "the name of a compacted index is not synced",
        SweepRemovesHeld => "the sweep after a start removes what is held",
        EndUploadDropsNamed => "the end of an upload removes what the version names",
        WipedIsMember => "a wiped drive is formatted anew and takes part",
        FrameHashIgnored => "a frame is taken whatever its hash says",
        FolderReused => "all writes of a key use the same data folder",
        OfflineIsAbsent => "a drive that does not answer counts as one that holds nothing",
        ListFromFewer => "a listing asks one drive fewer than Q",
        AbandonAfterAccept => "a writer removes its folder though its Accept may have left",
        WriteQuorumTooSmall => "a put goes on with one shard fewer than W",
        AcceptQuorumTooSmall => "A - 1",
        PrepareQuorumTooSmall => "Q - 1",
        CompleteInTwoVotes => "an upload is completed in two votes",
        NeverSuspected => "a drive that hangs is waited for as long as one that is slow",
        NoDeadline => "an operation waits for its drives as long as they like",
        NoShardDeadline => "shards and listings wait for their drives as long as they like",
        UnreadableIsAbsent => "a version that cannot be read is answered as absent",
        DeleteErrorSwallowed => "a delete that failed is answered as done",
        OneShardForAll => "all drives get the same shard",
        BadFrameEndsRead => "a read ends at the first frame that does not hold",
        ListShowsUploads => "a listing shows keys with an open upload alone",
        ConditionApart => "a condition is looked at apart from its vote",
        LocksGranted => "every lock is granted to everyone",
        Protocol(Break::NoFencing) => "no fencing",
        Protocol(Break::ReadWithoutWriteBack) => "read without write-back",
        Protocol(Break::ProposeAgain) => "proposed again",
        Protocol(Break::ReplyBeforeDurable) => "reply before durable",
        Protocol(Break::BaseNotChosen) => "precondition on a base not known to be chosen",
        Protocol(Break::PreviousDroppedAtAccept) => "previous data dropped at accept",
        Protocol(Break::RollBackWithoutCounting) => "roll back without counting",
        Protocol(other) => return format!("{other:?}"),
        Unlocked(broken) => return format!("{}, and no locks", name_of_server(Protocol(broken))),
        // Another scenario's.
        other => return format!("{other:?}"),
    };
    name.to_owned()
}
