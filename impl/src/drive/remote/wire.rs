//! Calls to a drive of another node, and their answers, as bytes.
//!
//! A call is postcard of [`Call`], with the framed bytes of a shard behind it; an answer is postcard of a
//! `Result<T, DriveError>`, the same. The types are the model's and the drive's own: a test holds their bytes against
//! those of version 1 of the protocol, so that none changes unnoticed.

use crate::{
    drive::{DriveError, ListFrom, RegisterKey, Staging, Unnamed, page::PageHead},
    peer::Payload,
};
use bytes::Bytes;
use model::{
    protocol::{Ballot, Folder, Reply, Request, Snapshot, Vote},
    record::Record,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Highest round and epoch that a peer may speak of. One that is as high as can be would end a set: nothing is above
/// it.
const ROUND_MAX: u64 = 1 << 62;
const EPOCH_MAX: u64 = 1 << 32;

/// Number of a shard's writer or reader among those of one process and drive.
pub(super) type Handle = u64;

/// Call to a drive. What is not said here is as in [`crate::drive::Drive`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Call {
    Register {
        key: RegisterKey,
        request: Request<Record>,
    },
    ReadKey {
        key: RegisterKey,
    },
    /// The framed bytes are behind it.
    StageSmall {
        staging: Staging,
        key: RegisterKey,
        then: Request<Record>,
    },
    /// Appends to a file; the framed bytes are behind it. The first call of a writer, of this kind or one of the next
    /// two, says what is staged, under a number that the caller chose.
    Write {
        writer: Handle,
        begins: Option<Staging>,
    },
    Flush {
        writer: Handle,
        begins: Option<Staging>,
    },
    Sync {
        writer: Handle,
        begins: Option<Staging>,
    },
    Finish {
        writer: Handle,
        key: RegisterKey,
        then: Request<Record>,
    },
    DropWriter {
        writer: Handle,
    },
    /// Opens a shard under a number that the caller chose. The answer says how long it is; if that is no more than
    /// `inline`, the shard is behind it, and is not open.
    OpenShard {
        reader: Handle,
        folder: Folder,
        part: u16,
        inline: u64,
    },
    /// The framed bytes are behind the answer.
    Read {
        reader: Handle,
        offset: u64,
        len: u64,
    },
    DropReader {
        reader: Handle,
    },
    Abandon {
        owner: RegisterKey,
        folder: Folder,
    },
    EndUpload {
        owner: RegisterKey,
        upload: u128,
        ended: Ballot,
    },
    Unnamed {
        after: Option<Unnamed>,
        limit: u64,
    },
    List {
        prefix: Vec<u8>,
        from: ListFrom,
        limit: u64,
    },
}

impl Call {
    /// Returns whether it comes over the control connection and is done by the drive, which may hang.
    pub fn is_small(&self) -> bool {
        !matches!(
            self,
            Call::Write { .. }
                | Call::Flush { .. }
                | Call::Sync { .. }
                | Call::DropWriter { .. }
                | Call::Read { .. }
                | Call::DropReader { .. }
                | Call::List { .. }
        )
    }
}

/// Answer of [`Call::ReadKey`]; the small shard, if there is one, is behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyAnswer {
    pub snapshot: Snapshot<Record>,
    /// Folder of the small shard.
    pub folder: Option<Folder>,
}

/// Answer of [`Call::OpenShard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Opened {
    pub len: u64,
    /// The shard is behind the answer.
    pub is_inline: bool,
}

/// Encodes what is sent, with bytes of a shard behind it.
pub(super) fn encode(said: &impl Serialize, body: Bytes) -> Payload {
    // No value of these types fails: they are numbers, bytes, texts, and lists of them.
    let head = postcard::to_extend(said, Vec::with_capacity(256)).expect("it can be encoded");
    Payload {
        head: head.into(),
        body,
    }
}

/// Decodes what was sent, and returns with it the bytes behind it; `None` if it is malformed.
pub(super) fn decode<T: DeserializeOwned>(payload: &Bytes) -> Option<(T, Bytes)> {
    let (said, rest) = postcard::take_from_bytes(payload).ok()?;
    let body = payload.slice_ref(rest);
    Some((said, body))
}

/// Decodes an answer; [`DriveError::Offline`] if it is malformed, since nothing is known of what was done.
pub(super) fn answer<T: DeserializeOwned>(payload: &Bytes) -> Result<(T, Bytes), DriveError> {
    let malformed = || DriveError::Offline("its node sent an answer that cannot be read".to_owned());
    let (answer, body) = decode::<Result<T, DriveError>>(payload).ok_or_else(malformed)?;
    Ok((answer?, body))
}

/// Range check of the rounds and epochs in a message.
pub(super) trait Sane {
    /// Returns whether no round or epoch in it is so high that taking it over would end the set.
    fn is_sane(&self) -> bool;
}

impl Sane for Ballot {
    fn is_sane(&self) -> bool {
        self.round <= ROUND_MAX && self.epoch <= EPOCH_MAX
    }
}

impl Sane for Vote<Record> {
    fn is_sane(&self) -> bool {
        self.ballot.is_sane()
    }
}

impl Sane for Request<Record> {
    fn is_sane(&self) -> bool {
        let votes = match self {
            Request::Accept { vote, prev } => vote.is_sane() && prev.is_sane(),
            Request::Install { vote, .. } => vote.is_sane(),
            _ => true,
        };
        votes && self.ballot().is_none_or(|ballot| ballot.is_sane())
    }
}

impl Sane for Snapshot<Record> {
    fn is_sane(&self) -> bool {
        let ballots = [self.accepted.ballot, self.prev.ballot, self.floor];
        ballots.iter().all(Sane::is_sane) && self.epoch <= EPOCH_MAX
    }
}

impl Sane for Reply<Record> {
    fn is_sane(&self) -> bool {
        match self {
            Reply::Granted(snapshot) | Reply::Read(snapshot) => snapshot.is_sane(),
            Reply::Refused(nack) => nack.promised.is_sane() && nack.floor.is_sane() && nack.epoch <= EPOCH_MAX,
            Reply::Membership { epoch, .. } => *epoch <= EPOCH_MAX,
            Reply::Accepted | Reply::Done => true,
        }
    }
}

impl Sane for PageHead {
    fn is_sane(&self) -> bool {
        self.floor.is_sane() && self.epoch <= EPOCH_MAX
    }
}

impl Sane for KeyAnswer {
    fn is_sane(&self) -> bool {
        self.snapshot.is_sane()
    }
}

impl Sane for Call {
    fn is_sane(&self) -> bool {
        match self {
            Call::Register { request, .. } => request.is_sane(),
            Call::StageSmall { then, .. } | Call::Finish { then, .. } => then.is_sane(),
            Call::EndUpload { ended, .. } => ended.is_sane(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drive::fixture::{ballot, vote};

    fn hex(payload: &Payload) -> String {
        let bytes = payload.head.iter().chain(&payload.body);
        bytes.map(|byte| format!("{byte:02x}")).collect()
    }

    fn calls() -> Vec<(Call, Bytes)> {
        let (key, owner) = (RegisterKey::object(1, "k"), RegisterKey::object(1, "k"));
        let (upload, none) = (5, Bytes::new());
        let staging = Staging {
            owner: owner.clone(),
            folder: 7,
            upload: Some(upload),
            part: 3,
        };
        let unnamed = Unnamed {
            owner: owner.clone(),
            folder: 7,
            upload: None,
            part: 1,
        };
        let prepare = Request::Prepare { ballot: ballot(300) };
        let accept = Request::Accept {
            vote: vote(301, 9),
            prev: Vote::absent(),
        };
        let request = Request::Read;
        let small = Bytes::from_static(b"framed");
        let (prefix, from, limit) = (b"o".to_vec(), ListFrom::After(b"ok".to_vec()), 1000);
        vec![
            (
                Call::Register {
                    key: key.clone(),
                    request,
                },
                none.clone(),
            ),
            (
                Call::Register {
                    key: key.clone(),
                    request: accept,
                },
                none.clone(),
            ),
            (Call::ReadKey { key: key.clone() }, none.clone()),
            (
                Call::StageSmall {
                    staging: staging.clone(),
                    key: key.clone(),
                    then: prepare.clone(),
                },
                small.clone(),
            ),
            (
                Call::Write {
                    writer: 1,
                    begins: Some(staging),
                },
                small,
            ),
            (
                Call::Flush {
                    writer: 1,
                    begins: None,
                },
                none.clone(),
            ),
            (
                Call::Sync {
                    writer: 1,
                    begins: None,
                },
                none.clone(),
            ),
            (
                Call::Finish {
                    writer: 1,
                    key,
                    then: prepare,
                },
                none.clone(),
            ),
            (Call::DropWriter { writer: 1 }, none.clone()),
            (
                Call::OpenShard {
                    reader: 2,
                    folder: 7,
                    part: 1,
                    inline: 4096,
                },
                none.clone(),
            ),
            (
                Call::Read {
                    reader: 2,
                    offset: 4096,
                    len: 1 << 20,
                },
                none.clone(),
            ),
            (Call::DropReader { reader: 2 }, none.clone()),
            (
                Call::Abandon {
                    owner: owner.clone(),
                    folder: 7,
                },
                none.clone(),
            ),
            (
                Call::EndUpload {
                    owner,
                    upload,
                    ended: ballot(300),
                },
                none.clone(),
            ),
            (
                Call::Unnamed {
                    after: Some(unnamed),
                    limit,
                },
                none.clone(),
            ),
            (Call::List { prefix, from, limit }, none),
        ]
    }

    #[test]
    fn calls_have_the_bytes_of_version_1() {
        let lines = calls().into_iter().map(|(call, body)| {
            let payload = encode(&call, body.clone());
            let sent = Bytes::from([payload.head.clone(), payload.body.clone()].concat());
            assert_eq!(decode::<Call>(&sent), Some((call.clone(), body)));
            format!("{call:?}\n    {}", hex(&payload))
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn answers_have_the_bytes_of_version_1() {
        let snapshot = Snapshot {
            accepted: vote(301, 9),
            prev: Vote::absent(),
            committed: false,
            folders: vec![9],
            authoritative: true,
            floor: ballot(300),
            epoch: 0,
        };
        let key = KeyAnswer {
            snapshot: snapshot.clone(),
            folder: Some(9),
        };
        let opened = Opened {
            len: 7,
            is_inline: true,
        };
        let lines = [
            hex(&encode(
                &Ok::<_, DriveError>(Reply::<Record>::Granted(snapshot)),
                Bytes::new(),
            )),
            hex(&encode(&Ok::<_, DriveError>(Reply::<Record>::Accepted), Bytes::new())),
            hex(&encode(&Err::<Reply<Record>, _>(DriveError::Busy), Bytes::new())),
            hex(&encode(&Ok::<_, DriveError>(key), Bytes::from_static(b"framed"))),
            hex(&encode(&Ok::<_, DriveError>(opened), Bytes::from_static(b"framed!"))),
        ];
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn a_round_or_epoch_that_would_end_the_set_is_noticed() {
        let high = |round, epoch| Ballot {
            round,
            epoch,
            ..ballot(1)
        };
        assert!(high(ROUND_MAX, EPOCH_MAX).is_sane());
        for ballot in [high(ROUND_MAX + 1, 0), high(0, EPOCH_MAX + 1)] {
            assert!(!Request::<Record>::Prepare { ballot }.is_sane());
            let accept = Request::Accept {
                vote: vote(1, 1),
                prev: Vote { ballot, ..vote(1, 1) },
            };
            assert!(!accept.is_sane());
            let nack = model::protocol::Nack {
                promised: Ballot::ZERO,
                floor: ballot,
                epoch: 0,
            };
            assert!(!Reply::<Record>::Refused(nack).is_sane());
        }
    }
}
