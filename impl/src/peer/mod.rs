//! How nodes talk to each other: calls in frames over TLS, on the port of the S3 API (`specs/peer.md`).
//!
//! A [`Link`] asks one other node, an [`Entrance`] answers all that ask. Below them, `frame`, `handshake`, `ask` and
//! `answer` do no I/O: they take what has come and say what is to be sent. `pump` moves the bytes.

mod answer;
mod ask;
mod entrance;
mod error;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod greet;
mod handshake;
mod heard;
mod lateness;
mod link;
mod pump;
mod secret;
mod tls;

pub use answer::{Caller, Request, Service};
pub use entrance::Entrance;
pub use error::{CallError, ConnectionError, HandshakeError, Lost, NotSent, Refusal};
pub use frame::{PAYLOAD_BYTES_MAX, Payload};
pub use handshake::{Introduction, Settings, VERSIONS};
pub use heard::Heard;
pub use link::{BULK_MAX, Link, LinkConfig, Resolve};
pub use secret::{PeerSecret, SECRET_BYTES_MIN};
pub use tls::{ALPN, Certificates, PeerTls, PeerTlsError};

use crate::{runtime::Stream, stats::Counter};
use handshake::Binding;
use std::io;

/// The session below a connection.
#[derive(Clone, Debug)]
pub enum Security {
    /// TLS 1.3.
    Tls(PeerTls),
    /// None, and a binding that is given: in most of the simulation, where TLS with its usual provider of cryptography
    /// would draw from the host's chance.
    #[cfg(feature = "mutants")]
    None([u8; 32]),
}

impl Security {
    /// Makes the session of the side that dialled `host`.
    async fn connect(&self, host: &str, stream: Box<dyn Stream>) -> io::Result<(Box<dyn Stream>, Binding)> {
        match self {
            Security::Tls(tls) => tls.connect(host, stream).await,
            #[cfg(feature = "mutants")]
            Security::None(binding) => Ok((stream, *binding)),
        }
    }

    /// Makes the session of the side that was dialled.
    async fn accept(&self, stream: Box<dyn Stream>) -> io::Result<(Box<dyn Stream>, Binding)> {
        match self {
            Security::Tls(tls) => tls.accept(stream).await,
            #[cfg(feature = "mutants")]
            Security::None(binding) => Ok((stream, *binding)),
        }
    }
}

/// Bytes that went to and came from peers, without what TLS adds.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Sent.
    pub sent_bytes: Counter,
    /// Received.
    pub received_bytes: Counter,
}

#[cfg(test)]
mod tests;
