//! Service of the test: what is asked says what is to be answered.

use super::history::History;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use madsim::rand::{Rng, thread_rng};
use std::{sync::Arc, time::Duration};
use store::{
    peer::{Caller, PAYLOAD_BYTES_MAX, Payload, Refusal, Request, Service},
    runtime::{BoxFuture, Rt},
};

/// Numbers of services: what each answers.
pub(super) const AT_ONCE: u16 = 0;
pub(super) const LATER: u16 = 1;
pub(super) const NEVER: u16 = 2;
pub(super) const BUSY: u16 = 3;
/// More than a frame can have.
pub(super) const TOO_LARGE: u16 = 4;
pub(super) const NONE: u16 = 5;

/// Longest time after which [`LATER`] answers.
const LATER_MAX: Duration = Duration::from_secs(3);
/// Bytes of a call, and of an answer, before what fills it.
pub(super) const CALL_BYTES_MIN: usize = 12;
pub(super) const ANSWER_BYTES_MIN: usize = 8;

/// What a call says: its number, and how many bytes its answer has; filled up to `bytes` in all.
pub(super) fn call(number: u64, answer_bytes: usize, bytes: usize) -> Bytes {
    let mut payload = BytesMut::with_capacity(bytes.max(CALL_BYTES_MIN));
    payload.put_u64_le(number);
    payload.put_u32_le(answer_bytes as u32);
    payload.resize(bytes.max(CALL_BYTES_MIN), number as u8);
    payload.freeze()
}

/// What its answer says: the number, filled up.
pub(super) fn answer(number: u64, bytes: usize) -> Bytes {
    let mut payload = BytesMut::with_capacity(bytes.max(ANSWER_BYTES_MIN));
    payload.put_u64_le(number);
    payload.resize(bytes.max(ANSWER_BYTES_MIN), number as u8);
    payload.freeze()
}

/// Runs calls, and writes each down in the history.
pub(super) struct Recorded {
    pub rt: Rt,
    /// This process.
    pub me: Caller,
    pub history: Arc<History>,
}

impl Service for Recorded {
    fn call(&self, caller: Caller, request: Request) -> BoxFuture<Result<Payload, Refusal>> {
        match request.service {
            BUSY => return Box::pin(std::future::ready(Err(Refusal::Busy))),
            NONE => return Box::pin(std::future::ready(Err(Refusal::NoService))),
            _ => {}
        }
        let mut payload = request.payload;
        let (number, bytes) = (payload.get_u64_le(), payload.get_u32_le() as usize);
        if payload.iter().any(|byte| *byte != number as u8) {
            self.history
                .violated(format!("peer.own-answer: call {number} has bytes of another"));
        }
        self.history.run(number, caller, self.me);
        let rt = self.rt.clone();
        Box::pin(async move {
            match request.service {
                LATER => rt.sleep(thread_rng().gen_range(Duration::ZERO..LATER_MAX)).await,
                NEVER => std::future::pending().await,
                TOO_LARGE => return Ok(vec![0; PAYLOAD_BYTES_MAX + 1].into()),
                _ => {}
            }
            Ok(answer(number, bytes).into())
        })
    }
}
