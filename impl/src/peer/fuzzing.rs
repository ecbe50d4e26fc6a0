//! Doors for the fuzz targets and for attackers in the simulation: frames, handshakes, and the two ends of a connection
//! without I/O.

pub use super::{
    frame::{Decoder, Frame, HEADER_BYTES, Kind, Outgoing, UNPROVEN_PAYLOAD_BYTES_MAX},
    handshake::{Agreed, Binding, Dialler, Proving, Responder},
};

use super::{CallError, Caller, ConnectionError, PAYLOAD_BYTES_MAX, Service, answer::Answering, ask::Calls, pump::End};
use crate::runtime::Mutation;
use bytes::Bytes;
use std::{
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};
use tokio::sync::oneshot;

/// Bytes of one end that have come or are to be sent.
struct Side {
    decoder: Decoder,
    outgoing: Outgoing,
}

impl Side {
    fn new() -> Side {
        Side {
            decoder: Decoder::new(PAYLOAD_BYTES_MAX),
            outgoing: Outgoing::default(),
        }
    }

    fn receive(&mut self, end: &mut impl End, bytes: &[u8], now: Duration) -> Result<(), ConnectionError> {
        self.decoder.buffer().extend_from_slice(bytes);
        while end.takes_frames()
            && let Some(frame) = self.decoder.next_frame().map_err(ConnectionError::Protocol)?
        {
            end.take(frame, now)?;
        }
        Ok(())
    }

    fn send(&mut self, end: &mut impl End, now: Duration) -> Vec<u8> {
        end.work(now, &mut Context::from_waker(Waker::noop()));
        end.give(&mut self.outgoing);
        self.outgoing.take()
    }

    /// Bytes that have come and are not taken.
    fn held_bytes(&mut self) -> usize {
        self.decoder.buffer().len()
    }
}

/// The end that asks.
pub struct AskingEnd {
    calls: Calls,
    side: Side,
}

impl AskingEnd {
    /// An end of a connection that begins now.
    #[must_use]
    pub fn new(now: Duration) -> AskingEnd {
        AskingEnd {
            calls: Calls::new(now, None, Mutation::NONE),
            side: Side::new(),
        }
    }

    /// Hands over a call.
    ///
    /// # Errors
    /// As [`CallError`] says.
    pub fn call(
        &self,
        now: Duration,
        service: u16,
        payload: Bytes,
        wait: Duration,
    ) -> Result<oneshot::Receiver<Result<Bytes, CallError>>, CallError> {
        self.calls.call(now, service, payload.into(), wait)
    }

    /// Takes bytes that have come.
    ///
    /// # Errors
    /// They may not come here.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<(), ConnectionError> {
        self.side.receive(&mut &self.calls, bytes, now)
    }

    /// Returns the bytes that are to be sent.
    pub fn send(&mut self, now: Duration) -> Vec<u8> {
        self.side.send(&mut &self.calls, now)
    }

    /// Ends the connection.
    pub fn end(&self) {
        self.calls.end(&ConnectionError::Closed);
    }

    /// Returns how many bytes have come and are not taken.
    pub fn held_bytes(&mut self) -> usize {
        self.side.held_bytes()
    }
}

/// The end that answers.
pub struct AnsweringEnd {
    answering: Answering,
    side: Side,
}

impl AnsweringEnd {
    /// An end of a connection that begins now.
    #[must_use]
    pub fn new(now: Duration, caller: Caller, service: Arc<dyn Service>) -> AnsweringEnd {
        AnsweringEnd {
            answering: Answering::new(now, caller, service, Box::pin(std::future::pending()), Mutation::NONE),
            side: Side::new(),
        }
    }

    /// Takes bytes that have come.
    ///
    /// # Errors
    /// They may not come here.
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<(), ConnectionError> {
        self.side.receive(&mut self.answering, bytes, now)
    }

    /// Returns the bytes that are to be sent.
    pub fn send(&mut self, now: Duration) -> Vec<u8> {
        self.side.send(&mut self.answering, now)
    }

    /// Returns how many bytes have come and are not taken.
    pub fn held_bytes(&mut self) -> usize {
        self.side.held_bytes()
    }
}
