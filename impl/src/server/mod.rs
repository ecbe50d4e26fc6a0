//! A server put together: HTTP below, S3, the admin API and monitoring above.

mod front;
mod gate;
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
use gate::Gate;
pub use gate::StoreSlot;
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
/// for at most 30 s, and returns how many connections had to be cut. Until there is a store, requests are told that the
/// server is starting.
///
/// # Errors
/// The listening socket is not one.
pub async fn serve(
    rt: Rt,
    store: impl Into<StoreSlot>,
    config: ServeConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<usize> {
    let ServeConfig {
        listener,
        credentials,
        region,
        domains,
        origins,
        limits,
        timeouts,
        tls,
        peers,
        watch,
        is_leaving,
    } = config;
    let requests = Arc::new(Requests::new(s3::labels().chain([admin::API.to_owned()])));
    let admission = Admission::new(&rt, limits);
    let observer = Observer {
        rt: rt.clone(),
        requests: requests.clone(),
        access_log: watch.access_log,
    };
    let (endpoint, started) = (
        endpoint(listener.local_addr()?),
        (Duration::from_nanos(rt.wall_nanos()), rt.mono()),
    );
    let open = {
        let (rt, observer, access) = (rt.clone(), observer.clone(), Access::new(credentials));
        let tls = tls.clone();
        move |store: Arc<Store>| {
            let server = Arc::new(prometheus::Server {
                rt: rt.clone(),
                store: store.clone(),
                requests: requests.clone(),
                admission: admission.clone(),
                endpoint: endpoint.clone(),
                public: watch.metrics_public,
                tls: tls.clone(),
                log_lines_dropped: watch.log_lines_dropped.clone(),
                started,
            });
            let s3 = S3Config {
                access: access.clone(),
                region: region.clone(),
                domains: domains.clone(),
                origins: origins.clone(),
                body_idle: timeouts.idle,
            };
            Router {
                s3: S3::new(&rt, store, s3),
                admin: AdminApi {
                    server: server.clone(),
                    access: access.clone(),
                },
                server,
                access: access.clone(),
                observer: observer.clone(),
                admission: admission.clone(),
                is_leaving: is_leaving.clone(),
            }
        }
    };
    let gate = Gate {
        store: store.into(),
        observer,
        open: Arc::new(open),
        router: Arc::default(),
    };
    let http = HttpConfig {
        listener,
        tls,
        timeouts,
        side: peers
            .clone()
            .map(|entrance| Arc::new(Peers(entrance)) as Arc<dyn SideEntrance>),
        requests_max: limits.requests,
    };
    let cut = http::serve(&rt, http, gate, shutdown).await;
    // Only now: requests in flight at other nodes need this node's drives.
    if let Some(entrance) = &peers {
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
