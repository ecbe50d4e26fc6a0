//! Multipart uploads: what a request does next, and what a drive removes once an upload is gone.
//!
//! An upload is open as long as the chosen value of its key says so; each part is a register of its own. The
//! machines here say in which order the two are read and voted on (`specs/multipart.md`); a register's vote is
//! one step of theirs. Whoever runs a machine drops it when a read or a vote fails: nothing is to be undone.

use crate::protocol::{Ballot, Folder, Outcome, Register, Value};
use crate::record::mutant::{Mutant, Mutation};
use crate::record::{Change, Checksum, ObjectData, Part, Precondition, Record, Refusal, Upload, Versioning};
use std::collections::BTreeSet;

/// Next step that a machine asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Step {
    /// Read what is chosen of the key: [`Event::Key`].
    ReadKey,
    /// Read what is chosen of the upload's part registers: [`Event::Parts`].
    ReadParts,
    /// Stage the part's shards, cut as this upload says: [`Event::Staged`].
    Stage(Upload),
    /// Change the key's register, or of a part its own: [`Event::Voted`].
    Vote(Change),
    /// The request is refused.
    Refuse(Refused),
    /// The request ended as its vote did.
    Answer(Outcome<Record, Refusal>),
    /// The upload is gone as of this record. Answer with it, and let every drive clean up.
    Ended {
        /// The key's value that ended it.
        record: Record,
        /// The ballot under which it is chosen: what drives need to have heard of ([`left_by`]).
        ballot: Ballot,
    },
}

/// Refusal of a request on an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// The upload is not open.
    NoSuchUpload,
    /// The part of an open upload is missing, or has another ETag than the one named.
    InvalidPart(u16),
}

/// Result of a step.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Chosen value of the key.
    Key(Record),
    /// Chosen values of the upload's parts, in the order of their numbers.
    Parts(Vec<Part>),
    /// The part is staged on W drives.
    Staged(Part),
    /// Outcome of the vote, and its ballot.
    Voted(Outcome<Record, Refusal>, Ballot),
}

/// Stores a part: is the upload open? - stage - is it still open? - vote on the part's register.
///
/// The second look keeps most parts of an upload that has ended from being voted on. What slips through, between
/// the look and the vote, is in nobody's way: the upload's id never comes back, and the clean-up finds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadPart {
    upload: u128,
    /// The part, once it is staged.
    part: Option<Part>,
    mutation: Mutation,
}

impl UploadPart {
    /// A part of this upload, and the first step.
    #[must_use]
    pub fn new(upload: u128) -> (UploadPart, Step) {
        let machine = UploadPart {
            upload,
            part: None,
            mutation: Mutation::NONE,
        };
        (machine, Step::ReadKey)
    }

    /// The same machine, broken in one way.
    #[must_use]
    pub fn with_mutation(mut self, mutation: Mutation) -> Self {
        self.mutation = mutation;
        self
    }

    /// Returns what to do after what was asked for was done; `None` if it was not asked for.
    pub fn on(&mut self, event: Event) -> Option<Step> {
        match event {
            Event::Key(record) => Some(match (open_upload(&record, self.upload), &self.part) {
                (None, _) => Step::Refuse(Refused::NoSuchUpload),
                (Some(upload), None) => Step::Stage(upload.clone()),
                (Some(_), Some(part)) => Step::Vote(Change::PutPart(part.clone())),
            }),
            Event::Staged(part) if self.mutation.is(Mutant::PartNotCheckedAgain) => {
                Some(Step::Vote(Change::PutPart(part)))
            }
            Event::Staged(part) => {
                self.part = Some(part);
                Some(Step::ReadKey)
            }
            Event::Voted(outcome, _) => Some(Step::Answer(outcome)),
            Event::Parts(_) => None,
        }
    }
}

/// Request to complete an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Completion {
    /// The parts, by number and ETag, in ascending order.
    pub parts: Vec<(u16, String)>,
    /// The object's ETag.
    pub etag: String,
    /// Checksums of the whole object.
    pub checksums: Vec<Checksum>,
    /// Condition on the version to be replaced.
    pub precondition: Precondition,
    /// Treatment of the versions that exist.
    pub versioning: Versioning,
}

/// Makes a version of an upload: read the parts - is the upload open? - one vote on the key.
///
/// The parts are read first: while the upload is open none of them goes away, so if it is still open afterwards,
/// what was read was all there (`multipart.invalid-part-is-known`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Complete {
    upload: u128,
    completion: Completion,
    /// The parts, once they are read.
    stored: Option<Vec<Part>>,
    /// Memory of a mutant.
    early: Option<(Record, Ballot)>,
    mutation: Mutation,
}

impl Complete {
    /// A completion of this upload, and the first step.
    #[must_use]
    pub fn new(upload: u128, completion: Completion, mutation: Mutation) -> (Complete, Step) {
        let machine = Complete {
            upload,
            completion,
            stored: None,
            early: None,
            mutation,
        };
        let first = if mutation.is(Mutant::CompleteReadsKeyFirst) {
            Step::ReadKey
        } else {
            Step::ReadParts
        };
        (machine, first)
    }

    /// Returns what to do after what was asked for was done; `None` if it was not asked for.
    pub fn on(&mut self, event: Event) -> Option<Step> {
        match event {
            Event::Parts(parts) => {
                self.stored = Some(parts);
                Some(
                    self.early
                        .take()
                        .map_or(Step::ReadKey, |(record, _)| self.found(&record)),
                )
            }
            Event::Key(record) => Some(self.found(&record)),
            Event::Voted(outcome, ballot) => Some(self.voted(outcome, ballot)),
            Event::Staged(_) => None,
        }
    }

    fn found(&mut self, record: &Record) -> Step {
        let Some(upload) = open_upload(record, self.upload) else {
            return Step::Refuse(Refused::NoSuchUpload);
        };
        let Some(stored) = &self.stored else {
            self.early = Some((record.clone(), Ballot::ZERO));
            return Step::ReadParts;
        };
        match self.object(upload, stored) {
            Err(number) => Step::Refuse(Refused::InvalidPart(number)),
            Ok(data) => Step::Vote(self.change(data)),
        }
    }

    fn change(&self, data: ObjectData) -> Change {
        let (precondition, versioning) = (self.completion.precondition.clone(), self.completion.versioning);
        if self.mutation.is(Mutant::CompleteInTwoVotes) {
            return Change::Put {
                data,
                precondition,
                versioning,
            };
        }
        Change::CompleteUpload {
            upload: self.upload,
            data,
            precondition,
            versioning,
        }
    }

    fn voted(&mut self, outcome: Outcome<Record, Refusal>, ballot: Ballot) -> Step {
        if let Some((record, ballot)) = self.early.take() {
            return Step::Ended { record, ballot };
        }
        match outcome {
            Outcome::Written(record) if self.mutation.is(Mutant::CompleteInTwoVotes) => {
                self.early = Some((record, ballot));
                Step::Vote(Change::AbortUpload(self.upload))
            }
            Outcome::Written(record) => Step::Ended { record, ballot },
            Outcome::Ambiguous(_) if self.mutation.is(Mutant::EndProposedAgain) => Step::ReadParts,
            outcome => Step::Answer(outcome),
        }
    }

    /// The object that the named parts make, or the number of the first that is not there as named.
    fn object(&self, upload: &Upload, stored: &[Part]) -> Result<ObjectData, u16> {
        let mut parts = Vec::with_capacity(self.completion.parts.len());
        for (number, etag) in &self.completion.parts {
            let found = stored.binary_search_by_key(number, |part| part.data.number);
            let part = found.ok().map(|at| &stored[at]);
            let as_named =
                part.filter(|part| part.data.etag == *etag || self.mutation.is(Mutant::CompleteTakesAnyPart));
            parts.push(as_named.ok_or(*number)?.data.clone());
        }
        Ok(ObjectData {
            etag: self.completion.etag.clone(),
            size: parts.iter().map(|part| part.size).sum(),
            data_shards: upload.data_shards,
            parity_shards: upload.parity_shards,
            parts,
            headers: upload.headers.clone(),
            checksums: self.completion.checksums.clone(),
        })
    }
}

/// Forgets an upload: one vote on the key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Abort;

impl Abort {
    /// An abort of this upload, and the first step.
    #[must_use]
    pub fn new(upload: u128) -> (Abort, Step) {
        (Abort, Step::Vote(Change::AbortUpload(upload)))
    }

    /// Returns what to do after what was asked for was done; `None` if it was not asked for.
    pub fn on(&mut self, event: Event) -> Option<Step> {
        match event {
            Event::Voted(Outcome::Written(record), ballot) => Some(Step::Ended { record, ballot }),
            Event::Voted(outcome, _) => Some(Step::Answer(outcome)),
            _ => None,
        }
    }
}

/// The folders that a drive removes, with the upload's part registers, when it is asked to clean up after an upload
/// that ended under the ballot `ended`; `None`: nothing yet. `held` are the folders of the key that it holds, each
/// with the upload that it was staged for.
///
/// The drive goes by what it has committed, and only if that is the end or comes after it. To one that lags, an
/// upload that it has not heard of looks like one that is gone, and a version that it has not heard of names nothing
/// (`multipart.end-is-known`).
pub fn left_by(
    register: &Register<Record>,
    upload: u128,
    ended: Ballot,
    held: impl IntoIterator<Item = (Folder, u128)>,
    mutation: Mutation,
) -> Option<Vec<Folder>> {
    let heard = register.accepted.ballot >= ended || mutation.is(Mutant::EndUnheard);
    let known = register.committed || mutation.is(Mutant::AbortCleansEarly);
    if !heard || !known || open_upload(&register.accepted.value, upload).is_some() {
        return None;
    }
    let votes = [&register.accepted, &register.prev];
    let named: BTreeSet<Folder> = votes
        .iter()
        .filter(|_| !mutation.is(Mutant::EndDropsNamed))
        .flat_map(|vote| vote.value.folders())
        .map(|need| need.folder)
        .collect();
    let left = held
        .into_iter()
        .filter(|(folder, of)| *of == upload && !named.contains(folder));
    Some(left.map(|(folder, _)| folder).collect())
}

/// Decision of the staging clean-up about a folder that a drive holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CleanUp {
    /// Named, or a part of an open upload.
    Keep,
    /// Its upload is gone: drives remove what is left of it.
    End(u128),
    /// Not needed.
    Drop,
}

/// Returns what to do about a folder that was staged for `upload`, if for one, when `chosen` is the key's value under a
/// ballot of the clean-up's own: whoever staged the folder before has lost their turn.
#[must_use]
pub fn clean_up(chosen: &Record, folder: Folder, upload: Option<u128>) -> CleanUp {
    let named = chosen.folders().iter().any(|need| need.folder == folder);
    match upload {
        _ if named => CleanUp::Keep,
        Some(upload) if open_upload(chosen, upload).is_some() => CleanUp::Keep,
        Some(upload) => CleanUp::End(upload),
        None => CleanUp::Drop,
    }
}

/// The upload, if it is open in a key's value.
#[must_use]
pub fn open_upload(record: &Record, upload: u128) -> Option<&Upload> {
    record.object()?.upload(upload)
}
