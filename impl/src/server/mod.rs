//! A server put together: HTTP below, S3, the admin API and monitoring above.

mod front;
mod peers;
mod router;

use crate::{
    access::{Access, Credentials},
    admin::{self, AdminApi},
    http::{self, Admission, HttpConfig, Limits, SideEntrance, Timeouts, Tls},
    metrics::Requests,
    monitor::{prometheus, requests::Observer},
    peer::Entrance,
    runtime::{Listener, Rt},
    s3::{self, Domains, Origins, S3, S3Config},
    stats::Counter,
    store::Store,
};
use peers::Peers;
use router::Router;
use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// Configuration of [`serve`].
pub struct ServeConfig {
    /// Source of connections.
    pub listener: Box<dyn Listener>,
    /// The root user.
    pub credentials: Credentials,
    /// The deployment's region; without one it is `us-east-1`, and clients may name any.
    pub region: Option<String>,
    /// Domains whose further names are buckets.
    pub domains: Domains,
    /// The origins whose pages may read answers.
    pub origins: Origins,
    /// Limits of concurrency and memory.
    pub limits: Limits,
    /// Timeouts of clients.
    pub timeouts: Timeouts,
    /// The certificates; without them it is plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// Takes the connections of other nodes, if there are some.
    pub peers: Option<Arc<Entrance>>,
    /// Visibility of requests: access log and metrics.
    pub watch: WatchConfig,
    /// Set while the server still serves but will soon be told to end: it is not ready then, so that load balancers
    /// send requests elsewhere before its port is closed.
    pub is_leaving: Arc<AtomicBool>,
}

/// Visibility of a server's work: access log and metrics.
#[derive(Clone, Debug, Default)]
pub struct WatchConfig {
    /// Anybody may scrape metrics; otherwise a bearer token is needed.
    pub metrics_public: bool,
    /// Each request gets a log line.
    pub access_log: bool,
    /// Log lines that were lost, for the metrics.
    pub log_lines_dropped: Arc<Counter>,
}

/// Serves S3 until `shutdown` completes; then accepts no more connections, finishes the requests in flight
/// for at most 30 s, and returns how many connections had to be cut.
///
/// # Errors
/// The listening socket is not one.
pub async fn serve(
    rt: Rt,
    store: Arc<Store>,
    config: ServeConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<usize> {
    let requests = Arc::new(Requests::new(s3::labels().chain([admin::API.to_owned()])));
    let admission = Admission::new(&rt, config.limits);
    let access = Access::new(config.credentials);
    let server = Arc::new(prometheus::Server {
        rt: rt.clone(),
        store: store.clone(),
        requests: requests.clone(),
        admission: admission.clone(),
        endpoint: endpoint(config.listener.local_addr()?),
        public: config.watch.metrics_public,
        log_lines_dropped: config.watch.log_lines_dropped,
        started: (Duration::from_nanos(rt.wall_nanos()), rt.mono()),
    });
    let observer = Observer {
        rt: rt.clone(),
        requests,
        access_log: config.watch.access_log,
    };
    let s3 = S3Config {
        access: access.clone(),
        region: config.region,
        domains: config.domains,
        origins: config.origins,
        body_idle: config.timeouts.idle,
    };
    let router = Router {
        s3: S3::new(&rt, store, s3),
        admin: AdminApi {
            server: server.clone(),
            access: access.clone(),
        },
        server,
        access,
        observer,
        admission,
        is_leaving: config.is_leaving,
    };
    let peers = config.peers.clone();
    let http = HttpConfig {
        listener: config.listener,
        tls: config.tls,
        timeouts: config.timeouts,
        side: peers.map(|entrance| Arc::new(Peers(entrance)) as Arc<dyn SideEntrance>),
        requests_max: config.limits.requests,
    };
    let cut = http::serve(&rt, http, router, shutdown).await;
    // Only now: requests in flight at other nodes need this node's drives.
    if let Some(entrance) = &config.peers {
        entrance.close();
    }
    Ok(cut)
}

/// Returns the server's address for labels: a wildcard address is replaced by the host's own.
fn endpoint(bound: SocketAddr) -> String {
    let host = match bound.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(host, bound.port()).to_string()
}
