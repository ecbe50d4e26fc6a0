//! `impl server`: from the command line to a serving process.

mod nodes;

use super::{Banner, logging::Log};
use crate::{
    background::stale_uploads,
    config::{ConfigError, Env, Given, GivenLimits, GivenLog, ListenAddress, Output, ServerConfig},
    http::{Limits, Timeouts, Tls, TlsError},
    monitor::drives,
    node::{self, IndexPolicy, Node, NodeConfig, OpenError},
    peer::PeerTlsError,
    runtime::{
        self, Listener, Rt,
        real::{RealRuntime, log::write_within, raise_files_max},
    },
    s3::{DomainError, Domains, OriginError, Origins},
    server::{self, ServeConfig, StoreSlot, WatchConfig},
    store::Store,
    topology::OwnError,
};
use clap::Args;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Age below which staged data that nothing names may still belong to a write in progress: longer than any write
/// takes from there to its end.
const RECOVERY_GRACE: Duration = Duration::from_secs(60);

/// Time limit for writing the error of a failed start: the reader of standard error may sleep.
const ERROR_TIME_MAX: Duration = Duration::from_secs(1);

const ENVIRONMENT: &str = "\
Environment:
  MINIO_ROOT_USER, MINIO_ROOT_PASSWORD  The root user, at least 3 and 8 characters [minioadmin].
                                        With _FILE appended: a file that holds it
  IMPL_PEER_SECRET                      With several nodes: the secret by which they know each
                                        other, at least 32 bytes, the same on all. NEW,OLD while
                                        it is changed node by node [the root user]. With _FILE
                                        appended: a file that holds it
  MINIO_ROOT_USER_OLD, MINIO_ROOT_PASSWORD_OLD
                                        The root user before, while it is changed node by node
                                        without an IMPL_PEER_SECRET. Also with _FILE appended
  MINIO_STORAGE_CLASS_STANDARD          Parity of objects, EC:n with n up to half of a set
                                        [by set size: 4-5 EC:2, 6-7 EC:3, 8-16 EC:4]
  MINIO_STORAGE_CLASS_RRS               Parity of the class REDUCED_REDUNDANCY [EC:1]
  MINIO_ERASURE_SET_DRIVE_COUNT         Drives of an erasure set [the most that divide the drives]
  MINIO_SITE_REGION                     The region of buckets; requests must be signed for it
                                        [us-east-1, and any is taken]
  MINIO_DOMAIN                          Domains, with commas: BUCKET.DOMAIN is the host of a bucket
  MINIO_API_CORS_ALLOW_ORIGIN           Origins, with commas, whose web pages may read answers,
                                        such as https://*.example.com [*]
  MINIO_API_REQUESTS_MAX                Requests that are served at once; others wait [by memory]
  MINIO_API_REQUESTS_DEADLINE           For how long, until they are answered 503 SlowDown [10s]
  MINIO_API_STALE_UPLOADS_EXPIRY        An unfinished upload is removed after so long without a
                                        new part [24h]
  MINIO_API_STALE_UPLOADS_CLEANUP_INTERVAL
                                        How often such uploads are looked for [6h]
  MINIO_VOLUMES                         Drives, separated by spaces; beats those on the command line
  MINIO_ADDRESS, MINIO_CONSOLE_ADDRESS, MINIO_MEMLIMIT,
  MINIO_IDLE_TIMEOUT, MINIO_READ_HEADER_TIMEOUT, MINIO_SHUTDOWN_DELAY
                                        As the flags
  MINIO_PROMETHEUS_AUTH_TYPE            Who may scrape metrics: public, or jwt with a token [jwt]
  MINIO_ACCESS_LOG                      on: as --access-log [off]
  MINIO_LOG_FILE, MINIO_LOG_FILE_SIZE, MINIO_LOG_FILE_COUNT
                                        As the flags
  MINIO_CONFIG_ENV_FILE                 A file of NAME=VALUE lines, which beat these variables
  RUST_LOG                              What is logged [info]

Examples:
  One folder, to try it
    impl server /tmp/store

  Four drives: any two may fail and objects can still be read
    impl server /mnt/drive{1...4}

  Sixteen drives, eight of them for parity, reachable on this host only
    MINIO_STORAGE_CLASS_STANDARD=EC:8 impl server --address 127.0.0.1:9000 /mnt/drive{1...16}

  Four hosts with four drives each: any one host may fail. The same on every host, with a secret
  of `openssl rand -hex 32`
    IMPL_PEER_SECRET_FILE=/etc/store/secret impl server http://host{1...4}:9000/mnt/drive{1...4}

  With a root user of your own
    MINIO_ROOT_USER=admin MINIO_ROOT_PASSWORD=correct-horse impl server /mnt/drive{1...4}

  Over TLS, with public.crt and private.key in a folder
    impl server --certs-dir /etc/store/certs /mnt/drive{1...4}

Certificates for further names are in folders of their own within that folder. Changed ones are
taken over within ten seconds, without a restart.

The server stops on SIGTERM or SIGINT, after the requests under way have ended. A second signal
ends the delay before that. With a log file, SIGHUP has it opened anew.
";

/// Store objects on drives and serve them over S3
///
/// DIR is a drive: a folder on a file system of its own. Give one, or 4 and more; {1...4} stands for
/// a row of them. From 4 to 16 drives form one erasure set, more are divided into equal sets. At the
/// first start the folders must be empty or missing; from then on they belong to this deployment.
///
/// With several nodes a drive is a URL, http://HOST:PORT/DIR or https://HOST:PORT/DIR. Each node is
/// started with the same list, finds itself in it by its addresses and the port of --address, and
/// serves its own drives to the others.
#[derive(Args)]
#[command(after_help = ENVIRONMENT, verbatim_doc_comment)]
pub struct ServerArgs {
    /// The drives: folders of this host, or URLs of folders on several nodes
    #[arg(value_name = "DIR|URL")]
    drives: Vec<String>,
    /// Address of the S3 API: HOST:PORT, or :PORT for all addresses [default: :9000]
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// Address of the web console, which is not there yet
    #[arg(long, value_name = "HOST:PORT")]
    console_address: Option<String>,
    /// Folder of public.crt and private.key; with them the API is HTTPS [default: ~/.minio/certs]
    #[arg(long, short = 'S', value_name = "DIR")]
    certs_dir: Option<String>,
    /// Memory that the server may take, for example 4GiB [default: three quarters of the machine's]
    #[arg(long, value_name = "SIZE")]
    memlimit: Option<String>,
    /// Time for which a connection may be idle, a request's body may pause, and an answer may wait to be read
    /// [default: 60s]
    #[arg(long, value_name = "TIME")]
    idle_timeout: Option<String>,
    /// Time limit for the headers of a request [default: 60s]
    #[arg(long, value_name = "TIME")]
    read_header_timeout: Option<String>,
    /// Time from SIGTERM until the port is closed; the server goes on meanwhile, and /minio/health/ready says 503,
    /// so that load balancers send requests elsewhere [default: 3s]
    #[arg(long, value_name = "TIME")]
    shutdown_delay: Option<String>,
    /// Banner and log lines as JSON
    #[arg(long)]
    json: bool,
    /// No banner
    #[arg(long)]
    quiet: bool,
    /// Do not show the root user
    #[arg(long)]
    anonymous: bool,
    /// Write a log line for each request
    #[arg(long)]
    access_log: bool,
    /// Write log lines to this file instead of standard error; SIGHUP has it opened anew
    #[arg(long, value_name = "FILE")]
    log_file: Option<String>,
    /// Size at which the log file becomes FILE.1, and FILE.1 becomes FILE.2; 0 for any size
    /// [default: 100MiB]
    #[arg(long, value_name = "SIZE")]
    log_file_size: Option<String>,
    /// Number of those that are kept [default: 5]
    #[arg(long, value_name = "N")]
    log_file_count: Option<String>,
    /// Record each step of the protocol's machines in a file, for `impl replay`; it grows fast
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl ServerArgs {
    /// The flags as configuration takes them.
    pub(super) fn given(self) -> Given {
        Given {
            drives: self.drives,
            address: self.address,
            console_address: self.console_address,
            certs_dir: self.certs_dir,
            limits: GivenLimits {
                memory: self.memlimit,
                idle: self.idle_timeout,
                headers: self.read_header_timeout,
                shutdown: self.shutdown_delay,
            },
            output: Output {
                json: self.json,
                quiet: self.quiet,
                anonymous: self.anonymous,
            },
            access_log: self.access_log,
            log: GivenLog {
                file: self.log_file,
                size: self.log_file_size,
                count: self.log_file_count,
            },
            trace: self.trace,
        }
    }
}

/// Error that ends a server. One line, for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Invalid configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The current folder, which relative drive paths start from, cannot be told.
    #[error("the current folder is not accessible: {0}")]
    CurrentFolder(#[source] io::Error),
    /// The operating system gave no threads or timers.
    #[error("the runtime does not start: {0}")]
    Runtime(#[source] io::Error),
    /// The operating system gave no signal handler.
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
    /// The log file, or the thread that writes it.
    #[error("cannot log to {to}: {source}")]
    Log {
        /// The file, or standard error.
        to: String,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file of the trace.
    #[error("cannot write the trace {path}: {source}")]
    Trace {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// No drive's URL is of this node, or those of two.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// The secret between nodes is too short.
    #[error("IMPL_PEER_SECRET has {bytes} bytes, at least {needed} are needed")]
    Secret {
        /// Its length.
        bytes: usize,
        /// The least.
        needed: usize,
    },
    /// URLs of https:// need certificates.
    #[error(
        "the drives' URLs are https://, and there is no public.crt and private.key in {}: put them there, or name \
         their folder with --certs-dir", folder.display()
    )]
    NoCertificate {
        /// The folder of certificates.
        folder: PathBuf,
    },
    /// With certificates the URLs must be https://.
    #[error(
        "there are certificates in {}, and the drives' URLs are http://: write them https://, or name another \
         --certs-dir", folder.display()
    )]
    CertificateUnused {
        /// The folder of certificates.
        folder: PathBuf,
    },
    /// TLS between nodes.
    #[error(transparent)]
    PeerTls(#[from] PeerTlsError),
    /// The drives.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// `MINIO_DOMAIN`.
    #[error("MINIO_DOMAIN: {0}")]
    Domains(#[from] DomainError),
    /// `MINIO_API_CORS_ALLOW_ORIGIN`.
    #[error("MINIO_API_CORS_ALLOW_ORIGIN: {0}")]
    Origins(#[from] OriginError),
    /// The address is taken, or not of this host.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: ListenAddress,
        /// The operating system's error.
        source: io::Error,
    },
    /// The listening socket broke.
    #[error("serving ended: {0}")]
    Serve(#[source] io::Error),
}

/// Runs a server until it is told to stop.
pub(super) fn run(args: ServerArgs) -> ExitCode {
    match start(args.given()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            write_within(ERROR_TIME_MAX, io::stderr(), format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

fn start(given: Given) -> Result<(), StartError> {
    let current_folder = std::env::current_dir().map_err(StartError::CurrentFolder)?;
    let env = Env::of_process(&super::read_secret)?;
    let config = ServerConfig::resolve(given, &env, &current_folder, &super::read_secret)?;
    let log_file = config.log_file.as_ref();
    let log = Log::start(config.output.json, log_file, env.get("RUST_LOG")).map_err(|source| StartError::Log {
        to: log_file.map_or_else(|| "standard error".to_owned(), |file| file.path.display().to_string()),
        source,
    })?;
    let served = run_logged(config, &log);
    if let Err(error) = &served
        && log.reopener().is_some()
    {
        tracing::error!(%error, "the server does not start");
    }
    log.finish();
    served
}

fn run_logged(config: ServerConfig, log: &Log) -> Result<(), StartError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    // Each connection takes one, and each shard that is read or written.
    if let Err(error) = raise_files_max() {
        tracing::warn!(%error, "the limit of open files cannot be raised to what the system allows");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    runtime.block_on(serve(config, log))
}

/// Opens the drives and serves until a stop signal; returns once the requests under way have ended.
///
/// # Errors
/// Errors of the start. Nothing was served then.
pub async fn serve(config: ServerConfig, log: &Log) -> Result<(), StartError> {
    let mut signals = StopSignals::new()?;
    let rt = match &config.trace {
        None => RealRuntime::new(),
        Some(path) => RealRuntime::recording(path).map_err(|source| StartError::Trace {
            path: path.clone(),
            source,
        })?,
    };
    if let Some(reopen) = log.reopener() {
        reopen_at_hangup(&rt, reopen)?;
    }
    let domains: Domains = config.domains.parse()?;
    let origins: Origins = config.origins.parse()?;
    let tls = certificates(&rt, &config).await?;
    // Before any drive is touched: a server whose port is taken must not have formatted them.
    let address = &config.address;
    let (listener, bound) = listen(&rt, address).await.map_err(|source| StartError::Listen {
        address: address.clone(),
        source,
    })?;
    let among = match config.peers {
        None => None,
        Some(_) => tokio::select! {
            biased;
            _ = signals.next() => return Ok(()),
            among = nodes::start(&rt, &config, interfaces(), tls.as_ref()) => Some(among?),
        },
    };
    let is_leaving = Arc::<AtomicBool>::default();
    let serve = ServeConfig {
        peers: among.as_ref().map(|among| among.starting.entrance().clone()),
        listener,
        credentials: config.credentials.clone(),
        region: config.region.clone(),
        domains,
        origins,
        limits: Limits::new(config.limits.memory_bytes, config.limits.requests, config.limits.wait),
        timeouts: Timeouts {
            idle: config.limits.idle,
            headers: config.limits.headers,
        },
        watch: WatchConfig {
            metrics_public: config.metrics_public,
            access_log: config.access_log,
            log_lines_dropped: log.dropped(),
        },
        is_leaving: is_leaving.clone(),
        tls: tls.clone(),
    };
    let store = StoreSlot::default();
    let stop = leave(rt.clone(), signals, config.limits.shutdown_delay, is_leaving);
    let mut serving = pin!(server::serve(rt.clone(), store.clone(), serve, stop));
    let is_tls = tls.is_some();
    let cut = match among {
        // Whoever connects already is answered once the drives are open.
        None => {
            let node = open(&rt, &config).await?;
            announce(&config, bound, is_tls, node.drives_online, None);
            store.set(node.store.clone());
            serving.await
        }
        // The other nodes are answered from the beginning.
        Some(among) => {
            let opening = async {
                let me = among.me;
                let node = nodes::open(among.starting).await?;
                watch(&rt, &config, &node.store).await;
                announce(&config, bound, is_tls, node.drives_online, Some(me));
                store.set(node.store);
                Ok::<_, StartError>(())
            };
            tokio::select! {
                biased;
                ended = &mut serving => ended,
                opened = opening => {
                    opened?;
                    serving.await
                }
            }
        }
    };
    let cut = cut.map_err(StartError::Serve)?;
    if cut > 0 {
        tracing::warn!(connections = cut, "requests that did not end in time were broken off");
    }
    if let Some(store) = store.get() {
        store.close().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens this host's drives, and begins to look after them.
async fn open(rt: &Rt, config: &ServerConfig) -> Result<Arc<Node>, StartError> {
    let node = Arc::new(node::open(rt.clone(), node_config(config)).await?);
    let recovering = node.clone();
    runtime::spawn(rt, "recovery", async move {
        recovering.recover(RECOVERY_GRACE).await;
    });
    watch(rt, config, &node.store).await;
    Ok(node)
}

/// Reports the state of the drives, now and when it changes, and begins to remove abandoned uploads.
async fn watch(rt: &Rt, config: &ServerConfig, store: &Arc<Store>) {
    drives::report(&store.survey().await);
    runtime::spawn(rt, "watch the drives", drives::watch(rt.clone(), store.clone()));
    let (expiry, interval) = (config.limits.stale_uploads, config.limits.stale_uploads_interval);
    let removing = stale_uploads::run(store.clone(), expiry, interval);
    runtime::spawn(rt, "remove abandoned uploads", removing);
}

/// The certificates, if there are any.
async fn certificates(rt: &Rt, config: &ServerConfig) -> Result<Option<Arc<Tls>>, TlsError> {
    let Some(folder) = &config.certs_dir else {
        return Ok(None);
    };
    let tls = Tls::load(rt, folder).await?;
    if tls.is_none() && config.certs_dir_is_given {
        tracing::warn!(folder = %folder.display(), "no certificate: the API is plain HTTP");
    }
    Ok(tls)
}

/// Binds the first of the address's candidates that can be bound.
async fn listen(rt: &Rt, address: &ListenAddress) -> io::Result<(Box<dyn Listener>, SocketAddr)> {
    let mut failure = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for candidate in address.candidates()? {
        match rt.listen(candidate).await {
            Ok(listener) => {
                let bound = listener.local_addr()?;
                return Ok((listener, bound));
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn node_config(config: &ServerConfig) -> NodeConfig {
    let topology = &config.topology;
    NodeConfig {
        drives: topology.drives.iter().map(|drive| drive.path.clone()).collect(),
        set_size: topology.set_size,
        standard_parity: topology.standard_parity,
        reduced_parity: topology.reduced_parity,
        index: IndexPolicy::default(),
    }
}

/// SIGTERM and SIGINT. While it exists, they do not end the process by themselves.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes the signals over.
    ///
    /// # Errors
    /// [`StartError::Signals`].
    fn new() -> Result<StopSignals, StartError> {
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate()).map_err(StartError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(StartError::Signals)?,
        })
    }

    /// Waits for the next one and returns its name.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Completes when the port is to be closed: at SIGINT, or `delay` after SIGTERM, or when a second signal comes within
/// that time. Sets `is_leaving` when the time begins.
async fn leave(rt: Rt, mut signals: StopSignals, delay: Duration, is_leaving: Arc<AtomicBool>) {
    let name = signals.next().await;
    is_leaving.store(true, Ordering::Release);
    if name == "SIGTERM" && !delay.is_zero() {
        tracing::info!("SIGTERM: not ready any more; the port is closed after {delay:?}");
        tokio::select! {
            biased;
            _ = signals.next() => {}
            () = rt.sleep(delay) => {}
        }
    }
    tracing::info!("{name}: finishing the requests under way");
}

/// Has the log file opened anew at each SIGHUP. Without a log file the signal ends the process, as it does any.
fn reopen_at_hangup(rt: &Rt, reopen: impl Fn() + Send + 'static) -> Result<(), StartError> {
    let mut hangups = signal(SignalKind::hangup()).map_err(StartError::Signals)?;
    runtime::spawn(rt, "reopen the log", async move {
        while hangups.recv().await.is_some() {
            reopen();
            tracing::info!("SIGHUP: the log file was opened anew");
        }
    });
    Ok(())
}

/// Says that the server is up, as the flags ask for it: not at all, as a line of JSON, or as text. `own` is this node's
/// index among several.
pub fn announce(config: &ServerConfig, bound: SocketAddr, is_tls: bool, drives_online: usize, own: Option<usize>) {
    let banner = Banner::new(config, bound, is_tls, &interfaces(), drives_online, own);
    match config.output {
        Output { quiet: true, .. } => {}
        Output { json: true, .. } => print(banner.to_json()),
        Output { .. } => print(banner.to_text()),
    }
}

/// Writes to standard output without waiting for its reader.
fn print(text: String) {
    write_within(Duration::ZERO, io::stdout(), text);
}

/// Returns this host's addresses. The banner is no reason not to start, so without them it shows fewer.
fn interfaces() -> Vec<IpAddr> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    found.into_iter().map(|interface| interface.ip()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_second_signal_ends_the_delay() {
        runtime().block_on(async {
            let (rt, signals) = (RealRuntime::new(), StopSignals::new().unwrap());
            let is_leaving = Arc::<AtomicBool>::default();
            let left = leave(rt.clone(), signals, Duration::from_secs(600), is_leaving.clone());
            let mut left = std::pin::pin!(left);
            for expected in [false, true] {
                let ended = runtime::timeout(&rt, Duration::from_millis(100), &mut left).await;
                assert_eq!(ended, None);
                assert_eq!(is_leaving.load(Ordering::Acquire), expected);
                let kill = std::process::Command::new("kill")
                    .args(["-TERM", &std::process::id().to_string()])
                    .status();
                assert!(kill.unwrap().success());
            }
            left.await;
        });
    }
}
