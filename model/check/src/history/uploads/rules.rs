//! The rules of every configuration, each with a witness that must be reached, or the rule holds vacuously.

crate::rules! {
    Linearizable "multipart.linearizable", AllAnswered "every client is answered";
    Once "multipart.once", EndsRace "a second end of an upload is refused";
    EndIsKnown "multipart.end-is-known", LagRefused "a drive that has not heard of an upload's end removes nothing";
    PartsKept "multipart.parts-kept", ReplacedRemoved "a replaced part goes once its upload is gone";
    PartsAsNamed "multipart.parts-as-named", ReplacedMeanwhile "a part is replaced while its upload is completed";
    PartNeedsOpen "multipart.part-needs-open", LatePart "a part comes too late for its upload";
    InvalidPartIsKnown "multipart.invalid-part-is-known", InvalidPart "a completion names a part that is not there";
}
