//! Independent parser of HTTP responses, and a check of XML.

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Reason why bytes are not a complete response.
#[derive(Debug, PartialEq, Eq)]
pub enum Bad {
    /// More bytes are needed.
    Incomplete,
    Malformed(&'static str),
}

/// Parses the response at the beginning of `bytes`; returns it with its length.
pub fn read(bytes: &[u8], method: &str) -> Result<(Response, usize), Bad> {
    let end = find(bytes, b"\r\n\r\n").ok_or(Bad::Incomplete)?;
    // Header values may be any bytes; those that objects are stored with are UTF-8.
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| Bad::Malformed("a head that is not UTF-8"))?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line
        .strip_prefix("HTTP/1.1 ")
        .or(status_line.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .filter(|status| (100..600).contains(status))
        .ok_or(Bad::Malformed("status line"))?;
    let mut headers = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Bad::Malformed("header without a colon"))?;
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(Bad::Malformed("header name"));
        }
        if value.chars().any(|c| c.is_ascii_control() && c != '\t') {
            return Err(Bad::Malformed("control character in a header"));
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let values = |name: &'static str| {
        headers
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value)
    };
    let lengths: Vec<&String> = values("content-length").collect();
    let chunked = values("transfer-encoding").any(|value| value == "chunked");
    if lengths.len() > 1 || (chunked && !lengths.is_empty()) {
        return Err(Bad::Malformed("several lengths"));
    }
    let rest = &bytes[end + 4..];
    let (body, len) = if method == "HEAD" || status == 204 || status == 304 || status < 200 {
        (Vec::new(), 0)
    } else if chunked {
        dechunk(rest)?
    } else {
        let len = lengths.first().ok_or(Bad::Malformed("no length"))?;
        let len: usize = len.parse().map_err(|_| Bad::Malformed("content-length"))?;
        (rest.get(..len).ok_or(Bad::Incomplete)?.to_vec(), len)
    };
    Ok((Response { status, headers, body }, end + 4 + len))
}

fn dechunk(bytes: &[u8]) -> Result<(Vec<u8>, usize), Bad> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&bytes[at..], b"\r\n").ok_or(Bad::Incomplete)?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or(Bad::Malformed("chunk size"))?;
        at += line + 2;
        let chunk = bytes.get(at..at + size + 2).ok_or(Bad::Incomplete)?;
        if !chunk.ends_with(b"\r\n") {
            return Err(Bad::Malformed("chunk end"));
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok((body, at));
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Returns whether tags nest, references are valid, and nothing is outside of the single root.
pub fn is_xml(body: &[u8]) -> bool {
    let Ok(mut text) = std::str::from_utf8(body) else {
        return false;
    };
    if let Some(rest) = text.strip_prefix("<?xml ") {
        let Some((_, rest)) = rest.split_once("?>") else {
            return false;
        };
        text = rest;
    }
    let (mut open, mut roots) = (Vec::new(), 0);
    while !text.is_empty() {
        let Some((between, rest)) = text.split_once('<') else {
            return open.is_empty() && roots == 1 && text.trim().is_empty();
        };
        let within = !open.is_empty();
        if (!within && !between.trim().is_empty()) || !are_references(between) {
            return false;
        }
        let Some((tag, rest)) = rest.split_once('>') else {
            return false;
        };
        text = rest;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else {
            roots += usize::from(!within);
            let name = tag.trim_end_matches('/').split_whitespace().next().unwrap_or_default();
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_".contains(&b)) {
                return false;
            }
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    open.is_empty() && roots == 1
}

fn are_references(text: &str) -> bool {
    text.split('&').skip(1).all(|rest| {
        let name = rest.split(';').next().unwrap_or_default();
        let number = name.strip_prefix('#').is_some_and(|number| {
            let number = number.strip_prefix('x').unwrap_or(number);
            !number.is_empty() && number.bytes().all(|b| b.is_ascii_hexdigit())
        });
        rest.contains(';') && (number || matches!(name, "amp" | "lt" | "gt" | "quot" | "apos"))
    })
}

#[test]
fn canary_malformed_answers_are_noticed() {
    let bad = |text: &str| read(text.as_bytes(), "GET").map(|_| ()).expect_err(text);
    assert_eq!(bad("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab"), Bad::Incomplete);
    for text in [
        "HTTP/1.1 99 X\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx\u{1}: 1\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n",
    ] {
        assert!(matches!(bad(text), Bad::Malformed(_)), "{text}");
    }
    for text in ["", "<a>", "<a></b>", "<a>&x</a>", "<a/><b/>", "x<a/>", "<a>&#z;</a>"] {
        assert!(!is_xml(text.as_bytes()), "{text}");
    }
    assert!(is_xml(b"<?xml version=\"1.0\"?>\n<a x=\"1\"><b/>1 &lt; &#x1;</a>"));
}
