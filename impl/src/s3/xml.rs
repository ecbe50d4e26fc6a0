//! XML bodies as s3s reads them. It takes `<s3:Part>` for an unknown element and a number with white space around it
//! for none, and drops the text of CDATA sections; XML and its schema say otherwise.

/// Elements whose text is taken as it is, with its white space.
const EXACT: &[&[u8]] = &[b"Key"];

/// Bytes by which a document may grow when its text is escaped.
const GROWTH_BYTES_MAX: usize = 64 << 10;

/// The same document without prefixes, and without white space around the text of elements that hold no other. A
/// document that cannot be read so far is left as it is, for s3s to refuse. `None` if it becomes much longer: it is a
/// CDATA section of little else than characters that must be escaped.
pub(super) fn plain(xml: &[u8]) -> Option<Vec<u8>> {
    let mut written = Writer {
        bytes_max: xml.len() + GROWTH_BYTES_MAX,
        ..Writer::default()
    };
    match written.document(xml) {
        Some(()) => Some(written.out),
        None if written.is_long() => None,
        None => Some(xml.to_vec()),
    }
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// The longest document, in bytes.
    bytes_max: usize,
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
            for byte in text {
                match byte {
                    b'<' => self.text.extend_from_slice(b"&lt;"),
                    b'&' => self.text.extend_from_slice(b"&amp;"),
                    byte => self.text.push(*byte),
                }
                if self.is_long() {
                    return None;
                }
            }
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

    fn is_long(&self) -> bool {
        self.out.len() + self.text.len() > self.bytes_max
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
    use proptest::prelude::*;

    fn read(xml: &str) -> String {
        String::from_utf8(plain(xml.as_bytes()).unwrap())
            .unwrap()
            .trim_end()
            .to_owned()
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
        let escaped = format!("<Key>{}</Key>", "&amp;".repeat(100));
        assert_eq!(read(&format!("<Key><![CDATA[{}]]></Key>", "&".repeat(100))), escaped);
        let long = format!("<Key><![CDATA[{}]]></Key>", "&".repeat(GROWTH_BYTES_MAX));
        assert_eq!(plain(long.as_bytes()), None);
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
            assert_eq!(plain(xml.as_bytes()).unwrap(), xml.as_bytes(), "{xml}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(xml in "[<>/!a:&;'\" \\-\\[\\]?]{0,40}") {
            // Each character becomes one reference at most.
            prop_assert!(plain(xml.as_bytes()).unwrap().len() <= "&amp;".len() * xml.len());
        }
    }
}
