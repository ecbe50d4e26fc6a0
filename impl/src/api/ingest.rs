//! Ingestion of request bodies into the store: hashed on the way, committed only when whole and verified.

use super::{ApiError, Code, checksum};
use crate::{
    digest::{BodyHash, Md5},
    runtime::{self, Gone, Rt},
    store::{StagingWriter, Store},
};
use bytes::Bytes;
use checksum::Hasher;
use futures::{Stream, StreamExt};
use model::record::{Checksum, ChecksumKind};
use std::{fmt::Write as _, pin::Pin, time::Duration};
use tokio::sync::oneshot;

/// The largest object, and part, in bytes: 5 TiB.
pub const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// A body that pauses for so long gives the memory back that the drives have gathered of it for larger writes.
const PAUSE: Duration = Duration::from_millis(100);

/// Bodies of at least this many bytes are hashed off the connection's thread, beside those of others.
const BODY_BYTES_OFFLOADED: u64 = 64 << 10;

/// Bytes that are gathered for a checksum that is computed off the connection's thread.
const BATCH_BYTES: usize = 1 << 20;

/// The bytes of a request, in order. An error ends them.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, ApiError>> + Send>>;

/// A body on its way in, with what the client said about it.
pub struct Incoming {
    /// The bytes.
    pub body: Body,
    /// How many bytes the client has announced.
    pub size: u64,
    /// `Content-MD5`, decoded.
    pub md5: Option<[u8; 16]>,
    /// The checksum to verify or to compute.
    pub checksum: Expected,
    /// One more to compute, if it is another.
    pub also: Option<ChecksumKind>,
}

/// What is known of the checksum of a body before its end.
pub enum Expected {
    /// Compute this one.
    Compute(ChecksumKind),
    /// It must be this one (Base64).
    Is(ChecksumKind, String),
    /// It must be the one that follows the body in its trailer, which is there when the body has ended.
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

/// What a body was.
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
    let mut digests = Digests::new(store, &incoming);
    let Incoming {
        mut body,
        size,
        md5: expected_md5,
        checksum: expected,
        ..
    } = incoming;
    let mut received = 0;
    while let Some(data) = receive(&mut body, writer).await? {
        received += data.len() as u64;
        if received > size {
            return Err(ApiError::new(
                Code::IncompleteBody,
                "The body is longer than its declared length.",
            ));
        }
        // Each piece goes everywhere at once, while it is in the cache.
        digests.update(&data).await.map_err(gone)?;
        writer.write(data).await?;
    }
    if received < size {
        return Err(Code::IncompleteBody.into());
    }
    digests.finish().await.map_err(gone)?.verify(expected_md5, &expected)
}

fn gone(_: Gone) -> ApiError {
    Code::InternalError.into()
}

/// The next bytes of the body, `None` at its end.
async fn receive(body: &mut Body, writer: &mut StagingWriter) -> Result<Option<Bytes>, ApiError> {
    if writer.has_gathered() {
        let rt = writer.rt().clone();
        match runtime::timeout(&rt, PAUSE, body.next()).await {
            Some(received) => return received.transpose(),
            None => writer.flush().await?,
        }
    }
    body.next().await.transpose()
}

type Checksums = Vec<(ChecksumKind, Hasher)>;

fn update(checksums: &mut Checksums, data: &[u8]) {
    for (_, hasher) in checksums {
        hasher.update(data);
    }
}

/// Digests of a body that comes in.
struct Digests {
    md5: BodyMd5,
    /// Computed on the connection's thread: a piece that has just come is still in the cache, and is taken in faster
    /// than it could be handed to another thread.
    crcs: Checksums,
    shas: Offloaded,
}

enum BodyMd5 {
    Here(Md5),
    Pooled(BodyHash),
}

impl Digests {
    fn new(store: &Store, incoming: &Incoming) -> Digests {
        let kind = incoming.checksum.kind();
        let also = incoming.also.filter(|also| *also != kind);
        let all = [Some(kind), also].into_iter().flatten();
        let (crcs, shas) = all
            .map(|kind| (kind, Hasher::new(kind)))
            .partition(|(_, hasher)| hasher.is_crc());
        let md5 = match incoming.size < BODY_BYTES_OFFLOADED {
            true => BodyMd5::Here(Md5::default()),
            false => BodyMd5::Pooled(store.hashing().begin()),
        };
        Digests {
            md5,
            crcs,
            shas: Offloaded::new(store.rt().clone(), shas),
        }
    }

    /// Takes a piece in. Waits if the slower digests are too far behind.
    async fn update(&mut self, data: &Bytes) -> Result<(), Gone> {
        update(&mut self.crcs, data);
        match &mut self.md5 {
            BodyMd5::Here(md5) => md5.update(data),
            BodyMd5::Pooled(body) => body.push(data.clone()).await?,
        }
        self.shas.push(data).await
    }

    async fn finish(self) -> Result<Finished, Gone> {
        let md5 = match self.md5 {
            BodyMd5::Here(md5) => md5.finish(),
            BodyMd5::Pooled(body) => body.finish().await?,
        };
        let mut checksums = self.crcs;
        checksums.extend(self.shas.finish().await?);
        Ok(Finished { md5, checksums })
    }
}

/// Checksums that are slower than the network, SHA-1 and SHA-256: computed off the connection's thread, batch by batch,
/// each while the next is received.
struct Offloaded {
    rt: Rt,
    /// Empty while a batch is worked on.
    checksums: Checksums,
    worker: Option<oneshot::Receiver<Checksums>>,
    batch: Vec<Bytes>,
    batch_bytes: usize,
}

impl Offloaded {
    fn new(rt: Rt, checksums: Checksums) -> Offloaded {
        Offloaded {
            rt,
            checksums,
            worker: None,
            batch: Vec::new(),
            batch_bytes: 0,
        }
    }

    async fn push(&mut self, data: &Bytes) -> Result<(), Gone> {
        if self.checksums.is_empty() && self.worker.is_none() {
            return Ok(());
        }
        self.batch.push(data.clone());
        self.batch_bytes += data.len();
        if self.batch_bytes >= BATCH_BYTES {
            self.settle().await?;
            self.start();
        }
        Ok(())
    }

    /// Has the batch worked on.
    fn start(&mut self) {
        let (done, worker) = oneshot::channel();
        let batch = std::mem::take(&mut self.batch);
        let mut checksums = std::mem::take(&mut self.checksums);
        let rt = self.rt.clone();
        let work = async move {
            let summed = runtime::cpu(&rt, move || {
                batch.iter().for_each(|data| update(&mut checksums, data));
                checksums
            });
            if let Ok(checksums) = summed.await {
                // A request that was given up does not need them.
                done.send(checksums).ok();
            }
        };
        runtime::spawn(&self.rt, "checksum", work);
        self.batch_bytes = 0;
        self.worker = Some(worker);
    }

    /// Waits for the batch that is worked on.
    async fn settle(&mut self) -> Result<(), Gone> {
        if let Some(worker) = self.worker.take() {
            self.checksums = worker.await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<Checksums, Gone> {
        self.settle().await?;
        if self.batch_bytes as u64 >= BODY_BYTES_OFFLOADED {
            self.start();
            self.settle().await?;
        }
        self.batch.iter().for_each(|data| update(&mut self.checksums, data));
        Ok(self.checksums)
    }
}

/// Digests of a whole body.
struct Finished {
    md5: [u8; 16],
    checksums: Checksums,
}

impl Finished {
    fn verify(self, expected_md5: Option<[u8; 16]>, expected: &Expected) -> Result<Ingested, ApiError> {
        if expected_md5.is_some_and(|expected| expected != self.md5) {
            return Err(Code::BadDigest.into());
        }
        let finish = |(kind, hasher): (ChecksumKind, Hasher)| Checksum {
            kind,
            full_object: true,
            value: checksum::encode(&hasher.finish()),
        };
        let mut checksums: Vec<Checksum> = self.checksums.into_iter().map(finish).collect();
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
            md5: hex(&self.md5),
            checksums,
        })
    }
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
