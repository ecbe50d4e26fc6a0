//! Deliberate breaks of the buckets' protocol.

/// One way to break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// A drive lists for a deletion without closing its gate.
    SurveyUnfenced,
    /// A deletion that finds another one at work takes the bucket for empty.
    RemoveUnlisted,
    /// A deletion takes what may or may not be chosen for absent.
    UndecidedIsEmpty,
    /// A deletion asks the drives of the first set alone.
    SurveyOneSet,
    /// A deletion ends what was called off and begun anew since it listed.
    RemoveInAnyTurn,
    /// A deletion is called off without a new turn.
    ReopenInSameTurn,
    /// A writer that is refused waits for the deletion to end, whoever is dead.
    WriterWaitsOnly,
    /// A drive takes a gate of which it has no record for open.
    ForgottenIsOpen,
    /// A drive answers a survey before its closed gate is durable.
    ClosedLazily,
    /// A drive takes what it is told of the bucket, though a later survey has closed the gate.
    AnswerLowers,
    /// A drive takes an answer to a question from before it lost its record.
    AnswerOutlivesLoss,
    /// A drive votes if the bucket is open in any incarnation.
    AnyIncarnation,
    /// A drive asks its gate when it promises, not when it votes.
    VoteUngated,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
