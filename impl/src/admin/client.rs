//! A client for the admin API of a running server: one signed GET, its answer in memory.

use crate::{
    access::Credentials,
    http::client::{self, ClientError, Remote},
    runtime::Rt,
    sigv4,
};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Empty;

/// Whom to ask, and as whom.
#[derive(Clone, Debug)]
pub struct Asking<'a> {
    /// Host and port as the URL has them.
    pub authority: &'a str,
    /// The server.
    pub remote: Remote<'a>,
    /// Keys of the identity that signs.
    pub credentials: &'a Credentials,
    /// The region that the signature is for.
    pub region: &'a str,
}

/// Status and body of the answer to a signed `GET path`. `path` has no query and nothing to encode.
///
/// # Errors
/// [`ClientError`]; any status is an answer.
pub async fn get(rt: &Rt, asking: &Asking<'_>, path: &str) -> Result<(StatusCode, Bytes), ClientError> {
    let request = request(asking, path, rt.wall_nanos()).map_err(|error| ClientError::Broken(error.into()))?;
    client::ask(rt, &asking.remote, request).await
}

fn request(asking: &Asking<'_>, path: &str, wall_nanos: u64) -> http::Result<Request<Empty<Bytes>>> {
    let mut request = Request::get(path)
        .header(header::HOST, asking.authority)
        .body(Empty::new())?;
    let Credentials { access_key, secret_key } = asking.credentials;
    sigv4::authorize(&mut request, access_key, secret_key, asking.region, wall_nanos)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The black-box tests check that the signature is right; this one that no secret leaks.
    #[test]
    fn the_secret_stays_out_of_the_request() {
        let credentials = Credentials {
            access_key: "root".into(),
            secret_key: "secret12".into(),
        };
        let asking = Asking {
            authority: "h:9000",
            remote: Remote {
                host: "h",
                tls: None,
                addresses: &[],
            },
            credentials: &credentials,
            region: "us-east-1",
        };
        let request = request(&asking, "/minio/admin/v3/info", 0).unwrap();
        let text = format!("{request:?}");
        assert!(!text.contains("secret12") && !text.contains("Signature"), "{text}");
    }
}
