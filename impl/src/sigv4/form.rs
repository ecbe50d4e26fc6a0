//! The form of a signature: what S3 says of one that cannot be read, before it is verified.

use super::{ALGORITHM, CONTENT_SHA256, has, is_day, is_long_date};
use crate::api::{ApiError, Code};
use http::HeaderMap;

/// The longest life of a presigned URL, in seconds: seven days.
const PRESIGNED_SECONDS_MAX: i64 = 604_800;

/// The query parameters that make a presigned URL; each is needed.
const PRESIGNED: [&str; 6] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
];

/// A scheme that S3 has for access points in several regions.
const ALGORITHM_ECDSA: &str = "AWS4-ECDSA-P256-SHA256";

/// Values of `x-amz-content-sha256` beside a hash.
const PAYLOADS: [&str; 6] = [
    "UNSIGNED-PAYLOAD",
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
    "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER",
];

/// Checks that a signature, if there is one, can be read.
///
/// # Errors
/// [`Code::AuthorizationHeaderMalformed`] or [`Code::AuthorizationQueryParametersError`] with the reason,
/// [`Code::InvalidArgument`] for two signatures, another scheme or an unknown `x-amz-content-sha256`,
/// [`Code::AccessDenied`] without a date.
pub fn check_form(query: &[(String, String)], headers: &HeaderMap) -> Result<(), ApiError> {
    let has = |name: &str| has(query, name);
    let is_presigned = PRESIGNED[..3].iter().any(|name| has(name));
    let is_presigned_v2 = has("Signature") || has("AWSAccessKeyId");
    let authorization = headers.get("authorization");
    let signatures = [is_presigned, is_presigned_v2, authorization.is_some()];
    if signatures.iter().filter(|has| **has).count() > 1 {
        return Err(ApiError::new(
            Code::InvalidArgument,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string \
             parameter or the Authorization header should be specified",
        ));
    }
    if is_presigned {
        check_query(query)?;
    } else if is_presigned_v2 {
        if !["Signature", "Expires", "AWSAccessKeyId"].iter().all(|name| has(name)) {
            return Err(ApiError::new(
                Code::AccessDenied,
                "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters",
            ));
        }
    } else if let Some(authorization) = authorization {
        check_header(authorization.to_str().unwrap_or_default(), headers)?;
    } else {
        return Ok(());
    }
    check_payload(headers)
}

fn check_query(query: &[(String, String)]) -> Result<(), ApiError> {
    let bad = |message: String| Err(ApiError::new(Code::AuthorizationQueryParametersError, message));
    let mut values = [""; PRESIGNED.len()];
    for (value, name) in values.iter_mut().zip(PRESIGNED) {
        let mut found = query.iter().filter(|(own, _)| own == name);
        match (found.next(), found.next()) {
            (Some((_, only)), None) if !only.is_empty() => *value = only,
            _ => {
                return bad(
                    "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, \
                     X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
                        .to_owned(),
                );
            }
        }
    }
    let [algorithm, credential, signature, date, _, expires] = values;
    if algorithm == ALGORITHM_ECDSA {
        return Err(ecdsa());
    }
    if algorithm != ALGORITHM {
        return bad(format!(
            "X-Amz-Algorithm only supports \"{ALGORITHM}\" and \"{ALGORITHM_ECDSA}\""
        ));
    }
    check_scope(credential, Some(date))
        .or_else(|reason| bad(format!("Error parsing the X-Amz-Credential parameter; {reason}")))?;
    if !is_long_date(date) {
        return bad("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"".to_owned());
    }
    match expires.parse::<i64>() {
        Err(_) => return bad("X-Amz-Expires should be a number".to_owned()),
        Ok(seconds) if seconds < 0 => return bad("X-Amz-Expires must be non-negative".to_owned()),
        Ok(seconds) if seconds > PRESIGNED_SECONDS_MAX => {
            return bad(format!(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less \
                 than {PRESIGNED_SECONDS_MAX} seconds"
            ));
        }
        Ok(_) => {}
    }
    // What is no signature is the signature of nothing.
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if signature.len() != 64 || !signature.bytes().all(is_hex) {
        return Err(Code::SignatureDoesNotMatch.into());
    }
    Ok(())
}

fn check_header(authorization: &str, headers: &HeaderMap) -> Result<(), ApiError> {
    let (scheme, rest) = authorization.split_once(' ').unwrap_or((authorization, ""));
    match scheme {
        ALGORITHM => {}
        // Version 2: its verification says more of it.
        "AWS" => return Ok(()),
        ALGORITHM_ECDSA => return Err(ecdsa()),
        _ => return Err(ApiError::new(Code::InvalidArgument, "Unsupported Authorization Type")),
    }
    let bad = |reason: &str| {
        let message = format!("The authorization header is malformed; {reason}");
        Err(ApiError::new(Code::AuthorizationHeaderMalformed, message))
    };
    let components: Vec<Option<(&str, &str)>> = rest.split(',').map(|part| part.trim().split_once('=')).collect();
    let [
        Some(("Credential", credential)),
        Some(("SignedHeaders", _)),
        Some(("Signature", _)),
    ] = components[..]
    else {
        return bad("the authorization header requires three components: Credential, SignedHeaders, and Signature.");
    };
    let date = headers.get("x-amz-date").and_then(|date| date.to_str().ok());
    let date = date.filter(|date| is_long_date(date));
    if date.is_none() && !headers.contains_key("date") {
        return Err(ApiError::new(
            Code::AccessDenied,
            "AWS authentication requires a valid Date or x-amz-date header",
        ));
    }
    check_scope(credential, date).or_else(|reason| bad(&reason))
}

/// Checks `<access key>/<date>/<region>/s3/aws4_request`, signed at `date`. The region is judged later: the admin
/// API has none. What is wrong with it.
fn check_scope(credential: &str, date: Option<&str>) -> Result<(), String> {
    let parts: Vec<&str> = credential.split('/').collect();
    let [_, day, _, service, terminal] = parts[..] else {
        return Err(
            "the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".".to_owned(),
        );
    };
    if !is_day(day) {
        return Err(format!(
            "incorrect date format \"{day:.32}\". This date in the credential must be in the format \"yyyyMMdd\"."
        ));
    }
    if service != "s3" {
        return Err(format!(
            "incorrect service \"{service:.32}\". This endpoint belongs to \"s3\"."
        ));
    }
    if terminal != "aws4_request" {
        return Err(format!(
            "incorrect terminal \"{terminal:.32}\". This endpoint uses \"aws4_request\"."
        ));
    }
    match date {
        Some(date) if is_long_date(date) && !date.starts_with(day) => Err(format!(
            "Invalid credential date \"{day}\". This date is not the same as X-Amz-Date: \"{}\".",
            &date[..day.len()]
        )),
        _ => Ok(()),
    }
}

fn check_payload(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(CONTENT_SHA256) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or_default();
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash || PAYLOADS.contains(&text) {
        return Ok(());
    }
    let message = format!(
        "{CONTENT_SHA256} must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, \
        STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
    );
    let error = ApiError::new(Code::InvalidArgument, message);
    Err(error
        .with_field("ArgumentName", CONTENT_SHA256)
        .with_field("ArgumentValue", text))
}

fn ecdsa() -> ApiError {
    ApiError::new(
        Code::NotImplemented,
        "Signatures with AWS4-ECDSA-P256-SHA256 are not implemented.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigv4::parse_query;
    use http::{HeaderName, HeaderValue};

    const DATE: &str = "20261129T101112Z";
    const SCOPE: &str = "key/20261129/us-east-1/s3/aws4_request";

    fn check(query: &str, headers: &[(&'static str, &str)]) -> Result<(), (Code, String)> {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        let query = parse_query(&format!("/b/k?{query}").parse().unwrap());
        check_form(&query, &headers).map_err(|error| (error.code, error.message.into_owned()))
    }

    fn presigned(name: &str, value: &str) -> Result<(), (Code, String)> {
        let signature = "a".repeat(64);
        let own = ["AWS4-HMAC-SHA256", SCOPE, &signature, DATE, "host", "60"];
        let pairs: Vec<String> = PRESIGNED
            .iter()
            .zip(own)
            .map(|(own_name, own)| format!("{own_name}={}", if *own_name == name { value } else { own }))
            .collect();
        check(&pairs.join("&"), &[])
    }

    #[test]
    fn a_presigned_url_says_what_is_wrong_with_it() {
        assert_eq!(presigned("", ""), Ok(()));
        assert_eq!(presigned("X-Amz-Expires", "0"), Ok(()));
        for (name, value, reason) in [
            ("X-Amz-Algorithm", "AWS4", "X-Amz-Algorithm only supports"),
            ("X-Amz-Date", "2026-11-29", "ISO8601 Long Format"),
            ("X-Amz-Date", "20261129T251112Z", "ISO8601 Long Format"),
            (
                "X-Amz-Date",
                "20261128T101112Z",
                "not the same as X-Amz-Date: \"20261128\"",
            ),
            ("X-Amz-Expires", "x", "should be a number"),
            ("X-Amz-Expires", "-1", "must be non-negative"),
            ("X-Amz-Expires", "604801", "less than a week"),
            ("X-Amz-Expires", "", "requires the X-Amz-Algorithm"),
            ("X-Amz-SignedHeaders", "", "requires the X-Amz-Algorithm"),
            ("X-Amz-Credential", "key", "the Credential is mal-formed"),
            (
                "X-Amz-Credential",
                "key/1/r/s3/aws4_request",
                "incorrect date format \"1\"",
            ),
            (
                "X-Amz-Credential",
                "key/20261129/r/ec2/aws4_request",
                "incorrect service \"ec2\"",
            ),
            (
                "X-Amz-Credential",
                "key/20261129/r/s3/aws4",
                "incorrect terminal \"aws4\"",
            ),
        ] {
            let (code, message) = presigned(name, value).unwrap_err();
            assert_eq!(code, Code::AuthorizationQueryParametersError, "{name}={value}");
            assert!(message.contains(reason), "{name}={value}: {message}");
        }
        let half = check("X-Amz-Signature=1", &[]).unwrap_err();
        assert_eq!(half.0, Code::AuthorizationQueryParametersError);
        let no_signature = presigned("X-Amz-Signature", "zz").unwrap_err();
        assert_eq!(no_signature.0, Code::SignatureDoesNotMatch);
        let ecdsa = presigned("X-Amz-Algorithm", ALGORITHM_ECDSA).unwrap_err();
        assert_eq!(ecdsa.0, Code::NotImplemented);
    }

    #[test]
    fn a_header_says_what_is_wrong_with_it() {
        let header = |credential: &str, date: &str| {
            let value = format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host,Signature=0");
            check("", &[("authorization", &value), ("x-amz-date", date)])
        };
        assert_eq!(header(SCOPE, DATE), Ok(()));
        assert_eq!(header("key/20261129//s3/aws4_request", DATE), Ok(()));
        for (credential, reason) in [
            ("key", "the Credential is mal-formed"),
            ("key/20261329/r/s3/aws4_request", "incorrect date format"),
            ("key/20261128/r/s3/aws4_request", "not the same as X-Amz-Date"),
            ("key/20261129/r/sts/aws4_request", "incorrect service \"sts\""),
            ("key/20261129/r/s3/aws5", "incorrect terminal"),
        ] {
            let (code, message) = header(credential, DATE).unwrap_err();
            assert_eq!(code, Code::AuthorizationHeaderMalformed, "{credential}");
            assert!(message.contains(reason), "{credential}: {message}");
        }
        let code = |authorization: &str| check("", &[("authorization", authorization), ("x-amz-date", DATE)]);
        for half in [
            "AWS4-HMAC-SHA256",
            "AWS4-HMAC-SHA256 Credential=a/b",
            "AWS4-HMAC-SHA256 a=b,c=d,e=f",
        ] {
            let (code, message) = code(half).unwrap_err();
            assert_eq!(code, Code::AuthorizationHeaderMalformed, "{half}");
            assert!(message.contains("requires three components"), "{message}");
        }
        assert_eq!(code("Basic x").unwrap_err().0, Code::InvalidArgument);
        assert_eq!(code("").unwrap_err().0, Code::InvalidArgument);
        assert_eq!(code("AWS key:signature"), Ok(()));
        assert_eq!(header(SCOPE, "today").unwrap_err().0, Code::AccessDenied);
    }

    #[test]
    fn one_signature_of_a_known_payload() {
        let value = format!("AWS4-HMAC-SHA256 Credential={SCOPE}, SignedHeaders=host, Signature=0");
        let signed = [("authorization", value.as_str()), ("x-amz-date", DATE)];
        assert_eq!(
            check("X-Amz-Signature=1", &signed).unwrap_err().0,
            Code::InvalidArgument
        );
        assert_eq!(check("Signature=1&Expires=1", &[]).unwrap_err().0, Code::AccessDenied);
        assert_eq!(check("AWSAccessKeyId=a&Signature=1&Expires=1", &[]), Ok(()));
        let with = |payload| check("", &[signed[0], signed[1], ("x-amz-content-sha256", payload)]);
        assert_eq!(with("UNSIGNED-PAYLOAD"), Ok(()));
        assert_eq!(
            with("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            Ok(())
        );
        assert_eq!(with("SIGNED").unwrap_err().0, Code::InvalidArgument);
    }
}
