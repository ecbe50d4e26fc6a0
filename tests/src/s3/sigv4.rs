//! AWS Signature Version 4 in the `Authorization` header, for service `s3`.
//!
//! Source: "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", Amazon S3 API
//! Reference; its four examples are the tests of this module.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Payload hash of a request whose body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Request to be signed.
pub struct ToSign<'a> {
    /// HTTP method, upper case.
    pub method: &'a str,
    /// Percent-encoded absolute path.
    pub path: &'a str,
    /// Percent-encoded query without `?`, its parameters sorted (see [`canonical_query`]).
    pub query: &'a str,
    /// All headers to sign; `host`, `x-amz-date` and `x-amz-content-sha256` must be among them.
    pub headers: &'a [(String, String)],
    /// Value of `x-amz-content-sha256`.
    pub payload_hash: &'a str,
    /// Value of `x-amz-date`, `YYYYMMDDThhmmssZ`.
    pub amz_date: &'a str,
}

/// Credentials and region, with a cache of the latest day's signing key.
#[derive(Clone)]
pub struct Signer {
    access: String,
    secret: String,
    region: String,
    /// Day (`YYYYMMDD`) and the key derived for it.
    day_key: Option<(String, [u8; 32])>,
}

impl Signer {
    /// Makes a signer for one identity in `region`.
    pub fn new(access: &str, secret: &str, region: &str) -> Signer {
        Signer {
            access: access.into(),
            secret: secret.into(),
            region: region.into(),
            day_key: None,
        }
    }

    /// Returns the value of the `Authorization` header.
    pub fn authorization(&mut self, request: &ToSign<'_>) -> String {
        let (canonical, signed_headers) = canonical_request(request);
        let day = &request.amz_date[..8];
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let digest = hex(&Sha256::digest(canonical.as_bytes()));
        let string_to_sign = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{digest}", request.amz_date);
        let signature = hex(&hmac(&self.key_of_day(day), string_to_sign.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={signed_headers},Signature={signature}",
            self.access
        )
    }

    fn key_of_day(&mut self, day: &str) -> [u8; 32] {
        if let Some((cached_day, key)) = &self.day_key
            && cached_day == day
        {
            return *key;
        }
        let mut key = hmac(format!("AWS4{}", self.secret).as_bytes(), day.as_bytes());
        for part in [self.region.as_str(), "s3", "aws4_request"] {
            key = hmac(&key, part.as_bytes());
        }
        self.day_key = Some((day.into(), key));
        key
    }
}

/// Returns the canonical request, and the list of signed headers that is also sent.
fn canonical_request(request: &ToSign<'_>) -> (String, String) {
    let mut headers: Vec<(String, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim()))
        .collect();
    headers.sort();
    let signed_headers = headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(";");
    let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
    for (name, value) in &headers {
        canonical.extend([name.as_str(), ":", value, "\n"]);
    }
    canonical.extend(["\n", signed_headers.as_str(), "\n", request.payload_hash]);
    (canonical, signed_headers)
}

/// Returns the sorted and percent-encoded query; a parameter without value is written `name=`.
pub fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut encoded: Vec<(String, String)> = parameters
        .iter()
        .map(|(name, value)| (percent_encode(name, false), percent_encode(value, false)))
        .collect();
    encoded.sort();
    encoded
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join("&")
}

/// Percent-encodes all but the unreserved characters of RFC 3986, and `/` unless `keep_slash`.
pub fn percent_encode(text: &str, keep_slash: bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            b'/' if keep_slash => encoded.push('/'),
            _ => {
                encoded.push('%');
                encoded.push(HEX[usize::from(byte >> 4)] as char);
                encoded.push(HEX[usize::from(byte & 15)] as char);
            }
        }
    }
    encoded
}

/// Formats seconds since 1970 as `x-amz-date`: `YYYYMMDDThhmmssZ`.
pub fn amz_date(unix_seconds: u64) -> String {
    let (day, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    // Gregorian calendar in eras of 400 years that begin on a first of March, so that leap days come last.
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day_of_month:02}T{hour:02}{minute:02}{second:02}Z")
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// Signs as in the examples of the S3 API Reference, and compares with the printed signature.
    #[track_caller]
    fn check(method: &str, path: &str, query: &str, extra: &[(&str, &str)], payload_hash: &str, signature: &str) {
        let amz_date = "20130524T000000Z";
        let mut headers: Vec<(String, String)> = vec![
            ("Host".into(), "examplebucket.s3.amazonaws.com".into()),
            ("x-amz-content-sha256".into(), payload_hash.into()),
            ("x-amz-date".into(), amz_date.into()),
        ];
        headers.extend(extra.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let mut signer = Signer::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "us-east-1",
        );
        let request = ToSign {
            method,
            path,
            query,
            headers: &headers,
            payload_hash,
            amz_date,
        };
        let first = signer.authorization(&request);
        assert!(first.ends_with(&format!("Signature={signature}")), "{first}");
        assert!(
            first.contains("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"),
            "{first}"
        );
        assert_eq!(first, signer.authorization(&request), "the cached key signs alike");
    }

    #[test]
    fn documented_example_get_object() {
        let signature = "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        check(
            "GET",
            "/test.txt",
            "",
            &[("Range", "bytes=0-9")],
            EMPTY_SHA256,
            signature,
        );
    }

    #[test]
    fn documented_example_put_object() {
        let payload_hash = hex(&Sha256::digest(b"Welcome to Amazon S3."));
        let signature = "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd";
        let extra = [
            ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        check(
            "PUT",
            &percent_encode("/test$file.text", true),
            "",
            &extra,
            &payload_hash,
            signature,
        );
    }

    #[test]
    fn documented_example_get_bucket_lifecycle() {
        let signature = "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543";
        check(
            "GET",
            "/",
            &canonical_query(&[("lifecycle", "")]),
            &[],
            EMPTY_SHA256,
            signature,
        );
    }

    #[test]
    fn documented_example_list_objects() {
        let signature = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        let query = canonical_query(&[("prefix", "J"), ("max-keys", "2")]);
        check("GET", "/", &query, &[], EMPTY_SHA256, signature);
    }

    #[test]
    fn key_changes_with_the_day() {
        let mut signer = Signer::new("access", "secret", "us-east-1");
        let first = signer.key_of_day("20130524");
        assert_ne!(first, signer.key_of_day("20130525"));
        assert_eq!(first, signer.key_of_day("20130524"));
    }

    #[test]
    fn percent_encoding() {
        assert_eq!(percent_encode("a/b c+d~e.f-g_h", true), "a/b%20c%2Bd~e.f-g_h");
        assert_eq!(percent_encode("a/b=ä&%", false), "a%2Fb%3D%C3%A4%26%25");
        assert_eq!(
            canonical_query(&[("b", ""), ("a-b", "2"), ("a", "x y/z")]),
            "a=x%20y%2Fz&a-b=2&b="
        );
    }

    #[test]
    fn dates() {
        assert_eq!(amz_date(0), "19700101T000000Z");
        assert_eq!(amz_date(951_782_399), "20000228T235959Z");
        assert_eq!(amz_date(951_782_400), "20000229T000000Z");
        assert_eq!(amz_date(951_868_800), "20000301T000000Z");
        assert_eq!(amz_date(1_369_353_600), "20130524T000000Z");
        assert_eq!(amz_date(4_102_444_799), "20991231T235959Z");
    }
}
