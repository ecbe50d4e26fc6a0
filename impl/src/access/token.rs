//! Bearer tokens for scrapers: JSON web tokens of the form that `mc admin prometheus generate` makes.
//!
//! HS512 with the identity's secret key, and these claims: `iss` is `prometheus`, `sub` or `accessKey` the
//! identity, `exp` when it ends. Nothing else is accepted, least of all a token that chooses its own algorithm.

use super::{Access, Credentials};
use base64_simd::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha512;

/// Longer ones are not looked at.
const TOKEN_BYTES_MAX: usize = 4096;
const ALGORITHM: &str = "HS512";
const ISSUER: &str = "prometheus";

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// Seconds since the epoch. Some libraries write a fraction.
    exp: f64,
    iss: Option<String>,
    sub: Option<String>,
    #[serde(rename = "accessKey", skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
}

/// Makes a token of `credentials` that ends at `expires_seconds` after the epoch.
#[must_use]
pub fn mint(credentials: &Credentials, expires_seconds: u64) -> String {
    let header = serde_json::json!({ "alg": ALGORITHM, "typ": "JWT" });
    let claims = serde_json::json!({ "exp": expires_seconds, "iss": ISSUER, "sub": credentials.access_key });
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode_to_string(value.to_string().as_bytes());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = mac(&credentials.secret_key, &signed).finalize().into_bytes();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
}

/// The access key of the identity that signed `token`, if it holds at `now_seconds` after the epoch.
pub fn verify<'a>(access: &'a Access, token: &str, now_seconds: u64) -> Option<&'a str> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let header: Header = decode(header)?;
    let claims: Claims = decode(claims)?;
    let subject = claims.access_key.as_deref().or(claims.sub.as_deref())?;
    let identity = access.identity(subject)?;
    let signature = URL_SAFE_NO_PAD.decode_to_vec(signature).ok()?;
    // It compares in constant time.
    mac(&identity.secret_key, signed).verify_slice(&signature).ok()?;
    #[allow(clippy::cast_precision_loss, reason = "seconds since 1970 fit a double for good")]
    let in_time = claims.exp > now_seconds as f64;
    let valid = header.alg == ALGORITHM && claims.iss.as_deref() == Some(ISSUER) && in_time;
    valid.then_some(&identity.access_key)
}

fn decode<T: for<'a> Deserialize<'a>>(text: &str) -> Option<T> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(text).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn mac(secret_key: &str, signed: &str) -> Hmac<Sha512> {
    let mac = Hmac::new_from_slice(secret_key.as_bytes());
    let mut mac: Hmac<Sha512> = mac.expect("an HMAC takes keys of every length");
    mac.update(signed.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn root(secret_key: &str) -> Credentials {
        Credentials {
            access_key: "root".into(),
            secret_key: secret_key.into(),
        }
    }

    fn verified(token: &str) -> bool {
        let access = Access::new(root("hidden-secret"));
        verify(&access, token, NOW) == Some("root")
    }

    /// A token with a right signature over whatever header and claims.
    fn signed(header: &str, claims: &str) -> String {
        let encode = |text: &str| URL_SAFE_NO_PAD.encode_to_string(text);
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = mac("hidden-secret", &signed).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode_to_string(signature))
    }

    #[test]
    fn a_token_of_ours_holds_until_it_ends() {
        let token = |secret, expires: u64| mint(&root(secret), expires);
        assert!(verified(&token("hidden-secret", 1_700_000_001)));
        assert!(!verified(&token("hidden-secret", 1_700_000_000)));
        assert!(!verified(&token("another-secret", 1_800_000_000)));
    }

    /// Made with Python's `hmac` and `hashlib`, to know that both sides of this file are not wrong alike.
    #[test]
    fn a_token_of_others_holds() {
        assert!(verified(FOREIGN));
    }

    const FOREIGN: &str = "\
        eyJhbGciOiJIUzUxMiIsInR5cCI6IkpXVCJ9.eyJleHAiOjQ4NjEwMDAwMDAsInN1YiI6InJvb3QiLCJpc3MiOiJwc\
        m9tZXRoZXVzIn0.hKhpyplvTrfTyXgRzOTEDKYCA0MQB51tV9dvkMC3hXOErfFEoPssIFbNrFieRuiJsKhbqHtNeSh\
        X12wniyAJ3w";

    #[test]
    fn every_claim_counts() {
        let header = r#"{"alg":"HS512","typ":"JWT"}"#;
        let good = r#"{"exp":1800000000,"sub":"root","iss":"prometheus"}"#;
        assert!(verified(&signed(header, good)));
        assert!(verified(&signed(
            header,
            r#"{"exp":1.8e9,"accessKey":"root","iss":"prometheus"}"#
        )));
        for claims in [
            r#"{"exp":1800000000,"sub":"mallory","iss":"prometheus"}"#,
            r#"{"exp":1800000000,"sub":"root","iss":"somebody"}"#,
            r#"{"exp":1800000000,"sub":"root"}"#,
            r#"{"exp":1800000000,"iss":"prometheus"}"#,
            r#"{"sub":"root","iss":"prometheus"}"#,
            r#"{"exp":null,"sub":"root","iss":"prometheus"}"#,
            "[]",
            "",
        ] {
            assert!(!verified(&signed(header, claims)), "{claims}");
        }
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"hs512"}"#, "{}"] {
            assert!(!verified(&signed(header, good)), "{header}");
        }
    }

    #[test]
    fn no_text_is_a_token_by_chance() {
        let good = mint(&root("hidden-secret"), 1_800_000_000);
        let without_signature = good.rsplit_once('.').unwrap().0;
        for text in [
            "",
            ".",
            "..",
            "a.b.c",
            &good[1..],
            &good[..good.len() - 1],
            without_signature,
        ] {
            assert!(!verified(text), "{text}");
        }
        assert!(!verified(&format!("{without_signature}.")));
        assert!(!verified(&"x".repeat(TOKEN_BYTES_MAX + 1)));
    }
}
