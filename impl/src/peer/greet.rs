//! The beginning of a connection: the session below it, the handshake, and what each side is.

use super::{
    ConnectionError, HandshakeError,
    frame::{Decoder, Frame, Kind, Outgoing, PAYLOAD_BYTES_MAX, UNPROVEN_PAYLOAD_BYTES_MAX},
    handshake::{Agreed, Binding, Dialler, Introduction, Responder},
};
use crate::runtime::{Mutant, Rt, Stream};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest text of a refusal.
const REFUSAL_BYTES_MAX: usize = 1 << 10;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Use {
    /// Small calls, which the service takes in order.
    Control,
    /// One large call at a time.
    Bulk,
}

/// What a node says of itself once both have proven themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Random number of its process.
    pub boot: u64,
    /// What the connection is for; the responder repeats it.
    pub used_for: Use,
    /// Fingerprint of the deployment that its drives are of.
    pub deployment: u128,
    /// Its release, for the log.
    pub release: String,
    /// Why it does not want to talk after all.
    pub refusal: Option<String>,
}

impl Identity {
    pub fn of(introduction: &Introduction, boot: u64, used_for: Use) -> Identity {
        Identity {
            boot,
            used_for,
            deployment: introduction.deployment,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            refusal: None,
        }
    }

    /// # Errors
    /// The drives of the two are of different deployments.
    pub fn check(&self, other: &Identity) -> Result<(), HandshakeError> {
        match self.deployment == other.deployment {
            true => Ok(()),
            false => Err(HandshakeError::OtherDeployment),
        }
    }

    fn frame(&self) -> Frame {
        let payload = postcard::to_stdvec(self).expect("numbers and texts can be encoded");
        Frame::bare(Kind::Identity, payload)
    }

    fn decode(frame: &Frame) -> Result<Identity, ConnectionError> {
        let identity = (frame.kind == Kind::Identity)
            .then(|| postcard::from_bytes(&frame.payload.head).ok())
            .flatten();
        identity.ok_or(ConnectionError::Protocol("it does not say what it is"))
    }
}

/// A stream of frames before its connection is served.
pub(super) struct Greeting {
    pub stream: Box<dyn Stream>,
    pub decoder: Decoder,
}

impl Greeting {
    fn new(stream: Box<dyn Stream>) -> Greeting {
        Greeting {
            stream,
            decoder: Decoder::new(UNPROVEN_PAYLOAD_BYTES_MAX),
        }
    }

    async fn send(&mut self, frame: &Frame) -> Result<(), ConnectionError> {
        let mut outgoing = Outgoing::default();
        outgoing.push(frame);
        self.stream.write_all(&outgoing.take()).await?;
        Ok(self.stream.flush().await?)
    }

    async fn receive(&mut self) -> Result<Frame, ConnectionError> {
        loop {
            if let Some(frame) = self.decoder.next_frame().map_err(ConnectionError::Protocol)? {
                return Ok(frame);
            }
            if self.stream.read_buf(self.decoder.buffer()).await? == 0 {
                return Err(ConnectionError::Closed);
            }
        }
    }
}

fn nonce(rt: &Rt) -> [u8; 32] {
    let mut nonce = [0; 32];
    rt.fill_random(&mut nonce);
    nonce
}

/// Introduces this node to `to`, which it dialled, and is told what that is.
pub(super) async fn dial(
    rt: &Rt,
    (stream, binding): (Box<dyn Stream>, Binding),
    introduction: Introduction,
    to: u16,
    identity: Identity,
) -> Result<(Greeting, Agreed, Identity), ConnectionError> {
    let mut greeting = Greeting::new(stream);
    let (dialler, hello) = Dialler::begin(introduction, to, nonce(rt));
    greeting.send(&hello).await?;
    let (proving, proof) = dialler.greeted(&greeting.receive().await?, binding)?;
    greeting.send(&proof).await?;
    let proof = match greeting.receive().await {
        Err(ConnectionError::Closed) => return Err(HandshakeError::ProofRefused.into()),
        proof => proof?,
    };
    let agreed = proving.proven(&proof)?;
    greeting.decoder.set_payload_bytes_max(PAYLOAD_BYTES_MAX);
    greeting.send(&identity.frame()).await?;
    let theirs = Identity::decode(&greeting.receive().await?)?;
    identity.check(&theirs)?;
    if let Some(refusal) = &theirs.refusal {
        return Err(HandshakeError::Refused(refusal.clone()).into());
    }
    Ok((greeting, agreed, theirs))
}

/// Introduces this node to who dialled it, and is told who that is. [`accept`] or [`refuse`] comes next.
pub(super) async fn respond(
    rt: &Rt,
    (stream, binding): (Box<dyn Stream>, Binding),
    introduction: Introduction,
) -> Result<(Greeting, Agreed, Identity), ConnectionError> {
    let mut greeting = Greeting::new(stream);
    let hello = greeting.receive().await?;
    let nonce = match introduction.mutation.is(Mutant::NonceRepeated) {
        true => [1; 32],
        false => nonce(rt),
    };
    let (responder, hello) = Responder::greeted(introduction, &hello, nonce, binding)?;
    greeting.send(&hello).await?;
    let (proof, agreed) = responder.proven(&greeting.receive().await?)?;
    greeting.send(&proof).await?;
    let agreed = agreed?;
    greeting.decoder.set_payload_bytes_max(PAYLOAD_BYTES_MAX);
    let theirs = Identity::decode(&greeting.receive().await?)?;
    Ok((greeting, agreed, theirs))
}

/// Tells a peer that its connection is served from now on.
pub(super) async fn accept(greeting: &mut Greeting, identity: &Identity) -> Result<(), ConnectionError> {
    greeting.send(&identity.frame()).await
}

/// Tells a peer why its connection is not served.
pub(super) async fn refuse(greeting: &mut Greeting, mut identity: Identity, reason: &HandshakeError) {
    let mut reason = reason.to_string();
    reason.truncate(reason.floor_char_boundary(REFUSAL_BYTES_MAX));
    identity.refusal = Some(reason);
    // If it cannot be told, it sees the connection end.
    greeting.send(&identity.frame()).await.ok();
}
