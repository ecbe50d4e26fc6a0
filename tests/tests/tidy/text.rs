//! Minimal lexer of Rust that tells code, strings and comments apart.

/// Kind of a piece of source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Code,
    Text,
    Comment,
}

/// Blanks out everything in `source` but `part`; length and line breaks stay the same. The quotes of a string count as
/// code, its content as text.
pub fn only(source: &str, part: Part) -> String {
    let mut kept = String::with_capacity(source.len());
    for (found, piece) in split(source) {
        if found == part {
            kept.push_str(piece);
        } else {
            kept.extend(piece.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        }
    }
    kept
}

/// Returns the contents of all strings of `source`, each with its offset.
pub fn strings(source: &str) -> Vec<(usize, &str)> {
    let mut offset = 0;
    let mut found = Vec::new();
    for (part, piece) in split(source) {
        if part == Part::Text {
            found.push((offset, piece));
        }
        offset += piece.len();
    }
    found
}

/// Splits `source` into parts, in order and without gaps.
pub fn split(source: &str) -> Vec<(Part, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < source.len() {
        let rest = &source[at..];
        let (opening, part, len) = if rest.starts_with("//") {
            (0, Part::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (0, Part::Comment, block_comment(rest))
        } else if let Some(opening) = raw_string(source, at) {
            let closing = format!("\"{}", "#".repeat(opening - 2));
            (
                opening,
                Part::Text,
                rest[opening..].find(&closing).unwrap_or(rest.len() - opening),
            )
        } else if let Some(content) = rest.strip_prefix('"') {
            (1, Part::Text, string(content))
        } else {
            at += char_literal(rest).unwrap_or_else(|| rest.chars().next().map_or(1, char::len_utf8));
            continue;
        };
        parts.push((Part::Code, &source[start..at + opening]));
        parts.push((part, &source[at + opening..at + opening + len]));
        start = at + opening + len;
        // A string's closing quote is code, and does not open another one.
        at = if part == Part::Text {
            (start + 1).min(source.len())
        } else {
            start
        };
    }
    parts.push((Part::Code, &source[start..]));
    parts
}

/// Returns the length of `r##"` if a raw string begins at `at`, which must not be within a word.
fn raw_string(source: &str, at: usize) -> Option<usize> {
    let rest = source[at..].strip_prefix('r')?;
    let hashes = rest.bytes().take_while(|byte| *byte == b'#').count();
    let within_word = source[..at].ends_with(|c: char| (c.is_alphanumeric() && c != 'b') || c == '_');
    (rest[hashes..].starts_with('"') && !within_word).then_some(hashes + 2)
}

/// Returns the length of a string's content, up to the closing quote.
fn string(content: &str) -> usize {
    let mut escaped = false;
    let end = content.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(content.len())
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (1, 2),
            [b'*', b'/', ..] => (-1, 2),
            _ => (0, 1),
        };
        depth += step.0;
        at += step.1;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// Returns the length of a character literal at the start of `rest`; `None` for a lifetime or anything else.
fn char_literal(rest: &str) -> Option<usize> {
    let content = rest.strip_prefix('\'')?;
    if let Some(escape) = content.strip_prefix('\\') {
        return escape.get(1..)?.find('\'').map(|end| end + 4);
    }
    let first = content.chars().next()?.len_utf8();
    content[first..].starts_with('\'').then_some(first + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let source = r##"let a = "x // \" y"; // z "q"
/* b /* c */ d */ let e = '"'; let f: &'a str = r#"g"h"#; '\'' b"i" r"j\" '\u{7f}' "k""##;
        let trimmed = |part| only(source, part).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(trimmed(Part::Comment), r#"// z "q" /* b /* c */ d */"#);
        assert_eq!(
            strings(source).into_iter().map(|(_, text)| text).collect::<Vec<_>>(),
            [r#"x // \" y"#, "g\"h", "i", r"j\", "k"]
        );
        assert!(
            trimmed(Part::Code).contains("let e = '\"'; let f: &'a str"),
            "{}",
            trimmed(Part::Code)
        );
        assert_eq!(only(source, Part::Code).len(), source.len());
        assert_eq!(
            split(source).into_iter().map(|(_, piece)| piece).collect::<String>(),
            source
        );
    }

    #[test]
    fn unfinished_source_ends() {
        for source in ["\"abc", "r#\"abc", "/* abc", "// abc", "'", "'\\", "\"\\", "r", ""] {
            assert_eq!(
                split(source).into_iter().map(|(_, piece)| piece).collect::<String>(),
                source
            );
        }
    }
}
