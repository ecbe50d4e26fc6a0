//! The one table of S3's operations: how a request is routed to each, what it may carry, the IAM action that it
//! needs, and whether it is served. Metrics take their labels from it, and `specs/s3.md` holds it as a table.

mod table;

use Condition::{Has, Header, Is};
use http::{HeaderMap, Method};
pub(super) use table::OPERATIONS;

/// An operation of S3.
#[derive(Debug)]
pub(super) struct Operation {
    /// Its name in the S3 API.
    pub name: &'static str,
    pub method: Method,
    pub target: Target,
    /// Conditions that distinguish it from others with this method and target; all must hold.
    pub when: &'static [Condition],
    /// Further query parameters that it takes, of those that could mean another operation; a request that changes
    /// something takes no others at all.
    pub queries: &'static [&'static str],
    /// Headers of S3 that it acts upon, beyond those of `when` and those that every operation takes.
    pub headers: &'static [&'static [&'static str]],
    /// The IAM action that it needs.
    pub action: &'static str,
    pub state: State,
    pub body: BodyKind,
}

/// Kind of resource that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Neither bucket nor key.
    Service,
    Bucket,
    Object,
}

/// Condition on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// It has this query parameter.
    Has(&'static str),
    /// It has this query parameter once, with this value.
    Is(&'static str, &'static str),
    /// It has this header.
    Header(&'static str),
}

/// State of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Served as S3 does.
    Served,
    /// Answered as S3 does for a bucket or object that never had the setting.
    Default,
    /// `NotImplemented`.
    Refused,
}

/// Body of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// Nothing is read of it.
    None,
    /// A document that is read whole.
    Xml,
    /// The bytes of an object or part.
    Stream,
}

const fn operation(
    method: Method,
    target: Target,
    name: &'static str,
    when: &'static [Condition],
    action: &'static str,
    state: State,
) -> Operation {
    Operation {
        name,
        method,
        target,
        when,
        queries: &[],
        headers: &[],
        action,
        state,
        body: BodyKind::None,
    }
}

impl Operation {
    const fn xml(mut self) -> Operation {
        self.body = BodyKind::Xml;
        self
    }

    const fn stream(mut self) -> Operation {
        self.body = BodyKind::Stream;
        self
    }

    const fn queries(mut self, queries: &'static [&'static str]) -> Operation {
        self.queries = queries;
        self
    }

    const fn headers(mut self, headers: &'static [&'static [&'static str]]) -> Operation {
        self.headers = headers;
        self
    }

    /// Returns whether it acts upon a header of S3.
    fn takes_header(&self, name: &str) -> bool {
        let routes = |condition: &Condition| matches!(condition, Header(own) if *own == name);
        self.when.iter().any(routes) || self.headers.iter().any(|group| group.contains(&name))
    }

    /// Returns whether a query parameter belongs to it.
    pub fn takes_query(&self, name: &str) -> bool {
        let routes = self.when.iter().any(|condition| match condition {
            Has(own) | Is(own, _) => *own == name,
            Header(_) => false,
        });
        routes || self.queries.contains(&name)
    }

    /// Its label in metrics, as MinIO has it.
    pub fn label(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// Headers of S3 that every operation takes: of the signature, of the body's framing, and what clients tell of
/// themselves.
const COMMON_HEADERS: &[&str] = &[
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// Query parameters beyond those of [`OPERATIONS`] that make a request one of another kind.
const OTHERS: &[&str] = &[
    "annotation",
    "append",
    "events",
    "lambdaArn",
    "metadataConfiguration",
    "metadataInventoryTable",
    "metadataJournalTable",
    "renameObject",
    "versionId",
];

/// Finds the operation of a request; `None` if S3 has none.
pub(super) fn find(
    method: &Method,
    target: Target,
    query: &[(String, String)],
    headers: &HeaderMap,
) -> Option<&'static Operation> {
    let holds = |condition: &Condition| match *condition {
        Has(name) => query.iter().any(|(own, _)| own == name),
        Is(name, value) => {
            let mut values = query.iter().filter(|(own, _)| own == name).map(|(_, own)| own);
            values.next().is_some_and(|own| own == value) && values.next().is_none()
        }
        Header(name) => headers.contains_key(name),
    };
    OPERATIONS
        .iter()
        .find(|own| own.method == *method && own.target == target && own.when.iter().all(holds))
}

/// Returns whether a header of S3 is one that every operation or any that is not refused acts upon. An operation that
/// has no use for it passes it over, as S3 does.
pub(super) fn is_header(name: &str) -> bool {
    let takes = |own: &Operation| own.state != State::Refused && own.takes_header(name);
    COMMON_HEADERS.contains(&name) || OPERATIONS.iter().any(takes)
}

/// Returns whether a query parameter could make a request one of another kind. A request with one that its operation
/// does not know is refused: `DELETE /bucket/key?acl` must not delete.
pub(super) fn is_subresource(name: &str) -> bool {
    let routes = |own: &Operation| own.takes_query(name) && !matches!(name, "id" | "x-id" | "list-type");
    OTHERS.contains(&name) || OPERATIONS.iter().any(routes)
}

#[cfg(test)]
mod tests;
