//! The TLS session below a connection between nodes: version 1.3 alone, without resumption, whatever the scheme of the
//! endpoints.

use super::handshake::Binding;
use crate::runtime::Stream;
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{self, CryptoProvider},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
    server::{NoServerSessionStorage, ResolvesServerCert},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};
use std::{fmt, io, sync::Arc};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// ALPN name of the protocol.
pub const ALPN: &[u8] = b"impl-peer/1";
/// Label of what the two ends of a session know and nobody else.
const BINDING: &[u8] = b"EXPORTER-impl-peer-1";

/// Whose certificates a node shows and takes.
pub enum Certificates {
    /// Endpoints without TLS for clients: a certificate that is made for this process, and that nobody verifies. The
    /// proof of the secret is bound to the session, so nobody can sit in the middle of it all the same.
    Throwaway,
    /// The operator's. A peer's chain and name are verified.
    Verified {
        /// What this node shows.
        own: Arc<dyn ResolvesServerCert>,
        /// Authorities that it trusts.
        authorities: RootCertStore,
    },
}

/// Error of setting up TLS between nodes.
#[derive(Debug, thiserror::Error)]
pub enum PeerTlsError {
    /// The library refused.
    #[error("TLS between nodes: {0}")]
    Tls(#[from] Error),
    /// No certificate could be made.
    #[error("a certificate for connections between nodes cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// Sessions between nodes, of both sides.
#[derive(Clone)]
pub struct PeerTls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
    verified: bool,
}

impl PeerTls {
    /// Sets up sessions with a provider of cryptography.
    ///
    /// # Errors
    /// [`PeerTlsError`].
    pub fn new(provider: CryptoProvider, certificates: Certificates) -> Result<PeerTls, PeerTlsError> {
        let provider = Arc::new(provider);
        let verified = matches!(certificates, Certificates::Verified { .. });
        let client = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[&TLS13])?;
        let (client, own) = match certificates {
            Certificates::Throwaway => {
                let verifier = Arc::new(Unverified(provider.clone()));
                let client = client.dangerous().with_custom_certificate_verifier(verifier);
                (client, throwaway(&provider)?)
            }
            Certificates::Verified { own, authorities } => (client.with_root_certificates(authorities), own),
        };
        let mut client = client.with_no_client_auth();
        client.alpn_protocols = vec![ALPN.to_vec()];
        client.resumption = Resumption::disabled();
        let server = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13])?;
        let mut server = server.with_no_client_auth().with_cert_resolver(own);
        server.alpn_protocols = vec![ALPN.to_vec()];
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        Ok(PeerTls {
            connector: TlsConnector::from(Arc::new(client)),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            verified,
        })
    }

    /// Returns whether a peer's certificate is verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified
    }

    /// Makes the session of the side that dialled `host`.
    ///
    /// # Errors
    /// The stream fails, or the certificate does not hold.
    pub async fn connect(&self, host: &str, stream: Box<dyn Stream>) -> io::Result<(Box<dyn Stream>, Binding)> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = self.connector.connect(name, stream).await?;
        let (_, session) = stream.get_ref();
        let binding = checked(session.alpn_protocol(), |out| {
            session.export_keying_material(out, BINDING, None)
        })?;
        Ok((Box::new(stream), binding))
    }

    /// Makes the session of the side that was dialled.
    ///
    /// # Errors
    /// The stream fails, or what speaks there is no peer.
    pub async fn accept(&self, stream: Box<dyn Stream>) -> io::Result<(Box<dyn Stream>, Binding)> {
        let stream = self.acceptor.accept(stream).await?;
        let (_, session) = stream.get_ref();
        let binding = checked(session.alpn_protocol(), |out| {
            session.export_keying_material(out, BINDING, None)
        })?;
        Ok((Box::new(stream), binding))
    }
}

/// Returns a session's binding, if the two sides have agreed on the protocol.
fn checked(alpn: Option<&[u8]>, export: impl FnOnce(Binding) -> Result<Binding, Error>) -> io::Result<Binding> {
    if alpn != Some(ALPN) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "what answers there is no node",
        ));
    }
    export(Binding::default()).map_err(io::Error::other)
}

/// A key pair with a certificate that it has signed itself.
fn throwaway(provider: &CryptoProvider) -> Result<Arc<dyn ResolvesServerCert>, PeerTlsError> {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["impl-peer".to_owned()])?;
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).map_err(|error| Error::General(error.to_owned()))?;
    let key = provider.key_provider.load_private_key(key)?;
    Ok(Arc::new(SingleCertAndKey::from(CertifiedKey::new(
        vec![cert.into()],
        key,
    ))))
}

/// Takes every certificate, as long as the peer has its key.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("nodes speak TLS 1.3".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerTls")
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::crypto::ring;

    type Authority = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
    }

    /// A node's certificate for this name, which ends in this year.
    fn certificate(signed_by: &Authority, name: &str, until: i32) -> Arc<dyn ResolvesServerCert> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, signed_by).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let key = ring::default_provider()
            .key_provider
            .load_private_key(key)
            .expect("a key");
        let key = CertifiedKey::new(vec![certificate.der().clone()], key);
        Arc::new(SingleCertAndKey::from(key))
    }

    fn verified(own: Arc<dyn ResolvesServerCert>, trusted: &Authority) -> PeerTls {
        let mut authorities = RootCertStore::empty();
        authorities.add(trusted.der().clone()).expect("an authority");
        let certificates = Certificates::Verified { own, authorities };
        PeerTls::new(ring::default_provider(), certificates).expect("settings")
    }

    fn unverified() -> PeerTls {
        PeerTls::new(ring::default_provider(), Certificates::Throwaway).expect("settings")
    }

    /// Makes a session; returns what is bound to it on both sides, or the dialler's error.
    async fn session(dialler: &PeerTls, responder: &PeerTls) -> Result<(Binding, Binding), String> {
        let (here, there) = tokio::io::duplex(1 << 16);
        let dialled = dialler.connect("node1.example", Box::new(here));
        let accepted = responder.accept(Box::new(there));
        let (dialled, accepted) = futures::future::join(dialled, accepted).await;
        let (_, ours) = dialled.map_err(|error| error.to_string())?;
        let (_, theirs) = accepted.map_err(|error| error.to_string())?;
        Ok((ours, theirs))
    }

    #[tokio::test]
    async fn each_session_is_bound_to_something_of_its_own() {
        let (a, b) = (unverified(), unverified());
        let (ours, theirs) = session(&a, &b).await.expect("a session");
        let (again, _) = session(&a, &b).await.expect("a session");
        assert!(ours == theirs && ours != again && ours != Binding::default());
    }

    #[tokio::test]
    async fn a_node_with_certificates_takes_no_others() {
        let (ours, theirs) = (authority(), authority());
        let own = || certificate(&ours, "node0.example", 2099);
        let dialler = verified(own(), &ours);
        let good = verified(certificate(&ours, "node1.example", 2099), &ours);
        session(&dialler, &good).await.expect("a session");
        for (responder, reason) in [
            (
                verified(certificate(&ours, "node2.example", 2099), &ours),
                "not valid for name",
            ),
            (verified(certificate(&ours, "node1.example", 2020), &ours), "expired"),
            (
                verified(certificate(&theirs, "node1.example", 2099), &theirs),
                "invalid peer certificate",
            ),
            (unverified(), "invalid peer certificate"),
        ] {
            let error = session(&dialler, &responder).await.expect_err("refused");
            assert!(error.contains(reason), "{error}");
        }
        assert!(dialler.is_verified() && !unverified().is_verified());
    }

    #[tokio::test]
    async fn another_protocol_or_an_older_tls_is_no_node() {
        let responder = unverified();
        let provider = Arc::new(ring::default_provider());
        let client = |versions: &[&'static rustls::SupportedProtocolVersion], alpn: &[&[u8]]| {
            let client = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
            let verifier = Arc::new(Unverified(provider.clone()));
            let client = client
                .expect("versions")
                .dangerous()
                .with_custom_certificate_verifier(verifier);
            let mut client = client.with_no_client_auth();
            client.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            TlsConnector::from(Arc::new(client))
        };
        for client in [
            client(&[&TLS13], &[b"h2"]),
            client(&[&TLS13], &[]),
            client(&[&rustls::version::TLS12], &[ALPN]),
        ] {
            let (here, there) = tokio::io::duplex(1 << 16);
            let name = ServerName::try_from("node1.example").expect("a name");
            let dialled = client.connect(name, here);
            let (_, accepted) = futures::future::join(dialled, responder.accept(Box::new(there))).await;
            assert!(accepted.is_err());
        }
    }
}
