//! The names of a document's elements: s3s leaves out those that it does not know, and nothing that a client asks
//! for may be left out in silence.

/// Names of the elements of an XML document, without namespace prefixes, in their order. What is no XML gives some
/// names or none.
pub(super) fn names(xml: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = xml;
    std::iter::from_fn(move || {
        loop {
            let start = rest.iter().position(|byte| *byte == b'<')?;
            rest = &rest[start + 1..];
            let hidden: Option<&[u8]> = match rest {
                [b'!', b'-', b'-', ..] => Some(b"-->"),
                [b'!', b'[', ..] => Some(b"]]>"),
                [b'!' | b'?' | b'/', ..] => Some(b">"),
                _ => None,
            };
            if let Some(end) = hidden {
                let at = rest.windows(end.len()).position(|window| window == end)?;
                rest = &rest[at + end.len()..];
                continue;
            }
            let is_end = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b'>');
            let name = &rest[..rest.iter().position(is_end)?];
            rest = &rest[name.len()..];
            return Some(name.rsplit(|byte| *byte == b':').next().unwrap_or(name));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_elements() {
        let xml = b"<?xml version=\"1.0\"?><a xmlns=\"<\"><!-- <b> --><n:c/><d\n>x<![CDATA[<e>]]></d></a>";
        let found: Vec<&[u8]> = names(xml).collect();
        // An unescaped `<` in an attribute is no XML.
        assert_eq!(found, [&b"a"[..], b"\"", b"c", b"d"]);
        assert_eq!(names(b"no XML").count(), 0);
        assert_eq!(names(b"<open").count(), 0);
    }
}
