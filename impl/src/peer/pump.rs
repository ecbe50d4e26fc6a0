//! The one loop of a connection: moves bytes between its stream and its end, which does no I/O.

use super::{
    ConnectionError, Traffic,
    frame::{Decoder, Frame, Kind, Outgoing},
};
use crate::runtime::{BoxFuture, Mutant, Rt, Stream};
use bytes::Bytes;
use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::io::AsyncWrite;
use tokio_util::io::poll_read_buf;

/// Interval of pings on a connection that asks: its peer hears from it at least this often.
pub(super) const PING: Duration = Duration::from_secs(5);
/// Longest silence of a peer. Three pings were lost then, or the peer is not running.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(15);
/// Frames that are taken before their answers are looked for: there is no more room for those than is checked.
const FRAMES_MAX: usize = 64;
/// Rounds of the loop after which other tasks get their turn.
const ROUNDS_MAX: usize = 64;

/// An end of a connection. Its methods do no I/O and never wait.
pub(super) trait End {
    /// Takes a frame that has come.
    ///
    /// # Errors
    /// It may not come here: the connection ends.
    fn take(&mut self, frame: Frame, now: Duration) -> Result<(), ConnectionError>;
    /// Takes note that bytes have come.
    fn heard(&mut self, now: Duration);
    /// Returns whether to ping the peer before the interval of pings is over.
    fn wants_ping(&self, now: Duration) -> bool;
    /// Takes note that the peer is pinged, and returns the `sent` of the ping.
    fn pings(&mut self, now: Duration) -> u32;
    /// Takes the `sent` of a ping that has come.
    fn pinged(&mut self, sent_ms: u32, now: Duration);
    /// Returns whether it takes more frames. Otherwise the stream is not read, and the peer's writes come to wait.
    fn takes_frames(&self) -> bool;
    /// Does what can be done now, and wakes `cx` when there is more to do.
    fn work(&mut self, now: Duration, cx: &mut Context<'_>);
    /// Moves what is to be sent behind `outgoing`, which is empty.
    fn give(&mut self, outgoing: &mut Outgoing);
    /// Returns when [`End::work`] is to be called next, if there is such a time.
    fn next_time(&self) -> Option<Duration>;
    /// Returns whether it wants the connection to end.
    fn is_over(&self) -> bool;
}

/// A connection whose two sides know each other, and what was read from it already.
pub(super) struct Wire {
    pub stream: Box<dyn Stream>,
    pub decoder: Decoder,
    pub traffic: Arc<Traffic>,
    /// Pings its peer. One of the two sides does, and the other answers.
    pub pings: bool,
}

struct Pump<'a, E> {
    rt: &'a Rt,
    wire: Wire,
    end: &'a mut E,
    outgoing: Outgoing,
    /// There are bytes that a stream below may have kept back.
    unflushed: bool,
    /// The stream has not taken all that was to be sent.
    is_blocked: bool,
    /// The time of the last sign of life of the peer, and of the last ping.
    heard: Duration,
    pinged: Option<Duration>,
    /// A ping has come. Its answer does not wait behind others: they tell the peer as much.
    owes_pong: bool,
    alarm: Option<(Duration, BoxFuture<()>)>,
}

/// Serves a connection to its end, and returns why it ended.
pub(super) async fn pump<E: End>(rt: &Rt, wire: Wire, end: &mut E) -> ConnectionError {
    let now = rt.mono();
    let mut pump = Pump {
        rt,
        wire,
        end,
        outgoing: Outgoing::default(),
        unflushed: false,
        is_blocked: false,
        heard: now,
        pinged: None,
        owes_pong: false,
        alarm: None,
    };
    poll_fn(|cx| pump.poll(cx)).await
}

impl<E: End> Pump<'_, E> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ConnectionError> {
        for _ in 0..ROUNDS_MAX {
            match self.round(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(error) => return Poll::Ready(error),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does all that can be done now. Returns whether to look again at once.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let now = self.rt.mono();
        self.end.work(now, cx);
        self.ping(now);
        let has_written = self.write(cx, now)?;
        let has_read = self.read(cx, now)?;
        // Only now: a process that was stopped finds what has come meanwhile.
        if now.saturating_sub(self.heard) >= SILENCE_MAX {
            return Err(ConnectionError::Silent(SILENCE_MAX.as_secs()));
        }
        if self.end.is_over() && self.outgoing.is_empty() {
            return Err(ConnectionError::Ended);
        }
        Ok(has_read || has_written || self.is_due(cx))
    }

    fn ping(&mut self, now: Duration) {
        if self.owes_pong && self.outgoing.is_empty() {
            self.owes_pong = false;
            self.outgoing.push(&Frame::bare(Kind::Pong, Bytes::new()));
        }
        let is_due = |pinged: Duration| now.saturating_sub(pinged) >= PING;
        if self.wire.pings && (self.pinged.is_none_or(is_due) || self.end.wants_ping(now)) {
            self.pinged = Some(now);
            let sent_ms = self.end.pings(now);
            self.outgoing.push(&Frame {
                sent_ms,
                ..Frame::bare(Kind::Ping, Bytes::new())
            });
        }
    }

    /// Notes a sign of life that is not a byte (`peer.slow-is-not-silent`).
    fn lives(&mut self, now: Duration) {
        if !self.rt.mutation().is(Mutant::SlowIsSilent) {
            self.heard = now;
        }
    }

    /// Writes what waits. Returns whether there may be more to write.
    fn write(&mut self, cx: &mut Context<'_>, now: Duration) -> Result<bool, ConnectionError> {
        let mut progress = false;
        loop {
            if self.outgoing.is_empty() {
                self.end.give(&mut self.outgoing);
            }
            if self.outgoing.is_empty() {
                break;
            }
            let (slices, count) = self.outgoing.slices();
            match Pin::new(&mut self.wire.stream).poll_write_vectored(cx, &slices[..count]) {
                Poll::Pending => {
                    self.is_blocked = true;
                    return Ok(progress);
                }
                Poll::Ready(Ok(0)) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Poll::Ready(written) => {
                    let written = written?;
                    self.outgoing.written(written);
                    // Its host has made room for it: a large frame may take longer than a silence may last.
                    if std::mem::take(&mut self.is_blocked) {
                        self.lives(now);
                    }
                    self.wire.traffic.sent_bytes.add(written as u64);
                    (progress, self.unflushed) = (true, true);
                }
            }
        }
        if self.unflushed && Pin::new(&mut self.wire.stream).poll_flush(cx)?.is_ready() {
            self.unflushed = false;
        }
        Ok(progress)
    }

    /// Reads what has come, and hands it over. Returns whether there may be more.
    fn read(&mut self, cx: &mut Context<'_>, now: Duration) -> Result<bool, ConnectionError> {
        let count = self.hand_over(now)?;
        if count == FRAMES_MAX {
            return Ok(true);
        }
        let progress = count > 0;
        if !self.end.takes_frames() {
            // It is not the peer that is silent. While answers wait, it has to take some.
            if self.outgoing.is_empty() {
                self.lives(now);
            }
            return Ok(progress);
        }
        let polled = poll_read_buf(Pin::new(&mut self.wire.stream), cx, self.wire.decoder.buffer());
        let Poll::Ready(read) = polled else {
            return Ok(progress);
        };
        let read = read?;
        if read == 0 {
            return Err(ConnectionError::Closed);
        }
        self.heard = now;
        self.end.heard(now);
        self.wire.traffic.received_bytes.add(read as u64);
        self.hand_over(now)?;
        Ok(true)
    }

    /// Hands over frames that are there, while the end takes them. Returns how many.
    fn hand_over(&mut self, now: Duration) -> Result<usize, ConnectionError> {
        let mut count = 0;
        while count < FRAMES_MAX && self.end.takes_frames() {
            let frame = self.wire.decoder.next_frame().map_err(ConnectionError::Protocol)?;
            match frame {
                None => break,
                Some(frame) if frame.kind == Kind::Ping && !self.wire.pings => {
                    self.end.pinged(frame.sent_ms, now);
                    self.owes_pong = true;
                }
                Some(frame) if frame.kind == Kind::Pong && self.wire.pings => {}
                Some(frame) => self.end.take(frame, now)?,
            }
            count += 1;
        }
        Ok(count)
    }

    /// Returns whether a time has come that something waits for. Otherwise `cx` is woken then.
    fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        let silent_at = self.heard + SILENCE_MAX;
        let ping_at = self.pinged.map_or(silent_at, |pinged| pinged + PING);
        let at = self.end.next_time().unwrap_or(silent_at).min(silent_at).min(ping_at);
        // One that is set to an earlier time wakes for nothing, which costs less than to set it anew for each call.
        if self.alarm.as_ref().is_none_or(|(set, _)| *set > at) {
            let after = at.saturating_sub(self.rt.mono());
            self.alarm = Some((at, self.rt.sleep(after)));
        }
        let rings = self
            .alarm
            .as_mut()
            .is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if rings {
            self.alarm = None;
        }
        rings
    }
}
