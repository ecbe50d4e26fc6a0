//! A connection: two ends, and what is under way in each direction.

use super::{State, now};
use madsim::rand::{Rng, thread_rng};
use std::{collections::VecDeque, io, mem, task::Waker, time::Duration};

/// Smallest and largest window of a connection in each direction, in bytes.
const WINDOW_BYTES: std::ops::RangeInclusive<usize> = 64 << 10..=1 << 20;

/// A TCP connection between two streams.
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    /// By the end that writes to it.
    pipes: [Pipe; 2],
}

/// What a host knows of its end.
pub(super) struct End {
    pub(super) node: u32,
    /// The host has the stream: it was neither dropped nor lost with the host's power.
    is_open: bool,
    /// A reset has been read or written.
    is_reset: bool,
}

/// What is under way in one direction.
struct Pipe {
    /// In the order in which they were sent.
    segments: VecDeque<Segment>,
    window: usize,
    /// Bytes that the writer does not know to be read.
    unread: usize,
    /// Those of them that were read while the way back was cut.
    untold: usize,
    /// Time at which the last segment arrives: none comes before it.
    last_arrival: Duration,
    /// The writer has sent its end.
    is_ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

struct Segment {
    /// `None` while the link is down.
    arrives: Option<Duration>,
    what: Sent,
}

enum Sent {
    Bytes(VecDeque<u8>),
    End,
    Reset,
}

impl Segment {
    fn has_arrived(&self) -> bool {
        self.arrives.is_some_and(|arrives| arrives <= now())
    }
}

impl Pipe {
    fn new() -> Pipe {
        Pipe {
            segments: VecDeque::new(),
            window: thread_rng().gen_range(WINDOW_BYTES),
            unread: 0,
            untold: 0,
            last_arrival: Duration::ZERO,
            is_ended: false,
            reader: None,
            writer: None,
        }
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }

    /// Appends a segment that arrives behind the others.
    fn send(&mut self, what: Sent, arrives: Option<Duration>) {
        // Behind one that waits for its link it waits too.
        let waits = self.segments.back().is_some_and(|last| last.arrives.is_none());
        let arrives = arrives.filter(|_| !waits).map(|arrives| arrives.max(self.last_arrival));
        self.last_arrival = arrives.unwrap_or(self.last_arrival);
        self.segments.push_back(Segment { arrives, what });
        self.wake_reader();
    }
}

/// What a read finds.
pub(super) enum Found {
    /// This many bytes were read; 0 at the end.
    Read(usize),
    /// Nothing yet; the next segment arrives then, if that is known.
    Nothing(Option<Duration>),
}

impl Connection {
    pub(super) fn new(from: u32, to: u32) -> Connection {
        let end = |node| End {
            node,
            is_open: true,
            is_reset: false,
        };
        Connection {
            ends: [end(from), end(to)],
            pipes: [Pipe::new(), Pipe::new()],
        }
    }

    pub(super) fn joins(&self, a: u32, b: u32) -> bool {
        let nodes = (self.ends[0].node, self.ends[1].node);
        nodes == (a, b) || nodes == (b, a)
    }

    /// Returns whether no stream is left that could see anything of it.
    fn is_over(&self) -> bool {
        self.ends.iter().all(|end| !end.is_open)
    }

    /// Nodes that an end's bytes go from and to.
    fn way(&self, end: usize) -> (u32, u32) {
        (self.ends[end].node, self.ends[1 - end].node)
    }

    /// Takes note of a reset that has arrived at an end.
    fn check(&mut self, end: usize) -> io::Result<()> {
        let incoming = &self.pipes[1 - end];
        let is_reset = |segment: &Segment| matches!(segment.what, Sent::Reset) && segment.has_arrived();
        self.ends[end].is_reset |= incoming.segments.iter().any(is_reset);
        match self.ends[end].is_reset {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        }
    }

    /// What is under way on a link that is cut has to be sent again.
    pub(super) fn lose_under_way(&mut self, link: (u32, u32)) {
        for end in [0, 1] {
            if self.way(end) != link {
                continue;
            }
            let late = self.pipes[end]
                .segments
                .iter_mut()
                .filter(|segment| !segment.has_arrived());
            late.for_each(|segment| segment.arrives = None);
        }
    }

    /// Resets both ends at once.
    pub(super) fn reset(&mut self) {
        for end in [0, 1] {
            self.ends[end].is_reset = true;
            self.pipes[end].wake_reader();
            self.pipes[end].wake_writer();
        }
    }

    /// A host has lost its power: it has forgotten its end, and tells nobody.
    pub(super) fn lose_host(&mut self, node: u32) {
        for end in [0, 1] {
            if self.ends[end].node == node {
                self.ends[end].is_open = false;
                let late = self.pipes[1 - end].segments.iter_mut();
                late.filter(|segment| !segment.has_arrived())
                    .for_each(|segment| segment.arrives = None);
            }
        }
    }
}

/// Sends a segment of a connection's end.
fn send(state: &mut State, id: u64, end: usize, what: Sent) {
    let Some(connection) = state.connections.get(&id) else {
        return;
    };
    let (from, to) = connection.way(end);
    let bytes = match &what {
        Sent::Bytes(bytes) => bytes.len(),
        Sent::End | Sent::Reset => 0,
    };
    let arrives = state.arrival(from, to, bytes);
    if let Some(connection) = state.connections.get_mut(&id) {
        connection.pipes[end].send(what, arrives);
    }
}

/// A host that got bytes for a stream that it does not have answers with a reset, unless it has no power.
fn answer_unknown(state: &mut State, id: u64, end: usize) {
    let Some(connection) = state.connections.get(&id) else {
        return;
    };
    let (from, to) = connection.way(end);
    let is_unknown = !connection.ends[1 - end].is_open;
    if is_unknown && state.is_up(from, to) && state.is_up(to, from) {
        send(state, id, 1 - end, Sent::Reset);
    }
}

/// Reads what has arrived at an end, at most `buf.len()` bytes.
pub(super) fn read(state: &mut State, id: u64, end: usize, buf: &mut [u8], waker: &Waker) -> io::Result<Found> {
    let connection = state.connections.get_mut(&id).ok_or(io::ErrorKind::NotConnected)?;
    connection.check(end)?;
    let (to, from) = connection.way(end);
    let pipe = &mut connection.pipes[1 - end];
    let next = pipe.segments.front_mut();
    let Some(segment) = next.filter(|segment| segment.has_arrived()) else {
        pipe.reader = Some(waker.clone());
        let next = pipe.segments.iter().filter_map(|segment| segment.arrives).min();
        return Ok(Found::Nothing(next));
    };
    let Sent::Bytes(bytes) = &mut segment.what else {
        return Ok(Found::Read(0));
    };
    let len = bytes.len().min(buf.len());
    buf.iter_mut().zip(bytes.drain(..len)).for_each(|(to, byte)| *to = byte);
    if bytes.is_empty() {
        pipe.segments.pop_front();
    }
    pipe.untold += len;
    if state.is_up(to, from)
        && let Some(connection) = state.connections.get_mut(&id)
    {
        let pipe = &mut connection.pipes[1 - end];
        pipe.unread -= mem::take(&mut pipe.untold);
        pipe.wake_writer();
    }
    Ok(Found::Read(len))
}

/// Writes bytes from an end, and returns how many; `None` while there is no room.
pub(super) fn write(state: &mut State, id: u64, end: usize, bytes: &[u8], waker: &Waker) -> io::Result<Option<usize>> {
    let connection = state.connections.get_mut(&id).ok_or(io::ErrorKind::NotConnected)?;
    connection.check(end)?;
    let pipe = &mut connection.pipes[end];
    if pipe.is_ended {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let len = bytes.len().min(pipe.window - pipe.unread);
    if len == 0 && !bytes.is_empty() {
        pipe.writer = Some(waker.clone());
        return Ok(None);
    }
    pipe.unread += len;
    if len > 0 {
        send(state, id, end, Sent::Bytes(bytes[..len].iter().copied().collect()));
        answer_unknown(state, id, end);
    }
    Ok(Some(len))
}

/// Sends the end of an end's bytes, once.
pub(super) fn shut_down(state: &mut State, id: u64, end: usize) -> io::Result<()> {
    let connection = state.connections.get_mut(&id).ok_or(io::ErrorKind::NotConnected)?;
    connection.check(end)?;
    if !mem::replace(&mut connection.pipes[end].is_ended, true) {
        send(state, id, end, Sent::End);
        answer_unknown(state, id, end);
    }
    Ok(())
}

/// Closes an end whose stream was dropped: with a reset if bytes are unread.
pub(super) fn close(state: &mut State, id: u64, end: usize) {
    let Some(connection) = state.connections.get_mut(&id) else {
        return;
    };
    if mem::replace(&mut connection.ends[end].is_open, false) && connection.check(end).is_ok() {
        let is_unread = |segment: &Segment| matches!(segment.what, Sent::Bytes(_)) && segment.has_arrived();
        let unread = connection.pipes[1 - end].segments.iter().any(is_unread);
        let is_ended = mem::replace(&mut connection.pipes[end].is_ended, true);
        if unread {
            send(state, id, end, Sent::Reset);
        } else if !is_ended {
            send(state, id, end, Sent::End);
        }
        // Bytes that are under way to it will be answered with a reset when they arrive.
        let under_way = |connection: &Connection| {
            let mut segments = connection.pipes[1 - end].segments.iter();
            segments.any(|segment| matches!(segment.what, Sent::Bytes(_)))
        };
        if !unread && state.connections.get(&id).is_some_and(under_way) {
            answer_unknown(state, id, 1 - end);
        }
    }
    if state.connections.get(&id).is_some_and(Connection::is_over) {
        state.connections.remove(&id);
    }
}

/// Closes an end with a reset: a connection that was never accepted.
pub(super) fn abort(state: &mut State, id: u64, end: usize) {
    let is_open = |connection: &mut Connection| mem::replace(&mut connection.ends[end].is_open, false);
    if state.connections.get_mut(&id).is_some_and(is_open) {
        send(state, id, end, Sent::Reset);
    }
    close(state, id, end);
}

/// Sends again, after a pause, what has waited for a link that is up now; tells writers of room that was made since.
pub(super) fn send_again(state: &mut State, id: u64, link: (u32, u32), pause: Duration) {
    for end in [0, 1] {
        let Some(connection) = state.connections.get_mut(&id) else {
            return;
        };
        let (from, to) = connection.way(end);
        if (from, to) == link {
            let pipe = &connection.pipes[end];
            let waiting = pipe.segments.iter().position(|segment| segment.arrives.is_none());
            let Some(first) = waiting else { continue };
            let left: usize = pipe.segments.iter().skip(first).map(Segment::len).sum();
            let arrives = state.arrival(from, to, left).map(|arrives| arrives + pause);
            if let Some(connection) = state.connections.get_mut(&id) {
                let pipe = &mut connection.pipes[end];
                let arrives = arrives.map(|arrives| arrives.max(pipe.last_arrival));
                pipe.segments
                    .iter_mut()
                    .skip(first)
                    .for_each(|segment| segment.arrives = arrives);
                pipe.last_arrival = arrives.unwrap_or(pipe.last_arrival);
                pipe.wake_reader();
            }
            answer_unknown(state, id, end);
        } else if (to, from) == link {
            let pipe = &mut connection.pipes[end];
            pipe.unread -= mem::take(&mut pipe.untold);
            pipe.wake_writer();
        }
    }
}

impl Segment {
    /// Number of bytes.
    fn len(&self) -> usize {
        match &self.what {
            Sent::Bytes(bytes) => bytes.len(),
            Sent::End | Sent::Reset => 0,
        }
    }
}
