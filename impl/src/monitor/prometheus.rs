//! Prometheus metrics: `/minio/v2/metrics/cluster` and `/minio/v2/metrics/node`.
//!
//! `node` tells of this server and its drives; `cluster` of the deployment too. With one node the second holds
//! all of the first, so that scraping either is enough.

use crate::{
    access::{Access, token},
    http::{Admission, Body, Tls},
    metrics::{CONTENT_TYPE, Family, Kind, Requests, Text},
    runtime::Rt,
    stats::Counter,
    store::{DriveSurvey, Store, Survey},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use std::{sync::Arc, time::Duration};

/// The paths.
pub const PREFIX: &str = "/minio/v2/metrics/";

/// Error of a scrape without a valid token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Scraping needs a bearer token: see `impl admin prometheus`.")]
pub struct NotAllowed;

/// A server, as its metrics and its admin API tell of it.
pub struct Server {
    /// Clock, and what the system says of the process.
    pub rt: Rt,
    /// The store that it serves.
    pub store: Arc<Store>,
    /// Counters of its requests.
    pub requests: Arc<Requests>,
    /// Limits of its requests.
    pub admission: Admission,
    /// Host and port, by which it is known in labels.
    pub endpoint: String,
    /// Scrapes need no token.
    pub public: bool,
    /// Certificates that it serves.
    pub tls: Option<Arc<Tls>>,
    /// Log lines that were lost.
    pub log_lines_dropped: Arc<Counter>,
    /// Start of service, by the wall clock and by the monotonic one.
    pub started: (Duration, Duration),
}

impl Server {
    /// Returns the time since it began to serve.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.rt.mono().saturating_sub(self.started.1)
    }

    /// Answers a scrape; `None` if the request is none.
    pub async fn answer<B>(&self, access: &Access, request: &Request<B>) -> Option<Result<Response<Body>, NotAllowed>> {
        let endpoint = request.uri().path().strip_prefix(PREFIX)?;
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Some(Ok(respond(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into())));
        }
        if !self.public && !self.may_scrape(access, request.headers()) {
            return Some(Err(NotAllowed));
        }
        let with_cluster = match endpoint {
            "cluster" => true,
            "node" => false,
            _ => return Some(Ok(respond(StatusCode::NOT_FOUND, "there are no such metrics\n".into()))),
        };
        let survey = self.store.survey().await;
        let mut text = Text::new();
        if with_cluster {
            cluster(&mut text, &survey);
        }
        self.node(&mut text, &survey);
        Some(Ok(respond(StatusCode::OK, text.finish())))
    }

    fn may_scrape(&self, access: &Access, headers: &HeaderMap) -> bool {
        let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, token)) = value.and_then(|value| value.split_once(' ')) else {
            return false;
        };
        let now_seconds = self.rt.wall_nanos() / 1_000_000_000;
        scheme.eq_ignore_ascii_case("bearer") && token::verify(access, token.trim(), now_seconds).is_some()
    }

    fn node(&self, text: &mut Text, survey: &Survey) {
        text.set_common("server", &self.endpoint);
        self.requests.write(text);
        self.admission.stats().write(text);
        drives(text, survey);
        room(text, survey);
        activity(text, survey);
        self.process(text);
    }

    fn process(&self, text: &mut Text) {
        let process = self.rt.process();
        if let Some(cpu) = process.cpu {
            let help = "Time spent on processors.";
            text.counter("minio_node_process_cpu_total_seconds", help, cpu.as_secs_f64());
        }
        let gauges = [
            (
                "minio_node_process_resident_memory_bytes",
                "Memory that the process holds.",
                process.resident_bytes,
            ),
            (
                "minio_node_file_descriptor_open_total",
                "Descriptors that the process has open.",
                process.files_open,
            ),
            (
                "minio_node_file_descriptor_limit_total",
                "Descriptors that it may have open.",
                process.files_max,
            ),
            (
                "minio_node_process_starttime_seconds",
                "When it began to serve, since 1970.",
                Some(self.started.0.as_secs()),
            ),
            (
                "minio_node_process_uptime_seconds",
                "For how long it has served.",
                Some(self.uptime().as_secs()),
            ),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                text.gauge(name, help, value);
            }
        }
        let help = "Log lines that were lost: they could not be written, or came too fast.";
        text.counter("impl_log_lines_dropped_total", help, self.log_lines_dropped.get());
        if let Some(tls) = &self.tls {
            let help = "Days for which a certificate that is served is valid; below 0 once it has expired.";
            let mut days_left = text.family("impl_certificate_days_left", Kind::Gauge, help);
            for (certificate, days) in tls.days_left() {
                days_left.sample(&[("certificate", &certificate)], days);
            }
        }
        text.family("minio_software_version_info", Kind::Gauge, "The version, as a label.")
            .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    }
}

fn respond(status: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

fn cluster(text: &mut Text, survey: &Survey) {
    let health = survey.health();
    let offline = health.drives - health.drives_online;
    let help = "1 if writes succeed, else 0.";
    text.gauge("minio_cluster_health_status", help, u8::from(health.writable));
    let help = "1 if reads succeed, else 0.";
    text.gauge("impl_cluster_health_read_status", help, u8::from(health.readable));
    let help = "Drives of a set that a write needs.";
    text.gauge("minio_cluster_write_quorum", help, health.write_quorum);
    let help = "Drives of a set that a read needs.";
    text.gauge("impl_cluster_read_quorum", help, health.read_quorum);
    text.gauge("minio_cluster_drive_total", "Drives.", health.drives);
    text.gauge(
        "minio_cluster_drive_online_total",
        "Drives that serve.",
        health.drives_online,
    );
    text.gauge("minio_cluster_drive_offline_total", "Drives that do not.", offline);
    nodes(text, survey);
    if let Some(buckets) = survey.buckets {
        text.gauge("minio_cluster_bucket_total", "Buckets.", buckets);
    }
    capacity(text, survey);
    sets(text, survey);
}

/// The servers of the deployment, as this one knows them.
fn nodes(text: &mut Text, survey: &Survey) {
    let offline = survey.nodes.iter().filter(|node| node.reason.is_some()).count();
    let online = survey.nodes.len().max(1) - offline;
    text.gauge("minio_cluster_nodes_online_total", "Servers that answer.", online);
    text.gauge("minio_cluster_nodes_offline_total", "Servers that do not.", offline);
    if survey.nodes.is_empty() {
        return;
    }
    let (sent, received) = survey.traffic;
    let help = "Bytes that this server has sent to others.";
    text.counter("minio_inter_node_traffic_sent_bytes", help, sent);
    let help = "Bytes that it has received from them.";
    text.counter("minio_inter_node_traffic_received_bytes", help, received);
    let others = || (0..).zip(&survey.nodes).filter(|(index, _)| *index != survey.own);
    let help = "1 if the server answers this one, else 0.";
    let mut family = text.family("impl_peer_online", Kind::Gauge, help);
    for (_, node) in others() {
        family.sample(&[("peer", &node.name)], u64::from(node.reason.is_none()));
    }
    let help = "Milliseconds that the server's clock is ahead of this one's.";
    let mut family = text.family("impl_peer_clock_ahead_milliseconds", Kind::Gauge, help);
    for (_, node) in others() {
        if let Some(ahead) = node.clock_ahead_ms {
            family.sample(&[("peer", &node.name)], ahead);
        }
    }
    let help = "Calls of other servers that were under way at the server.";
    let mut family = text.family("impl_peer_calls", Kind::Gauge, help);
    for (_, node) in others() {
        if let Some(calls) = node.calls {
            family.sample(&[("peer", &node.name)], calls);
        }
    }
}

/// Space of the drives that serve, of each device once.
fn capacity(text: &mut Text, survey: &Survey) {
    let (total, free) = survey.space();
    // What is left for objects of the standard class: K of N.
    let data = survey.set_size - survey.standard_parity;
    let usable = |bytes: u64| {
        let share = u128::from(bytes) * u128::from(data) / u128::from(survey.set_size.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    };
    for (name, help, value) in [
        (
            "minio_cluster_capacity_raw_total_bytes",
            "Space of all drives that serve.",
            total,
        ),
        ("minio_cluster_capacity_raw_free_bytes", "What is free of it.", free),
        (
            "minio_cluster_capacity_usable_total_bytes",
            "Their space for objects, without parity.",
            usable(total),
        ),
        (
            "minio_cluster_capacity_usable_free_bytes",
            "What is free of that.",
            usable(free),
        ),
    ] {
        text.gauge(name, help, value);
    }
}

fn sets(text: &mut Text, survey: &Survey) {
    let mut gauges = |name, help, get: &dyn Fn(usize) -> usize| {
        let mut family = text.family(name, Kind::Gauge, help);
        for set in 0..survey.sets.len() {
            family.sample(&[("pool", "0"), ("set", &set.to_string())], get(set));
        }
    };
    let help = "1 if writes to the set succeed, else 0.";
    gauges("minio_cluster_health_erasure_set_status", help, &|set| {
        usize::from(survey.sets[set].writable)
    });
    let help = "Drives of the set that serve.";
    gauges("minio_cluster_health_erasure_set_online_drives", help, &|set| {
        survey.sets[set].online()
    });
    let help = "Drives of the set that a read needs.";
    gauges("minio_cluster_health_erasure_set_read_quorum", help, &|_| {
        survey.read_quorum.into()
    });
    let help = "Drives of the set that a write needs.";
    gauges("minio_cluster_health_erasure_set_write_quorum", help, &|_| {
        survey.write_quorum.into()
    });
}

fn drives(text: &mut Text, survey: &Survey) {
    let own = || survey.own_drives();
    let online = own().filter(|(_, _, drive)| drive.status.is_online()).count();
    let all = own().count();
    text.gauge("minio_node_drive_total", "Drives of this server.", all);
    text.gauge("minio_node_drive_online_total", "Those that serve.", online);
    text.gauge("minio_node_drive_offline_total", "Those that do not.", all - online);
    let help = "1 if the drive serves, else 0.";
    each(
        text.family("impl_node_drive_online", Kind::Gauge, help),
        survey,
        |drive| Some(u64::from(drive.status.is_online())),
    );
    // An offline drive has no space that anybody knows: no sample is better than a wrong one.
    let space = |drive: &DriveSurvey, bytes: u64| drive.status.is_online().then_some(bytes);
    let help = "Space of the drive's file system.";
    each(
        text.family("minio_node_drive_total_bytes", Kind::Gauge, help),
        survey,
        |drive| space(drive, drive.status.total_bytes),
    );
    let help = "What is free of it.";
    each(
        text.family("minio_node_drive_free_bytes", Kind::Gauge, help),
        survey,
        |drive| space(drive, drive.status.free_bytes),
    );
    let help = "What is taken of it, by whomever.";
    each(
        text.family("minio_node_drive_used_bytes", Kind::Gauge, help),
        survey,
        |drive| space(drive, drive.status.total_bytes.saturating_sub(drive.status.free_bytes)),
    );
}

/// Writes the space of the drives that serve.
fn room(text: &mut Text, survey: &Survey) {
    let serving = |drive: &DriveSurvey, value: u64| drive.status.is_online().then_some(value);
    let help = "1 if the drive is full: it takes no more objects, only deletes.";
    each(
        text.family("impl_node_drive_full", Kind::Gauge, help),
        survey,
        |drive| serving(drive, u64::from(drive.status.full)),
    );
    // Some file systems have no limit.
    let inodes = |drive: &DriveSurvey, value: u64| (drive.status.total_inodes > 0).then_some(value);
    let help = "Inodes of the drive's file system.";
    each(
        text.family("minio_node_drive_total_inodes", Kind::Gauge, help),
        survey,
        |drive| inodes(drive, drive.status.total_inodes),
    );
    let help = "How many are free: a drive without any takes no more objects.";
    each(
        text.family("minio_node_drive_free_inodes", Kind::Gauge, help),
        survey,
        |drive| inodes(drive, drive.status.free_inodes),
    );
}

/// Writes a sample for each drive that has the number.
fn each(mut family: Family<'_>, survey: &Survey, get: impl Fn(&DriveSurvey) -> Option<u64>) {
    for (_, _, drive) in survey.own_drives() {
        if let Some(value) = get(drive) {
            family.sample(&[("drive", &drive.status.path)], value);
        }
    }
}

/// Writes metrics of the drives' group commits and syncs.
fn activity(text: &mut Text, survey: &Survey) {
    let opened = || {
        let drives = survey.drives().map(|(_, _, drive)| drive);
        drives.filter_map(|drive| Some((drive.status.path.as_str(), drive.activity.as_ref()?)))
    };
    let help = "Time of group commits to the drive's index, their sync included.";
    let mut family = text.histograms("impl_drive_commit_seconds", help);
    for (path, activity) in opened() {
        family.durations(&[("drive", path)], &activity.commit_time);
    }
    let help = "Group commits by the messages that waited for them.";
    let mut family = text.histograms("impl_drive_commit_messages", help);
    for (path, activity) in opened() {
        family.sizes(&[("drive", path)], &activity.commit_messages);
    }
    let help = "Time of syncs of shards' files.";
    let mut family = text.histograms("impl_drive_sync_seconds", help);
    for (path, activity) in opened() {
        family.durations(&[("drive", path)], &activity.sync_time);
    }
    let help = "For how long the commit under way has run: more than a few seconds means that the drive hangs.";
    let mut family = text.family("impl_drive_commit_under_way_seconds", Kind::Gauge, help);
    for (path, activity) in opened() {
        family.sample(&[("drive", path)], activity.commit_under_way.as_secs_f64());
    }
}
