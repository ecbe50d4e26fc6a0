//! Signs requests, with version 4 in a header and a body that is not hashed. The signature covers the host and all
//! headers of Amazon.

use super::{
    ALGORITHM, UNSIGNED,
    canonical::{self, Headers, Mode},
    format_date, mac, signing_key, string_to_sign,
};
use crate::api::hex;
use hmac::Mac;
use http::{HeaderMap, HeaderName, HeaderValue, Request, header};
use time::OffsetDateTime;

/// Signs a request that has its `Host`, for `region`, at `now_nanos` since 1970.
///
/// # Errors
/// The access key cannot stand in a header.
pub fn authorize<B>(
    request: &mut Request<B>,
    access_key: &str,
    secret_key: &str,
    region: &str,
    now_nanos: u64,
) -> http::Result<()> {
    let now = OffsetDateTime::from_unix_timestamp_nanos(now_nanos.into()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let date = format_date(now);
    let headers = request.headers_mut();
    headers.insert("x-amz-content-sha256", HeaderValue::from_static(UNSIGNED));
    headers.insert("x-amz-date", HeaderValue::try_from(&date)?);
    let signed = signed_names(headers);
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/s3/aws4_request");
    let headers = Headers::of(request, &signed);
    let canonical = canonical::request(request.method(), request.uri(), &headers, UNSIGNED, Mode::USUAL);
    let to_sign = string_to_sign(&date, &scope, &canonical);
    let signature = mac(&signing_key(secret_key, &scope), to_sign.as_bytes()).finalize();
    let signature = hex(&signature.into_bytes());
    let value = format!("{ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={signed}, Signature={signature}");
    let mut value = HeaderValue::try_from(value)?;
    value.set_sensitive(true);
    request.headers_mut().insert(header::AUTHORIZATION, value);
    Ok(())
}

/// Returns the names of the headers to sign, sorted.
fn signed_names(headers: &HeaderMap) -> String {
    let amazons = headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| name.starts_with("x-amz-"));
    let mut names: Vec<&str> = amazons.chain(["host"]).collect();
    names.sort_unstable();
    names.join(";")
}
