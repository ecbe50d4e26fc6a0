//! Authorization by resource: every group of operations on a real store, under a policy that denies one key.

use bytes::Bytes;
use futures::stream;
use model::record::{ChecksumKind, Precondition};
use std::sync::Arc;
use store::{
    access::{Access, Ask, Credentials, Policy, Resource},
    api::{
        ApiError, Code, Context, Expected, Incoming, buckets,
        conditions::ReadConditions,
        copy::{self, CopyRequest},
        delete::{self, DeleteRequest},
        list,
        multipart::{self, CreateRequest},
        read::{self, ReadRequest},
        write::{self, PutRequest},
    },
    node::{self, IndexPolicy, NodeConfig},
    runtime::real::RealRuntime,
    store::{ListQuery, Store},
};

/// Policy that denies all access to one key, and all writes to another one.
#[derive(Debug)]
struct Denies;

impl Policy for Denies {
    fn allows(&self, ask: &Ask<'_>) -> bool {
        match ask.resource {
            Resource::Object(_, "secret") => false,
            Resource::Object(_, "fixed") => ask.action == "s3:GetObject",
            Resource::Bucket("closed") => false,
            _ => true,
        }
    }
}

fn context(policy: Option<Arc<dyn Policy>>, action: &'static str) -> Context {
    let root = Credentials {
        access_key: "root".to_owned(),
        secret_key: "secret12".to_owned(),
    };
    Context {
        caller: Some("root".to_owned()),
        action,
        source_ip: [127, 0, 0, 1].into(),
        request_id: String::new(),
        now: 0,
        access: match policy {
            Some(policy) => Access::with_policy(root, policy),
            None => Access::new(root),
        },
    }
}

/// Returns the context of a caller with full access.
fn anything(action: &'static str) -> Context {
    context(None, action)
}

/// Returns the context of a caller restricted by [`Denies`].
fn denied(action: &'static str) -> Context {
    context(Some(Arc::new(Denies)), action)
}

async fn put(cx: &Context, store: &Arc<Store>, key: &str) -> Result<(), ApiError> {
    let body = stream::iter([Ok(Bytes::from_static(b"data"))]);
    let request = PutRequest {
        bucket: "bucket".to_owned(),
        key: key.to_owned(),
        headers: Default::default(),
        storage_class: None,
        precondition: Precondition::default(),
        incoming: Incoming {
            body: Box::pin(body),
            size: 4,
            md5: None,
            checksum: Expected::Compute(ChecksumKind::Crc32),
            also: None,
        },
    };
    write::put(cx, store, request).await.map(drop)
}

fn read(key: &str) -> ReadRequest {
    ReadRequest {
        bucket: "bucket".to_owned(),
        key: key.to_owned(),
        ..ReadRequest::default()
    }
}

async fn copy(cx: &Context, store: &Arc<Store>, from: &str, to: &str) -> Result<(), ApiError> {
    let request = CopyRequest {
        source_bucket: "bucket".to_owned(),
        source_key: from.to_owned(),
        source_conditions: ReadConditions::default(),
        bucket: "bucket".to_owned(),
        key: to.to_owned(),
        replace_headers: None,
        storage_class: None,
        checksum: None,
        precondition: Precondition::default(),
    };
    copy::copy(cx, store, request).await.map(drop)
}

fn code<T>(result: Result<T, ApiError>) -> Option<Code> {
    result.err().map(|error| error.code)
}

const DENIED: Option<Code> = Some(Code::AccessDenied);

#[tokio::test]
async fn every_resource_of_a_request_is_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = NodeConfig {
        drives: vec![folder.path().join("drive")],
        set_size: 1,
        standard_parity: 0,
        reduced_parity: 0,
        index: IndexPolicy::default(),
    };
    let node = node::open(RealRuntime::new(), config).await.expect("a node");
    let store = &node.store;
    let create = anything("s3:CreateBucket");
    let created = buckets::create(&create, store, "bucket", "us-east-1", None).await;
    created.expect("a bucket");
    for key in ["open", "secret", "fixed"] {
        put(&anything("s3:PutObject"), store, key).await.expect("an object");
    }

    let cx = denied("s3:PutObject");
    assert_eq!(code(put(&cx, store, "open").await), None);
    assert_eq!(code(put(&cx, store, "secret").await), DENIED);
    assert_eq!(code(put(&cx, store, "fixed").await), DENIED);
    // A copy reads its source and writes its destination.
    assert_eq!(code(copy(&cx, store, "fixed", "copied").await), None);
    assert_eq!(code(copy(&cx, store, "secret", "copied").await), DENIED);
    assert_eq!(code(copy(&cx, store, "open", "fixed").await), DENIED);
    let upload = CreateRequest {
        bucket: "bucket".to_owned(),
        key: "secret".to_owned(),
        headers: Default::default(),
        storage_class: None,
        checksum: None,
        checksum_type: None,
    };
    assert_eq!(code(multipart::create(&cx, store, upload).await), DENIED);

    let cx = denied("s3:GetObject");
    assert_eq!(code(read::head(&cx, store, &read("fixed")).await), None);
    assert_eq!(code(read::head(&cx, store, &read("secret")).await), DENIED);
    assert_eq!(code(read::open(&cx, store, &read("secret")).await), DENIED);
    assert_eq!(
        code(read::head(&cx, store, &read("nothing")).await),
        Some(Code::NoSuchKey)
    );

    let cx = denied("s3:DeleteObject");
    let request = |key: &str| {
        Ok(DeleteRequest {
            key: key.to_owned(),
            precondition: Precondition::default(),
        })
    };
    let keys = ["open", "secret", "fixed", "copied"];
    let outcomes = delete::delete_many(&cx, store, "bucket", keys.map(request).into()).await;
    let outcomes: Vec<_> = outcomes
        .expect("outcomes")
        .into_iter()
        .map(|(_, own)| code(own))
        .collect();
    assert_eq!(outcomes, [None, DENIED, DENIED, None]);
    let left = list::list(&anything("s3:ListBucket"), store, "bucket", query()).await;
    let left: Vec<String> = left.expect("a page").objects.into_iter().map(|own| own.key).collect();
    assert_eq!(left, ["fixed", "secret"]);

    let cx = denied("s3:ListBucket");
    assert_eq!(code(list::list(&cx, store, "closed", query()).await), DENIED);
    let nobody = Context { caller: None, ..cx };
    assert_eq!(code(list::list(&nobody, store, "bucket", query()).await), DENIED);
}

fn query() -> ListQuery {
    ListQuery {
        limit: 10,
        ..ListQuery::default()
    }
}
