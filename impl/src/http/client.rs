//! A client of HTTP: one request on a connection of its own, its answer in memory.

use super::tls::{ClientTls, HandshakeError};
use crate::runtime::{self, Rt};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{error::Error, io, net::SocketAddr, time::Duration};

/// Time limit for an answer.
const TIME_MAX: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A server to ask.
#[derive(Clone, Debug)]
pub struct Remote<'a> {
    /// Its host, as a certificate names it.
    pub host: &'a str,
    /// TLS settings; `None` for plain HTTP.
    pub tls: Option<&'a ClientTls>,
    /// The addresses of the host, in the order in which they are tried.
    pub addresses: &'a [SocketAddr],
}

/// Error of a request.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Connection refused, or no route.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// Error of TLS: of its settings, or of the handshake.
    #[error(transparent)]
    Tls(#[from] HandshakeError),
    /// Timed out.
    #[error("no answer within {} s", TIME_MAX.as_secs())]
    TimedOut,
    /// The connection broke, or what came is no HTTP.
    #[error("the answer cannot be read (if the server speaks TLS, use https://): {0}")]
    Broken(#[source] Box<dyn Error + Send + Sync>),
}

/// Sends a request without a body; status and body of the answer.
///
/// # Errors
/// [`ClientError`]; any status is an answer.
pub async fn ask(
    rt: &Rt,
    remote: &Remote<'_>,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let answer = runtime::timeout(rt, TIME_MAX, exchange(rt, remote, request)).await;
    answer.unwrap_or(Err(ClientError::TimedOut))
}

async fn exchange(
    rt: &Rt,
    remote: &Remote<'_>,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), ClientError> {
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in remote.addresses {
        match rt.connect(*address).await {
            Ok(stream) => {
                let stream = match remote.tls {
                    None => stream,
                    Some(tls) => tls.connect(remote.host, stream).await?,
                };
                return send(TokioIo::new(stream), request).await.map_err(ClientError::Broken);
            }
            Err(error) => failure = error,
        }
    }
    Err(ClientError::Connect(failure))
}

async fn send(
    stream: TokioIo<Box<dyn runtime::Stream>>,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(stream).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await?;
        Ok((status, body.to_bytes()))
    };
    // The connection carries the answer; its own end says nothing that the answer does not.
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = &mut connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;

    async fn ask_at(rt: &Rt, addresses: &[SocketAddr]) -> Result<(StatusCode, Bytes), ClientError> {
        let remote = Remote {
            host: "h",
            tls: None,
            addresses,
        };
        ask(rt, &remote, Request::get("/").body(Empty::new()).unwrap()).await
    }

    #[tokio::test]
    async fn nobody_there() {
        let rt = RealRuntime::new();
        let listener = rt.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = ask_at(&rt, &[address]).await.unwrap_err().to_string();
        assert!(error.starts_with("cannot connect: "), "{error}");
        let error = ask_at(&rt, &[]).await.unwrap_err().to_string();
        assert_eq!(error, "cannot connect: the name has no address");
    }

    #[tokio::test]
    async fn what_is_no_http_is_an_error() {
        use tokio::io::AsyncWriteExt;
        let rt = RealRuntime::new();
        let listener = rt.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        runtime::spawn(&rt, "a server of something else", async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
        });
        let error = ask_at(&rt, &[address]).await.unwrap_err();
        assert!(matches!(error, ClientError::Broken(_)), "{error}");
    }
}
