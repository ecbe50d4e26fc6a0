//! The page that a browser gets at the server's address: it says what this is.

use crate::http::Body;
use http::{HeaderValue, Method, Request, Response, header};

const PAGE: &str = "<!doctype html>
<html lang=\"en\">
<head><meta charset=\"utf-8\"><title>impl object store</title></head>
<body>
<h1>impl object store</h1>
<p>This server speaks the S3 protocol: it is for S3 clients, and there is no console yet. Give a client this page's
address as its endpoint, with the access key and the secret key of the server's operator.</p>
<p>With the command line of AWS, for example:</p>
<pre>aws --endpoint-url THIS-ADDRESS s3 ls</pre>
</body>
</html>
";

/// Answers a browser that asks for the server itself; `None` if the request is another. S3 clients sign their requests,
/// and none asks for HTML.
pub(super) fn page<B>(request: &Request<B>, is_of_bucket: bool) -> Option<Response<Body>> {
    let (uri, headers) = (request.uri(), request.headers());
    let accepts = headers.get_all(header::ACCEPT).iter();
    let is_browser = accepts
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("text/html"));
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let is_signed = headers.contains_key(header::AUTHORIZATION) || uri.query().is_some();
    if !is_browser || !is_read || is_signed || is_of_bucket || uri.path() != "/" {
        return None;
    }
    let mut response = Response::new(Body::from(PAGE));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        (header::VARY, "Accept, Authorization"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

    fn asked(method: Method, uri: &str, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn a_browser_gets_a_page() {
        for method in [Method::GET, Method::HEAD] {
            let response = page(&asked(method, "/", &[("accept", BROWSER)]), false).expect("a page");
            assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        }
    }

    #[test]
    fn everything_else_is_left_to_s3() {
        let browser = ("accept", BROWSER);
        for request in [
            asked(Method::GET, "/", &[]),
            asked(Method::GET, "/", &[("accept", "*/*")]),
            asked(Method::POST, "/", &[browser]),
            asked(Method::GET, "/bucket", &[browser]),
            asked(Method::GET, "/?x-id=ListBuckets", &[browser]),
            asked(
                Method::GET,
                "/",
                &[browser, ("authorization", "AWS4-HMAC-SHA256 Credential=k")],
            ),
        ] {
            assert!(page(&request, false).is_none(), "{request:?}");
        }
        assert!(page(&asked(Method::GET, "/", &[browser]), true).is_none());
    }
}
