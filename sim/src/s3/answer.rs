//! Answers of an S3 server, and the few elements of their documents that the scenarios read.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

/// Answer with its whole body.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub keys: Vec<String>,
    pub truncated: bool,
}

/// Request that was not answered with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Error {
    /// Without a connection: the server knows nothing of the request.
    NotSent(String),
    /// The connection ended before the whole answer came, or the client lost patience: anything may have happened.
    Unanswered(String),
    /// The answer is an error.
    Answered { status: u16, code: String },
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Answer {
        Answer { status, headers, body }
    }

    /// Returns the answer if it is a success. A completion may fail behind a status of success.
    pub(super) fn ok(self) -> Result<Answer, S3Error> {
        let is_document = self.header(header::CONTENT_TYPE.as_str()) == Some("application/xml");
        if self.status.is_success() && !(is_document && self.text().contains("<Error>")) {
            return Ok(self);
        }
        let status = self.status.as_u16();
        let code = self.element("Code").to_owned();
        Err(S3Error::Answered { status, code })
    }

    /// Returns the value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the ETag without its quotes.
    ///
    /// # Panics
    /// When it is missing or malformed.
    pub fn etag(&self) -> String {
        let quoted = self.header(header::ETAG.as_str());
        let etag = quoted.and_then(|etag| etag.strip_prefix('"')?.strip_suffix('"'));
        etag.unwrap_or_else(|| panic!("no ETag: {quoted:?}")).to_owned()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_else(|_| panic!("no text: {:?}", self.body))
    }

    /// Returns the text of the document's only element of this name.
    ///
    /// # Panics
    /// When there is none, or another.
    pub(super) fn element(&self, name: &str) -> &str {
        match self.elements(name)[..] {
            [only] => only,
            _ => panic!("not one element {name}: {} {:?}", self.status, self.text()),
        }
    }

    /// Returns the texts of all elements of this name, which have neither attributes nor elements.
    fn elements(&self, name: &str) -> Vec<&str> {
        let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
        let inner = |rest: &'_ str| rest.find('<').filter(|at| rest[*at..].starts_with(&end));
        let texts = self.text().split(&begin).skip(1);
        let text = |rest| {
            let at = inner(rest).unwrap_or_else(|| panic!("malformed element {name}: {:?}", self.text()));
            &rest[..at]
        };
        texts.map(text).collect()
    }

    pub(super) fn listed(&self) -> Listed {
        let truncated = match self.element("IsTruncated") {
            "true" => true,
            "false" => false,
            other => panic!("IsTruncated is {other:?}"),
        };
        let keys = self.elements("Key").into_iter().map(str::to_owned).collect();
        Listed { keys, truncated }
    }
}
