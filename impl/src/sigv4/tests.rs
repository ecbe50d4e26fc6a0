use super::*;
use http::{HeaderName, HeaderValue, Method};

const ACCESS: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const HOST: &str = "examplebucket.s3.amazonaws.com";
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const DATE: &str = "20130524T000000Z";

/// 2013-05-24, in nanoseconds.
const NOW: u64 = 1_369_353_600_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn request(method: Method, uri: &str, headers: &[(&'static str, &str)]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(uri).body(()).unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        request.headers_mut().append(HeaderName::from_static(name), value);
    }
    request
}

fn secret_key(access_key: &str) -> Option<&'static str> {
    (access_key == ACCESS).then_some(SECRET)
}

fn verify_at(request: &Request<()>, now: u64) -> Result<Option<Verified>, Code> {
    let query = parse_query(request.uri());
    verify(request, &query, None, secret_key, now).map_err(|error| error.code)
}

fn is_right(request: &Request<()>) -> bool {
    let verified = verify_at(request, NOW);
    assert!(
        matches!(&verified, Ok(Some(_)) | Err(Code::SignatureDoesNotMatch)),
        "{verified:?}"
    );
    verified.is_ok()
}

fn authorization(signed: &str, signature: &str) -> String {
    let scope = format!("{ACCESS}/20130524/us-east-1/s3/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={scope},SignedHeaders={signed},Signature={signature}")
}

fn with_header(method: Method, uri: &str, headers: &[(&'static str, &str)], signature: &str) -> Request<()> {
    let mut names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let authorization = authorization(&names.join(";"), signature);
    let mut request = request(method, uri, headers);
    request
        .headers_mut()
        .insert("authorization", HeaderValue::try_from(authorization).unwrap());
    request
}

/// Examples of "Signature Calculations for the Authorization Header: Transferring Payload in a Single Chunk".
#[test]
fn examples_of_the_reference() {
    let common = [("host", HOST), ("x-amz-content-sha256", EMPTY), ("x-amz-date", DATE)];
    let ranged = [common[0], common[1], common[2], ("range", "bytes=0-9")];
    let get = with_header(
        Method::GET,
        "/test.txt",
        &ranged,
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    );
    let verified = verify_at(&get, NOW).unwrap().unwrap();
    assert_eq!(verified.access_key, ACCESS);
    assert_eq!(verified.region.as_deref(), Some("us-east-1"));
    assert!(matches!(&verified.payload, Payload::Sha256(hash) if hash == EMPTY));
    let stored = [
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("host", HOST),
        (
            "x-amz-content-sha256",
            "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        ),
        ("x-amz-date", DATE),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    assert!(is_right(&with_header(
        Method::PUT,
        "/test$file.text",
        &stored,
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    )));
    assert!(is_right(&with_header(
        Method::GET,
        "/?lifecycle",
        &common,
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    )));
    let list = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
    assert!(is_right(&with_header(
        Method::GET,
        "/?max-keys=2&prefix=J",
        &common,
        list
    )));
    assert!(is_right(&with_header(
        Method::GET,
        "/?prefix=J&max-keys=2",
        &common,
        list
    )));
    for (method, uri) in [
        (Method::GET, "/?max-keys=3&prefix=J"),
        (Method::PUT, "/?max-keys=2&prefix=J"),
    ] {
        assert!(!is_right(&with_header(method, uri, &common, list)));
    }
}

const PRESIGNED: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1\
                         %2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                         &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";

/// Example of "Authenticating Requests: Using Query Parameters".
#[test]
fn presigned_urls() {
    let get = request(Method::GET, &format!("/test.txt?{PRESIGNED}"), &[("host", HOST)]);
    let at = |seconds: i64| verify_at(&get, NOW.saturating_add_signed(seconds * SECOND as i64)).map(drop);
    assert_eq!(at(0), Ok(()));
    assert_eq!(at(86_400), Ok(()));
    assert_eq!(at(86_401), Err(Code::AccessDenied));
    assert_eq!(at(-900), Ok(()));
    assert_eq!(at(-901), Err(Code::RequestTimeTooSkewed));
    let expired = PRESIGNED.replace("Expires=86400", "Expires=0");
    let now = |query: &str, headers: &[(&'static str, &str)]| {
        verify_at(&request(Method::GET, &format!("/test.txt?{query}"), headers), NOW).map(drop)
    };
    let host = ("host", HOST);
    assert_eq!(now(&expired, &[host]), Err(Code::AccessDenied));
    assert_eq!(
        now(&PRESIGNED.replace("404", "405"), &[host]),
        Err(Code::SignatureDoesNotMatch)
    );
    assert_eq!(
        now(&format!("{PRESIGNED}&acl"), &[host]),
        Err(Code::SignatureDoesNotMatch)
    );
    assert_eq!(now(PRESIGNED, &[("host", "other")]), Err(Code::SignatureDoesNotMatch));
    let other = PRESIGNED.replace("AKIAIOSFODNN7EXAMPLE", "nobody");
    assert_eq!(now(&other, &[host]), Err(Code::InvalidAccessKeyId));
    // The host must be signed, or another one could be chosen.
    let mut hostless = request(
        Method::GET,
        "http://other/k",
        &[("x-amz-content-sha256", UNSIGNED), ("x-amz-date", DATE)],
    );
    let signed = "x-amz-content-sha256;x-amz-date";
    let headers = Headers::of(&hostless, signed);
    let canonical = canonical::request(&Method::GET, hostless.uri(), &headers, UNSIGNED, Mode::USUAL);
    let scope = "20130524/us-east-1/s3/aws4_request";
    let to_sign = string_to_sign(DATE, scope, &canonical);
    let signature = hex(&mac(&signing_key(SECRET, scope), to_sign.as_bytes())
        .finalize()
        .into_bytes());
    let value = HeaderValue::try_from(authorization(signed, &signature)).unwrap();
    hostless.headers_mut().insert("authorization", value);
    assert_eq!(verify_at(&hostless, NOW).map(drop), Err(Code::AccessDenied));
    // The holder of a URL must not be able to add headers with a meaning.
    assert_eq!(
        now(PRESIGNED, &[host, ("x-amz-copy-source", "b/k")]),
        Err(Code::AccessDenied)
    );
    assert_eq!(
        now(PRESIGNED, &[host, ("x-amz-user-agent", "sdk"), ("range", "bytes=0-1")]),
        Ok(())
    );
    // A hash header is verified against the body, although the signature does not cover it.
    let hashed = request(
        Method::GET,
        &format!("/test.txt?{PRESIGNED}"),
        &[host, ("x-amz-content-sha256", EMPTY)],
    );
    let verified = verify_at(&hashed, NOW).unwrap().unwrap();
    assert!(matches!(&verified.payload, Payload::Sha256(hash) if hash == EMPTY));
    let chunked = ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    assert_eq!(now(PRESIGNED, &[host, chunked]), Err(Code::NotImplemented));
}

/// Signs a request as a client with this canonical path and query does.
fn sign(request: &mut Request<()>, canonical_path: &str, canonical_query: &str) {
    let headers = format!("host:{HOST}\nx-amz-content-sha256:{UNSIGNED}\nx-amz-date:{DATE}\n");
    let signed = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!("GET\n{canonical_path}\n{canonical_query}\n{headers}\n{signed}\n{UNSIGNED}");
    let scope = "20130524/us-east-1/s3/aws4_request";
    let to_sign = string_to_sign(DATE, scope, canonical.as_bytes());
    let signature = mac(&signing_key(SECRET, scope), to_sign.as_bytes()).finalize();
    let authorization = authorization(signed, &hex(&signature.into_bytes()));
    request
        .headers_mut()
        .insert("authorization", HeaderValue::try_from(authorization).unwrap());
}

#[test]
fn paths_and_queries_as_clients_canonicalize_them() {
    let common = [("host", HOST), ("x-amz-content-sha256", UNSIGNED), ("x-amz-date", DATE)];
    for (uri, path, query) in [
        ("/b/k", "/b/k", ""),
        ("/b/a%20b", "/b/a%20b", ""),
        ("/b/a%2Fb", "/b/a%2Fb", ""),
        ("/b/a%2fb", "/b/a/b", ""),
        ("/b/a=b", "/b/a%3Db", ""),
        ("/b/a=b", "/b/a=b", ""),
        ("/b/%c3%a4", "/b/%C3%A4", ""),
        ("/b/%c3%a4", "/b/%c3%a4", ""),
        ("/b//a/../~", "/b//a/../~", ""),
        ("/b?b=2&a=1", "/b", "a=1&b=2"),
        ("/b?acl", "/b", "acl="),
        ("/b?a=2&a=1", "/b", "a=1&a=2"),
        ("/b?a=2&a=1", "/b", "a=2&a=1"),
        ("/b?a=x+y", "/b", "a=x%20y"),
        ("/b?a=%2f%3D", "/b", "a=%2F%3D"),
        ("/b?a=b=c", "/b", "a=b%3Dc"),
    ] {
        let mut request = request(Method::GET, uri, &common);
        sign(&mut request, path, query);
        assert!(is_right(&request), "{uri} as {path} and {query}");
        sign(&mut request, "/b/other", query);
        assert!(!is_right(&request), "{uri}");
        sign(&mut request, path, "other=");
        assert!(!is_right(&request), "{uri}");
    }
}

#[test]
fn headers_in_canonical_form() {
    let values = [
        ("x-amz-meta-a", "  one   two "),
        ("x-amz-meta-a", "three"),
        ("x-amz-meta-b", "ä"),
    ];
    let request = request(Method::GET, "/", &values);
    let headers = Headers::of(&request, "x-amz-meta-b;x-amz-meta-a;x-amz-meta-c;authorization");
    let canonical = canonical::request(request.method(), request.uri(), &headers, "p", Mode::USUAL);
    let expected = "GET\n/\n\nx-amz-meta-a:one two,three\nx-amz-meta-b:ä\n\nx-amz-meta-a;x-amz-meta-b\np";
    assert_eq!(String::from_utf8(canonical).unwrap(), expected);
}

#[test]
fn dates_of_signatures() {
    let of = |name: &'static str, value: &str| {
        let request = request(Method::GET, "/", &[(name, value)]);
        date(request.headers()).map(Cow::into_owned)
    };
    let expected = Some("19941106T084937Z".to_owned());
    assert_eq!(of("x-amz-date", "19941106T084937Z"), expected);
    for text in [
        "19941106T084937Z",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "Sun, 06 Nov 1994 08:49:37 +0000",
    ] {
        assert_eq!(of("date", text), expected, "{text}");
    }
    for text in [
        "",
        "today",
        "19941106",
        "19941306T084937Z",
        "19941106T084937",
        "1994110éT084937Z",
    ] {
        assert_eq!(of("x-amz-date", text), None, "{text}");
    }
    assert_eq!(seconds("19700101T000001Z"), Some(1));
}

#[test]
fn a_clock_may_differ_by_a_quarter_of_an_hour() {
    let mut get = request(
        Method::GET,
        "/b/k",
        &[("host", HOST), ("x-amz-content-sha256", UNSIGNED), ("x-amz-date", DATE)],
    );
    sign(&mut get, "/b/k", "");
    for (now, expected) in [
        (NOW + 900 * SECOND, Ok(())),
        (NOW + 901 * SECOND, Err(Code::RequestTimeTooSkewed)),
        (NOW - 900 * SECOND, Ok(())),
        (NOW - 901 * SECOND, Err(Code::RequestTimeTooSkewed)),
    ] {
        assert_eq!(verify_at(&get, now).map(drop), expected);
    }
    get.headers_mut().remove("x-amz-content-sha256");
    assert_eq!(verify_at(&get, NOW).map(drop), Err(Code::InvalidRequest));
    get.headers_mut()
        .insert("x-amz-content-sha256", HeaderValue::from_static(UNSIGNED));
    get.headers_mut()
        .insert("x-amz-acl", HeaderValue::from_static("private"));
    assert_eq!(verify_at(&get, NOW).map(drop), Err(Code::AccessDenied));
}

#[test]
fn our_own_signatures_are_right() {
    let headers = [("host", "h:9000"), ("x-amz-meta-a", "1"), ("if-match", "\"e\"")];
    let mut request = request(Method::GET, "/minio/admin/v3/info", &headers);
    authorize(&mut request, ACCESS, SECRET, "eu-west-1", NOW).unwrap();
    let verified = verify_at(&request, NOW).unwrap().unwrap();
    assert_eq!(verified.region.as_deref(), Some("eu-west-1"));
    assert!(matches!(verified.payload, Payload::Unsigned));
    assert!(!format!("{request:?}").contains("Signature"), "it is sensitive");
}

/// Returns the headers that the signature of a part covers.
fn headers_of_part() -> [(&'static str, &'static str); 5] {
    [
        ("content-md5", "md5"),
        ("content-type", "text/plain"),
        ("x-amz-meta-a", "1"),
        ("x-amz-meta-a", " 2"),
        ("x-amz-acl", "private"),
    ]
}

const V2_PART: &str = "%2FiNhrNEQE0GbWFBL97bcEuvuur0%3D";

/// Compares with signatures made with Python's `hmac` and `hashlib`.
#[test]
fn presigned_urls_of_version_2() {
    let at = |uri: &str, bucket: Option<&str>, headers: &[(&'static str, &str)], method: Method, now: u64| {
        let request = request(method, uri, headers);
        let query = parse_query(request.uri());
        verify(&request, &query, bucket, secret_key, now * SECOND)
            .map(|verified| verified.unwrap().access_key)
            .map_err(|error| error.code)
    };
    let query = "AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=NpgCjnDzrM%2BWFzoENXmpNDUsSn8%3D&Expires=1175139620";
    let puppy = format!("/photos/puppy.jpg?{query}");
    let get = |uri: &str, now| at(uri, Some("johnsmith"), &[], Method::GET, now);
    assert_eq!(get(&puppy, 1_175_139_620).as_deref(), Ok(ACCESS));
    assert_eq!(get(&puppy, 1_175_139_621), Err(Code::AccessDenied));
    // An unsigned content type beside the signed one.
    let twice = [headers_of_part()[1], ("content-type", "text/html")];
    assert_eq!(
        at(&puppy, Some("johnsmith"), &twice, Method::GET, 0),
        Err(Code::SignatureDoesNotMatch)
    );
    let joined = "?response-cache-control=x%26response-content-disposition%3Dy&";
    assert_eq!(get(&puppy.replace('?', joined), 0), Err(Code::SignatureDoesNotMatch));
    // A plus sign that the client has not encoded.
    assert_eq!(get(&puppy.replace("%2B", "+"), 0).as_deref(), Ok(ACCESS));
    for added in ["&acl", "&acl&acl", "&attributes", "&legal-hold"] {
        assert_eq!(
            get(&format!("{puppy}{added}"), 0),
            Err(Code::SignatureDoesNotMatch),
            "{added}"
        );
    }
    assert_eq!(get(&puppy.replace(ACCESS, "nobody"), 0), Err(Code::InvalidAccessKeyId));
    assert_eq!(
        get(&puppy.replace("puppy", "kitten"), 0),
        Err(Code::SignatureDoesNotMatch)
    );
    let path_style = format!("/johnsmith{puppy}");
    assert_eq!(at(&path_style, None, &[], Method::GET, 0).as_deref(), Ok(ACCESS));
    let headers = headers_of_part();
    let part = "/bucket/a%20b?uploadId=u%20v&partNumber=1&AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Expires=1175139620\
                &Signature=SIGNATURE";
    let part = part.replace("SIGNATURE", V2_PART);
    assert_eq!(at(&part, None, &headers, Method::PUT, 0).as_deref(), Ok(ACCESS));
    assert_eq!(
        at(&part, None, &headers[1..], Method::PUT, 0),
        Err(Code::SignatureDoesNotMatch)
    );
    assert_eq!(
        at(&part, None, &headers[..4], Method::PUT, 0),
        Err(Code::SignatureDoesNotMatch)
    );
}
