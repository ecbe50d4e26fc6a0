//! Deliberate breaks of what records and uploads promise, one switch each: the checker must notice every one.
//!
//! As with [`crate::protocol::mutant`], a server carries no trace of them.

/// Deliberate break of histories or uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutant {
    /// A completion takes effect whether or not the upload is open.
    CompleteUnopened,
    /// A completion is two votes: the version comes in, then the upload goes out.
    CompleteInTwoVotes,
    /// A completion takes whatever part is there.
    CompleteTakesAnyPart,
    /// A completion looks for the upload first and reads the parts then.
    CompleteReadsKeyFirst,
    /// A completion whose vote may be chosen is proposed once more.
    EndProposedAgain,
    /// A part is voted on without another look whether the upload is still open.
    PartNotCheckedAgain,
    /// An abort has drives clean up as soon as they have voted for it.
    AbortCleansEarly,
    /// A drive cleans up after an upload whose end it has not heard of.
    EndUnheard,
    /// A drive that cleans up removes what the version names, too.
    EndDropsNamed,
    /// A part's data goes when another takes its place.
    ReplacedPartDropped,
    /// A put under versioning takes the place of the null version.
    EnabledReplacesNull,
    /// A put under suspended versioning takes the place of the latest version, whichever that is.
    SuspendedReplacesLatest,
    /// The delete of one version takes the one before it, too.
    DeleteTakesPredecessor,
    /// A version's time is what the clock says.
    RawClock,
    /// An operation that keeps the last version says that it replaces it.
    ReplacesKept,
    /// A delete whose fate is not known takes anybody's marker for its own.
    AnyMarkerIsOwn,
    /// A condition looks at the last version with data, and overlooks the marker above it.
    ConditionOverlooksMarker,
    /// A change whose vote may have been chosen is proposed once more.
    ChangeProposedAgain,
}

/// The mutant that is switched on, if any.
pub type Mutation = crate::mutation::Mutation<Mutant>;
