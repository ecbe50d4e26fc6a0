//! A connection: two ends, and the segments in flight in each direction.

use super::{State, now};
use madsim::rand::{Rng, thread_rng};
use std::{collections::VecDeque, io, mem, ops::RangeInclusive, task::Waker, time::Duration};

/// Smallest and largest window of a connection in each direction, in bytes.
const WINDOW_BYTES: RangeInclusive<usize> = 64 << 10..=1 << 20;
/// Largest number of bytes of a segment.
const SEGMENT_BYTES_MAX: usize = 16 << 10;

/// A TCP connection between two streams.
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    /// By the end that writes to it.
    pipes: [Pipe; 2],
}

/// One end of a connection.
pub(super) struct End {
    pub(super) node: u32,
    has: Has,
    /// A read or a write has returned that it is reset.
    is_told: bool,
}

/// State of an end on its host.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    /// A process has the stream.
    Stream,
    /// The stream is closed: ends are acknowledged, and bytes are answered with a reset.
    Closed,
    /// Nothing, since the host lost its power: all that comes is answered with a reset.
    Nothing,
}

/// Segments in flight in one direction, and the bytes that their reader has yet to read.
struct Pipe {
    /// In the order in which they were sent.
    segments: VecDeque<Segment>,
    window: usize,
    /// Bytes that the writer does not know to be read.
    unread: usize,
    /// Part of `unread` that was read while the way back was cut.
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

    fn is_bytes(&self) -> bool {
        matches!(self.what, Sent::Bytes(_))
    }

    fn is_reset(&self) -> bool {
        matches!(self.what, Sent::Reset)
    }
}

impl Sent {
    /// Number of bytes.
    fn len(&self) -> usize {
        match self {
            Sent::Bytes(bytes) => bytes.len(),
            Sent::End | Sent::Reset => 0,
        }
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

    /// Appends a segment that arrives behind the others. A reset is sent once: on a link that is down it is lost.
    fn send(&mut self, what: Sent, arrives: Option<Duration>) {
        // Behind one that waits for its link it waits too.
        let waits = self.segments.back().is_some_and(|last| last.arrives.is_none());
        let arrives = arrives.filter(|_| !waits).map(|arrives| arrives.max(self.last_arrival));
        let segment = Segment { arrives, what };
        if segment.is_reset() && arrives.is_none() {
            return;
        }
        self.last_arrival = arrives.unwrap_or(self.last_arrival);
        self.segments.push_back(segment);
        self.wake_reader();
    }

    /// Loses the segments that have not arrived: they wait to be sent again.
    fn lose(&mut self) {
        self.segments
            .retain(|segment| segment.has_arrived() || !segment.is_reset());
        let late = self.segments.iter_mut().filter(|segment| !segment.has_arrived());
        late.for_each(|segment| segment.arrives = None);
        self.last_arrival = self.last_arrival.min(now());
    }
}

/// Result of a read.
pub(super) enum Found {
    /// This many bytes were read; 0 at the end.
    Read(usize),
    /// Nothing yet; the next segment arrives then, if that is known.
    Nothing(Option<Duration>),
}

/// Result of a write.
pub(super) enum Written {
    /// This many bytes were taken.
    Bytes(usize),
    /// There is no room; a reset arrives then, if one is under way.
    Full(Option<Duration>),
}

impl Connection {
    pub(super) fn new(from: u32, to: u32) -> Connection {
        let end = |node| End {
            node,
            has: Has::Stream,
            is_told: false,
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
    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.has != Has::Stream)
    }

    /// Nodes that an end's bytes go from and to.
    fn way(&self, end: usize) -> (u32, u32) {
        (self.ends[end].node, self.ends[1 - end].node)
    }

    /// Returns whether a reset has arrived at an end.
    fn is_reset(&self, end: usize) -> bool {
        let mut segments = self.pipes[1 - end].segments.iter();
        segments.any(|segment| segment.is_reset() && segment.has_arrived())
    }

    /// Returns whether an end's peer has to answer with a reset, since its host has no stream for what was sent.
    fn owes_reset(&self, end: usize) -> bool {
        let pipe = &self.pipes[end];
        match self.ends[1 - end].has {
            Has::Stream => false,
            Has::Closed => pipe.segments.iter().any(Segment::is_bytes),
            // A full window is probed.
            Has::Nothing => !pipe.segments.is_empty() || pipe.unread == pipe.window,
        }
    }

    /// Loses the segments in flight on a link that is cut: a host that still has them sends them again.
    pub(super) fn lose_under_way(&mut self, link: (u32, u32)) {
        for end in [0, 1] {
            if self.way(end) != link {
                continue;
            }
            self.pipes[end].lose();
            if self.ends[end].has == Has::Nothing {
                self.pipes[end].segments.retain(Segment::has_arrived);
            }
        }
    }

    /// Resets both ends at once: what has not arrived never does.
    pub(super) fn reset(&mut self) {
        for end in [0, 1] {
            let pipe = &mut self.pipes[end];
            pipe.segments.retain(Segment::has_arrived);
            pipe.last_arrival = now();
            pipe.send(Sent::Reset, Some(now()));
            self.pipes[1 - end].wake_writer();
        }
    }

    /// A host has lost its power: it has forgotten its end, and tells nobody.
    pub(super) fn lose_host(&mut self, node: u32) {
        for end in [0, 1] {
            if self.ends[end].node != node {
                continue;
            }
            self.ends[end].has = Has::Nothing;
            // What is on the wire goes on; what waited to be sent again is forgotten.
            self.pipes[end].segments.retain(|segment| segment.arrives.is_some());
            // What has arrived was acknowledged; the peer will send the rest again.
            self.pipes[1 - end].segments.retain(|segment| !segment.has_arrived());
            self.pipes[1 - end].lose();
        }
    }
}

/// Sends a segment of a connection's end.
fn send(state: &mut State, id: u64, end: usize, what: Sent) {
    let Some(connection) = state.connections.get(&id) else {
        return;
    };
    let (from, to) = connection.way(end);
    let arrives = state.arrival(from, to, what.len());
    if let Some(connection) = state.connections.get_mut(&id) {
        connection.pipes[end].send(what, arrives);
        // It may be a reset, for which a writer at the other end has to look.
        connection.pipes[1 - end].wake_writer();
    }
}

/// Has the peer of an end send the reset that it owes, once bytes can go both ways.
fn answer_unknown(state: &mut State, id: u64, end: usize) {
    let Some(connection) = state.connections.get(&id) else {
        return;
    };
    let (from, to) = connection.way(end);
    let is_sent = connection.pipes[1 - end].segments.iter().any(Segment::is_reset);
    if connection.owes_reset(end) && !is_sent && state.is_up(from, to) && state.is_up(to, from) {
        send(state, id, 1 - end, Sent::Reset);
    }
}

/// Reads what has arrived at an end, at most `buf.len()` bytes. A reset is told once, then the end is reached.
pub(super) fn read(state: &mut State, id: u64, end: usize, buf: &mut [u8], waker: &Waker) -> io::Result<Found> {
    let connection = state.connections.get_mut(&id).ok_or(io::ErrorKind::NotConnected)?;
    let (reader, writer) = connection.way(end);
    let pipe = &mut connection.pipes[1 - end];
    let next = pipe.segments.front_mut();
    let Some(segment) = next.filter(|segment| segment.has_arrived()) else {
        pipe.reader = Some(waker.clone());
        let next = pipe.segments.iter().filter_map(|segment| segment.arrives).min();
        return Ok(Found::Nothing(next));
    };
    let bytes = match &mut segment.what {
        Sent::Bytes(bytes) => bytes,
        Sent::Reset if !mem::replace(&mut connection.ends[end].is_told, true) => {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Sent::End | Sent::Reset => return Ok(Found::Read(0)),
    };
    let len = bytes.len().min(buf.len());
    buf.iter_mut().zip(bytes.drain(..len)).for_each(|(to, byte)| *to = byte);
    if bytes.is_empty() {
        pipe.segments.pop_front();
    }
    pipe.untold += len;
    if state.is_up(reader, writer)
        && let Some(connection) = state.connections.get_mut(&id)
    {
        tell_room(&mut connection.pipes[1 - end]);
    }
    Ok(Found::Read(len))
}

/// Tells a writer of the room that its reader has made.
fn tell_room(pipe: &mut Pipe) {
    pipe.unread -= mem::take(&mut pipe.untold);
    pipe.wake_writer();
}

/// Writes bytes from an end.
pub(super) fn write(state: &mut State, id: u64, end: usize, bytes: &[u8], waker: &Waker) -> io::Result<Written> {
    let connection = state.connections.get_mut(&id).ok_or(io::ErrorKind::NotConnected)?;
    if connection.is_reset(end) {
        let ended = |segment: &Segment| matches!(segment.what, Sent::End);
        let was_ended = connection.pipes[1 - end].segments.iter().any(ended);
        let was_told = mem::replace(&mut connection.ends[end].is_told, true);
        return Err(match was_ended || was_told {
            true => io::ErrorKind::BrokenPipe.into(),
            false => io::ErrorKind::ConnectionReset.into(),
        });
    }
    let mut incoming = connection.pipes[1 - end].segments.iter();
    let reset = incoming
        .find(|segment| segment.is_reset())
        .and_then(|reset| reset.arrives);
    let pipe = &mut connection.pipes[end];
    if pipe.is_ended {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let len = bytes.len().min(pipe.window - pipe.unread);
    if len == 0 && !bytes.is_empty() {
        pipe.writer = Some(waker.clone());
        return Ok(Written::Full(reset));
    }
    pipe.unread += len;
    for piece in bytes[..len].chunks(SEGMENT_BYTES_MAX) {
        send(state, id, end, Sent::Bytes(piece.iter().copied().collect()));
    }
    answer_unknown(state, id, end);
    Ok(Written::Bytes(len))
}

/// Sends the end of an end's bytes, once.
pub(super) fn shut_down(state: &mut State, id: u64, end: usize) -> io::Result<()> {
    let connection = state.connections.get_mut(&id).ok_or(io::ErrorKind::NotConnected)?;
    if !connection.is_reset(end) && !mem::replace(&mut connection.pipes[end].is_ended, true) {
        send(state, id, end, Sent::End);
        answer_unknown(state, id, end);
    }
    Ok(())
}

/// Closes an end whose stream is dropped: with a reset if bytes are unread.
pub(super) fn close(state: &mut State, id: u64, end: usize) {
    let Some(connection) = state
        .connections
        .get_mut(&id)
        .filter(|own| own.ends[end].has == Has::Stream)
    else {
        return;
    };
    connection.ends[end].has = Has::Closed;
    if !connection.is_reset(end) {
        let mut incoming = connection.pipes[1 - end].segments.iter();
        let unread = incoming.any(|segment| segment.is_bytes() && segment.has_arrived());
        let was_ended = mem::replace(&mut connection.pipes[end].is_ended, true);
        if unread {
            send(state, id, end, Sent::Reset);
        } else if !was_ended {
            send(state, id, end, Sent::End);
        }
        // Bytes that are under way to it are answered too.
        answer_unknown(state, id, 1 - end);
    }
    forget(state, id);
}

/// Closes an end with a reset: a connection that was never accepted.
pub(super) fn abort(state: &mut State, id: u64, end: usize) {
    if let Some(connection) = state.connections.get_mut(&id)
        && connection.ends[end].has == Has::Stream
    {
        connection.ends[end].has = Has::Closed;
        send(state, id, end, Sent::Reset);
        forget(state, id);
    }
}

fn forget(state: &mut State, id: u64) {
    if state.connections.get(&id).is_some_and(Connection::is_over) {
        state.connections.remove(&id);
    }
}

/// Closes the streams of a node's process.
pub(super) fn close_all(state: &mut State, node: u32) {
    let ids: Vec<u64> = state.connections.keys().copied().collect();
    for id in ids {
        for end in [0, 1] {
            if state
                .connections
                .get(&id)
                .is_some_and(|connection| connection.ends[end].node == node)
            {
                close(state, id, end);
            }
        }
    }
}

/// Sends again, after a pause, what has waited for a link that is up now; tells writers of room that was made since.
pub(super) fn send_again(state: &mut State, id: u64, link: (u32, u32), pause: Duration) {
    for end in [0, 1] {
        let Some(connection) = state.connections.get_mut(&id) else {
            return;
        };
        let (from, to) = connection.way(end);
        if (to, from) == link {
            tell_room(&mut connection.pipes[end]);
        }
        if (from, to) == link {
            let segments = &connection.pipes[end].segments;
            let first = segments.iter().position(|segment| segment.arrives.is_none());
            let lens: Vec<usize> = segments
                .iter()
                .skip(first.unwrap_or(usize::MAX))
                .map(|segment| segment.what.len())
                .collect();
            let arrivals: Vec<_> = lens.into_iter().map(|len| state.arrival(from, to, len)).collect();
            let Some(connection) = state.connections.get_mut(&id) else {
                return;
            };
            let Pipe {
                segments, last_arrival, ..
            } = &mut connection.pipes[end];
            let waiting = segments.iter_mut().skip(first.unwrap_or(usize::MAX));
            for (segment, arrives) in waiting.zip(arrivals) {
                segment.arrives = arrives.map(|arrives| (arrives + pause).max(*last_arrival));
                *last_arrival = segment.arrives.unwrap_or(*last_arrival);
            }
            connection.pipes[end].wake_reader();
        }
        if (from, to) == link || (to, from) == link {
            answer_unknown(state, id, end);
        }
    }
}
