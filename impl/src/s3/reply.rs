//! The last touch on every answer: one form for all errors, and what s3s's answers lack.

use super::fields;
use crate::{
    api::{ApiError, Code},
    http::Body,
    monitor::requests::{ErrorCode, RequestInfo},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;
use std::{fmt::Write as _, sync::Arc};

/// Header of an error about a region: the right one.
pub(super) const REGION: &str = "x-amz-bucket-region";
const XML: HeaderValue = HeaderValue::from_static("application/xml");

/// Marks an answer whose XML is to have its ETag without the quotes that s3s writes.
#[derive(Clone, Copy)]
pub(super) struct BareEtag;

/// Facts of a request that its answer needs.
pub struct RequestHead {
    pub(super) info: Arc<RequestInfo>,
    pub(super) uri: Uri,
    pub(super) authorization: Option<HeaderValue>,
    /// `x-amz-date`.
    pub(super) date: Option<HeaderValue>,
    pub(super) range: Option<HeaderValue>,
    /// The bucket that the host names.
    pub(super) virtual_bucket: Option<String>,
    /// Start of the request, in nanoseconds since 1970.
    pub(super) now: u64,
}

impl RequestHead {
    pub(super) fn of<B>(
        request: &Request<B>,
        info: &Arc<RequestInfo>,
        virtual_bucket: Option<String>,
        now: u64,
    ) -> RequestHead {
        let header = |name: &str| request.headers().get(name).cloned();
        RequestHead {
            info: info.clone(),
            uri: request.uri().clone(),
            authorization: header("authorization"),
            date: header("x-amz-date"),
            range: header("range"),
            virtual_bucket,
            now,
        }
    }

    #[cfg(test)]
    pub(super) fn test(request: &Request<()>, virtual_bucket: Option<&str>) -> RequestHead {
        let info = RequestInfo {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            request_id: "0123456789ABCDEF".to_owned(),
        };
        let now = 1_764_411_072_999_999_999;
        RequestHead::of(request, &Arc::new(info), virtual_bucket.map(str::to_owned), now)
    }

    /// The bucket that it names; empty if it names none.
    pub(super) fn bucket(&self) -> String {
        let in_path = || {
            decode(
                self.uri
                    .path()
                    .trim_start_matches('/')
                    .split('/')
                    .next()
                    .unwrap_or_default(),
            )
        };
        self.virtual_bucket.clone().unwrap_or_else(in_path)
    }

    /// The key that it names.
    pub(super) fn key(&self) -> Option<String> {
        let path = self.uri.path().strip_prefix('/')?;
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

/// Answers with an error.
pub(super) fn error(error: &ApiError, asked: &RequestHead) -> Response<Body> {
    let status = StatusCode::from_u16(error.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = error.headers.iter();
    let mut headers: HeaderMap = headers
        .filter_map(|(name, value)| Some((name.parse().ok()?, HeaderValue::from_str(value).ok()?)))
        .collect();
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
        .extensions_mut()
        .insert(ErrorCode(error.code.name().to_owned()));
    if status == StatusCode::NOT_MODIFIED {
        *response.headers_mut() = headers;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, XML);
    log(status, error.code.name(), &error.message, asked);
    let mut fields: Vec<(&str, String)> = error.fields.clone();
    for (name, value) in fields::implied(error.code.name(), asked) {
        // An operation knows better: a copy's source is not in the path.
        if fields.iter().all(|(own, _)| *own != name) {
            fields.push((name, value));
        }
    }
    let region = headers.get(REGION).and_then(|region| region.to_str().ok());
    *response.body_mut() = Body::from(error_xml(error.code.name(), &error.message, region, &fields, asked));
    *response.headers_mut() = headers;
    response
}

/// Completes an answer of s3s.
pub(super) fn finish(mut response: Response<Body>, asked: &RequestHead) -> Response<Body> {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        response = rewrite_error(response, asked);
    } else if asked.info.method == Method::HEAD && response.headers().contains_key(header::CONTENT_RANGE) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if response.extensions_mut().remove::<BareEtag>().is_some() {
        bare_etag(response.body_mut());
        // s3s may have set the length of the body that it wrote.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

fn bare_etag(body: &mut Body) {
    let Some(bytes) = body.bytes() else { return };
    let text = String::from_utf8_lossy(&bytes);
    let bare = text.replace("<ETag>\"", "<ETag>").replace("\"</ETag>", "</ETag>");
    *body = Body::from(bare);
}

/// Brings an error that s3s itself has found in a request's head or document into our form. (Operations hand on theirs
/// beside s3s.)
fn rewrite_error(response: Response<Body>, asked: &RequestHead) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let Some(bytes) = body.bytes() else {
        return Response::from_parts(parts, body);
    };
    let text = String::from_utf8_lossy(&bytes);
    let code = element(&text, "Code").unwrap_or_else(|| Code::InternalError.name().to_owned());
    // s3s leaves some without a message, or with the code in its place.
    let message = element(&text, "Message").filter(|message| *message != code);
    let known = || Code::ALL.iter().find(|known| known.name() == code);
    let message = message.unwrap_or_else(|| known().map_or(code.clone(), |known| known.message().to_owned()));
    log(parts.status, &code, &message, asked);
    let fields = fields::implied(&code, asked);
    let xml = error_xml(&code, &message, None, &fields, asked);
    parts.extensions.insert(ErrorCode(code));
    // s3s may have set the length of the body that it wrote.
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, XML);
    Response::from_parts(parts, Body::from(xml))
}

/// Logs what operators must know. A 503 or 507 is not among it: the drives have said why they do not serve, or that
/// they are full.
fn log(status: StatusCode, code: &str, message: &str, asked: &RequestHead) {
    if status == StatusCode::INTERNAL_SERVER_ERROR {
        let RequestInfo {
            method,
            path,
            request_id,
        } = &*asked.info;
        tracing::warn!(%method, path, code, message, request_id, "request failed");
    }
}

/// The text between `<name>` and `</name>`.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    // The ampersand last: it may begin another one.
    let escapes = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ];
    let unescape = |text: String, (from, to): &(&str, &str)| text.replace(from, to);
    Some(escapes.iter().fold(text.to_owned(), unescape))
}

fn error_xml(code: &str, message: &str, region: Option<&str>, fields: &[(&str, String)], asked: &RequestHead) -> Bytes {
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
        "<Error><Code>{}</Code><Message>{}</Message>{region}{fields}\
         <Resource>{}</Resource><RequestId>{}</RequestId></Error>",
        escape(code),
        escape(message),
        escape(&decode(&asked.info.path)),
        asked.info.request_id
    );
    xml.into()
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

    fn asked(method: Method) -> RequestHead {
        let request = Request::builder().method(method).uri("/b/a%20%3Ck%3E%01");
        RequestHead::test(&request.body(()).unwrap(), None)
    }

    fn text(response: &Response<Body>) -> String {
        String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn errors_of_s3s_get_our_form() {
        let theirs = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>a &lt; b</Message></Error>";
        let mut response = Response::new(Body::from(theirs));
        *response.status_mut() = StatusCode::NOT_FOUND;
        let response = finish(response, &asked(Method::GET));
        assert_eq!(
            text(&response),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>NoSuchKey</Code><Message>a &lt; b</Message>\
             <Key>a &lt;k&gt;\u{fffd}</Key>\
             <Resource>/b/a &lt;k&gt;\u{fffd}</Resource><RequestId>0123456789ABCDEF</RequestId></Error>"
        );
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
    fn own_errors_are_escaped() {
        let response = error(&ApiError::new(Code::InvalidArgument, "<&>"), &asked(Method::GET));
        assert!(text(&response).contains("<Message>&lt;&amp;&gt;</Message>"));
        assert_eq!(response.status(), 400);
    }

    #[test]
    fn etags_without_quotes() {
        let answer = |marked: bool| {
            let mut response = Response::new(Body::from("<A><ETag>\"e-2\"</ETag><B>\"</B></A>"));
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
        let response = error(&own, &asked(Method::GET));
        assert!(
            text(&response).contains("</Message><Key>&lt;other&gt;</Key><Resource>"),
            "{}",
            text(&response)
        );
    }

    #[test]
    fn not_modified_has_no_body() {
        let own = ApiError::from(Code::NotModified).with_header("etag", "\"e\"".to_owned());
        let response = error(&own, &asked(Method::GET));
        assert_eq!(text(&response), "");
        assert_eq!(response.headers()["etag"], "\"e\"");
        assert!(!response.headers().contains_key("content-type"));
    }
}
