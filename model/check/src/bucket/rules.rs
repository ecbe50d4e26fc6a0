//! The rules of buckets, each with a witness that must be reached.

crate::rules! {
    DeletedIsEmpty "bucket.deleted-is-empty", VoteLeft "a deleted bucket leaves a vote behind";
    GateHolds "bucket.gate-holds", VotedAgain "a drive whose gate was closed votes again";
    IncarnationsApart "bucket.incarnations-apart", LaterWritten "a key is written in a later incarnation";
    Linearizable "bucket.linearizable", Deleted "a bucket is deleted in which a key was";
    Usable "live.bucket-is-usable", Abandoned "a bucket is left in the middle of its deletion";
}
