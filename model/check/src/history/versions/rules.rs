//! The rules of every configuration, each with a witness that must be reached, or the rule holds vacuously.

crate::rules! {
    Linearizable "version.linearizable", AllAnswered "every client is answered";
    OrderIsChain "version.order-is-chain", ClockBehind "a version is made by a clock that is behind";
    Kept "version.kept", Overwritten "a version stays under a later one";
    DataKept "version.data-kept", Dropped "a drive drops a version's data";
    ReplacedIsGone "version.replaced-is-gone", Replaces "a write says that it replaces the last change";
    NoResurrection "delete.no-resurrection", DeletedForGood "a version is deleted for good";
    Precondition "put.precondition-on-predecessor", ConditionOnMarker "a condition meets a delete marker";
}
