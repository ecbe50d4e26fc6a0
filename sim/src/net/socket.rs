//! Listeners and streams: what a program holds of the network.

use super::{
    Backlog, Network,
    connection::{self, Connection, Found, Written},
    node_at, now,
};
use crate::lock;
use madsim::{
    rand::{Rng, thread_rng},
    time::{TimeHandle, sleep},
};
use std::{
    collections::{VecDeque, btree_map::Entry},
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use store::runtime::{Accepted, BoxFuture, Listener, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Pauses after each attempt of a connect that is not answered, in seconds; it fails after the last.
const PAUSES_SECONDS: [u64; 4] = [1, 2, 4, 3];
/// Largest number of bytes of a short read or write.
const SHORT_BYTES_MAX: usize = 1500;
/// Connections that wait for a listener to accept them.
const BACKLOG_MAX: usize = 1024;

/// Binds a listening socket on a node; port 0 is any that is free.
///
/// # Errors
/// In use, or not an address of the node.
pub(crate) fn listen(network: &Network, node: u32, addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
    if node_at(node, addr.ip()) != Some(node) {
        return Err(io::ErrorKind::AddrNotAvailable.into());
    }
    let mut state = lock(&network.0);
    let port = match addr.port() {
        0 => state.port(node),
        port => port,
    };
    let id = state.next_id();
    let Entry::Vacant(vacant) = state.listeners.entry((node, port)) else {
        return Err(io::ErrorKind::AddrInUse.into());
    };
    let backlog = Backlog {
        id,
        waiting: VecDeque::new(),
        wakers: Vec::new(),
    };
    vacant.insert(backlog);
    drop(state);
    let addr = SocketAddr::new(addr.ip(), port);
    let network = network.clone();
    Ok(Box::new(SimListener {
        network,
        id,
        node,
        addr,
    }))
}

/// Opens a connection from a node.
///
/// # Errors
/// Refused where nothing listens, timed out where no host answers.
pub(crate) async fn connect(network: Network, from: u32, addr: SocketAddr) -> io::Result<Box<dyn Stream>> {
    let to = node_at(from, addr.ip());
    for pause in PAUSES_SECONDS {
        if let Some(to) = to
            && let Some((opened, answered)) = attempt(&network, from, (to, addr.port())).await
        {
            let stream = opened.map(|id| SimStream::new(network, id, 0));
            sleep(answered.saturating_sub(now())).await;
            return match stream {
                Some(stream) => Ok(Box::new(stream)),
                None => Err(io::ErrorKind::ConnectionRefused.into()),
            };
        }
        sleep(Duration::from_secs(pause)).await;
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Asks a host for a connection: the one that was made, if something listens, and the time at which the answer arrives.
/// `None` if none comes.
async fn attempt(network: &Network, from: u32, to: (u32, u16)) -> Option<(Option<u64>, Duration)> {
    let arrives = lock(&network.0).arrival(from, to.0, 0)?;
    sleep(arrives.saturating_sub(now())).await;
    let mut state = lock(&network.0);
    if !state.is_up(from, to.0) {
        return None;
    }
    let answered = state.arrival(to.0, from, 0)?;
    let id = state.next_id();
    let Some(backlog) = state.listeners.get_mut(&to) else {
        return Some((None, answered));
    };
    if backlog.waiting.len() >= BACKLOG_MAX {
        return None;
    }
    backlog.waiting.push_back(id);
    backlog.wakers.drain(..).for_each(Waker::wake);
    state.connections.insert(id, Connection::new(from, to.0));
    Some((Some(id), answered))
}

struct SimListener {
    network: Network,
    id: u64,
    node: u32,
    addr: SocketAddr,
}

impl SimListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let mut state = lock(&self.network.0);
        let own = state.listeners.get_mut(&(self.node, self.addr.port()));
        let Some(backlog) = own.filter(|backlog| backlog.id == self.id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Some(id) = backlog.waiting.pop_front() else {
            backlog.wakers.push(cx.waker().clone());
            return Poll::Pending;
        };
        let from = state
            .connections
            .get(&id)
            .map_or(self.node, |connection| connection.ends[0].node);
        let peer = SocketAddr::new(super::ip(from), state.port(from));
        let stream: Box<dyn Stream> = Box::new(SimStream::new(self.network.clone(), id, 1));
        Poll::Ready(Ok((stream, peer)))
    }
}

impl Listener for SimListener {
    fn accept(&self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + '_>> {
        Box::pin(poll_fn(|cx| self.poll_accept(cx)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        if TimeHandle::try_current().is_none() {
            return;
        }
        let mut state = lock(&self.network.0);
        let at = (self.node, self.addr.port());
        if state.listeners.get(&at).is_some_and(|backlog| backlog.id == self.id) {
            state.close_listener(at);
        }
    }
}

/// A stream on which one read or write in eight is short.
struct SimStream {
    network: Network,
    id: u64,
    /// Index of its end of the connection: 0 on the host that has connected.
    end: usize,
    /// Until the next segment arrives.
    read_timer: Timer,
    /// Until a reset arrives.
    write_timer: Timer,
}

/// A time, and a future that waits for it.
#[derive(Default)]
struct Timer(Option<(Duration, BoxFuture<()>)>);

impl Timer {
    /// Waits until a time; for ever without one.
    fn poll_until(&mut self, until: Option<Duration>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = until else { return Poll::Pending };
        if self.0.as_ref().is_none_or(|(own, _)| *own != until) {
            self.0 = Some((until, Box::pin(sleep(until.saturating_sub(now())))));
        }
        if let Some((_, timer)) = &mut self.0 {
            ready!(timer.as_mut().poll(cx));
        }
        self.0 = None;
        Poll::Ready(())
    }
}

impl SimStream {
    fn new(network: Network, id: u64, end: usize) -> SimStream {
        let (read_timer, write_timer) = Default::default();
        SimStream {
            network,
            id,
            end,
            read_timer,
            write_timer,
        }
    }
}

/// Bounds a read or write of `len` bytes, if it is to be short.
fn bounded(len: usize) -> usize {
    let mut rng = thread_rng();
    match rng.gen_ratio(1, 8) {
        true => len.min(rng.gen_range(1..=SHORT_BYTES_MAX)),
        false => len,
    }
}

impl AsyncRead for SimStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let len = bounded(buf.remaining());
        loop {
            let (id, end) = (self.id, self.end);
            let found = connection::read(
                &mut lock(&self.network.0),
                id,
                end,
                &mut buf.initialize_unfilled()[..len],
                cx.waker(),
            )?;
            match found {
                Found::Read(read) => {
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Found::Nothing(next) => ready!(self.read_timer.poll_until(next, cx)),
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = bounded(buf.len());
        loop {
            let written = connection::write(&mut lock(&self.network.0), self.id, self.end, &buf[..len], cx.waker())?;
            match written {
                Written::Bytes(written) => return Poll::Ready(Ok(written)),
                Written::Full(reset) => ready!(self.write_timer.poll_until(reset, cx)),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(connection::shut_down(&mut lock(&self.network.0), self.id, self.end))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        // When a run has ended there is nobody left to tell.
        if TimeHandle::try_current().is_none() {
            return;
        }
        connection::close(&mut lock(&self.network.0), self.id, self.end);
    }
}
