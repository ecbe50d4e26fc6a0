//! The rules of every configuration, each with a witness that must be reached.

crate::rules! {
    Linearizable "register.linearizable", AllAnswered "every client is answered";
    OneValuePerBallot "register.one-value-per-ballot", TwoSets "two sets vote in one ballot";
    Chain "register.chain", TwoChosen "two values are chosen one after the other in a set";
    PrevIsChosen "register.prev-is-chosen", Withdrawn "a stale copy is withdrawn";
    OneHome "pool.one-home", Arrived "a key that was forwarded has arrived";
    MoveKeepsData "pool.move-keeps-data", Dropped "the data of a key that was forwarded is dropped";
    SupersededStaysDead "pool.superseded-stays-dead", TwoCreated "creations are proposed in two pools";
    Precondition "put.precondition-on-predecessor", ConditionalAcked "a conditional put is acknowledged";
    NotFoundIsKnown "read.not-found-is-known", NotFound "a read answers that the key is absent";
    NoResurrection "delete.no-resurrection", DeleteAcked "a delete is acknowledged on data";
    PurgeIsTotal "pool.purge-is-total", Purged "a tombstone is purged";
    AliveAlone "pool.unknown-is-not-absent", AnsweredAlone "a key is read while another pool is silent";
}
