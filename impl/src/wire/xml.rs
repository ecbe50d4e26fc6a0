//! XML bodies as s3s reads them. It takes `<s3:Part>` for an unknown element and a number with white space around it
//! for none, and drops the text of CDATA sections; XML and its schema say otherwise.

use super::service::XML_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use s3s::StdError;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Elements whose text is taken as it is, with its white space.
const EXACT: &[&[u8]] = &[b"Key"];

/// The body of a request that is XML, in the form that s3s reads. As long as it was: its length is announced.
pub(super) struct XmlBody {
    inner: Option<s3s::Body>,
    gathered: BytesMut,
}

impl XmlBody {
    /// Wraps a body. One larger than [`XML_BYTES_MAX`] is passed on unread, for s3s to refuse.
    pub fn new(inner: s3s::Body) -> XmlBody {
        XmlBody {
            inner: Some(inner),
            gathered: BytesMut::new(),
        }
    }
}

impl Body for XmlBody {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        let this = &mut *self;
        loop {
            let Some(inner) = &mut this.inner else {
                return Poll::Ready(None);
            };
            match ready!(Pin::new(inner).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        this.gathered.extend_from_slice(&data);
                    }
                    if this.gathered.len() > XML_BYTES_MAX {
                        let data = this.gathered.split().freeze();
                        return Poll::Ready(Some(Ok(Frame::data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    this.inner = None;
                    let data = plain(&this.gathered);
                    this.gathered = BytesMut::new();
                    return Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data.into()))));
                }
            }
        }
    }
}

/// The same document without prefixes, and without white space around the text of elements that hold no other; padded
/// to its length. A document that cannot be read so far is left as it is, for s3s to refuse.
fn plain(xml: &[u8]) -> Vec<u8> {
    let mut written = Writer::default();
    let known = written.document(xml).is_some();
    let mut out = written.out;
    if !known {
        return xml.to_vec();
    }
    if out.len() > xml.len() {
        // A CDATA section of little else than characters that must be escaped. s3s refuses an empty document.
        out.clear();
    }
    out.resize(xml.len(), b' ');
    out
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// Text since the last tag, escaped.
    text: Vec<u8>,
    /// The element that was begun by the last tag.
    begun: Option<Vec<u8>>,
}

impl Writer {
    fn document(&mut self, xml: &[u8]) -> Option<()> {
        let mut rest = xml;
        while let Some(at) = rest.iter().position(|byte| *byte == b'<') {
            self.text.extend_from_slice(&rest[..at]);
            rest = self.markup(&rest[at..])?;
        }
        self.text.extend_from_slice(rest);
        self.end_text(false);
        Some(())
    }

    /// Takes what begins with `<`; what follows it.
    fn markup<'a>(&mut self, xml: &'a [u8]) -> Option<&'a [u8]> {
        if let Some(rest) = xml.strip_prefix(b"<!--") {
            return Some(split_at(rest, b"-->")?.1);
        }
        if let Some(rest) = xml.strip_prefix(b"<?") {
            return Some(split_at(rest, b"?>")?.1);
        }
        if let Some(rest) = xml.strip_prefix(b"<![CDATA[") {
            let (text, rest) = split_at(rest, b"]]>")?;
            text.iter().for_each(|byte| match byte {
                b'<' => self.text.extend_from_slice(b"&lt;"),
                b'&' => self.text.extend_from_slice(b"&amp;"),
                byte => self.text.push(*byte),
            });
            return Some(rest);
        }
        if xml.starts_with(b"<!") {
            // A document type: entities may be text, or elements, of any kind.
            return None;
        }
        let (tag, rest) = split_tag(&xml[1..])?;
        if let Some(name) = tag.strip_prefix(b"/") {
            let name = local(name.trim_ascii());
            let is_leaf = self.begun.as_ref().is_some_and(|begun| begun == name);
            self.end_text(is_leaf && !EXACT.contains(&name));
            self.begun = None;
            self.write(&[b"</", name, b">"]);
        } else {
            self.end_text(false);
            let end = tag.iter().position(|byte| byte.is_ascii_whitespace() || *byte == b'/');
            let (name, attributes) = tag.split_at(end.unwrap_or(tag.len()));
            self.begun = (!tag.ends_with(b"/")).then(|| local(name).to_vec());
            self.write(&[b"<", local(name), attributes, b">"]);
        }
        Some(rest)
    }

    fn write(&mut self, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.out.extend_from_slice(part));
    }

    fn end_text(&mut self, trim: bool) {
        let text = std::mem::take(&mut self.text);
        self.out.extend_from_slice(if trim { text.trim_ascii() } else { &text });
    }
}

/// Splits around the first `end`.
fn split_at<'a>(text: &'a [u8], end: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(end.len()).position(|window| window == end)?;
    Some((&text[..at], &text[at + end.len()..]))
}

/// A tag without its `<` and `>`, and what follows it. In the values of attributes `>` does not end it.
fn split_tag(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut quote = None;
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some((&text[..at], &text[at + 1..])),
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// A name without its prefix.
fn local(name: &[u8]) -> &[u8] {
    name.iter()
        .position(|byte| *byte == b':')
        .map_or(name, |at| &name[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    fn read(xml: &str) -> String {
        let out = plain(xml.as_bytes());
        assert_eq!(out.len(), xml.len(), "{xml}");
        String::from_utf8(out).unwrap().trim_end().to_owned()
    }

    #[test]
    fn prefixes_and_white_space() {
        let xml = "<?xml version='1.0'?>\n<s3:CompleteMultipartUpload xmlns:s3='http://x/'>\n <s3:Part>\n  \
                   <s3:PartNumber>\n1 </s3:PartNumber >\t<s3:ETag> \"a\"\n</s3:ETag></s3:Part>\n\
                   </s3:CompleteMultipartUpload>\n";
        let plain = "\n<CompleteMultipartUpload xmlns:s3='http://x/'>\n <Part>\n  <PartNumber>1</PartNumber>\t\
                     <ETag>\"a\"</ETag></Part>\n</CompleteMultipartUpload>";
        assert_eq!(read(xml), plain);
    }

    #[test]
    fn keys_are_exact() {
        assert_eq!(read("<a:Key> a\tb </a:Key>"), "<Key> a\tb </Key>");
        assert_eq!(read("<Key>a<![CDATA[<&]]>b</Key>"), "<Key>a&lt;&amp;b</Key>");
        assert_eq!(read("<Key>a<!-- <b> -->b</Key>"), "<Key>ab</Key>");
        assert_eq!(read("<Quiet> true </Quiet><Key/>"), "<Quiet>true</Quiet><Key/>");
        assert_eq!(read("<Key a='>'> &lt; </Key>"), "<Key a='>'> &lt; </Key>");
        // It does not fit: s3s must not read a part of it.
        assert_eq!(read(&format!("<Key><![CDATA[{}]]></Key>", "&".repeat(100))), "");
    }

    #[test]
    fn what_is_no_xml_is_left_to_s3s() {
        for xml in [
            "",
            "delete it",
            "<Delete><Object><Key>a",
            "<Delete",
            "<!DOCTYPE d [<!ENTITY a \"b\">]><d/>",
        ] {
            assert_eq!(plain(xml.as_bytes()), xml.as_bytes(), "{xml}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_keep_their_length(xml in "[<>/!a:&;'\" \\-\\[\\]?]{0,40}") {
            prop_assert_eq!(plain(xml.as_bytes()).len(), xml.len());
        }
    }

    #[tokio::test]
    async fn bodies_in_pieces() {
        let pieces = ["<a:Quiet> ", "true", " </a:Quiet>"].map(|piece| Ok::<_, StdError>(Frame::data(piece.into())));
        let body = s3s::Body::http_body_unsync(StreamBody::new(stream::iter(pieces)));
        let large = s3s::Body::from(vec![b' '; XML_BYTES_MAX + 1]);
        assert_eq!(
            XmlBody::new(large)
                .frame()
                .await
                .unwrap()
                .unwrap()
                .into_data()
                .unwrap()
                .len(),
            XML_BYTES_MAX + 1
        );
        let read = XmlBody::new(body).collect().await.unwrap().to_bytes();
        assert_eq!(read.trim_ascii(), b"<Quiet>true</Quiet>");
        assert!(
            XmlBody::new(s3s::Body::empty())
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .is_empty()
        );
    }
}
