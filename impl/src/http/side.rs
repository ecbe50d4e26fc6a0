//! Connections on the port that are not of clients: told apart by their first bytes, before a client's permit is
//! needed.
//!
//! Every connection waits in a [`Lobby`] until it has said what it is, and a client's then until it may be served. The
//! lobby never turns a new connection away: when it is full, the one loses its place that has been silent for longest,
//! or if none is silent, the client that came last.

use super::connection::Phase;
use crate::runtime::{self, BoxFuture, Rt, Stream};
use bytes::{Buf, Bytes, BytesMut};
use rustls::server::Acceptor;
use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
};

/// Places in the lobby.
const PLACES: usize = 1024;
/// Longest first message of a TLS client that is looked at, and longest time until it has come.
const HELLO_BYTES_MAX: usize = 20 << 10;
const HELLO_TIME_MAX: Duration = Duration::from_secs(10);

/// Takes connections that are not of clients.
pub trait SideEntrance: Send + Sync + 'static {
    /// Returns whether a connection to a plain port that begins with this byte is for it.
    fn takes_plain(&self, first: u8) -> bool;
    /// Returns whether a TLS connection whose client offers this ALPN name is for it.
    fn takes_protocol(&self, alpn: &[u8]) -> bool;
    /// Serves a connection from its first byte to its end.
    fn serve(&self, stream: Box<dyn Stream>, from: SocketAddr) -> BoxFuture<()>;
}

/// A connection that was accepted, of whom is not known yet.
pub(super) struct Arrival {
    pub rt: Rt,
    pub side: Arc<dyn SideEntrance>,
    pub place: Place,
    pub stream: Box<dyn Stream>,
    pub from: SocketAddr,
    pub is_tls: bool,
    /// Longest time until it has said what it is.
    pub silence_max: Duration,
    /// Permits of clients.
    pub permits: Arc<Semaphore>,
    pub phase: watch::Receiver<Phase>,
}

impl Arrival {
    /// Hands it over as soon as it has said whose it is: to the side entrance at once (`peer.before-clients`), or to
    /// `serve` once one more client may be served.
    pub async fn serve<F: Future<Output = ()>>(
        self,
        serve: impl FnOnce(Box<dyn Stream>, Option<OwnedSemaphorePermit>) -> F,
    ) {
        let (mut place, mut phase, side) = (self.place, self.phase, self.side);
        let silence_max = match self.is_tls {
            true => self.silence_max.min(HELLO_TIME_MAX),
            false => self.silence_max,
        };
        let told = runtime::timeout(&self.rt, silence_max, tell(self.stream, &*side, self.is_tls));
        let told = tokio::select! {
            biased;
            _ = &mut place.lost => None,
            _ = phase.changed() => None,
            told = told => told,
        };
        match told {
            Some(Ok((stream, Whose::Side))) => {
                // With it goes what keeps the server from ending before its clients are served.
                drop(serve);
                drop(place);
                side.serve(stream, self.from).await;
            }
            Some(Ok((stream, Whose::Client))) => {
                place.is_clients();
                let permit = tokio::select! {
                    biased;
                    _ = &mut place.lost => return,
                    _ = phase.changed() => return,
                    permit = self.permits.acquire_owned() => permit.ok(),
                };
                drop(place);
                serve(stream, permit).await;
            }
            Some(Err(_)) | None => {}
        }
    }
}

/// Kind of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Client,
    Side,
}

/// Reads as much of a connection as is needed to tell whose it is. The stream that is returned has all of it.
///
/// # Errors
/// The stream failed, or ended before it could be told.
pub(super) async fn tell(
    mut stream: Box<dyn Stream>,
    side: &dyn SideEntrance,
    is_tls: bool,
) -> io::Result<(Box<dyn Stream>, Whose)> {
    let mut begun = BytesMut::new();
    let mut acceptor = Acceptor::default();
    let whose = loop {
        let len = begun.len();
        if stream.read_buf(&mut begun).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !is_tls {
            break if side.takes_plain(begun[0]) {
                Whose::Side
            } else {
                Whose::Client
            };
        }
        match hello(&mut acceptor, &begun[len..], side) {
            Some(whose) => break whose,
            // What is no TLS is the handshake's to refuse.
            None if begun.len() > HELLO_BYTES_MAX => break Whose::Client,
            None => {}
        }
    };
    let begun = begun.freeze();
    Ok((Box::new(Begun { begun, stream }), whose))
}

/// Takes more of a TLS client's first message. Returns whose it is, once it is whole or wrong.
fn hello(acceptor: &mut Acceptor, mut more: &[u8], side: &dyn SideEntrance) -> Option<Whose> {
    while !more.is_empty() {
        if acceptor.read_tls(&mut more).is_err() {
            return Some(Whose::Client);
        }
    }
    let accepted = match acceptor.accept() {
        Ok(accepted) => accepted?,
        Err(_) => return Some(Whose::Client),
    };
    let mut protocols = accepted.client_hello().alpn().into_iter().flatten();
    let is_side = protocols.any(|alpn| side.takes_protocol(alpn));
    Some(if is_side { Whose::Side } else { Whose::Client })
}

/// A stream whose first bytes were read already, and are read again.
struct Begun {
    begun: Bytes,
    stream: Box<dyn Stream>,
}

impl AsyncRead for Begun {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.begun.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let len = self.begun.len().min(buf.remaining());
        buf.put_slice(&self.begun[..len]);
        self.begun.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Begun {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Connections that are not served yet.
#[derive(Default)]
pub(super) struct Lobby(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    last_id: u64,
    /// By age: those that have said nothing yet, and clients that wait to be served.
    silent: BTreeMap<u64, oneshot::Sender<()>>,
    clients: BTreeMap<u64, oneshot::Sender<()>>,
}

/// A place in the lobby, until it is dropped.
pub(super) struct Place {
    lobby: Arc<Lobby>,
    id: u64,
    /// Completes when the place is lost.
    pub lost: oneshot::Receiver<()>,
}

impl Lobby {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a connection, in the place of another one if there is no room.
    pub fn enter(self: &Arc<Self>) -> Place {
        let mut waiting = self.waiting();
        if waiting.silent.len() + waiting.clients.len() >= PLACES && waiting.silent.pop_first().is_none() {
            waiting.clients.pop_last();
        }
        waiting.last_id += 1;
        let (end, lost) = oneshot::channel();
        let id = waiting.last_id;
        waiting.silent.insert(id, end);
        Place {
            lobby: self.clone(),
            id,
            lost,
        }
    }
}

impl Place {
    /// Notes that it is a client's, which waits to be served.
    pub fn is_clients(&self) {
        let mut waiting = self.lobby.waiting();
        if let Some(end) = waiting.silent.remove(&self.id) {
            waiting.clients.insert(self.id, end);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.lobby.waiting();
        waiting.silent.remove(&self.id);
        waiting.clients.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    struct Side;

    impl SideEntrance for Side {
        fn takes_plain(&self, first: u8) -> bool {
            first == 0x16
        }

        fn takes_protocol(&self, alpn: &[u8]) -> bool {
            alpn == b"side"
        }

        fn serve(&self, _: Box<dyn Stream>, _: SocketAddr) -> BoxFuture<()> {
            Box::pin(std::future::ready(()))
        }
    }

    /// Returns whose a connection is that says this, `step` bytes at a time, and what can be read of it afterwards.
    async fn told(said: &[u8], step: usize, is_tls: bool) -> io::Result<(Whose, Vec<u8>)> {
        let (mut there, here) = tokio::io::duplex(step);
        let say = async {
            there.write_all(said).await.ok();
            drop(there);
        };
        let read = async {
            let (mut stream, whose) = tell(Box::new(here), &Side, is_tls).await?;
            let mut all = Vec::new();
            stream.read_to_end(&mut all).await?;
            Ok((whose, all))
        };
        futures::future::join(say, read).await.1
    }

    /// First message of a TLS client that offers a protocol.
    fn client_hello(alpn: &[u8]) -> Vec<u8> {
        let roots = rustls::RootCertStore::empty();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider);
        let config = config.with_safe_default_protocol_versions().expect("versions");
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![alpn.to_vec(), b"another".to_vec()];
        let name = "localhost".try_into().expect("a name");
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut said = Vec::new();
        client.write_tls(&mut said).expect("memory");
        said
    }

    #[tokio::test]
    async fn connections_are_told_apart_and_lose_no_byte() {
        let get = b"GET / HTTP/1.1\r\n\r\n";
        for step in [1, 3, 5000] {
            for (said, is_tls, expected) in [
                (&get[..], false, Whose::Client),
                (&client_hello(b"side"), false, Whose::Side),
                (&client_hello(b"side"), true, Whose::Side),
                (&client_hello(b"h2"), true, Whose::Client),
                (&get[..], true, Whose::Client),
            ] {
                let (whose, read) = told(said, step, is_tls).await.expect("it can be told");
                assert_eq!(whose, expected);
                assert!(read == said, "{} of {} bytes", read.len(), said.len());
            }
        }
        assert!(told(b"", 1, false).await.is_err());
        assert!(told(&client_hello(b"side")[..50], 9, true).await.is_err());
    }

    #[test]
    fn a_full_lobby_drops_who_is_silent_for_longest_then_the_client_that_came_last() {
        let lobby = Arc::new(Lobby::default());
        let mut places: Vec<Place> = (0..PLACES).map(|_| lobby.enter()).collect();
        places.iter().skip(1).for_each(Place::is_clients);
        let is_lost = |place: &mut Place| place.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed);
        let mut new = lobby.enter();
        assert!(is_lost(&mut places[0]) && !is_lost(&mut places[1]) && !is_lost(&mut new));
        new.is_clients();
        let mut newer = lobby.enter();
        assert!(is_lost(&mut new) && !is_lost(&mut places[1]) && !is_lost(&mut newer));
        drop((places, new));
        let others: Vec<Place> = (0..PLACES - 1).map(|_| lobby.enter()).collect();
        assert!(!is_lost(&mut newer) && others.len() == PLACES - 1);
    }
}
