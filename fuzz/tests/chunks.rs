//! aws-chunked bodies, signatures, and the gate of each request.

use bolero::{TypeGenerator, check};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use store::{
    s3::fuzzing::{decode_chunks, gate},
    sigv4::{self, check_form},
};

/// Damage to an encoded body.
#[derive(Clone, Debug, TypeGenerator)]
enum Damage {
    Flip { at: u16, bits: u8 },
    Insert { at: u16, piece: u8 },
    Remove { at: u16 },
    Cut { len: u16 },
}

impl Damage {
    fn befall(&self, body: &mut Vec<u8>) {
        const PIECES: [&str; 8] = ["\r\n", "0", ";", "+", "x", "\n", "0\r\n", "ffffffff"];
        let len = body.len().max(1);
        match self {
            Damage::Flip { at, bits } => {
                if let Some(byte) = body.get_mut(usize::from(*at) % len) {
                    *byte ^= bits;
                }
            }
            Damage::Insert { at, piece } => {
                let at = usize::from(*at) % len.min(body.len() + 1);
                body.splice(at..at, PIECES[usize::from(*piece) % PIECES.len()].bytes());
            }
            Damage::Remove { at } => drop(body.drain((usize::from(*at) % len).min(body.len())..).next()),
            Damage::Cut { len: to } => body.truncate(usize::from(*to) % len),
        }
    }
}

/// Encodes chunks, optionally with placeholders for their signatures.
fn frame(chunks: &[Vec<u8>], signed: bool) -> Vec<u8> {
    let extension = if signed {
        format!(";chunk-signature={}", "0".repeat(64))
    } else {
        String::new()
    };
    let line = |len: usize| format!("{len:x}{extension}\r\n").into_bytes();
    let chunks = chunks.iter().filter(|chunk| !chunk.is_empty());
    let mut body: Vec<u8> = chunks
        .flat_map(|chunk| [&line(chunk.len())[..], chunk, b"\r\n"].concat())
        .collect();
    body.extend_from_slice(&line(0));
    body.extend_from_slice(b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n");
    body
}

/// Decodes a body strictly; returns its data, the bytes after the last chunk's line, and the size of the largest chunk.
/// `None` if the framing is invalid or incomplete.
fn read(mut body: &[u8]) -> Option<(Vec<u8>, Vec<u8>, u64)> {
    let (mut data, mut largest) = (Vec::new(), 0);
    loop {
        let end = body.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(body[..end].strip_suffix(b"\r")?).ok()?;
        let size = line.split(';').next()?;
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let size = u64::from_str_radix(size, 16).ok()?;
        body = &body[end + 1..];
        if size == 0 {
            return Some((data, body.to_vec(), largest));
        }
        let len = usize::try_from(size).ok()?;
        let chunk = body.get(..len.checked_add(2)?)?;
        data.extend_from_slice(chunk[..len].as_ref());
        chunk.ends_with(b"\r\n").then_some(())?;
        body = &body[len + 2..];
        largest = largest.max(size);
    }
}

fn split(body: &[u8], cuts: &[u16]) -> Vec<Bytes> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| usize::from(*cut) % (body.len() + 1)).collect();
    cuts.extend([0, body.len()]);
    cuts.sort_unstable();
    cuts.windows(2)
        .map(|pair| Bytes::copy_from_slice(&body[pair[0]..pair[1]]))
        .collect()
}

/// Decoding gives the same data and trailer however the body is split, or refuses it; it buffers at most a chunk's
/// line.
#[test]
fn chunks_say_the_same_or_are_refused() {
    type Input = (Vec<Vec<u8>>, bool, Vec<Damage>, Vec<u16>);
    check!()
        .with_type::<Input>()
        .for_each(|(chunks, signed, damages, cuts)| {
            // Without a verifier, chunk signatures are extensions without effect.
            let mut body = frame(chunks, *signed);
            damages.iter().take(3).for_each(|damage| damage.befall(&mut body));
            let pieces = split(&body, cuts);
            let decoded = decode_chunks(true, &pieces);
            if damages.is_empty() {
                let (_, trailer, _) = decoded.as_ref().expect("refused without damage");
                assert_eq!(trailer["x-amz-checksum-crc32"], "AAAAAA==");
            }
            match (decoded, read(&body)) {
                (Some((data, _, held)), Some((expected, ..))) => {
                    assert_eq!(data, expected);
                    assert!(held <= 1100, "{held} bytes were held");
                }
                (Some(_), None) => assert!(body.is_empty(), "accepted: {body:?}"),
                (None, Some((_, rest, _))) => assert_ne!(rest.trim_ascii(), b"", "refused: {body:?}"),
                (None, None) => {}
            }
        });
}

const NAMES: [&str; 16] = [
    "host",
    "x-amz-date",
    "x-amz-copy-source",
    "x-amz-acl",
    "x-amz-meta-a",
    "x-amz-content-sha256",
    "x-amz-user-agent",
    "x-amz-security-token",
    "x-minio-extract",
    "content-type",
    "authorization",
    "x-amz-storage-class",
    "x-amz-tagging",
    "x-amz-checksum-crc32",
    "range",
    "x-amz-expected-bucket-owner",
];
const QUERIES: [&str; 12] = [
    "X-Amz-SignedHeaders=host",
    "X-Amz-SignedHeaders=host%3Bx-amz-date",
    "x-amz-signedheaders=x-amz-acl",
    "X-Amz-Expires=60",
    "X-Amz-Expires=604801",
    "acl",
    "versionId=null",
    "uploadId=%ff",
    "x-amz-copy-source=b/k",
    "X-Amz-Signature=0",
    "%58-Amz-Expires=0",
    "=&&%",
];
const VALUES: [&str; 6] = [
    "",
    "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request, SignedHeaders=host;x-amz-date;x-amz-acl, Signature=0",
    "AWS a:b",
    "private",
    "SignedHeaders=",
    "b/k",
];

/// Root credentials of the tests.
const KEYS: (&str, &str) = ("root", "hidden-secret");

/// An `x-amz-` header that was added to a signed request is refused, whatever else the request has; so is an `x-minio-`
/// header with a value.
#[test]
fn what_the_signature_does_not_cover_is_refused() {
    const NOW: u64 = 1_764_411_072_000_000_000;
    type Input = (bool, Vec<(u8, u8)>, Vec<u8>, Vec<u8>);
    check!().with_type::<Input>().for_each(|(reads, names, queries, raw)| {
        let queries = queries
            .iter()
            .take(4)
            .map(|query| QUERIES[usize::from(*query) % QUERIES.len()]);
        let query = queries.collect::<Vec<_>>().join("&");
        let method = if *reads { Method::GET } else { Method::PUT };
        let request = Request::builder().method(method.clone()).uri(format!("/b/k?{query}"));
        let mut request = request.header("host", "h").body(()).expect("a request");
        sigv4::authorize(&mut request, KEYS.0, KEYS.1, "us-east-1", NOW).expect("a signature");
        let signed = request.headers().clone();
        for (name, value) in names.iter().take(6) {
            let value = VALUES[usize::from(*value) % VALUES.len()];
            let name = NAMES[usize::from(*name) % NAMES.len()];
            let headers = request.headers_mut();
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        if let Ok(value) = HeaderValue::from_bytes(raw) {
            request.headers_mut().append("content-language", value);
        }
        let (uri, headers) = (request.uri(), request.headers());
        let pairs = sigv4::parse_query(uri);
        let secret_key = |key: &str| (key == KEYS.0).then_some(KEYS.1);
        let verified =
            check_form(&pairs, headers).and_then(|()| sigv4::verify(&request, &pairs, None, secret_key, NOW));
        let Ok(Some(_)) = verified else { return };
        for name in headers.keys().map(HeaderName::as_str) {
            let free = matches!(name, "x-amz-content-sha256" | "x-amz-user-agent");
            let added = headers.get_all(name).iter().count() > signed.get_all(name).iter().count();
            assert!(
                free || !added || !name.starts_with("x-amz-"),
                "{name} of {headers:?} {query}"
            );
        }
        let Ok(operation) = gate(&method, uri, headers) else {
            return;
        };
        for name in headers.keys().map(HeaderName::as_str) {
            let asks_for_nothing = headers.get_all(name).iter().all(HeaderValue::is_empty);
            assert!(!name.starts_with("x-minio-") || asks_for_nothing, "{name}");
        }
        assert!(!query.contains("copy-source"), "{query}");
        let is_of_acl = query.split('&').any(|pair| pair == "acl");
        assert_eq!(is_of_acl, operation.ends_with("Acl"), "{operation} {query}");
    });
}

/// A presigned URL is valid for up to seven days, states that exactly once, and has all parameters.
#[test]
fn a_presigned_url_says_how_long_it_lives() {
    const REST: [&str; 5] = [
        "X-Amz-Algorithm=AWS4-HMAC-SHA256",
        "X-Amz-Credential=a%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
        "X-Amz-Date=20260101T000000Z",
        "X-Amz-SignedHeaders=host",
        "X-Amz-Signature=00000000000000000000000000000000000000000000000000000000000000aa",
    ];
    type Input = (i64, bool, Option<u8>, bool);
    check!()
        .with_type::<Input>()
        .for_each(|(seconds, small, left_out, twice)| {
            let seconds = if *small { seconds % 700_000 } else { *seconds };
            let mut pairs: Vec<String> = REST.map(str::to_owned).to_vec();
            pairs.push(format!("X-Amz-Expires={seconds}"));
            if let Some(at) = left_out {
                pairs.remove(usize::from(*at) % REST.len());
            }
            if *twice {
                pairs.push("X-Amz-Expires=60".to_owned());
            }
            let uri: Uri = format!("/b/k?{}", pairs.join("&")).parse().expect("a URI");
            let is_right = (0..=604_800).contains(&seconds) && left_out.is_none() && !twice;
            assert_eq!(
                check_form(&sigv4::parse_query(&uri), &HeaderMap::new()).is_ok(),
                is_right,
                "{uri}"
            );
        });
}

/// Canary: a reader that tolerates a missing line end would take it for data.
#[test]
fn canary_the_strict_reader_refuses() {
    for body in [
        "5\r\nhello!!0\r\n",
        "+5\r\nhello\r\n0\r\n",
        "5\nhello\r\n0\r\n",
        "5\r\nhello\r\n",
        "",
    ] {
        assert_eq!(read(body.as_bytes()), None, "{body:?}");
    }
    assert!(read(b"5\r\nhello\r\n0\r\n").is_some());
}
