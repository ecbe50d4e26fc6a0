//! madsim's TCP with what it leaves out: short reads and writes, and connects that nobody answers.

use madsim::{
    net::{TcpListener, TcpStream},
    rand::{Rng, thread_rng},
    time::sleep,
};
use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use store::runtime::{Accepted, Listener, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How long a connect to a silent address takes to fail.
const SILENCE: Duration = Duration::from_secs(10);
/// The most bytes of a short read or write.
const SHORT_BYTES_MAX: usize = 1500;

/// Binds a listening socket on the node whose task asks.
pub(crate) async fn listen(addr: SocketAddr) -> io::Result<Box<dyn Listener>> {
    Ok(Box::new(SimListener(TcpListener::bind(addr).await?)))
}

/// Opens a connection from the node whose task asks. madsim refuses a connection over a broken link at
/// once; here half of the refusals take as long as silence does.
pub(crate) async fn connect(addr: SocketAddr) -> io::Result<Box<dyn Stream>> {
    match TcpStream::connect(addr).await {
        Ok(stream) => Ok(Box::new(SimStream(stream))),
        Err(error) if thread_rng().gen_bool(0.5) => Err(error),
        Err(_) => {
            sleep(SILENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

struct SimListener(TcpListener);

impl Listener for SimListener {
    fn accept(&self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + '_>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            Ok((Box::new(SimStream(stream)) as Box<dyn Stream>, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection on which one read or write in eight is short.
struct SimStream(TcpStream);

/// A bound on the next read or write, when it is to be short.
fn short() -> Option<usize> {
    let mut rng = thread_rng();
    rng.gen_ratio(1, 8).then(|| rng.gen_range(1..=SHORT_BYTES_MAX))
}

impl AsyncRead for SimStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(len) = short().map(|len| len.min(buf.remaining())) else {
            return Pin::new(&mut self.0).poll_read(cx, buf);
        };
        let mut bytes = [0; SHORT_BYTES_MAX];
        let mut piece = ReadBuf::new(&mut bytes[..len]);
        let polled = Pin::new(&mut self.0).poll_read(cx, &mut piece);
        buf.put_slice(piece.filled());
        polled
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let len = short().unwrap_or(buf.len()).min(buf.len());
        Pin::new(&mut self.0).poll_write(cx, &buf[..len])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What was written must arrive before the end does.
        match Pin::new(&mut self.0).poll_flush(cx) {
            Poll::Ready(Ok(())) => Pin::new(&mut self.0).poll_shutdown(cx),
            other => other,
        }
    }
}
