//! The rules of every configuration, each with a witness that must be reached.

crate::rules! {
    Complete "list.complete", Turned "a listing goes on behind its first page";
    AsRead "list.as-read", Written "a key is written while it is listed";
    InOrder "list.in-order", ReadAlone "a key on which the pages cannot decide is read alone";
    SpeaksForRange "list.speaks-for-range", Silent "a recovering drive speaks for nothing behind the marker";
}
