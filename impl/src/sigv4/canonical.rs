//! The canonical form of a request, which version 4 signs.
//!
//! Clients disagree about two details: whether a path is signed as it was sent or encoded anew, and in which order
//! equal names of a query stand. Each is tried; a signature that fits one of them names the same request.

use http::{Method, Request, Uri, header};

/// The signed headers of a request, in their canonical form.
pub(super) struct Headers {
    /// `name:value\n` of each.
    lines: Vec<u8>,
    /// Their names, joined by semicolons.
    names: String,
}

impl Headers {
    /// Reads the headers that `signed` names, with semicolons between the names.
    pub fn of<B>(request: &Request<B>, signed: &str) -> Headers {
        let mut names: Vec<&str> = signed.split(';').filter(|name| *name != "authorization").collect();
        names.sort_unstable();
        names.dedup();
        let mut lines = Vec::new();
        names.retain(|name| {
            let mut values = request.headers().get_all(*name).iter().map(|value| value.as_bytes());
            // HTTP/2 has the host in its URL.
            let authority = || {
                let authority = request.uri().authority().filter(|_| *name == header::HOST.as_str())?;
                Some(authority.as_str().as_bytes())
            };
            let Some(first) = values.next().or_else(authority) else {
                return false;
            };
            lines.extend_from_slice(name.as_bytes());
            lines.push(b':');
            push_words(&mut lines, first);
            for value in values {
                lines.push(b',');
                push_words(&mut lines, value);
            }
            lines.push(b'\n');
            true
        });
        Headers {
            lines,
            names: names.join(";"),
        }
    }
}

/// Appends a value without white space around it, and with one space in place of any other.
fn push_words(out: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// How a client has canonicalized its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    path: Path,
    query: Query,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    /// Decoded and encoded anew, segment by segment.
    Encoded,
    /// The same, with encoded slashes as slashes.
    Slashes,
    /// As it was sent.
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Query {
    /// Sorted by name, then by value; a plus is a space.
    Sorted,
    /// Sorted by name alone; a plus is a space.
    ByName,
}

impl Mode {
    /// The mode of most clients.
    pub const USUAL: Mode = Mode {
        path: Path::Encoded,
        query: Query::Sorted,
    };

    /// The modes that can differ for this URI, the usual one first.
    pub fn all(uri: &Uri) -> impl Iterator<Item = Mode> {
        let (path, query) = (uri.path(), uri.query().unwrap_or_default());
        let is_plain = |byte: u8| is_unreserved(byte) || byte == b'/';
        let has_slash = path.contains("%2F") || path.contains("%2f");
        let paths = [
            Some(Path::Encoded),
            has_slash.then_some(Path::Slashes),
            (!path.bytes().all(is_plain)).then_some(Path::Raw),
        ];
        let queries = [Some(Query::Sorted), query.contains('&').then_some(Query::ByName)];
        let queries = queries.into_iter().flatten();
        queries.flat_map(move |query| paths.into_iter().flatten().map(move |path| Mode { path, query }))
    }
}

/// The canonical request. `payload` is the hash of its body, or what stands in its place.
pub(super) fn request(method: &Method, uri: &Uri, headers: &Headers, payload: &str, mode: Mode) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + headers.lines.len());
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b'\n');
    match mode.path {
        Path::Raw => out.extend_from_slice(uri.path().as_bytes()),
        path => push_path(&mut out, uri.path(), path == Path::Slashes),
    }
    out.push(b'\n');
    push_query(&mut out, uri.query().unwrap_or_default(), mode.query);
    out.push(b'\n');
    out.extend_from_slice(&headers.lines);
    out.push(b'\n');
    out.extend_from_slice(headers.names.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(payload.as_bytes());
    out
}

fn push_path(out: &mut Vec<u8>, path: &str, decode_slashes: bool) {
    for (at, segment) in path.split('/').enumerate() {
        if at > 0 {
            out.push(b'/');
        }
        for byte in percent_encoding::percent_decode_str(segment) {
            match byte {
                b'/' if decode_slashes => out.push(byte),
                byte => push_encoded(out, byte),
            }
        }
    }
}

fn push_query(out: &mut Vec<u8>, query: &str, mode: Query) {
    let encode = |text: &str| {
        let mut encoded = Vec::with_capacity(text.len());
        let mut push =
            |text: &str| percent_encoding::percent_decode_str(text).for_each(|b| push_encoded(&mut encoded, b));
        push(&text.replace('+', " "));
        encoded
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name), encode(value)))
        // A presigned URL cannot sign its own signature.
        .filter(|(name, _)| name != b"X-Amz-Signature")
        .collect();
    match mode {
        Query::ByName => pairs.sort_by(|a, b| a.0.cmp(&b.0)),
        Query::Sorted => pairs.sort(),
    }
    for (at, (name, value)) in pairs.iter().enumerate() {
        if at > 0 {
            out.push(b'&');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value);
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Appends a byte as a URI has it.
fn push_encoded(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    if is_unreserved(byte) {
        out.push(byte);
    } else {
        out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}
