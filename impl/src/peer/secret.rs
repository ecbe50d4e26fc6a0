//! The secret that all nodes of a deployment share.

use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;

/// Fewest bytes of a secret that is given: it is not made harder to search.
pub const SECRET_BYTES_MIN: usize = 32;
/// Rounds that a password is hashed for.
const ROUNDS: u32 = 600_000;
const SALT: &[u8] = b"impl-peer/1";

/// Secret of a deployment. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PeerSecret([u8; 32]);

impl PeerSecret {
    /// The secret of random bytes that an operator gave all nodes.
    ///
    /// # Errors
    /// Returns how many bytes there are if they are fewer than [`SECRET_BYTES_MIN`].
    pub fn from_bytes(bytes: &[u8]) -> Result<PeerSecret, usize> {
        if bytes.len() < SECRET_BYTES_MIN {
            return Err(bytes.len());
        }
        let (extracted, _) = Hkdf::<Sha256>::extract(Some(SALT), bytes);
        Ok(PeerSecret(extracted.into()))
    }

    /// The secret of the root user's name and password. Takes some 0.2 s of a processor on purpose: a password can be
    /// searched by whoever gets a proof out of a node that dials him.
    #[must_use]
    pub fn from_root_user(name: &str, password: &str) -> PeerSecret {
        let mut secret = [0; 32];
        let salt = [SALT, name.as_bytes()].concat();
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, ROUNDS, &mut secret);
        PeerSecret(secret)
    }

    /// A key for one use.
    pub(super) fn key(&self, purpose: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        let expanded = Hkdf::<Sha256>::from_prk(&self.0).and_then(|hkdf| {
            let expanded = hkdf.expand(purpose, &mut key);
            expanded.map_err(|_| hkdf::InvalidPrkLength)
        });
        expanded.expect("32 bytes are a key, and can be asked for");
        key
    }
}

impl fmt::Debug for PeerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PeerSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(PeerSecret::from_bytes(&[7; 31]), Err(31));
        assert!(PeerSecret::from_bytes(&[7; 32]).is_ok());
    }

    #[test]
    fn secrets_differ_by_all_that_they_are_made_of() {
        let root = PeerSecret::from_root_user("root", "password");
        assert_eq!(root, PeerSecret::from_root_user("root", "password"));
        assert_ne!(root, PeerSecret::from_root_user("roo", "tpassword"));
        assert_ne!(root, PeerSecret::from_root_user("root", "Password"));
        assert_ne!(root.key(b"a"), root.key(b"b"));
        let given = PeerSecret::from_bytes(&[7; 32]).expect("long enough");
        assert_ne!(given.key(b"a"), root.key(b"a"));
        assert_eq!(format!("{given:?}"), "PeerSecret");
    }
}
