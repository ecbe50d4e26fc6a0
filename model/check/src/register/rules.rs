//! The rules of every configuration, each with a witness: a state that must be reached somewhere, or the rule holds
//! vacuously.

crate::rules! {
    Linearizable "register.linearizable", AllAnswered "every client is answered";
    OneValuePerBallot "register.one-value-per-ballot", Repeated "a value is repeated under another ballot";
    Chain "register.chain", TwoChosen "two values are chosen one after the other";
    OnKnownBase "accept.on-known-base", BaseBrought "a writer brings a change's base to a drive that lacks it";
    LaggardHealed "accept.laggard-is-healed", BaseLacking "a change arrives before its base";
    PrevIsChosen "register.prev-is-chosen", PrevDropped "a previous value's data is dropped";
    AcceptedMeansStaged "put.accepted-means-staged", HolderVoted "a holder of a new shard votes";
    AckedSurvives "put.acked-survives", AckedAndLost "a shard of an acknowledged put is lost";
    Precondition "put.precondition-on-predecessor", ConditionalAcked "a conditional put is acknowledged";
    PowerLoss "put.survives-power-loss", BootAfterAck "a drive restarts after an acknowledgement";
    PromiseHolds "drive.promise-holds", LateAccept "an Accept below a promise arrives";
    EpochFences "drive.epoch-fences", FencedOff "a ballot of an older epoch is refused";
    AuthorityIsEarned "heal.authority-is-earned", VotedAgain "a drive that was wiped votes again";
    NoNegativeEvidence "heal.no-negative-evidence", KnownAbsent "a recovering drive takes a key for absent";
    InstallIsChosen "heal.install-is-chosen", HealedAfterLoss "a set that lost something is whole again";
    HealIsNoOp "heal.no-op", LateInstall "an Install below a promise arrives";
    NeverLowers "heal.never-lowers-redundancy", ShardInstalled "a shard is installed";
    PurgeIsTotal "delete.purge-is-total", Purged "a tombstone is purged";
    NoGarbage "drive.no-garbage", SupersededDropped "what a vote before the last named is dropped";
    HiCovers "drive.hi-covers", HiRaised "hi is raised after a restart";
    OneDataFolder "read.one-data-folder", ReadAgain "a read whose folder went answers from another";
    NotFoundIsKnown "read.not-found-is-known", NotFound "a read answers that the key is absent";
    NoResurrection "delete.no-resurrection", DeleteAcked "a delete is acknowledged on data";
    NoSplitBrain "quorum.no-split-brain", TwoAcked "two writes are acknowledged";
    BySet "quorum.by-set-not-by-version", MixedParity "versions of different parity follow each other";
}
