//! What can go wrong between two nodes, told apart by what the caller may conclude.

use std::{io, ops::RangeInclusive, sync::Arc};

/// Error of a call. Its kind is what the caller may conclude of it (`peer.unknown-is-not-failed`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No byte of it was sent: it was not run, and never will be.
    #[error("not sent: {0}")]
    NotSent(NotSent),
    /// It may have been run, and may still be.
    #[error("no answer: {0}")]
    Unknown(Lost),
    /// The peer has not run it, and will not.
    #[error("refused by the peer: {0}")]
    Refused(Refusal),
}

/// Reason why a call was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no connection.
    #[error("{0}")]
    Unreachable(Arc<str>),
    /// Too many bytes or calls wait to be sent.
    #[error("too much waits to be sent to the peer")]
    Busy,
    /// It does not fit into a frame.
    #[error("a payload of {0} bytes is more than a frame can have")]
    TooLarge(usize),
}

/// Reason why a call that was sent has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Its time is over.
    #[error("the peer has not answered in time")]
    Deadline,
    /// Its connection has ended.
    #[error("{0}")]
    Connection(Arc<str>),
    /// It was run, and its answer could not be sent.
    #[error("the peer ran the call and has no answer to it")]
    Unanswered,
}

/// Reason why a peer did not run a call. Its numbers are part of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// Nobody waits for it any more.
    #[error("it came too late")]
    Expired = 1,
    /// Too many calls wait where it was to be run.
    #[error("too many calls wait there")]
    Busy = 2,
    /// There is nothing of this number here.
    #[error("it has no such service")]
    NoService = 3,
    /// The payload cannot be read.
    #[error("it cannot read the call")]
    Malformed = 4,
}

impl Refusal {
    /// Returns the refusal of a number of the protocol.
    #[must_use]
    pub fn of(number: u8) -> Option<Refusal> {
        use Refusal::*;
        [Expired, Busy, NoService, Malformed]
            .into_iter()
            .find(|refusal| *refusal as u8 == number)
    }
}

/// Error that ends a connection. One line, for the operator of the node that logs it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The stream failed.
    #[error("{0}")]
    Io(io::Error),
    /// The peer has ended the stream.
    #[error("the peer has closed the connection")]
    Closed,
    /// The peer has said that it stops.
    #[error("it was stopped")]
    Goodbye,
    /// No byte has come for too long.
    #[error("the peer has sent nothing for {0} s")]
    Silent(u64),
    /// This node has closed it.
    #[error("the connection was closed")]
    Ended,
    /// What came is no frame that may come here.
    #[error("the peer does not keep to the protocol: {0}")]
    Protocol(&'static str),
    /// The two did not agree to talk.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// It took too long to connect.
    #[error("not connected after {0} s")]
    Slow(u64),
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> ConnectionError {
        match error.kind() {
            // The stream has ended before the session below it.
            io::ErrorKind::UnexpectedEof => ConnectionError::Closed,
            _ => ConnectionError::Io(error),
        }
    }
}

/// Reason why two nodes do not talk. Who has not proven to know the secret is told nothing of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// What came is no greeting or proof.
    #[error("what answers there is no node of this release: {0}")]
    Malformed(&'static str),
    /// The other side does not know the secret.
    #[error("the peer does not have the same secret: give all nodes the same IMPL_PEER_SECRET, or the same root user")]
    WrongSecret,
    /// The other side ended the connection at the proof of this one, as one with another secret does.
    #[error(
        "the peer did not take this node's proof of the secret: give all nodes the same IMPL_PEER_SECRET, or the same \
         root user"
    )]
    ProofRefused,
    /// The other side sent back what it got.
    #[error("the address leads back to this node")]
    Reflected,
    /// Another node than the one that was meant.
    #[error(
        "node {wanted} was dialled, and node {found} answers there, counted from 0: give all nodes the URLs in the \
         same order, and look whose address it is"
    )]
    WrongNode {
        /// Index of the node that was meant.
        wanted: u16,
        /// Index that the node there has.
        found: u16,
    },
    /// No node of this deployment.
    #[error(
        "the peer is node {found}, counted from 0, and this node was given {nodes} nodes: give all nodes the same URLs"
    )]
    NoSuchNode {
        /// Index that the peer has.
        found: u16,
        /// Number of nodes.
        nodes: u16,
    },
    /// The drives of the other node are of another deployment, or in another order.
    #[error("{}", deployments(ours, theirs))]
    OtherDeployment {
        /// The deployment of this node's drives.
        ours: String,
        /// That of the peer's.
        theirs: String,
    },
    /// One of the two has not found out yet which deployment its drives are of.
    #[error("it is still starting")]
    Starting,
    /// The two are set up differently.
    #[error("{name} of this node is {ours}, of the peer {theirs}: give all nodes the same")]
    Setting {
        /// The setting.
        name: String,
        /// Its value here.
        ours: String,
        /// Its value there.
        theirs: String,
    },
    /// The clocks differ, and one of the two does not serve yet.
    #[error(
        "the peer's clock is {} {}: this node's says {}, the peer's {} since 1970; set the clock that is wrong",
        seconds(ours.abs_diff(*theirs)), if theirs > ours { "ahead" } else { "behind" },
        seconds(*ours), seconds(*theirs)
    )]
    Clock {
        /// This node's clock, in nanoseconds since 1970.
        ours: u64,
        /// The peer's.
        theirs: u64,
    },
    /// No version of the protocol that both know.
    #[error(
        "this node speaks versions {} to {} of the protocol, the peer {} to {}: upgrade the one that speaks the lower \
         ones",
        ours.start(), ours.end(), theirs.start(), theirs.end()
    )]
    NoCommonVersion {
        /// Versions that this node knows.
        ours: RangeInclusive<u16>,
        /// Those of the peer.
        theirs: RangeInclusive<u16>,
    },
    /// No place for a further connection of that process.
    #[error("it has as many connections as it may have, or a newer process of it is connected")]
    TooMany,
    /// The process is ending.
    #[error("it is shutting down")]
    Closing,
    /// The peer does not want to talk, for this reason of its own.
    #[error("refused by the peer: {0}")]
    Refused(String),
}

fn deployments(ours: &str, theirs: &str) -> String {
    match ours == theirs {
        true => format!(
            "the drives of this node and of the peer are of deployment {ours}, and the sets in their format.json \
             differ: look which of them were changed"
        ),
        false => format!(
            "the drives of this node are of deployment {ours}, those of the peer of {theirs}: look whether each host \
             has its own drives mounted, and whether the URLs name the right hosts"
        ),
    }
}

/// Nanoseconds as seconds in words.
fn seconds(nanos: u64) -> String {
    format!("{}.{:03} s", nanos / 1_000_000_000, nanos / 1_000_000 % 1000)
}
