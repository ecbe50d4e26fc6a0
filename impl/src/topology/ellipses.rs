//! Expansion of `{N...M}` in drive arguments.

use super::TopologyError;

/// The most drives that one argument may name.
pub const DRIVES_MAX: usize = 4096;

/// Returns whether `argument` has a pattern, well formed or not.
#[must_use]
pub fn has_ellipses(argument: &str) -> bool {
    argument.contains(['{', '}']) || argument.contains("...")
}

/// Expands the patterns of `argument`; without one it stands for itself.
///
/// The leftmost token varies fastest: `http://host{1...2}/d{1...2}` is host1/d1, host2/d1, host1/d2,
/// host2/d2. Neighbours in the list are then on different hosts, and a set, which takes neighbours,
/// spreads over them.
///
/// A range is padded with zeroes to the width of its right bound when either bound has a leading zero.
///
/// # Errors
/// A malformed or backward range, or one that names thousands of drives.
pub fn expand(argument: &str) -> Result<Vec<String>, TopologyError> {
    let pieces = parse(argument)?;
    let total = pieces
        .iter()
        .try_fold(1usize, |total, piece| {
            total.checked_mul(piece.len()).filter(|t| *t <= DRIVES_MAX)
        })
        .ok_or_else(|| TopologyError::TooManyDrives {
            argument: argument.into(),
            limit: DRIVES_MAX,
        })?;
    Ok((0..total).map(|index| nth(&pieces, index)).collect())
}

enum Piece {
    Text(String),
    Range { first: u64, last: u64, width: usize },
}

impl Piece {
    /// Returns how many values it takes; saturates, for the caller refuses such numbers anyway.
    fn len(&self) -> usize {
        match self {
            Piece::Text(_) => 1,
            Piece::Range { first, last, .. } => usize::try_from((last - first).saturating_add(1)).unwrap_or(usize::MAX),
        }
    }
}

fn nth(pieces: &[Piece], mut index: usize) -> String {
    let mut expanded = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => expanded.push_str(text),
            Piece::Range { first, width, .. } => {
                let value = first + (index % piece.len()) as u64;
                index /= piece.len();
                expanded.push_str(&format!("{value:0width$}"));
            }
        }
    }
    expanded
}

fn parse(argument: &str) -> Result<Vec<Piece>, TopologyError> {
    let invalid = || TopologyError::InvalidEllipses {
        argument: argument.into(),
    };
    let mut pieces = Vec::new();
    let mut rest = argument;
    while let Some((text, after)) = rest.split_once('{') {
        let (range, after) = after.split_once('}').ok_or_else(invalid)?;
        pieces.push(Piece::Text(text.into()));
        pieces.push(parse_range(argument, range)?);
        rest = after;
    }
    pieces.push(Piece::Text(rest.into()));
    let stray = |piece: &Piece| matches!(piece, Piece::Text(text) if has_ellipses(text));
    if pieces.iter().any(stray) {
        return Err(invalid());
    }
    Ok(pieces)
}

fn parse_range(argument: &str, range: &str) -> Result<Piece, TopologyError> {
    let invalid = || TopologyError::InvalidEllipses {
        argument: argument.into(),
    };
    let bound = |text: &str| {
        // `parse` alone would let a sign through.
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten().ok_or_else(invalid)
    };
    let (left, right) = range.split_once("...").ok_or_else(invalid)?;
    let (first, last) = (bound(left)?, bound(right)?);
    if first > last {
        return Err(TopologyError::BackwardRange {
            argument: argument.into(),
            first,
            last,
        });
    }
    let padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let width = if padded(left) || padded(right) { right.len() } else { 0 };
    Ok(Piece::Range { first, last, width })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(argument: &str, expected: &[&str]) {
        assert_eq!(expand(argument).unwrap(), expected, "{argument}");
    }

    #[test]
    fn ranges_expand() {
        check("/data", &["/data"]);
        check("/data{1...4}", &["/data1", "/data2", "/data3", "/data4"]);
        check("/data{7...7}/x", &["/data7/x"]);
        check("/d{0...2}", &["/d0", "/d1", "/d2"]);
        check("/d{9...11}", &["/d9", "/d10", "/d11"]);
    }

    #[test]
    fn leading_zeroes_set_the_width() {
        check("/d{08...11}", &["/d08", "/d09", "/d10", "/d11"]);
        check("/d{1...003}", &["/d001", "/d002", "/d003"]);
        check("/d{098...100}", &["/d098", "/d099", "/d100"]);
    }

    #[test]
    fn the_leftmost_token_is_the_fastest() {
        check(
            "h{1...2}/d{1...3}",
            &["h1/d1", "h2/d1", "h1/d2", "h2/d2", "h1/d3", "h2/d3"],
        );
        check(
            "{1...2}{1...2}/{1...2}",
            &["11/1", "21/1", "12/1", "22/1", "11/2", "21/2", "12/2", "22/2"],
        );
    }

    #[test]
    fn malformed_ranges_are_refused() {
        for argument in [
            "/d{1..4}",
            "/d{1...4",
            "/d1...4}",
            "/d1...4",
            "/d{}",
            "/d{a...c}",
            "/d{1...}",
            "/d{-1...4}",
            "/d{+1...4}",
            "/d{1...4...8}",
            "/d{{1...4}}",
            "/d{1,2}",
            "/d{1...99999999999999999999999}",
            "/d}{1...4}",
        ] {
            assert_eq!(
                expand(argument),
                Err(TopologyError::InvalidEllipses {
                    argument: argument.into()
                }),
                "{argument}"
            );
            assert!(has_ellipses(argument), "{argument}");
        }
        assert_eq!(
            expand("/d{4...1}"),
            Err(TopologyError::BackwardRange {
                argument: "/d{4...1}".into(),
                first: 4,
                last: 1
            })
        );
    }

    #[test]
    fn absurd_ranges_are_refused_before_they_fill_the_memory() {
        for argument in [
            "/d{0...18446744073709551615}",
            "/d{1...4097}",
            "/{1...100}/{1...100}/{1...100}",
        ] {
            assert!(
                matches!(expand(argument), Err(TopologyError::TooManyDrives { .. })),
                "{argument}"
            );
        }
        assert_eq!(expand("/d{1...4096}").unwrap().len(), 4096);
    }
}
