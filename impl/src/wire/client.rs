//! A client for the admin API of a running server: one signed GET, its answer in memory.
//!
//! The signature is AWS's version 4 with an unsigned, empty body.

use super::tls::{ClientTls, HandshakeError};
use crate::{
    access::Credentials,
    api::hex,
    runtime::{self, Rt},
};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha2::{Digest, Sha256};
use std::{error::Error, io, net::SocketAddr, time::Duration};
use time::OffsetDateTime;

/// Time limit for an answer.
const TIME_MAX: Duration = Duration::from_secs(30);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Signed in place of a body's hash.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Whom to ask, and as whom.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    /// Host and port as the URL has them.
    pub authority: &'a str,
    /// The host alone, as a certificate names it.
    pub host: &'a str,
    /// TLS settings; `None` for plain HTTP.
    pub tls: Option<&'a ClientTls>,
    /// The addresses of the host, in the order in which they are tried.
    pub addresses: &'a [SocketAddr],
    /// Whose signature it is.
    pub credentials: &'a Credentials,
    /// The region that the signature is for.
    pub region: &'a str,
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

/// Status and body of the answer to a signed `GET path`. `path` has no query and nothing to encode.
///
/// # Errors
/// [`ClientError`]; any status is an answer.
pub async fn get(rt: &Rt, asking: &Asking<'_>, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
    let answer = runtime::timeout(rt, TIME_MAX, exchange(rt, asking, path)).await;
    answer.unwrap_or(Err(ClientError::TimedOut))
}

async fn exchange(rt: &Rt, asking: &Asking<'_>, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in asking.addresses {
        match rt.connect(*address).await {
            Ok(stream) => {
                let request = request(asking, path, rt.wall_nanos());
                let request = request.map_err(|error| ClientError::Broken(error.into()))?;
                let stream = match asking.tls {
                    None => stream,
                    Some(tls) => tls.connect(asking.host, stream).await?,
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

fn request(asking: &Asking<'_>, path: &str, wall_nanos: u64) -> http::Result<Request<Empty<Bytes>>> {
    let date = amz_date(wall_nanos);
    let authorization = authorization(asking, path, &date);
    let mut request = Request::get(path)
        .header(header::HOST, asking.authority)
        .header("x-amz-content-sha256", UNSIGNED)
        .header("x-amz-date", &date)
        .body(Empty::new())?;
    let mut value = HeaderValue::try_from(authorization)?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(request)
}

/// `YYYYMMDDThhmmssZ`.
fn amz_date(wall_nanos: u64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(wall_nanos.into()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

fn authorization(asking: &Asking<'_>, path: &str, date: &str) -> String {
    let signed = "host;x-amz-content-sha256;x-amz-date";
    let host = asking.authority;
    let headers = format!("host:{host}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{date}\n");
    let canonical = format!("GET\n{path}\n\n{headers}\n{signed}\n{UNSIGNED}");
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/s3/aws4_request", asking.region);
    let digest = hex(&Sha256::digest(canonical.as_bytes()));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let secret = format!("AWS4{}", asking.credentials.secret_key);
    let key = [day, asking.region, "s3", "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| mac(&key, part));
    let signature = hex(&mac(&key, &to_sign));
    let user = &asking.credentials.access_key;
    format!("AWS4-HMAC-SHA256 Credential={user}/{scope}, SignedHeaders={signed}, Signature={signature}")
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mac = Hmac::new_from_slice(key);
    let mut mac: Hmac<Sha256> = mac.expect("an HMAC takes keys of every length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::real::RealRuntime;

    fn credentials() -> Credentials {
        Credentials {
            access_key: "root".into(),
            secret_key: "secret12".into(),
        }
    }

    #[test]
    fn dates() {
        assert_eq!(amz_date(0), "19700101T000000Z");
        assert_eq!(amz_date(951_868_799_999_999_999), "20000229T235959Z");
    }

    /// The black-box tests check that the signature is right; this one that no secret leaks.
    #[test]
    fn the_secret_stays_out_of_the_request() {
        let credentials = credentials();
        let asking = Asking {
            authority: "h:9000",
            host: "h",
            tls: None,
            addresses: &[],
            credentials: &credentials,
            region: "us-east-1",
        };
        let request = request(&asking, "/minio/admin/v3/info", 0).unwrap();
        let text = format!("{request:?}");
        assert!(!text.contains("secret12") && !text.contains("Signature"), "{text}");
    }

    #[tokio::test]
    async fn nobody_there() {
        let rt = RealRuntime::new();
        let listener = rt.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let addresses = [listener.local_addr().unwrap()];
        drop(listener);
        let credentials = credentials();
        let mut asking = Asking {
            authority: "h:9000",
            host: "h",
            tls: None,
            addresses: &addresses,
            credentials: &credentials,
            region: "us-east-1",
        };
        let error = get(&rt, &asking, "/").await.unwrap_err().to_string();
        assert!(error.starts_with("cannot connect: "), "{error}");
        asking.addresses = &[];
        let error = get(&rt, &asking, "/").await.unwrap_err().to_string();
        assert_eq!(error, "cannot connect: the name has no address");
    }

    #[tokio::test]
    async fn what_is_no_http_is_an_error() {
        use tokio::io::AsyncWriteExt;
        let rt = RealRuntime::new();
        let listener = rt.listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let addresses = [listener.local_addr().unwrap()];
        runtime::spawn(&rt, "a server of something else", async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"220 mail.example.com ESMTP\r\n").await.unwrap();
        });
        let credentials = credentials();
        let asking = Asking {
            authority: "h:9000",
            host: "h",
            tls: None,
            addresses: &addresses,
            credentials: &credentials,
            region: "us-east-1",
        };
        let error = get(&rt, &asking, "/").await.unwrap_err();
        assert!(matches!(error, ClientError::Broken(_)), "{error}");
    }
}
