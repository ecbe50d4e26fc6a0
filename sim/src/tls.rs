//! TLS between simulated nodes. All that it draws comes from the seed: the library's chance and the key exchange are
//! replaced, and keys are given, of a kind whose signatures need no chance. Records, handshake and certificates are
//! those of the server.

use madsim::rand::{RngCore, thread_rng};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    Error, NamedGroup, RootCertStore,
    crypto::{
        ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup,
        ring::default_provider,
    },
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
};
use std::sync::Arc;
use store::peer::{Certificates, PeerTls, Security};

/// What comes before the 32 bytes of an Ed25519 key in PKCS #8.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
/// Number of the authority's key; those of nodes are theirs.
const AUTHORITY: u32 = 0;
const KEY_BYTES: usize = 32;

/// Returns the sessions of a node, 1 or above, with a certificate for its name that the others verify.
pub fn security(node: u32, name: &str) -> Security {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key_pair(AUTHORITY)).expect("an authority");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    let certificate = params.signed_by(&key_pair(node), &authority).expect("a certificate");
    let provider = provider();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pkcs8(node)));
    let key = provider.key_provider.load_private_key(key).expect("a key");
    let own = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut authorities = RootCertStore::empty();
    authorities.add(authority.der().clone()).expect("an authority");
    let certificates = Certificates::Verified {
        own: Arc::new(SingleCertAndKey::from(own)),
        authorities,
    };
    Security::Tls(PeerTls::new(provider, certificates).expect("settings"))
}

fn key_pair(number: u32) -> KeyPair {
    KeyPair::try_from(pkcs8(number)).expect("a key")
}

fn pkcs8(number: u32) -> Vec<u8> {
    let mut document = PKCS8.to_vec();
    document.extend([number as u8; KEY_BYTES]);
    document
}

fn provider() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![&Exchange],
        secure_random: &Chance,
        ..default_provider()
    }
}

/// Chance of the node that runs.
#[derive(Debug)]
struct Chance;

impl SecureRandom for Chance {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        thread_rng().fill_bytes(bytes);
        Ok(())
    }
}

/// Key exchange whose secret is the sum of the public halves, so that it hides nothing: a real one draws from the
/// host's chance.
#[derive(Debug)]
struct Exchange;

impl SupportedKxGroup for Exchange {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let mut half = Half([0; KEY_BYTES]);
        thread_rng().fill_bytes(&mut half.0);
        Ok(Box::new(half))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

struct Half([u8; KEY_BYTES]);

impl ActiveKeyExchange for Half {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let sum = self.0.iter().zip(peer).map(|(ours, theirs)| ours ^ theirs);
        Ok(SharedSecret::from(sum.collect::<Vec<u8>>()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.0
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}
