//! Trace of a server's machines: their inputs and outputs, and the check of them.
//!
//! A node writes an [`Event`] for each step of a machine. [`Replay`] takes them one by one, runs the same machines on
//! the same inputs, and finds out what does not follow: another output, an input that nobody sent, a reply that left
//! before what it promises was durable, a vote that breaks a rule. The simulation replays what its nodes write, and
//! `impl replay` what a real server wrote (`--trace`).

mod books;
mod replay;
#[cfg(test)]
mod tests;

pub use replay::{Replay, Violation};

use crate::protocol::{
    self, DriveEffect, DriveState, Effect, Folder, Quorums, ReadDecision, Register, Reply, Request, Snapshot,
};
use crate::record::{Op, Record};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt::{self, Write};

/// A drive's place in the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The erasure set.
    pub set: u32,
    /// Its index there.
    pub drive: u8,
}

/// A register's key, as the index names it. Written with everything but printable ASCII as `%XX`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Vec<u8>);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            match byte {
                b'!'..=b'~' if *byte != b'%' => f.write_char(char::from(*byte))?,
                _ => write!(f, "%{byte:02X}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            rest = tail;
            if *first != b'%' {
                bytes.push(*first);
                continue;
            }
            let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(byte.ok_or_else(|| de::Error::custom("two hex digits belong behind %"))?);
            rest = &rest[2..];
        }
        Ok(Key(bytes))
    }
}

/// An event with its place in the order of its node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1, 2, 3 …
    pub sequence: u64,
    /// Node that wrote it.
    pub node: u32,
    /// The event.
    pub event: Event,
}

/// A step of a machine, or what its surroundings did to it.
///
/// The order is that of cause and effect: what a coordinator sends is written before a drive's step on it, a drive's
/// step before the coordinator hears of it, and that a batch is durable before its replies leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A drive begins to serve in a new process, with what it had stored of itself.
    Opened {
        /// The drive.
        at: Place,
        /// Its state.
        state: DriveState,
    },
    /// A drive takes a key into memory, as its index has it.
    Loaded {
        /// The drive.
        at: Place,
        /// The key.
        key: Key,
        /// The stored register.
        register: Register<Record>,
    },
    /// A drive answers a message.
    Stepped {
        /// The drive.
        at: Place,
        /// The key.
        key: Key,
        /// The drive's state before.
        state: DriveState,
        /// The folders of the key that it held before.
        folders: Vec<Folder>,
        /// The message.
        request: Request<Record>,
        /// The answer, which has not left yet.
        reply: Reply<Record>,
        /// Effects that come before the reply.
        effects: Vec<DriveEffect>,
    },
    /// A drive removes a register: of a part whose upload has ended.
    Removed {
        /// The drive.
        at: Place,
        /// The key.
        key: Key,
    },
    /// All that a drive has stepped through so far is durable.
    Durable {
        /// The drive.
        at: Place,
    },
    /// An operation begins.
    Began {
        /// The key's erasure set.
        set: u32,
        /// The key.
        key: Key,
        /// The quorums of the set.
        quorums: Quorums,
        /// The highest epoch that its node knows to be stored at A drives.
        #[serde(default)]
        settled: u64,
        /// The operation. [`Op::change`] names it from now on.
        op: Op,
        /// Effects of its coordinator.
        effects: Vec<Effect<Record>>,
    },
    /// An operation's coordinator is told something.
    Reacted {
        /// [`Op::change`].
        operation: u128,
        /// Event that the machine was given.
        event: protocol::Event<Record>,
        /// Effects that it answered with.
        effects: Vec<Effect<Record>>,
    },
    /// A plain read, or a listing, decides on what drives say of a key.
    Decided {
        /// The key's erasure set.
        set: u32,
        /// The key.
        key: Key,
        /// The quorums of the set.
        quorums: Quorums,
        /// Answers by drive.
        answers: BTreeMap<u8, Snapshot<Record>>,
        /// Decision that the reader made of the answers.
        decision: ReadDecision<Record>,
    },
}
