//! The rules that every configuration is held to, and for each one something that must happen somewhere,
//! so that it does not hold for want of an occasion.

use crate::world::{State, World};
use stateright::Property;

macro_rules! rules {
    ($($rule:ident $name:literal, $occasion:ident $seen:literal;)*) => {
        /// A rule of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Rule { $($rule,)* }

        /// Something that a configuration must reach for a rule to mean anything.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Occasion { $($occasion,)* }

        impl Rule {
            pub const ALL: &[Rule] = &[$(Rule::$rule,)*];

            pub fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name,)* }
            }
        }

        impl Occasion {
            pub const ALL: &[Occasion] = &[$(Occasion::$occasion,)*];

            pub fn name(self) -> &'static str {
                match self { $(Occasion::$occasion => $seen,)* }
            }
        }

        /// Each rule as `always`, each occasion as `sometimes`.
        pub fn properties() -> Vec<Property<World>> {
            vec![
                $(Property::always($name, |_: &World, s: &State| !s.is_broken(Rule::$rule)),)*
                $(Property::sometimes($seen, |w: &World, _: &State| w.has_seen(Occasion::$occasion)),)*
            ]
        }
    };
}

rules! {
    Linearizable "register.linearizable", AllAnswered "every client is answered";
    OneValuePerBallot "register.one-value-per-ballot", Repeated "a value is repeated under another ballot";
    Chain "register.chain", TwoChosen "two values are chosen one after the other";
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
    HiCovers "drive.hi-covers", HiRaised "hi is raised after a restart";
    NotFoundIsKnown "read.not-found-is-known", NotFound "a read answers that the key is absent";
    NoResurrection "delete.no-resurrection", DeleteAcked "a delete is acknowledged on data";
    NoSplitBrain "quorum.no-split-brain", TwoAcked "two writes are acknowledged";
    BySet "quorum.by-set-not-by-version", MixedParity "versions of different parity follow each other";
}
