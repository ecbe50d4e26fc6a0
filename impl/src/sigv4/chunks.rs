//! Signatures of the chunks of an aws-chunked body. Each covers its chunk and the signature before it.

use super::{ALGORITHM, mac, parse_hex};
use crate::api::hex;
use hmac::Mac;
use sha2::{Digest, Sha256};

/// SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Verifies the chunks of one body, in their order.
#[derive(Clone)]
pub struct ChunkVerifier {
    key: [u8; 32],
    date: String,
    scope: String,
    /// The signature before the next one.
    previous: String,
}

impl std::fmt::Debug for ChunkVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkVerifier")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

impl ChunkVerifier {
    /// Begins with the signature of the request's head.
    pub(super) fn new(key: [u8; 32], date: String, scope: String, seed: String) -> ChunkVerifier {
        ChunkVerifier {
            key,
            date,
            scope,
            previous: seed,
        }
    }

    /// Verifies the next chunk by its signature and its hash; whether it is right.
    pub fn chunk(&mut self, signature: &str, hash: &[u8; 32]) -> bool {
        let to_sign = format!(
            "{ALGORITHM}-PAYLOAD\n{}\n{}\n{}\n{EMPTY}\n{}",
            self.date,
            self.scope,
            self.previous,
            hex(hash)
        );
        let is_right = self.is_right(&to_sign, signature);
        signature.clone_into(&mut self.previous);
        is_right
    }

    /// Verifies the trailer, given as `name:value\n` of each field in the order of their names; whether it is right.
    #[must_use]
    pub fn trailer(&self, signature: &str, canonical: &[u8]) -> bool {
        let hash = hex(&Sha256::digest(canonical));
        let to_sign = format!(
            "{ALGORITHM}-TRAILER\n{}\n{}\n{}\n{hash}",
            self.date, self.scope, self.previous
        );
        self.is_right(&to_sign, signature)
    }

    fn is_right(&self, to_sign: &str, signature: &str) -> bool {
        // It compares in constant time.
        parse_hex(signature).is_some_and(|expected| mac(&self.key, to_sign.as_bytes()).verify_slice(&expected).is_ok())
    }
}

/// The verifier of an example in the S3 API reference.
#[cfg(test)]
#[must_use]
pub fn example_chunks() -> ChunkVerifier {
    let scope = "20130524/us-east-1/s3/aws4_request";
    let key = super::signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", scope);
    let seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";
    ChunkVerifier::new(key, "20130524T000000Z".to_owned(), scope.to_owned(), seed.to_owned())
}
