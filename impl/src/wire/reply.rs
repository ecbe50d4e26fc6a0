//! The last touch on every answer: request id, server name, and one form for all errors.

use super::{admin, fields};
use crate::api::{ApiError, Code};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use s3s::Body;
use std::fmt::Write as _;

/// Value of the `Server` header.
const SERVER: HeaderValue = HeaderValue::from_static("impl-object-store");
/// Header of an error about a region: the right one.
pub(super) const REGION: &str = "x-amz-bucket-region";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// The S3 error code of an answer, for whoever counts it.
#[derive(Clone, Debug)]
pub(super) struct ErrorCode(pub(super) String);

/// Marks an answer whose XML is to have its ETag without the quotes that s3s writes.
#[derive(Clone, Copy)]
pub(super) struct BareEtag;

/// Facts of a request that its answer needs.
pub(super) struct Asked {
    pub(super) method: Method,
    /// Still percent-encoded.
    pub(super) path: String,
    pub(super) request_id: String,
    pub(super) uri: Uri,
    pub(super) authorization: Option<HeaderValue>,
    /// `x-amz-date`.
    pub(super) date: Option<HeaderValue>,
    pub(super) range: Option<HeaderValue>,
    /// The bucket that the host names.
    virtual_bucket: Option<String>,
}

impl Asked {
    pub(super) fn of<B>(request: &Request<B>, request_id: String, virtual_bucket: Option<String>) -> Asked {
        let header = |name: &str| request.headers().get(name).cloned();
        Asked {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            request_id,
            uri: request.uri().clone(),
            authorization: header("authorization"),
            date: header("x-amz-date"),
            range: header("range"),
            virtual_bucket,
        }
    }

    /// The bucket that it names; empty if it names none.
    pub(super) fn bucket(&self) -> String {
        let in_path = || decode(self.path.trim_start_matches('/').split('/').next().unwrap_or_default());
        self.virtual_bucket.clone().unwrap_or_else(in_path)
    }

    /// The key that it names.
    pub(super) fn key(&self) -> Option<String> {
        let path = self.path.strip_prefix('/')?;
        let key = match self.virtual_bucket {
            Some(_) => path,
            None => path.split_once('/')?.1,
        };
        (!key.is_empty()).then(|| decode(key))
    }
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// An error of our own, before s3s has seen the request or in place of what it says.
pub(super) fn error(error: &ApiError, asked: &Asked) -> Response<Body> {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = error_xml(error.code.name(), &escape(&error.message), None, &[], asked);
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    fields::attach(response.headers_mut(), &error.fields);
    response.headers_mut().insert(header::CONTENT_TYPE, XML);
    response
}

/// Completes an answer. `wall_nanos` is the time, for errors about clocks.
pub(super) fn finish(mut response: Response<Body>, asked: &Asked, wall_nanos: impl FnOnce() -> u64) -> Response<Body> {
    let status = response.status();
    if status == StatusCode::NOT_MODIFIED {
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    } else if status.is_client_error() || status.is_server_error() {
        response = rewrite_error(response, asked, wall_nanos);
    } else if asked.method == Method::HEAD && response.headers().contains_key(header::CONTENT_RANGE) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if response.extensions_mut().remove::<BareEtag>().is_some() {
        bare_etag(response.body_mut());
        // s3s may have set the length of the body that it wrote.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    let headers = response.headers_mut();
    headers.insert(header::SERVER, SERVER);
    if let Ok(id) = HeaderValue::from_str(&asked.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if status == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// Returns whether s3s failed to read an XML body: its answer has neither code nor message then.
pub(super) fn is_unreadable_body(response: &Response<Body>) -> bool {
    let is_wordless = |bytes: Bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let internal = Some(Code::InternalError.name());
        let message = element(&text, "Message");
        element(&text, "Code") == internal && (message.is_none() || message == internal)
    };
    response.status() == StatusCode::INTERNAL_SERVER_ERROR && response.body().bytes().is_some_and(is_wordless)
}

fn bare_etag(body: &mut Body) {
    let Some(bytes) = body.bytes() else { return };
    let text = String::from_utf8_lossy(&bytes);
    let bare = text.replace("<ETag>\"", "<ETag>").replace("\"</ETag>", "</ETag>");
    *body = Body::from(bare);
}

/// Brings an error of s3s, which lacks resource and request id, into our form.
fn rewrite_error(response: Response<Body>, asked: &Asked, wall_nanos: impl FnOnce() -> u64) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let mut fields = fields::take(&mut parts.headers);
    let Some(bytes) = body.bytes() else {
        return Response::from_parts(parts, body);
    };
    let text = String::from_utf8_lossy(&bytes);
    let Some(code) = element(&text, "Code") else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    // s3s leaves some without a message, or with the code in its place.
    let known = || Code::ALL.iter().find(|known| known.name() == code);
    let message = match element(&text, "Message") {
        Some(message) if message != code => message,
        _ => known().map_or(code, |known| known.message()),
    };
    log(parts.status, code, message, asked);
    let region = parts.headers.get(REGION).and_then(|region| region.to_str().ok());
    for (name, value) in fields::implied(code, asked, wall_nanos) {
        // An operation knows better: a copy's source is not in the path.
        if fields.iter().all(|(own, _)| own != name) {
            fields.push((name.to_owned(), value));
        }
    }
    if admin::is_own(&asked.path) {
        let json = error_json(code, message, asked);
        parts.extensions.insert(ErrorCode(code.to_owned()));
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.headers.insert(header::CONTENT_TYPE, JSON);
        return Response::from_parts(parts, Body::from(json));
    }
    let xml = error_xml(code, message, region, &fields, asked);
    parts.extensions.insert(ErrorCode(code.to_owned()));
    // s3s may have set the length of the body that it wrote.
    parts.headers.remove(header::CONTENT_LENGTH);
    set_xml(&mut parts.headers);
    Response::from_parts(parts, Body::from(xml))
}

/// Logs what operators must know. A 503 or 507 is not among it: the drives have said why they do not serve, or that
/// they are full.
fn log(status: StatusCode, code: &str, message: &str, asked: &Asked) {
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        let Asked {
            method,
            path,
            request_id,
            ..
        } = asked;
        tracing::warn!(%method, path, code, message, request_id, "request failed");
    }
}

fn set_xml(headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, XML);
}

/// The text between `<name>` and `</name>`, still escaped.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

/// `code` and `message` are escaped already.
fn error_xml(code: &str, message: &str, region: Option<&str>, fields: &[(String, String)], asked: &Asked) -> Bytes {
    let resource = decode(&asked.path);
    let fields = fields.iter().fold(String::new(), |mut xml, (name, value)| {
        // Writing to a String cannot fail.
        let _ = write!(xml, "<{name}>{}</{name}>", escape(value));
        xml
    });
    let region = region.map_or_else(String::new, |region| format!("<Region>{}</Region>", escape(region)));
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a String cannot fail.
    let _ = write!(
        xml,
        "<Error><Code>{code}</Code><Message>{message}</Message>{region}{fields}\
         <Resource>{}</Resource><RequestId>{}</RequestId></Error>",
        escape(&resource),
        asked.request_id
    );
    xml.into()
}

/// An error as clients of the admin API read it. `code` and `message` are still escaped for XML.
fn error_json(code: &str, message: &str, asked: &Asked) -> String {
    let document = serde_json::json!({
        "Code": unescape(code),
        "Message": unescape(message),
        "Resource": decode(&asked.path),
        "RequestId": asked.request_id,
        "HostId": "",
    });
    document.to_string()
}

/// Undoes [`escape`], and what s3s does in its place.
fn unescape(text: &str) -> String {
    // The ampersand last: it may begin another one.
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// Escapes text for XML 1.0. Characters that XML cannot carry at all become U+FFFD.
fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(character),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method) -> Asked {
        let request = Request::builder().method(method).uri("/b/a%20%3Ck%3E%01");
        Asked::of(&request.body(()).unwrap(), "0123456789ABCDEF".into(), None)
    }

    fn finish(response: Response<Body>, asked: &Asked) -> Response<Body> {
        super::finish(response, asked, || 0)
    }

    fn text(response: &Response<Body>) -> String {
        String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn errors_of_s3s_get_our_form() {
        let theirs = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>";
        let mut response = Response::new(Body::from(theirs.to_owned()));
        *response.status_mut() = StatusCode::NOT_FOUND;
        let response = finish(response, &asked(Method::GET));
        assert_eq!(
            text(&response),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt; b</Message>\
             <Key>a &lt;k&gt;\u{fffd}</Key>\
             <Resource>/b/a &lt;k&gt;\u{fffd}</Resource><RequestId>0123456789ABCDEF</RequestId></Error>"
        );
        assert_eq!(response.headers()["x-amz-request-id"], "0123456789ABCDEF");
        assert_eq!(response.headers()["content-type"], "application/xml");
    }

    #[test]
    fn errors_without_a_message_get_ours() {
        for theirs in ["<Message>InvalidBucketName</Message>", ""] {
            let theirs = format!("<Error><Code>InvalidBucketName</Code>{theirs}</Error>");
            let mut response = Response::new(Body::from(theirs));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            let ours = text(&finish(response, &asked(Method::PUT)));
            let message = format!("<Message>{}</Message>", Code::InvalidBucketName.message());
            assert!(ours.contains(&message), "{ours}");
        }
    }

    #[test]
    fn a_body_that_s3s_cannot_read() {
        let of = |status: StatusCode, xml: &str| {
            let mut response = Response::new(Body::from(xml.to_owned()));
            *response.status_mut() = status;
            is_unreadable_body(&response)
        };
        let wordless = "<Error><Code>InternalError</Code></Error>";
        assert!(of(StatusCode::INTERNAL_SERVER_ERROR, wordless));
        assert!(!of(StatusCode::OK, wordless));
        let ours = error(&Code::InternalError.into(), &asked(Method::PUT));
        assert!(!is_unreadable_body(&ours));
    }

    #[test]
    fn own_errors_are_escaped() {
        let response = error(&ApiError::new(Code::InvalidArgument, "<&>"), &asked(Method::GET));
        assert!(text(&response).contains("<Message>&lt;&amp;&gt;</Message>"));
        assert_eq!(response.status(), 400);
    }

    #[test]
    fn etags_without_quotes() {
        let answer = |marked: bool| {
            let mut response = Response::new(Body::from("<A><ETag>\"e-2\"</ETag><B>\"</B></A>".to_owned()));
            if marked {
                response.extensions_mut().insert(BareEtag);
            }
            text(&finish(response, &asked(Method::GET)))
        };
        assert_eq!(answer(true), "<A><ETag>e-2</ETag><B>\"</B></A>");
        assert_eq!(answer(false), "<A><ETag>\"e-2\"</ETag><B>\"</B></A>");
    }

    #[test]
    fn fields_of_an_error_are_in_its_document() {
        let own = ApiError::from(Code::NoSuchKey).with_field("Key", "<other>");
        let response = finish(error(&own, &asked(Method::GET)), &asked(Method::GET));
        assert!(
            text(&response).contains("</Message><Key>&lt;other&gt;</Key><Resource>"),
            "{}",
            text(&response)
        );
        assert!(!response.headers().contains_key("x-error-field"));
    }

    #[test]
    fn errors_of_the_admin_api_are_json() {
        for path in ["/minio/admin/v3/trace", "/minio/kms/v1/status"] {
            let request = Request::get(path).body(()).unwrap();
            let asked = Asked::of(&request, "0123456789ABCDEF".into(), None);
            let own = ApiError::new(Code::NotImplemented, "<&amp;> \"it\"");
            let response = finish(error(&own, &asked), &asked);
            assert_eq!(response.headers()["content-type"], "application/json");
            let json: serde_json::Value = serde_json::from_str(&text(&response)).unwrap();
            let expected = serde_json::json!({
                "Code": "NotImplemented", "Message": "<&amp;> \"it\"", "Resource": path,
                "RequestId": "0123456789ABCDEF", "HostId": "",
            });
            assert_eq!(json, expected);
        }
    }

    #[test]
    fn not_modified_has_no_body() {
        let mut response = Response::new(Body::from("<Error><Code>NotModified</Code></Error>".to_owned()));
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        assert_eq!(text(&finish(response, &asked(Method::GET))), "");
    }
}
