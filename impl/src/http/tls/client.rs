//! TLS as a client: whose certificates it takes.

use super::{AUTHORITIES, Clock, TlsError, pair};
use crate::runtime::{self, Files, Lane, Rt, Stream};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{self, CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio_rustls::TlsConnector;

/// Paths of bundles of trusted authorities on common systems; the first that exists is used.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The protocol that the client speaks.
const PROTOCOL: &[u8] = b"http/1.1";

/// Whom a client takes for who they say they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Any certificate.
    Anybody,
    /// Certificates of these authorities.
    Authorities {
        /// A file of the system's authorities; without one, the file that this system has them in.
        system: Option<PathBuf>,
        /// A folder of certificates as a server has it: its `CAs/` counts.
        folder: Option<PathBuf>,
    },
}

/// TLS as a client speaks it. Cheap to clone.
#[derive(Clone)]
pub struct ClientTls(TlsConnector);

/// Error of a TLS handshake. One line, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Unknown authority.
    #[error(
        "no authority that is trusted has signed its certificate: put that authority's certificate into CAs/ of \
         --certs-dir, or accept any with --insecure ({0})"
    )]
    Authority(String),
    /// Valid for other names only.
    #[error("its certificate is for another name than the URL's: use that name, or accept any with --insecure ({0})")]
    Name(String),
    /// Expired, or not valid yet.
    #[error("its certificate does not hold now: renew it, check the clocks, or accept any with --insecure ({0})")]
    Time(String),
    /// The certificate is wrong otherwise.
    #[error("its certificate cannot be used: replace it, or accept any with --insecure ({0})")]
    Certificate(String),
    /// The peer does not speak TLS.
    #[error("it does not speak TLS there: try http://")]
    NoTls,
    /// The connection broke, or the two sides have nothing in common.
    #[error("the TLS handshake failed: {0}")]
    Other(#[source] io::Error),
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> HandshakeError {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<Error>());
        match cause {
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => HandshakeError::NoTls,
            Some(Error::InvalidCertificate(why)) => HandshakeError::of_certificate(why),
            _ => HandshakeError::Other(error),
        }
    }
}

impl HandshakeError {
    fn of_certificate(why: &CertificateError) -> HandshakeError {
        let text = why.to_string();
        match why {
            // One that only has the name of a trusted authority has signed it: that was made anew, as a rule.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => HandshakeError::Authority(text),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                HandshakeError::Name(text)
            }
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => HandshakeError::Time(text),
            _ => HandshakeError::Certificate(text),
        }
    }
}

/// Returns the authorities of [`Trust::Authorities`].
///
/// # Errors
/// A file of authorities that cannot be read, or one in `CAs/` that holds no certificate.
pub async fn trusted(rt: &Rt, system: Option<PathBuf>, folder: Option<PathBuf>) -> Result<RootCertStore, TlsError> {
    let files = rt.files();
    let job = move || authorities(&*files, system.as_deref(), folder.as_deref());
    let found = runtime::run(&rt.executor("authorities"), Lane::Data, job).await;
    found.map_err(|_| TlsError::Ending)?
}

impl ClientTls {
    /// Creates the settings of a client with this trust.
    ///
    /// # Errors
    /// A file of authorities that cannot be read, or one in `CAs/` that holds no certificate.
    pub async fn new(rt: &Rt, trust: Trust) -> Result<ClientTls, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_details(provider.clone(), Arc::new(Clock(rt.clone())))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Provider(error.to_string()))?;
        let config = match trust {
            Trust::Anybody => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anybody(provider))),
            Trust::Authorities { system, folder } => config.with_root_certificates(trusted(rt, system, folder).await?),
        };
        let mut config = config.with_no_client_auth();
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(ClientTls(TlsConnector::from(Arc::new(config))))
    }

    /// Speaks the client's side of the handshake with the server that is called `host`.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub async fn connect(&self, host: &str, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, HandshakeError> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| HandshakeError::Other(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        Ok(Box::new(self.0.connect(name, stream).await?))
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

/// The authorities of the system, and those in `CAs/` of `folder`.
fn authorities(files: &dyn Files, system: Option<&Path>, folder: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let bundle = match system {
        Some(path) => Some(pair::read(files, path)?.ok_or_else(|| {
            let source = io::ErrorKind::NotFound.into();
            TlsError::read(path, source)
        })?),
        None => SYSTEM_BUNDLES
            .iter()
            .find_map(|path| pair::read(files, Path::new(path)).ok().flatten()),
    };
    // Of the system's many, some may be of kinds that are not known here: those vouch for nobody.
    let certificates = bundle.iter().flat_map(|text| CertificateDer::pem_slice_iter(text));
    roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    let Some(folder) = folder.map(|folder| folder.join(AUTHORITIES)) else {
        return Ok(roots);
    };
    let own = match pair::authorities(files, &folder) {
        Err(TlsError::Read { path, source }) if path == folder && source.kind() == io::ErrorKind::NotFound => {
            return Ok(roots);
        }
        own => own?,
    };
    for (path, certificate) in own {
        roots
            .add(certificate)
            .map_err(|error| TlsError::malformed(&path, format!("not an authority's certificate: {error}")))?;
    }
    Ok(roots)
}

/// Takes every certificate. Signatures are checked all the same, so that a connection is at least with whoever has
/// the key of the certificate that was shown.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
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
