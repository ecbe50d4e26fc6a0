//! TLS: certificates from a folder, more of them by name, and their reload while the server runs; and the
//! client that asks a server.
//!
//! The folder is laid out as operators of MinIO have it: `public.crt` and `private.key`, one folder with the
//! same two files for each further name, and in `CAs/` authorities that a client is to trust.

mod client;
mod pair;
mod serving;

pub use client::{ClientTls, HandshakeError, Trust, trusted};
pub use pair::TlsError;

use crate::runtime::{self, Executor, Files, Kind, Lane, Rt};
use pair::{CERTIFICATE, Pair};
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::UnixTime,
    server::ResolvesServerCert,
    time_provider::TimeProvider,
};
use serving::Serving;
use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// Interval of checks of the folder.
const POLL: Duration = Duration::from_secs(10);

/// Days left of a certificate at which the log warns of it, the last of them first.
const WARN_DAYS: [i64; 4] = [0, 1, 7, 30];

/// The folder of trusted authorities; no name of a server.
const AUTHORITIES: &str = "CAs";

/// ALPN protocols by preference.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A server's certificates, and how it speaks TLS with them.
pub struct Tls {
    rt: Rt,
    /// Files are read on its threads.
    executor: Arc<dyn Executor>,
    provider: Arc<CryptoProvider>,
    folder: PathBuf,
    serving: Arc<Serving>,
    acceptor: TlsAcceptor,
}

/// Snapshot of the folder.
#[derive(Default)]
struct Found {
    /// The default pair first, then those of further names.
    pairs: Vec<Pair>,
    /// By folder: pairs that cannot be used.
    bad: BTreeMap<PathBuf, TlsError>,
}

impl Tls {
    /// The certificates in `folder`; `None` if there are none, and the server is to speak plain HTTP.
    ///
    /// # Errors
    /// [`TlsError`] for a pair that cannot be used, or one for a further name only.
    pub async fn load(rt: &Rt, folder: &Path) -> Result<Option<Arc<Tls>>, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let executor = rt.executor("certificates");
        let mut found = find(rt, &executor, &provider, folder, Vec::new()).await?;
        if let Some((_, error)) = found.bad.pop_first() {
            return Err(error);
        }
        match found.pairs.first() {
            None => return Ok(None),
            Some(first) if first.folder != folder => {
                let folder = folder.to_owned();
                return Err(TlsError::NoDefault { folder });
            }
            Some(_) => {}
        }
        let serving = Arc::new(Serving::new(found.pairs));
        let config = ServerConfig::builder_with_details(provider.clone(), Arc::new(Clock(rt.clone())))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::Provider(error.to_string()))?;
        let mut config = config.with_no_client_auth().with_cert_resolver(serving.clone());
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Some(Arc::new(Tls {
            rt: rt.clone(),
            executor,
            provider,
            folder: folder.to_owned(),
            serving,
            acceptor: TlsAcceptor::from(Arc::new(config)),
        })))
    }

    /// Returns what chooses the certificate for a connection: always among those that are served now.
    #[must_use]
    pub fn certificates(&self) -> Arc<dyn ResolvesServerCert> {
        self.serving.clone()
    }

    /// Returns the certificates that are served, as paths below their folder, and how many days each is valid for from
    /// now on; below 0 once it has expired.
    #[must_use]
    pub fn days_left(&self) -> Vec<(String, i64)> {
        let now_seconds = i64::try_from(self.rt.wall_nanos() / 1_000_000_000).unwrap_or(i64::MAX);
        let pairs = self.serving.pairs().into_iter();
        let of_pair = |pair: Pair| {
            let certificate = pair.folder.join(CERTIFICATE);
            let name = certificate.strip_prefix(&self.folder).unwrap_or(&certificate);
            let days = pair.expires.saturating_sub(now_seconds).div_euclid(86_400);
            (name.display().to_string(), days)
        };
        pairs.map(of_pair).collect()
    }

    /// Logs certificates that expire soon: once for each of [`WARN_DAYS`]. `told` remembers which.
    fn warn_of_expiry(&self, told: &mut BTreeMap<String, i64>) {
        for (certificate, days) in self.days_left() {
            let Some(limit) = WARN_DAYS.into_iter().find(|limit| days < *limit) else {
                told.remove(&certificate);
                continue;
            };
            if told.insert(certificate.clone(), limit) == Some(limit) {
                continue;
            }
            match days {
                ..0 => tracing::error!(certificate, "a certificate has expired; put a new one in its place"),
                _ => tracing::warn!(
                    certificate,
                    days,
                    "a certificate expires soon; put a new one in its place"
                ),
            }
        }
    }

    /// Speaks the server's side of the handshake.
    pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        self.acceptor.accept(stream).await
    }

    /// Looks for changed certificates for ever.
    pub(super) async fn keep_current(self: Arc<Self>) {
        let (mut told, mut told_days) = (BTreeMap::new(), BTreeMap::new());
        loop {
            self.warn_of_expiry(&mut told_days);
            self.rt.sleep(POLL).await;
            self.reload(&mut told).await;
        }
    }

    /// Takes over what has changed. A pair that cannot be used leaves the one that is served in place; `told`
    /// remembers what was logged of it.
    async fn reload(&self, told: &mut BTreeMap<PathBuf, String>) {
        let current = self.serving.pairs();
        let (rt, executor, provider) = (&self.rt, &self.executor, &self.provider);
        let mut found = match find(rt, executor, provider, &self.folder, current.clone()).await {
            Ok(found) => found,
            Err(error) => Found {
                pairs: current.clone(),
                bad: BTreeMap::from([(self.folder.clone(), error)]),
            },
        };
        let has_default = found.pairs.first().is_some_and(|pair| pair.folder == self.folder);
        if !has_default && !found.bad.contains_key(&self.folder) {
            let folder = self.folder.clone();
            found.bad.insert(folder.clone(), TlsError::NoDefault { folder });
        }
        for (folder, error) in &found.bad {
            let error = error.to_string();
            if told.get(folder) != Some(&error) {
                tracing::error!(%error, "a certificate cannot be used; the one before it stays");
                told.insert(folder.clone(), error);
            }
        }
        told.retain(|folder, _| found.bad.contains_key(folder));
        let kept = current.iter().filter(|pair| found.bad.contains_key(&pair.folder));
        let mut pairs: Vec<Pair> = kept.cloned().chain(found.pairs).collect();
        // The default's folder is the others' parent, and sorts before them.
        pairs.sort_by(|a, b| a.folder.cmp(&b.folder));
        pairs.dedup_by(|a, b| a.folder == b.folder);
        if pairs == current {
            return;
        }
        for pair in pairs.iter().filter(|pair| !current.contains(pair)) {
            let certificate = pair.folder.join(CERTIFICATE);
            tracing::info!(certificate = %certificate.display(), "serving a new certificate");
        }
        self.serving.replace(pairs);
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Reads the folder. Pairs of `current` whose files are the same are taken over.
///
/// # Errors
/// The folder itself cannot be read.
async fn find(
    rt: &Rt,
    executor: &Arc<dyn Executor>,
    provider: &Arc<CryptoProvider>,
    folder: &Path,
    current: Vec<Pair>,
) -> Result<Found, TlsError> {
    let (files, provider, folder) = (rt.files(), provider.clone(), folder.to_owned());
    let job = move || find_blocking(&*files, &provider, &folder, &current);
    runtime::run(executor, Lane::Data, job)
        .await
        .map_err(|_| TlsError::Ending)?
}

fn find_blocking(
    files: &dyn Files,
    provider: &CryptoProvider,
    folder: &Path,
    current: &[Pair],
) -> Result<Found, TlsError> {
    let mut found = Found::default();
    let entries = match files.read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(source) => return Err(TlsError::read(folder, source)),
    };
    // A secret that is mounted as a volume has its files in hidden folders, and links to them.
    let names = entries.into_iter().map(|entry| entry.name);
    let visible = names
        .filter(|name| !name.starts_with('.'))
        .map(|name| folder.join(name));
    let folders: Vec<PathBuf> = visible
        .filter(|path| matches!(files.kind(path), Ok(Kind::Folder)))
        .collect();
    if let Some(authorities) = folders.iter().find(|path| path.ends_with(AUTHORITIES))
        && let Err(error) = pair::authorities(files, authorities)
    {
        found.bad.insert(authorities.clone(), error);
    }
    let of_names = folders.iter().filter(|path| !path.ends_with(AUTHORITIES));
    for folder in std::iter::once(&folder.to_owned()).chain(of_names) {
        match Pair::read(files, provider, folder, current) {
            Ok(None) => {}
            Ok(Some(pair)) => found.pairs.push(pair),
            Err(error) => drop(found.bad.insert(folder.clone(), error)),
        }
    }
    Ok(found)
}

/// The Runtime's wall clock, for the age of session tickets.
struct Clock(Rt);

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_nanos(self.0.wall_nanos())))
    }
}

#[cfg(test)]
mod tests;
