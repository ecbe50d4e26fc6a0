//! The rules of configuration, each with a witness that must be reached.

crate::rules! {
    AnsweredIsSeen "configuration.answered-is-seen", ServedAfterChange "a node serves after a change was answered";
    OnlyForward "configuration.only-forward", Overtaken "a node is told of a version older than its own";
    ServedIsChosen "configuration.served-is-chosen", ServedUnanswered "a node serves what is not answered yet";
    NeedsNoAcceptors "configuration.needs-no-acceptors", WithoutAcceptors "a node serves after the acceptors are lost";
    NeedsNotAllNodes "configuration.needs-not-all-nodes", Missed "a change is answered that a node has missed";
}
