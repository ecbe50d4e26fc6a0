//! The rules of a first start, each with a witness that must be reached.

crate::rules! {
    OneDeployment "format.one-deployment", TakenOver "a leader completes what one before it has begun";
    CompleteAfterAll "format.complete-after-all", Finished "a node completes its drives after asking another";
    RefuseChangesNothing "format.refuse-changes-nothing", Emptied "a start goes on once a drive was emptied";
    OneLeader "format.one-leader", LateRefused "a Begin of an ended leader is refused";
    WipedIsUnknown "format.wiped-is-unknown", LeftEmpty "all drives are complete but one that was wiped";
    Ends "live.first-start", GoneOn "a start ends after a fault";
}
