//! Generator of requests that pass the first checks: known words, in any order, with damage.

use super::client::{Request, SECRET_KEY, hex, sha256};
use bolero::TypeGenerator;

/// Authentication of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TypeGenerator)]
pub enum Auth {
    Header,
    Presigned,
    /// Signed with a wrong secret.
    Forged,
    /// Presigned URL with a header that its signature does not cover.
    PresignedAndMore(u8),
    None,
}

/// Word from a list, or any text.
#[derive(Clone, Debug, TypeGenerator)]
pub enum Word {
    Known(u8),
    Number(u16),
    Text(Vec<u8>),
}

impl Word {
    fn of(&self, words: &[&str]) -> Vec<u8> {
        match self {
            Word::Known(index) => words[usize::from(*index) % words.len()].into(),
            Word::Number(number) => number.to_string().into(),
            Word::Text(text) => text.iter().take(1100).copied().collect(),
        }
    }

    /// Returns the same as a header's value.
    fn value(&self, words: &[&str]) -> String {
        let text = self.of(words);
        let printable = text.iter().map(|byte| (byte % 95 + 32) as char).collect::<String>();
        match self {
            Word::Text(_) => printable.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => String::from_utf8_lossy(&text).into_owned(),
        }
    }
}

#[derive(Clone, Debug, TypeGenerator)]
pub enum Payload {
    Empty,
    Bytes(Vec<u8>),
    Xml {
        template: u8,
        word: Word,
        flips: Vec<(u16, u8)>,
    },
    Chunked {
        chunks: Vec<Vec<u8>>,
        flips: Vec<(u16, u8)>,
    },
}

#[derive(Clone, Debug, TypeGenerator)]
pub struct Ask {
    pub auth: Auth,
    method: u8,
    /// Depth of the path; 0 addresses the server itself.
    depth: u8,
    bucket: u8,
    key: Word,
    query: Vec<(u8, Word)>,
    headers: Vec<(u8, Word)>,
    payload: Payload,
    hashed: bool,
}

const METHODS: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"];
const KEYS: [&str; 8] = [
    "k",
    "a/b",
    "a//",
    "..",
    "ä <&>",
    "\u{1}",
    "%2F+ ",
    ".minio.sys/format.json",
];
const QUERIES: [&str; 44] = [
    "list-type",
    "prefix",
    "delimiter",
    "marker",
    "max-keys",
    "continuation-token",
    "start-after",
    "encoding-type",
    "fetch-owner",
    "uploads",
    "uploadId",
    "partNumber",
    "part-number-marker",
    "max-parts",
    "key-marker",
    "upload-id-marker",
    "max-uploads",
    "delete",
    "versionId",
    "versions",
    "versioning",
    "acl",
    "policy",
    "location",
    "tagging",
    "attributes",
    "response-content-type",
    "response-expires",
    "response-content-disposition",
    "x-id",
    "lifecycle",
    "cors",
    "encryption",
    "object-lock",
    "notification",
    "select",
    "restore",
    "retention",
    "legal-hold",
    "torrent",
    "max-buckets",
    "bucket-region",
    "append",
    "session",
];
const HEADERS: [&str; 47] = [
    "range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "if-range",
    "content-md5",
    "content-type",
    "content-encoding",
    "cache-control",
    "expires",
    "expect",
    "content-disposition",
    "content-language",
    "x-amz-acl",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-range",
    "x-amz-decoded-content-length",
    "x-amz-metadata-directive",
    "x-amz-meta-a",
    "x-amz-mp-object-size",
    "x-amz-object-attributes",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-storage-class",
    "x-amz-trailer",
    "x-amz-tagging",
    "x-amz-server-side-encryption",
    "x-amz-security-token",
    "x-amz-expected-bucket-owner",
    "x-minio-extract",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-max-parts",
    "x-amz-part-number-marker",
    "x-amz-tagging-directive",
    "x-amz-object-lock-mode",
    "origin",
    "content-location",
];
const VALUES: [&str; 40] = [
    "",
    "*",
    "0",
    "1",
    "2",
    "1000",
    "10001",
    "-1",
    "18446744073709551615",
    "url",
    "true",
    "null",
    "k",
    "a/",
    "/",
    "bytes=0-1",
    "bytes=-5",
    "bytes=5-",
    "\"d41d8cd98f00b204e9800998ecf8427e\"",
    "AAAAAA==",
    "CRC32",
    "SHA256",
    "COMPOSITE",
    "FULL_OBJECT",
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "COPY",
    "REPLACE",
    "private",
    "text/plain",
    "x-amz-checksum-crc32",
    "ETag,Checksum,ObjectParts,StorageClass,ObjectSize",
    "Thu, 01 Jan 1970 00:00:07 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "1970-01-01T00:00:00Z",
    "/fuzz-1/k",
    "fuzz-1/%6b",
    "multipart/form-data",
    "1B2M2Y8AsgTpgAmY7PhCfg==",
    "100-continue",
];
const TEMPLATES: [&str; 6] = [
    "<Delete><Quiet>true</Quiet><Object><Key>W</Key></Object><Object><Key>k</Key><VersionId>null</VersionId>\
     </Object></Delete>",
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>W</ETag></Part></CompleteMultipartUpload>",
    "<CreateBucketConfiguration><LocationConstraint>W</LocationConstraint></CreateBucketConfiguration>",
    "<VersioningConfiguration><Status>W</Status></VersioningConfiguration>",
    "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"W\"><!ENTITY c \"&b;&b;\">]><Delete><Object><Key>&c;</Key>\
     </Object></Delete>",
    "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet><Tag><Key>W</Key></Tag></TagSet></Tagging>",
];

fn flip(bytes: &mut [u8], flips: &[(u16, u8)]) {
    for (at, bits) in flips.iter().take(3) {
        let len = bytes.len().max(1);
        if let Some(byte) = bytes.get_mut(usize::from(*at) % len) {
            *byte ^= bits;
        }
    }
}

impl Ask {
    pub fn request(&self, bucket: &str, date: &str) -> Request {
        let bucket = match self.bucket % 8 {
            0 => "no-such-bucket",
            1 => "fuzz-1",
            2 => "ä",
            _ => bucket,
        };
        let path = match self.depth % 8 {
            0 => b"/".to_vec(),
            1 | 2 => format!("/{bucket}").into_bytes(),
            _ => [b"/", bucket.as_bytes(), b"/", &self.key.of(&KEYS)].concat(),
        };
        let query = self.query.iter().take(4);
        let query = query.map(|(name, value)| (word(&QUERIES, *name).into(), value.of(&VALUES)));
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in self.headers.iter().take(5) {
            let name = word(&HEADERS, *name);
            // Headers of the same name would have to be joined for the signature.
            if headers.iter().all(|(own, _)| own != name) {
                headers.push((name.into(), value.value(&VALUES)));
            }
        }
        let (body, sha256) = self.body();
        headers.push(("x-amz-content-sha256".into(), sha256));
        if let Payload::Chunked { chunks, .. } = &self.payload {
            let len: usize = chunks.iter().map(Vec::len).sum();
            headers.retain(|(name, _)| name != "x-amz-decoded-content-length");
            headers.push(("x-amz-decoded-content-length".into(), len.to_string()));
        }
        let method = METHODS[usize::from(self.method) % METHODS.len()];
        let request = Request {
            method,
            path,
            query: query.collect(),
            headers,
            body,
        };
        match self.auth {
            Auth::Header => request.sign(date, SECRET_KEY),
            Auth::Presigned => request.presign(date, SECRET_KEY),
            Auth::Forged => request.sign(date, "another-secret"),
            Auth::PresignedAndMore(name) => {
                let name = word(&HEADERS[14..45], name);
                let name = if name == "x-minio-extract" {
                    "x-amz-copy-source"
                } else {
                    name
                };
                request.presign(date, SECRET_KEY).header(name, "fuzz-1/k")
            }
            Auth::None => request,
        }
    }

    /// Returns the body, and the `x-amz-content-sha256` that describes it.
    fn body(&self) -> (Vec<u8>, String) {
        let mut trailer = None;
        let body = match &self.payload {
            Payload::Empty => Vec::new(),
            Payload::Bytes(bytes) => bytes.clone(),
            Payload::Xml {
                template,
                word: value,
                flips,
            } => {
                let value = String::from_utf8_lossy(&value.of(&VALUES)).into_owned();
                let mut body = word(&TEMPLATES, *template).replace('W', &value).into_bytes();
                flip(&mut body, flips);
                body
            }
            Payload::Chunked { chunks, flips } => {
                let chunks = chunks.iter().filter(|chunk| !chunk.is_empty());
                let framed = chunks.map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
                let mut body = framed.collect::<Vec<_>>().concat();
                body.extend_from_slice(b"0\r\n\r\n");
                flip(&mut body, flips);
                trailer = Some("STREAMING-UNSIGNED-PAYLOAD-TRAILER".to_owned());
                body
            }
        };
        let hashed = || match self.hashed {
            true => hex(&sha256(&body)),
            false => "UNSIGNED-PAYLOAD".to_owned(),
        };
        let described = trailer.unwrap_or_else(hashed);
        (body, described)
    }
}

fn word<'a>(words: &[&'a str], index: u8) -> &'a str {
    words[usize::from(index) % words.len()]
}

/// Value of a `Range` header.
#[derive(Clone, Debug, TypeGenerator)]
pub enum RangeText {
    Span(u16, u16),
    Near(u8, u8),
    From(u64),
    Suffix(u64),
    Huge(u64, u64),
    Text(Vec<u8>),
}

impl RangeText {
    pub fn text(&self) -> String {
        const PIECES: [&str; 12] = ["bytes=", "-", "0", "9", ",", " ", "=", "+", "1", "bytes", "x", "299"];
        match self {
            RangeText::Span(first, last) => format!("bytes={first}-{last}"),
            RangeText::Near(first, last) => format!("bytes={}-{}", first % 12, last % 12),
            RangeText::From(first) => format!("bytes={}-", first % 310),
            RangeText::Suffix(len) => format!("bytes=-{}", len % 310),
            RangeText::Huge(first, last) => format!("bytes={first}-{last}"),
            RangeText::Text(text) => {
                let text: String = text.iter().take(8).map(|piece| word(&PIECES, *piece)).collect();
                format!("bytes={text}").trim().to_owned()
            }
        }
    }
}
