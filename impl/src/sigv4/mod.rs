//! AWS signatures of requests, without I/O: version 4 in a header or in a presigned URL, its signed chunks, and
//! version 2 in a presigned URL.
//!
//! [`verify`] finds out who signed a request; what that identity may do is decided elsewhere. Sources: "Authenticating
//! Requests (AWS Signature Version 4)" and "Signing and Authenticating REST Requests" in the S3 API reference.

mod canonical;
mod chunks;
mod form;
mod sign;
mod v2;

pub use chunks::ChunkVerifier;
#[cfg(test)]
pub use chunks::example_chunks;
pub use form::check_form;
pub use sign::authorize;

use crate::{
    api::{ApiError, Code, hex},
    http::dates,
};
use canonical::{Headers, Mode};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, Uri};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use time::{Date, Month, OffsetDateTime, Time};

/// The scheme of version 4.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Value of `x-amz-content-sha256` for a body that is not hashed.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// Largest difference between the clocks of client and server, in seconds.
pub const SKEW_SECONDS_MAX: i64 = 15 * 60;

/// A signed request whose signature is right.
#[derive(Clone, Debug)]
pub struct Verified {
    /// Access key of the identity that signed it.
    pub access_key: String,
    /// The region that it was signed for; `None` in version 2, which names none.
    pub region: Option<String>,
    /// How the body is signed.
    pub payload: Payload,
}

/// How the body of a request is signed.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Not at all.
    Unsigned,
    /// By its SHA-256, in lower-case hexadecimal digits.
    Sha256(String),
    /// It is aws-chunked.
    Chunked {
        /// Verifies each chunk; `None` if they are not signed.
        verifier: Option<ChunkVerifier>,
        /// A trailer was announced.
        has_trailer: bool,
    },
}

impl Payload {
    /// Returns whether the body is framed as aws-chunked.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        matches!(self, Payload::Chunked { .. })
    }
}

/// Verifies the signature of a request; `None` if it has none. `query` is its [`parse_query`], `bucket` the one that
/// its host names, `secret_key` looks up an access key, `now_nanos` is the time since 1970. The form of the signature
/// was checked by [`check_form`].
///
/// # Errors
/// [`Code::InvalidAccessKeyId`], [`Code::SignatureDoesNotMatch`], [`Code::RequestTimeTooSkewed`],
/// [`Code::AccessDenied`] for an expired URL and for headers that should have been signed, and others for a
/// signature that is not served.
pub fn verify<'a, B>(
    request: &Request<B>,
    query: &[(String, String)],
    bucket: Option<&str>,
    secret_key: impl Fn(&str) -> Option<&'a str>,
    now_nanos: u64,
) -> Result<Option<Verified>, ApiError> {
    let now = i64::try_from(now_nanos / 1_000_000_000).unwrap_or(i64::MAX);
    let authorization = text(request.headers(), "authorization");
    if has(query, "Signature") {
        return v2::verify(request, bucket, query, secret_key, now).map(Some);
    }
    if has(query, "X-Amz-Signature") {
        return verify_presigned(request, query, secret_key, now).map(Some);
    }
    match authorization {
        None => Ok(None),
        Some(value) if value.starts_with("AWS ") => Err(ApiError::new(
            // Its date would have to be fresh and is not covered in every form: it could be sent again for ever.
            Code::InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.",
        )),
        Some(value) => verify_header(request, value, secret_key, now).map(Some),
    }
}

/// The pairs of a query, decoded.
#[must_use]
pub fn parse_query(uri: &Uri) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    uri.query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// The value of a query parameter, by its name in any case.
#[must_use]
pub fn query_value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = query.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// The value of a query parameter, by its exact name.
fn exact<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = query.iter().find(|(own, _)| own == name);
    found.map(|(_, value)| value.as_str())
}

fn has(query: &[(String, String)], name: &str) -> bool {
    exact(query, name).is_some()
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The credential of a signature of version 4: `<access key>/<date>/<region>/s3/aws4_request`.
struct Credential<'a> {
    access_key: &'a str,
    region: &'a str,
    /// All but the access key.
    scope: &'a str,
    day: &'a str,
}

impl<'a> Credential<'a> {
    fn parse(text: &'a str) -> Option<Credential<'a>> {
        let (access_key, scope) = text.split_once('/')?;
        let mut parts = scope.split('/');
        let (day, region) = (parts.next()?, parts.next()?);
        Some(Credential {
            access_key,
            region,
            scope,
            day,
        })
    }

    /// The verifier of what was signed with this credential at `date`.
    fn verifier<'s>(
        &self,
        secret_key: impl Fn(&str) -> Option<&'s str>,
        date: impl Into<String>,
    ) -> Result<Verifier<'a>, ApiError> {
        let secret = secret_key(self.access_key).ok_or(Code::InvalidAccessKeyId)?;
        Ok(Verifier {
            key: signing_key(secret, self.scope),
            date: date.into(),
            scope: self.scope,
        })
    }

    fn verified(&self, payload: Payload) -> Verified {
        Verified {
            access_key: self.access_key.to_owned(),
            region: Some(self.region.to_owned()),
            payload,
        }
    }
}

fn verify_header<'a, B>(
    request: &Request<B>,
    authorization: &str,
    secret_key: impl Fn(&str) -> Option<&'a str>,
    now: i64,
) -> Result<Verified, ApiError> {
    let headers = request.headers();
    let malformed = || ApiError::from(Code::AuthorizationHeaderMalformed);
    let component = |name: &str| {
        let (_, rest) = authorization.split_once(name)?;
        rest.strip_prefix('=')?.split(',').next().map(str::trim)
    };
    let credential = component("Credential")
        .and_then(Credential::parse)
        .ok_or_else(malformed)?;
    let signed = component("SignedHeaders").ok_or_else(malformed)?;
    let signature = component("Signature").ok_or_else(malformed)?;
    let date = date(headers).ok_or_else(|| {
        ApiError::new(
            Code::AccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header",
        )
    })?;
    // `check_form` compares the two only where `x-amz-date` was sent.
    if !date.starts_with(credential.day) {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    check_skew(&date, now)?;
    let verifier = credential.verifier(secret_key, date)?;
    let payload = text(headers, CONTENT_SHA256)
        .ok_or_else(|| ApiError::new(Code::InvalidRequest, "The header x-amz-content-sha256 is missing."))?;
    verifier.verify(request, &Headers::of(request, signed), payload, signature)?;
    check_coverage(headers, signed)?;
    let payload = if payload.starts_with("STREAMING-") {
        let has_trailer = payload.ends_with("-TRAILER");
        if has_trailer && !headers.contains_key("x-amz-trailer") {
            return Err(ApiError::new(
                Code::InvalidRequest,
                "The header x-amz-trailer is missing.",
            ));
        }
        if !headers.contains_key("x-amz-decoded-content-length") {
            return Err(Code::MissingContentLength.into());
        }
        let is_signed = !payload.starts_with("STREAMING-UNSIGNED-");
        let verifier = is_signed.then(|| verifier.of_chunks(signature));
        Payload::Chunked { verifier, has_trailer }
    } else {
        whole(payload)
    };
    Ok(credential.verified(payload))
}

fn verify_presigned<'a, B>(
    request: &Request<B>,
    query: &[(String, String)],
    secret_key: impl Fn(&str) -> Option<&'a str>,
    now: i64,
) -> Result<Verified, ApiError> {
    let malformed = || ApiError::from(Code::AuthorizationQueryParametersError);
    let parameter = |name: &str| exact(query, name).ok_or_else(malformed);
    let credential = Credential::parse(parameter("X-Amz-Credential")?).ok_or_else(malformed)?;
    let (date, signed) = (parameter("X-Amz-Date")?, parameter("X-Amz-SignedHeaders")?);
    let expires: i64 = parameter("X-Amz-Expires")?.parse().map_err(|_| malformed())?;
    let payload = presigned_payload(request.headers())?;
    let age = now - seconds(date).ok_or_else(malformed)?;
    if age < -SKEW_SECONDS_MAX {
        return Err(Code::RequestTimeTooSkewed.into());
    }
    if age > expires || expires == 0 {
        return Err(ApiError::new(Code::AccessDenied, "Request has expired"));
    }
    let verifier = credential.verifier(secret_key, date)?;
    // The body is not known when a URL is signed.
    let signature = parameter("X-Amz-Signature")?;
    verifier.verify(request, &Headers::of(request, signed), UNSIGNED, signature)?;
    check_coverage(request.headers(), signed)?;
    Ok(credential.verified(payload))
}

/// The payload of a presigned request: a URL says nothing of the body, but the request may.
fn presigned_payload(headers: &HeaderMap) -> Result<Payload, ApiError> {
    let payload = text(headers, CONTENT_SHA256).unwrap_or(UNSIGNED);
    if payload.starts_with("STREAMING-") {
        let message = "A presigned URL with an aws-chunked body is not implemented.";
        return Err(ApiError::new(Code::NotImplemented, message));
    }
    Ok(whole(payload))
}

/// The payload of a body that is not chunked.
fn whole(content_sha256: &str) -> Payload {
    match content_sha256 {
        UNSIGNED => Payload::Unsigned,
        hash => Payload::Sha256(hash.to_ascii_lowercase()),
    }
}

/// Verifies signatures with one signing key.
struct Verifier<'a> {
    key: [u8; 32],
    date: String,
    scope: &'a str,
}

impl Verifier<'_> {
    /// Compares a signature with those of every form in which clients canonicalize the request.
    fn verify<B>(
        &self,
        request: &Request<B>,
        headers: &Headers,
        payload: &str,
        signature: &str,
    ) -> Result<(), ApiError> {
        let expected = parse_hex(signature).ok_or(Code::SignatureDoesNotMatch)?;
        let is_right = Mode::all(request.uri()).any(|mode| {
            let canonical = canonical::request(request.method(), request.uri(), headers, payload, mode);
            let to_sign = string_to_sign(&self.date, self.scope, &canonical);
            // It compares in constant time.
            mac(&self.key, to_sign.as_bytes()).verify_slice(&expected).is_ok()
        });
        if is_right {
            Ok(())
        } else {
            Err(Code::SignatureDoesNotMatch.into())
        }
    }

    fn of_chunks(self, seed: &str) -> ChunkVerifier {
        ChunkVerifier::new(self.key, self.date, self.scope.to_owned(), seed.to_owned())
    }
}

/// The text that a signature of version 4 signs.
fn string_to_sign(date: &str, scope: &str, canonical: &[u8]) -> String {
    format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)))
}

/// Derives the key of a scope: `<day>/<region>/<service>/aws4_request`.
fn signing_key(secret_key: &str, scope: &str) -> [u8; 32] {
    let key = format!("AWS4{secret_key}").into_bytes();
    let last = scope.split('/').fold(key, |key, part| {
        mac(&key, part.as_bytes()).finalize().into_bytes().to_vec()
    });
    last.try_into().unwrap_or_default()
}

fn mac(key: &[u8], data: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::new_from_slice(key);
    let mut mac: Hmac<Sha256> = mac.expect("an HMAC takes keys of every length");
    mac.update(data);
    mac
}

/// The bytes of lower-case hexadecimal digits.
fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| match *pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    bytes.collect()
}

/// A signature is only as good as what it covers: whoever holds a presigned URL must not be able to add
/// `x-amz-copy-source` to it.
fn check_coverage(headers: &HeaderMap, signed: &str) -> Result<(), ApiError> {
    let must_be_signed =
        |name: &str| name.starts_with("x-amz-") && !matches!(name, CONTENT_SHA256 | "x-amz-user-agent");
    let is_signed = |name: &str| signed.split(';').any(|own| own == name);
    // The signature covers this date in any case; clients that sign `date` in its place may send none of this name.
    let is_covered = |name: &str| is_signed(name) || (name == "x-amz-date" && is_signed("date"));
    let mut names = headers.keys().map(http::HeaderName::as_str);
    // HTTP/2 has the host in its URL, and it may name the bucket.
    let unsigned = match is_signed("host") {
        true => names.find(|name| must_be_signed(name) && !is_covered(name)),
        false => Some("host"),
    };
    match unsigned {
        None => Ok(()),
        Some(name) => Err(ApiError::new(
            Code::AccessDenied,
            format!("There were headers present in the request which were not signed: {name}"),
        )),
    }
}

fn check_skew(date: &str, now: i64) -> Result<(), ApiError> {
    let seconds = seconds(date).ok_or(Code::SignatureDoesNotMatch)?;
    if (now - seconds).abs() > SKEW_SECONDS_MAX {
        return Err(Code::RequestTimeTooSkewed.into());
    }
    Ok(())
}

/// The date of a signature in a header, as `yyyyMMdd'T'HHmmss'Z'`: from `x-amz-date`, or from `Date` in any form of
/// HTTP or in that of signatures. The signature covers it whether or not it lists the header.
fn date(headers: &HeaderMap) -> Option<Cow<'_, str>> {
    if let Some(date) = text(headers, "x-amz-date") {
        return is_long_date(date).then_some(Cow::Borrowed(date));
    }
    let date = text(headers, "date")?;
    if is_long_date(date) {
        return Some(Cow::Borrowed(date));
    }
    // botocore writes it as mail does, with an offset from GMT that is zero.
    let zone = ["+0000", "-0000"].iter().find_map(|zone| date.strip_suffix(zone));
    let parsed = match zone {
        Some(date) => dates::parse_http(&format!("{date}GMT")),
        None => dates::parse_http(date),
    };
    parsed.map(|date| Cow::Owned(format_date(date)))
}

/// A date as signatures of version 4 name it: `yyyyMMdd'T'HHmmss'Z'`.
fn format_date(date: OffsetDateTime) -> String {
    let (hour, minute, second) = date.to_hms();
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Returns whether a text is a day, as `yyyyMMdd`.
fn is_day(text: &str) -> bool {
    text.len() == 8 && parse_day(text).is_some()
}

fn parse_day(text: &str) -> Option<Date> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u16>().ok().filter(|_| digits);
    let month = Month::try_from(u8::try_from(number(4..6)?).ok()?).ok()?;
    Date::from_calendar_date(number(0..4)?.into(), month, u8::try_from(number(6..8)?).ok()?).ok()
}

/// Returns whether a text is a time, as `yyyyMMdd'T'HHmmss'Z'`.
fn is_long_date(text: &str) -> bool {
    seconds(text).is_some()
}

/// Seconds since 1970 of `yyyyMMdd'T'HHmmss'Z'`.
fn seconds(text: &str) -> Option<i64> {
    let (day, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let is_clock = clock.len() == 6 && clock.bytes().all(|byte| byte.is_ascii_digit());
    if day.len() != 8 || !is_clock {
        return None;
    }
    let number = |at: usize| clock.get(at..at + 2)?.parse::<u8>().ok();
    let time = Time::from_hms(number(0)?, number(2)?, number(4)?).ok()?;
    Some(parse_day(day)?.with_time(time).assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests;
