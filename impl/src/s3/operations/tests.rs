use super::{
    State::{Default, Refused, Served},
    Target::{Bucket, Object, Service},
    *,
};
use crate::sigv4::parse_query;
use http::HeaderValue;
use std::{collections::BTreeSet, fmt::Write as _};

fn name(method: Method, target: Target, query: &str, headers: &[&'static str]) -> Option<&'static str> {
    let query = parse_query(&format!("/?{query}").parse().unwrap());
    let headers = headers
        .iter()
        .map(|name| (http::HeaderName::from_static(name), HeaderValue::from_static("x")))
        .collect();
    find(&method, target, &query, &headers).map(|operation| operation.name)
}

#[test]
fn requests_are_routed() {
    let copy = ["x-amz-copy-source"];
    assert_eq!(name(Method::GET, Service, "", &[]), Some("ListBuckets"));
    assert_eq!(name(Method::PUT, Service, "", &[]), None);
    assert_eq!(name(Method::POST, Bucket, "", &[]), None);
    assert_eq!(name(Method::GET, Bucket, "prefix=a", &[]), Some("ListObjects"));
    assert_eq!(name(Method::GET, Bucket, "list-type=2", &[]), Some("ListObjectsV2"));
    assert_eq!(name(Method::GET, Bucket, "list-type=3", &[]), Some("ListObjects"));
    assert_eq!(
        name(Method::GET, Bucket, "list-type=2&list-type=2", &[]),
        Some("ListObjects")
    );
    assert_eq!(name(Method::GET, Bucket, "acl&list-type=2", &[]), Some("GetBucketAcl"));
    assert_eq!(
        name(Method::GET, Bucket, "metrics", &[]),
        Some("ListBucketMetricsConfigurations")
    );
    assert_eq!(
        name(Method::GET, Bucket, "metrics&id=1", &[]),
        Some("GetBucketMetricsConfiguration")
    );
    assert_eq!(name(Method::PUT, Object, "", &[]), Some("PutObject"));
    assert_eq!(name(Method::PUT, Object, "", &copy), Some("CopyObject"));
    assert_eq!(
        name(Method::PUT, Object, "partNumber=1&uploadId=2", &[]),
        Some("UploadPart")
    );
    assert_eq!(
        name(Method::PUT, Object, "partNumber=1&uploadId=2", &copy),
        Some("UploadPartCopy")
    );
    assert_eq!(name(Method::PUT, Object, "uploadId=2", &[]), Some("PutObject"));
    assert_eq!(
        name(Method::DELETE, Object, "uploadId=2", &[]),
        Some("AbortMultipartUpload")
    );
    assert_eq!(
        name(Method::POST, Object, "uploads", &[]),
        Some("CreateMultipartUpload")
    );
    assert_eq!(name(Method::PATCH, Object, "", &[]), None);
}

#[test]
fn names_are_unique_and_actions_are_named() {
    let names: BTreeSet<&str> = OPERATIONS.iter().map(|operation| operation.name).collect();
    assert_eq!(names.len(), OPERATIONS.len());
    assert!(OPERATIONS.iter().all(|operation| operation.action.starts_with("s3")));
}

/// An operation after a less specific one would be unreachable.
#[test]
fn every_operation_can_be_reached() {
    for operation in OPERATIONS {
        let mut query = Vec::new();
        let mut headers = Vec::new();
        for condition in operation.when {
            match *condition {
                Has(name) => query.push(name.to_owned()),
                Is(name, value) => query.push(format!("{name}={value}")),
                Header(name) => headers.push(name),
            }
        }
        let found = name(operation.method.clone(), operation.target, &query.join("&"), &headers);
        assert_eq!(found, Some(operation.name));
    }
}

#[test]
fn what_is_served_has_code() {
    let by_code: BTreeSet<&str> = super::super::ops::names().collect();
    let served = OPERATIONS.iter().filter(|operation| operation.state != Refused);
    let by_table: BTreeSet<&str> = served.map(|operation| operation.name).collect();
    assert_eq!(by_code, by_table);
}

#[test]
fn subresources() {
    for name in ["acl", "uploadId", "partNumber", "versionId", "lambdaArn", "versions"] {
        assert!(is_subresource(name), "{name}");
    }
    for name in ["prefix", "list-type", "x-id", "response-content-type", "max-keys", "id"] {
        assert!(!is_subresource(name), "{name}");
    }
}

#[test]
fn headers_are_those_that_an_operation_acts_upon() {
    for name in [
        "x-amz-date",
        "x-amz-copy-source",
        "x-amz-copy-source-range",
        "x-amz-checksum-sha1",
    ] {
        assert!(is_header(name), "{name}");
    }
    // The last one routes to an operation that is refused.
    for name in ["x-amz-mfa", "x-amz-something-of-tomorrow", "x-amz-request-route"] {
        assert!(!is_header(name), "{name}");
    }
    let all = OPERATIONS.iter().flat_map(|operation| operation.headers.concat());
    let is_lower_case = |name: &str| name.starts_with("x-amz-") && name.bytes().all(|byte| !byte.is_ascii_uppercase());
    assert!(all.into_iter().all(is_lower_case));
}

/// Renders the table of `specs/s3.md`.
fn table() -> String {
    let mut text = String::from("| operation | request | further headers | action | state |\n|---|---|---|---|---|\n");
    for operation in OPERATIONS {
        let path = match operation.target {
            Service => "/",
            Bucket => "/bucket",
            Object => "/bucket/key",
        };
        let (mut query, mut routed) = (Vec::new(), String::new());
        for condition in operation.when {
            match *condition {
                Has(name) => query.push(name.to_owned()),
                Is(name, value) => query.push(format!("{name}={value}")),
                Header(name) => {
                    let _ = write!(routed, ", `{name}`");
                }
            }
        }
        let query = if query.is_empty() {
            String::new()
        } else {
            format!("?{}", query.join("&"))
        };
        let headers: Vec<_> = operation
            .headers
            .concat()
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let headers = headers.join(" ");
        let state = match operation.state {
            Served => "yes",
            Default => "true",
            Refused => "no",
        };
        let Operation {
            name, method, action, ..
        } = operation;
        let _ = writeln!(
            text,
            "| {name} | `{method} {path}{query}`{routed} | {headers} | `{action}` | {state} |"
        );
    }
    text
}

/// Compares the table in the page; `UPDATE_SPECS=1` writes it.
#[test]
#[allow(clippy::disallowed_methods, reason = "a file of the repository")]
fn the_page_has_this_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/s3.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- operations: begin -->\n", "<!-- operations: end -->\n");
    let (before, rest) = page.split_once(begin).expect("the begin of the table");
    let (written, after) = rest.split_once(end).expect("the end of the table");
    let table = table();
    if std::env::var_os("UPDATE_SPECS").is_some() && written != table {
        std::fs::write(path, [before, begin, &table, end, after].concat()).unwrap();
        return;
    }
    assert_eq!(written, table, "run with UPDATE_SPECS=1 to write it");
}
