//! Metrics of a server's requests, and the text format of Prometheus.
//!
//! There is no registry that anything could reach from anywhere: a server makes one [`Requests`], hands it
//! on by `Arc`, and two servers in one process count apart.

mod admission;
mod text;

pub use admission::{AdmissionStats, QueueStats, Resource};
pub use text::{CONTENT_TYPE, Family, Histograms, Kind, Text};

use crate::stats::{Counter, Histogram};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Different error codes that are counted apart; there are fewer.
const CODES_MAX: usize = 256;

/// The place of requests whose operation was never told.
pub const UNKNOWN: ApiId = ApiId(0);

/// Names an operation within its [`Requests`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiId(usize);

/// Requests of S3 and of the admin API.
#[derive(Debug)]
pub struct Requests {
    /// Sorted by name after the first, which stands for requests that did not get as far.
    apis: Vec<Api>,
    /// Bytes of bodies that came in, and that went out.
    pub received_bytes: Counter,
    /// Bytes of bodies sent.
    pub sent_bytes: Counter,
    /// Requests that nobody was found to have sent.
    pub rejected_auth: Counter,
    /// Requests whose clock was off.
    pub rejected_timestamp: Counter,
    /// Requests that no operation was found for.
    pub rejected_invalid: Counter,
    /// Errors by their S3 code. Behind a lock: errors are few.
    codes: Mutex<BTreeMap<String, u64>>,
}

/// Metrics of one operation.
#[derive(Debug)]
pub struct Api {
    /// The operation in lower case, as MinIO labels it.
    pub name: String,
    /// Answered, and not.
    pub requests: Counter,
    /// Answered with 4xx.
    pub errors_4xx: Counter,
    /// Answered with 5xx.
    pub errors_5xx: Counter,
    /// The client left before it had its answer.
    pub canceled: Counter,
    /// The answer could not be completed: its length or the connection says so, its status cannot.
    pub broken: Counter,
    begun: Counter,
    /// Times until the answer begins.
    pub first_byte: Histogram,
    /// Times until the answer ends.
    pub whole: Histogram,
}

impl Api {
    fn new(name: String) -> Api {
        Api {
            name,
            requests: Counter::default(),
            errors_4xx: Counter::default(),
            errors_5xx: Counter::default(),
            canceled: Counter::default(),
            broken: Counter::default(),
            begun: Counter::default(),
            first_byte: Histogram::of_durations(),
            whole: Histogram::of_durations(),
        }
    }

    /// A request of this operation has begun.
    pub fn begin(&self) {
        self.begun.count();
    }

    /// Requests under way.
    #[must_use]
    pub fn inflight(&self) -> u64 {
        // The end first: read the other way round, a request that ends in between would count below nothing.
        let ended = self.requests.get();
        self.begun.get().saturating_sub(ended)
    }
}

/// Outcome of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended<'a> {
    /// The answer's status; `None` if the client left before there was one.
    pub status: Option<u16>,
    /// The S3 error code, if the answer was one.
    pub code: Option<&'a str>,
    /// The answer was sent to its end.
    pub complete: bool,
    /// The server could not go on with the answer.
    pub broken: bool,
    /// Time until the answer began.
    pub first_byte: Option<Duration>,
    /// Time until it ended.
    pub whole: Duration,
    /// Bytes of the request's body.
    pub received_bytes: u64,
    /// Bytes of the answer's body.
    pub sent_bytes: u64,
}

impl Requests {
    /// Creates the metrics of operations with these names: in lower case, without separators.
    #[must_use]
    pub fn new(operations: impl IntoIterator<Item = String>) -> Requests {
        let mut names: Vec<String> = operations.into_iter().collect();
        names.sort();
        let known = names.into_iter().map(Api::new);
        Requests {
            apis: [Api::new("unknown".to_owned())].into_iter().chain(known).collect(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            rejected_auth: Counter::default(),
            rejected_timestamp: Counter::default(),
            rejected_invalid: Counter::default(),
            codes: Mutex::default(),
        }
    }

    /// The operation with this name, in any case; [`UNKNOWN`] if it is none of those counted apart.
    #[must_use]
    pub fn find(&self, operation: &str) -> ApiId {
        let wanted = || operation.bytes().map(|byte| byte.to_ascii_lowercase());
        let found = self.apis[1..].binary_search_by(|api| api.name.bytes().cmp(wanted()));
        found.map_or(UNKNOWN, |index| ApiId(index + 1))
    }

    /// An operation's counters.
    #[must_use]
    pub fn api(&self, id: ApiId) -> &Api {
        // An id of another Requests may be beyond the end.
        self.apis.get(id.0).unwrap_or(&self.apis[0])
    }

    /// Returns the operations that have been asked for.
    pub fn used(&self) -> impl Iterator<Item = &Api> {
        self.apis.iter().filter(|api| api.begun.get() > 0)
    }

    /// Counts a request that has ended, after [`Api::begin`].
    pub fn end(&self, id: ApiId, ended: &Ended<'_>) {
        let api = self.api(id);
        match ended.status {
            Some(400..=499) => api.errors_4xx.count(),
            Some(500..) => api.errors_5xx.count(),
            _ => {}
        }
        if ended.broken {
            api.broken.count();
        } else if !ended.complete {
            api.canceled.count();
        }
        if let Some(first_byte) = ended.first_byte {
            api.first_byte.observe_duration(first_byte);
        }
        api.whole.observe_duration(ended.whole);
        self.received_bytes.add(ended.received_bytes);
        self.sent_bytes.add(ended.sent_bytes);
        if let Some(code) = ended.code {
            self.count_code(code, id == UNKNOWN);
        }
        api.requests.count();
    }

    fn count_code(&self, code: &str, unknown: bool) {
        match code {
            "AccessDenied"
            | "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "AuthorizationHeaderMalformed"
            | "AuthorizationQueryParametersError" => self.rejected_auth.count(),
            "RequestTimeTooSkewed" => self.rejected_timestamp.count(),
            _ if unknown => self.rejected_invalid.count(),
            _ => {}
        }
        let mut codes = self.lock_codes();
        if let Some(count) = codes.get_mut(code) {
            *count += 1;
        } else if codes.len() < CODES_MAX {
            codes.insert(code.to_owned(), 1);
        }
    }

    /// Returns how often which S3 error code was answered.
    #[must_use]
    pub fn codes(&self) -> BTreeMap<String, u64> {
        self.lock_codes().clone()
    }

    fn lock_codes(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all of it. Operations that nobody has asked for are left out.
    pub fn write(&self, text: &mut Text) {
        let mut counters = |name, help, get: fn(&Api) -> u64| {
            let mut family = text.family(name, Kind::Counter, help);
            for api in self.used() {
                family.sample(&[("api", &api.name)], get(api));
            }
        };
        counters("minio_s3_requests_total", "Requests that have ended.", |api| {
            api.requests.get()
        });
        counters("minio_s3_requests_errors_total", "Answers with 4xx or 5xx.", |api| {
            api.errors_4xx.get() + api.errors_5xx.get()
        });
        counters("minio_s3_requests_4xx_errors_total", "Answers with 4xx.", |api| {
            api.errors_4xx.get()
        });
        counters("minio_s3_requests_5xx_errors_total", "Answers with 5xx.", |api| {
            api.errors_5xx.get()
        });
        counters(
            "minio_s3_requests_canceled_total",
            "Requests whose client left before it had its answer.",
            |api| api.canceled.get(),
        );
        counters(
            "impl_s3_requests_broken_total",
            "Answers that began well and could not be completed.",
            |api| api.broken.get(),
        );
        let mut inflight = text.family("minio_s3_requests_inflight_total", Kind::Gauge, "Requests under way.");
        for api in self.used() {
            inflight.sample(&[("api", &api.name)], api.inflight());
        }
        let name = "minio_s3_requests_ttfb_seconds_distribution";
        let mut first_byte = text.family(name, Kind::Gauge, "Requests by the time until their answer began.");
        for api in self.used() {
            first_byte.distribution(&[("api", &api.name)], &api.first_byte.snapshot());
        }
        let mut whole = text.histograms("impl_s3_requests_seconds", "Time until answers were sent to their end.");
        for api in self.used() {
            whole.durations(&[("api", &api.name)], &api.whole.snapshot());
        }
        self.write_totals(text);
    }

    fn write_totals(&self, text: &mut Text) {
        let counters = [
            (
                "minio_s3_requests_rejected_auth_total",
                "Requests refused for their signature, or that were not allowed.",
                &self.rejected_auth,
            ),
            (
                "minio_s3_requests_rejected_timestamp_total",
                "Requests refused for their clock.",
                &self.rejected_timestamp,
            ),
            (
                "minio_s3_requests_rejected_invalid_total",
                "Requests that are none of S3.",
                &self.rejected_invalid,
            ),
            (
                "minio_s3_traffic_received_bytes",
                "Bytes of request bodies.",
                &self.received_bytes,
            ),
            (
                "minio_s3_traffic_sent_bytes",
                "Bytes of answer bodies.",
                &self.sent_bytes,
            ),
        ];
        for (name, help, counter) in counters {
            text.counter(name, help, counter.get());
        }
        let mut codes = text.family("impl_s3_errors_total", Kind::Counter, "Answers by S3 error code.");
        for (code, count) in self.codes() {
            codes.sample(&[("code", &code)], count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests() -> Requests {
        Requests::new(["putobject", "getobject", "headbucket"].map(str::to_owned))
    }

    fn ended(status: u16) -> Ended<'static> {
        Ended {
            status: Some(status),
            code: None,
            complete: true,
            broken: false,
            first_byte: Some(Duration::from_millis(2)),
            whole: Duration::from_millis(20),
            received_bytes: 7,
            sent_bytes: 9,
        }
    }

    fn lines(requests: &Requests) -> Vec<String> {
        let mut text = Text::new();
        requests.write(&mut text);
        text.finish().lines().map(str::to_owned).collect()
    }

    fn check(requests: &Requests, expected: &[&str]) {
        let lines = lines(requests);
        for line in expected {
            assert!(lines.iter().any(|own| own == line), "{line}\n{}", lines.join("\n"));
        }
    }

    #[test]
    fn operations_are_found_in_any_case() {
        let requests = requests();
        for name in ["GetObject", "getobject", "PutObject", "HeadBucket"] {
            assert_eq!(requests.api(requests.find(name)).name, name.to_lowercase());
        }
        for name in ["GetObjectTorrent", "", "A", "zzz"] {
            assert_eq!(requests.find(name), UNKNOWN, "{name}");
        }
    }

    #[test]
    fn a_request_is_counted_under_its_operation_and_status() {
        let requests = requests();
        let get = requests.find("GetObject");
        for status in [200, 206, 404, 503] {
            requests.api(get).begin();
            requests.end(get, &ended(status));
        }
        requests.api(get).begin();
        check(
            &requests,
            &[
                "minio_s3_requests_total{api=\"getobject\"} 4",
                "minio_s3_requests_errors_total{api=\"getobject\"} 2",
                "minio_s3_requests_4xx_errors_total{api=\"getobject\"} 1",
                "minio_s3_requests_5xx_errors_total{api=\"getobject\"} 1",
                "minio_s3_requests_canceled_total{api=\"getobject\"} 0",
                "minio_s3_requests_inflight_total{api=\"getobject\"} 1",
                "minio_s3_requests_ttfb_seconds_distribution{api=\"getobject\",le=\"0.001\"} 0",
                "minio_s3_requests_ttfb_seconds_distribution{api=\"getobject\",le=\"0.0025\"} 4",
                "impl_s3_requests_seconds_count{api=\"getobject\"} 4",
                "impl_s3_requests_seconds_sum{api=\"getobject\"} 0.08",
                "minio_s3_traffic_received_bytes 28",
                "minio_s3_traffic_sent_bytes 36",
            ],
        );
        assert!(!lines(&requests).iter().any(|line| line.contains("putobject")));
    }

    #[test]
    fn refusals_and_broken_answers_are_told_apart() {
        let requests = requests();
        let end = |id: ApiId, change: fn(&mut Ended<'static>)| {
            let mut ended = ended(403);
            change(&mut ended);
            requests.api(id).begin();
            requests.end(id, &ended);
        };
        let put = requests.find("PutObject");
        end(UNKNOWN, |ended| ended.code = Some("SignatureDoesNotMatch"));
        end(put, |ended| ended.code = Some("AccessDenied"));
        end(UNKNOWN, |ended| ended.code = Some("RequestTimeTooSkewed"));
        end(UNKNOWN, |ended| ended.code = Some("InvalidBucketName"));
        end(put, |ended| ended.code = Some("NoSuchBucket"));
        end(put, |ended| (ended.status, ended.complete) = (None, false));
        end(put, |ended| (ended.status, ended.broken) = (Some(200), true));
        check(
            &requests,
            &[
                "minio_s3_requests_rejected_auth_total 2",
                "minio_s3_requests_rejected_timestamp_total 1",
                "minio_s3_requests_rejected_invalid_total 1",
                "minio_s3_requests_canceled_total{api=\"putobject\"} 1",
                "impl_s3_requests_broken_total{api=\"putobject\"} 1",
                "impl_s3_errors_total{code=\"NoSuchBucket\"} 1",
            ],
        );
    }

    #[test]
    fn servers_in_one_process_count_apart() {
        let (first, second) = (requests(), requests());
        let put = first.find("PutObject");
        first.api(put).begin();
        first.end(put, &ended(200));
        assert_eq!(second.used().count(), 0);
    }
}
