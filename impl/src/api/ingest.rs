//! Ingestion of request bodies into the store: hashed on the way, committed only when whole and verified.

use super::{ApiError, Code, checksum};
use crate::{
    digest::Md5,
    runtime::{self, Gone, Rt},
    store::{STRIPE_LEN, StagingWriter, Store},
};
use bytes::Bytes;
use checksum::Hasher;
use futures::{Stream, StreamExt, future::join3};
use model::record::{Checksum, ChecksumKind};
use std::{pin::Pin, time::Duration};

/// The largest object, and part, in bytes: 5 TiB.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// Bytes that are gathered before they are hashed and handed on: a stripe, so that nothing of a body waits anywhere
/// else for the rest of one.
const BATCH_BYTES: usize = STRIPE_LEN;

/// A body that pauses for so long gives the memory back that the drives have gathered of it for larger writes.
const PAUSE: Duration = Duration::from_millis(100);

/// Batches of at least this many bytes are hashed off the connection's thread, beside the write.
const BATCH_BYTES_OFFLOADED: usize = 256 << 10;

/// The bytes of a request, in order. An error ends them.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, ApiError>> + Send>>;

/// A body on its way in, with what the client said about it.
pub struct Incoming {
    /// The bytes.
    pub body: Body,
    /// Announced length in bytes.
    pub size: u64,
    /// `Content-MD5`, decoded.
    pub md5: Option<[u8; 16]>,
    /// The checksum to verify or to compute.
    pub checksum: Expected,
    /// Another algorithm to compute.
    pub also: Option<ChecksumKind>,
}

/// Checksum of a body, as far as it is known before its end.
pub enum Expected {
    /// Compute this one.
    Compute(ChecksumKind),
    /// Must be this one (Base64).
    Is(ChecksumKind, String),
    /// Must be the one in the trailer, which is known when the body has ended.
    InTrailer(ChecksumKind, Box<dyn Fn() -> Option<String> + Send + Sync>),
}

impl Expected {
    /// Its algorithm.
    #[must_use]
    pub fn kind(&self) -> ChecksumKind {
        match self {
            Expected::Compute(kind) | Expected::Is(kind, _) | Expected::InTrailer(kind, _) => *kind,
        }
    }
}

impl Incoming {
    /// Checks what can be checked before the first byte.
    ///
    /// # Errors
    /// [`Code::EntityTooLarge`], or [`Code::InvalidRequest`] for a checksum that cannot be one.
    pub fn validate(&self) -> Result<(), ApiError> {
        if self.size > OBJECT_BYTES_MAX {
            return Err(Code::EntityTooLarge.into());
        }
        match &self.checksum {
            Expected::Is(kind, value) if !checksum::is_well_formed(*kind, value) => Err(ApiError::new(
                Code::InvalidRequest,
                format!("Value for {} header is invalid.", checksum::header_name(*kind)),
            )),
            _ => Ok(()),
        }
    }
}

/// Digests of an ingested body.
pub(super) struct Ingested {
    /// MD5, in hex.
    pub md5: String,
    /// The one that was verified if there was one, then those computed.
    pub checksums: Vec<Checksum>,
}

/// Copies a whole body into `writer` and verifies it. After an error the caller drops the writer, and
/// nothing is stored.
pub(super) async fn ingest(
    store: &Store,
    writer: &mut StagingWriter,
    incoming: Incoming,
) -> Result<Ingested, ApiError> {
    let Incoming {
        body,
        size,
        md5: expected_md5,
        checksum: expected,
        also,
    } = incoming;
    let mut hashes = Hashes::new(expected.kind(), also);
    let mut received = 0;
    let mut batches = Batches {
        body,
        rest: Bytes::new(),
    };
    loop {
        let (batch, ended) = batches.next(writer, &mut hashes).await?;
        let batch_bytes: usize = batch.iter().map(Bytes::len).sum();
        received += batch_bytes as u64;
        if received > size {
            return Err(ApiError::new(
                Code::IncompleteBody,
                "The body is longer than its declared length.",
            ));
        }
        hashes = hash_and_write(store, writer, hashes, batch, batch_bytes).await?;
        if ended {
            break;
        }
    }
    if received < size {
        return Err(Code::IncompleteBody.into());
    }
    hashes.verify(expected_md5, &expected)
}

/// A body in batches.
struct Batches {
    body: Body,
    /// Bytes received beyond the end of the last batch.
    rest: Bytes,
}

impl Batches {
    /// The next [`BATCH_BYTES`], fewer at the end; and whether the body has ended.
    async fn next(&mut self, writer: &mut StagingWriter, hashes: &mut Hashes) -> Result<(Vec<Bytes>, bool), ApiError> {
        let mut batch = Vec::new();
        let mut room = BATCH_BYTES;
        let mut data = std::mem::take(&mut self.rest);
        loop {
            if data.len() > room {
                self.rest = data.split_off(room);
            }
            room -= data.len();
            if !data.is_empty() {
                batch.push(data);
            }
            if room == 0 {
                return Ok((batch, false));
            }
            data = match self.receive(writer).await? {
                Some(data) => data,
                None => return Ok((batch, true)),
            };
            update(&mut hashes.crcs, &data);
        }
    }

    /// The next bytes of the body, `None` at its end.
    async fn receive(&mut self, writer: &mut StagingWriter) -> Result<Option<Bytes>, ApiError> {
        if writer.has_gathered() {
            let rt = writer.rt().clone();
            match runtime::timeout(&rt, PAUSE, self.body.next()).await {
                Some(received) => return received.transpose(),
                None => writer.flush().await?,
            }
        }
        self.body.next().await.transpose()
    }
}

async fn hash_and_write(
    store: &Store,
    writer: &mut StagingWriter,
    mut hashes: Hashes,
    batch: Vec<Bytes>,
    batch_bytes: usize,
) -> Result<Hashes, ApiError> {
    if batch_bytes < BATCH_BYTES_OFFLOADED {
        for data in &batch {
            hashes.md5.update(data);
            update(&mut hashes.shas, data);
        }
        write_all(writer, batch).await?;
        return Ok(hashes);
    }
    let Hashes { md5, crcs, shas } = hashes;
    let hashing = store.hashing().update(md5, batch.clone());
    let summing = sum(store.rt(), shas, batch.clone());
    let (md5, shas, written) = join3(hashing, summing, write_all(writer, batch)).await;
    written?;
    let gone = |_| ApiError::from(Code::InternalError);
    Ok(Hashes {
        md5: md5.map_err(gone)?,
        crcs,
        shas: shas.map_err(gone)?,
    })
}

/// Takes a batch into checksums, off the connection's thread if there are any.
async fn sum(rt: &Rt, mut checksums: Checksums, batch: Vec<Bytes>) -> Result<Checksums, Gone> {
    if checksums.is_empty() {
        return Ok(checksums);
    }
    runtime::cpu(rt, move || {
        batch.iter().for_each(|data| update(&mut checksums, data));
        checksums
    })
    .await
}

async fn write_all(writer: &mut StagingWriter, batch: Vec<Bytes>) -> Result<(), ApiError> {
    for data in batch {
        writer.write(data).await?;
    }
    Ok(())
}

type Checksums = Vec<(ChecksumKind, Hasher)>;

struct Hashes {
    md5: Md5,
    /// Taken in piece by piece, on the connection's thread: that takes less time than a hand-over to another, as a
    /// piece that has just come is still in the cache.
    crcs: Checksums,
    /// SHA-1 and SHA-256, which are slower than the network.
    shas: Checksums,
}

fn update(checksums: &mut Checksums, data: &[u8]) {
    for (_, hasher) in checksums {
        hasher.update(data);
    }
}

impl Hashes {
    fn new(kind: ChecksumKind, also: Option<ChecksumKind>) -> Hashes {
        let also = also.filter(|also| *also != kind);
        let all = [Some(kind), also].into_iter().flatten();
        let (crcs, shas) = all
            .map(|kind| (kind, Hasher::new(kind)))
            .partition(|(_, hasher)| hasher.is_crc());
        Hashes {
            md5: Md5::default(),
            crcs,
            shas,
        }
    }

    fn verify(self, expected_md5: Option<[u8; 16]>, expected: &Expected) -> Result<Ingested, ApiError> {
        let md5 = self.md5.finish();
        if expected_md5.is_some_and(|expected| expected != md5) {
            return Err(Code::BadDigest.into());
        }
        let finish = |(kind, hasher): (ChecksumKind, Hasher)| Checksum {
            kind,
            full_object: true,
            value: checksum::encode(&hasher.finish()),
        };
        let mut checksums: Vec<Checksum> = self.crcs.into_iter().chain(self.shas).map(finish).collect();
        // The one that is verified is the first.
        checksums.sort_by_key(|checksum| checksum.kind != expected.kind());
        let announced = match expected {
            Expected::Compute(_) => None,
            Expected::Is(_, announced) => Some(announced.clone()),
            Expected::InTrailer(_, trailer) => Some(trailer().ok_or(Code::MalformedTrailer)?),
        };
        let actual = checksums.first().map(|checksum| &checksum.value);
        if announced.is_some() && announced.as_ref() != actual {
            let name = checksum::kind_name(expected.kind());
            return Err(ApiError::new(
                Code::BadDigest,
                format!("The {name} you specified did not match the calculated checksum."),
            ));
        }
        Ok(Ingested {
            md5: hex(&md5),
            checksums,
        })
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(digits.map(|digit| DIGITS[usize::from(digit)]));
    text
}
