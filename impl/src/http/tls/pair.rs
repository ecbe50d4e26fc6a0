//! Pair of a certificate and its key.

use crate::runtime::{Files, Kind, OpenMode};
use rustls::{
    Error, InconsistentKeys,
    client::verify_server_name,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName,
        pem::{self, PemObject},
    },
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file of a certificate, and of those that lead to its authority.
pub(super) const CERTIFICATE: &str = "public.crt";

/// The file of its key.
const KEY: &str = "private.key";

/// No certificate or key is this large, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Error of loading certificates. One line, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// Half of a pair.
    #[error("{} is missing, but {beside} is there", path.display())]
    Missing {
        /// The half that is missing.
        path: PathBuf,
        /// The other one.
        beside: &'static str,
    },
    /// Further names have certificates, the server itself has none.
    #[error("{}: neither {CERTIFICATE} nor {KEY} is there, for clients that ask for no name", folder.display())]
    NoDefault {
        /// The folder of certificates.
        folder: PathBuf,
    },
    /// A file is not what its name says.
    #[error("{}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The defect.
        why: String,
    },
    /// The halves do not belong together.
    #[error("{} is not the key of {CERTIFICATE} beside it", key.display())]
    Mismatch {
        /// The key.
        key: PathBuf,
    },
    /// The library of cryptography lacks what TLS needs.
    #[error("TLS is not available: {0}")]
    Provider(String),
    /// The process is ending.
    #[error("the process is ending")]
    Ending,
}

impl TlsError {
    pub(super) fn read(path: &Path, source: io::Error) -> TlsError {
        TlsError::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn malformed(path: &Path, why: impl Into<String>) -> TlsError {
        TlsError::Malformed {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

/// A certificate with its key, ready to be served.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    /// Folder of the files; the folder of a further name is called by that name.
    pub folder: PathBuf,
    /// SHA-256 of both files.
    digest: [u8; 32],
    /// The end of its validity, or that of an authority that comes with it: the first, in seconds since 1970.
    pub expires: i64,
    pub key: Arc<CertifiedKey>,
}

impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        self.folder == other.folder && self.digest == other.digest
    }
}

impl Pair {
    /// The pair in `folder`, if there is one. That of `current` is taken over if the files are the same.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn read(
        files: &dyn Files,
        provider: &CryptoProvider,
        folder: &Path,
        current: &[Pair],
    ) -> Result<Option<Pair>, TlsError> {
        let (certificate, key) = (folder.join(CERTIFICATE), folder.join(KEY));
        let (certificate_pem, key_pem) = match (read(files, &certificate)?, read(files, &key)?) {
            (None, None) => return Ok(None),
            (Some(certificate), Some(key)) => (certificate, key),
            (None, Some(_)) => {
                return Err(TlsError::Missing {
                    path: certificate,
                    beside: KEY,
                });
            }
            (Some(_), None) => {
                return Err(TlsError::Missing {
                    path: key,
                    beside: CERTIFICATE,
                });
            }
        };
        let mut hash = Sha256::new();
        hash.update((certificate_pem.len() as u64).to_be_bytes());
        hash.update(&certificate_pem);
        hash.update(&key_pem);
        let digest = hash.finalize().into();
        let same = |pair: &&Pair| pair.folder == folder && pair.digest == digest;
        if let Some(pair) = current.iter().find(same) {
            return Ok(Some(pair.clone()));
        }
        let chain = certificates(&certificate, &certificate_pem)?;
        let expires = expires(&certificate, &chain)?;
        let key = certified(provider, (&certificate, chain), (&key, &key_pem))?;
        Ok(Some(Pair {
            folder: folder.to_owned(),
            digest,
            expires,
            key: Arc::new(key),
        }))
    }

    /// Returns whether it is for this name, by the certificate or by its folder.
    pub fn is_for(&self, name: &str) -> bool {
        let says = || {
            let certificate = ParsedCertificate::try_from(self.key.end_entity_cert().ok()?).ok()?;
            verify_server_name(&certificate, &ServerName::try_from(name).ok()?).ok()
        };
        says().is_some() || self.folder.file_name().is_some_and(|folder| folder == name)
    }
}

/// The certificates in a folder of authorities, with their files.
///
/// # Errors
/// The folder cannot be read, or a file in it holds no certificate.
pub(super) fn authorities(
    files: &dyn Files,
    folder: &Path,
) -> Result<Vec<(PathBuf, CertificateDer<'static>)>, TlsError> {
    let entries = files.read_dir(folder).map_err(|error| TlsError::read(folder, error))?;
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| !entry.name.starts_with('.')) {
        let path = folder.join(&entry.name);
        let is_file = matches!(files.kind(&path), Ok(Kind::File));
        if is_file && let Some(text) = read(files, &path)? {
            let own = certificates(&path, &text)?;
            found.extend(own.into_iter().map(|certificate| (path.clone(), certificate)));
        }
    }
    Ok(found)
}

/// A file's bytes; `None` if there is no such file.
pub(super) fn read(files: &dyn Files, path: &Path) -> Result<Option<Vec<u8>>, TlsError> {
    let file = match files.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TlsError::read(path, source)),
    };
    let fill = || {
        let mut text = vec![0; file.len()?.min(FILE_BYTES_MAX) as usize];
        let len = file.read_at(0, &mut text)?;
        text.truncate(len);
        Ok(text)
    };
    fill().map(Some).map_err(|source| TlsError::read(path, source))
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.map_err(|error| TlsError::malformed(path, format!("no PEM: {error}")))?;
    for certificate in &chain {
        ParsedCertificate::try_from(certificate)
            .map_err(|error| TlsError::malformed(path, format!("not a certificate: {error}")))?;
    }
    if chain.is_empty() {
        return Err(TlsError::malformed(path, "no certificate in it (PEM is expected)"));
    }
    Ok(chain)
}

fn expires(path: &Path, chain: &[CertificateDer<'_>]) -> Result<i64, TlsError> {
    let mut first = i64::MAX;
    for certificate in chain {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| TlsError::malformed(path, format!("not a certificate: {error}")))?;
        first = first.min(certificate.validity().not_after.timestamp());
    }
    Ok(first)
}

fn certified(
    provider: &CryptoProvider,
    (certificate, chain): (&Path, Vec<CertificateDer<'static>>),
    (path, text): (&Path, &[u8]),
) -> Result<CertifiedKey, TlsError> {
    let encrypted = String::from_utf8_lossy(text).contains("ENCRYPTED");
    if encrypted {
        return Err(TlsError::malformed(path, "the key is encrypted; that is not supported"));
    }
    let key = PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::malformed(path, "no private key in it (PEM is expected)"),
        error => TlsError::malformed(path, format!("no PEM: {error}")),
    })?;
    let key = provider.key_provider.load_private_key(key);
    let key = key.map_err(|error| TlsError::malformed(path, format!("the key cannot be used: {error}")))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        // A key that does not tell its public half cannot be compared.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => Err(TlsError::Mismatch { key: path.to_owned() }),
        Err(error) => Err(TlsError::malformed(certificate, error.to_string())),
    }
}
