//! Listeners and streams: what a program holds of the network.

use super::{
    Network, State,
    connection::{self, Connection, Found},
    node_at, now,
};
use crate::lock;
use madsim::{
    rand::{Rng, thread_rng},
    time::{TimeHandle, sleep},
};
use std::{
    collections::btree_map::Entry,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use store::runtime::{Accepted, BoxFuture, Listener, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Time after which a connect that nobody answers fails.
const SILENCE: Duration = Duration::from_secs(10);
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
    let Entry::Vacant(vacant) = state.listeners.entry((node, port)) else {
        return Err(io::ErrorKind::AddrInUse.into());
    };
    vacant.insert(super::Backlog::default());
    drop(state);
    let addr = SocketAddr::new(addr.ip(), port);
    let network = network.clone();
    Ok(Box::new(SimListener { network, node, addr }))
}

/// Opens a connection from a node.
///
/// # Errors
/// Refused where nobody listens, timed out where nobody answers.
pub(crate) async fn connect(network: Network, from: u32, addr: SocketAddr) -> io::Result<Box<dyn Stream>> {
    let to = node_at(from, addr.ip());
    let (id, answered) = match to {
        None => (None, None),
        Some(to) => {
            let arrives = lock(&network.0).arrival(from, to, 0);
            match arrives {
                None => (None, None),
                Some(arrives) => {
                    sleep(arrives.saturating_sub(now())).await;
                    let mut state = lock(&network.0);
                    let opened = open(&mut state, from, (to, addr.port()));
                    (Some(opened), state.arrival(to, from, 0))
                }
            }
        }
    };
    let (Some(opened), Some(answered)) = (id, answered) else {
        // Whoever was reached waits on a connection that its peer does not know.
        if let Some(Some(id)) = id {
            connection::close(&mut lock(&network.0), id, 0);
        }
        sleep(SILENCE).await;
        return Err(io::ErrorKind::TimedOut.into());
    };
    let stream = opened.map(|id| SimStream::new(network, id, 0));
    sleep(answered.saturating_sub(now())).await;
    match stream {
        Some(stream) => Ok(Box::new(stream)),
        None => Err(io::ErrorKind::ConnectionRefused.into()),
    }
}

/// Makes a connection that waits for its listener to accept it; `None` if there is no listener.
fn open(state: &mut State, from: u32, to: (u32, u16)) -> Option<u64> {
    let id = state.last_connection + 1;
    let backlog = state.listeners.get_mut(&to)?;
    if backlog.waiting.len() >= BACKLOG_MAX {
        return None;
    }
    backlog.waiting.push_back(id);
    backlog.waker.take().into_iter().for_each(std::task::Waker::wake);
    state.last_connection = id;
    state.connections.insert(id, Connection::new(from, to.0));
    Some(id)
}

struct SimListener {
    network: Network,
    node: u32,
    addr: SocketAddr,
}

impl SimListener {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let mut state = lock(&self.network.0);
        let Some(backlog) = state.listeners.get_mut(&(self.node, self.addr.port())) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Some(id) = backlog.waiting.pop_front() else {
            backlog.waker = Some(cx.waker().clone());
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
        let backlog = state.listeners.remove(&(self.node, self.addr.port()));
        for id in backlog.into_iter().flat_map(|backlog| backlog.waiting) {
            connection::abort(&mut state, id, 1);
        }
    }
}

/// A stream on which one read or write in eight is short.
struct SimStream {
    network: Network,
    id: u64,
    /// Which end of the connection it is: 0 of the host that has connected.
    end: usize,
    /// Until the next segment arrives.
    timer: Option<(Duration, BoxFuture<()>)>,
}

impl SimStream {
    fn new(network: Network, id: u64, end: usize) -> SimStream {
        let timer = None;
        SimStream {
            network,
            id,
            end,
            timer,
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
                    self.timer = None;
                    buf.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Found::Nothing(None) => return Poll::Pending,
                Found::Nothing(Some(arrives)) => {
                    if self.timer.as_ref().is_none_or(|(until, _)| *until != arrives) {
                        let wait = sleep(arrives.saturating_sub(now()));
                        self.timer = Some((arrives, Box::pin(wait)));
                    }
                    if let Some((_, timer)) = &mut self.timer {
                        ready!(timer.as_mut().poll(cx));
                    }
                    self.timer = None;
                }
            }
        }
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = bounded(buf.len());
        let written = connection::write(&mut lock(&self.network.0), self.id, self.end, &buf[..len], cx.waker())?;
        written.map_or(Poll::Pending, |written| Poll::Ready(Ok(written)))
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
