//! The rules of locks, each with a witness that must be reached.

crate::rules! {
    Exclusive "lock.exclusive-while-clocks-agree", HeldInTurn "two clients hold the lock one after the other";
    LostIsKnown "lock.lost-is-known", OutlivedByHolder "a lock expires that its holder has not released";
    FreeAfterExpiry "lock.free-after-expiry", HolderDied "a lock is held, its holder dead or alive";
    RestartIsQuiet "lock.restart-forgets-nothing", RefusedByRestarted "a restarted server refuses a lock";
}
