//! Parsers of one-line texts: drive arguments, storage classes, sizes, lists of ETags.

use bolero::{TypeGenerator, check};
use model::record::EtagMatch;
use std::{collections::BTreeSet, path::Path};
use store::{
    api::conditions::parse_etags,
    config::size,
    topology::{Endpoint, NODES_MAX, StorageClasses, Topology, pools},
};

#[derive(Clone, Debug, TypeGenerator)]
enum Piece {
    Known(u8),
    Range(u8, u8, u8),
    Text(String),
}

impl Piece {
    fn text(&self) -> String {
        const KNOWN: [&str; 22] = [
            "/",
            "{",
            "}",
            "...",
            "{1...4}",
            "{01...16}",
            "http://",
            "https://",
            "host",
            ":9000",
            "/mnt/drive",
            ".",
            "..",
            "@",
            "?",
            "#",
            "[::1]",
            "{0...18446744073709551615}",
            " ",
            "127.0.0.1",
            "http://h{1...4}:9000/d",
            "http://h:900{1...4}/d",
        ];
        match self {
            Piece::Known(index) => KNOWN[usize::from(*index) % KNOWN.len()].to_owned(),
            Piece::Range(first, last, width) => {
                let width = usize::from(width % 4);
                format!("{{{first:0width$}...{last:0width$}}}")
            }
            Piece::Text(text) => text.chars().take(12).collect(),
        }
    }
}

/// Drive arguments give a valid topology, or an error.
#[test]
fn drive_arguments_make_sets_or_are_refused() {
    type Input = (Vec<Vec<Piece>>, Option<u8>, (Option<u8>, Option<u8>));
    check!()
        .with_type::<Input>()
        .for_each(|(arguments, forced, (standard, reduced))| {
            let argument = |pieces: &Vec<Piece>| pieces.iter().take(6).map(Piece::text).collect::<String>();
            let arguments: Vec<String> = arguments.iter().take(20).map(argument).collect();
            let forced = forced.map(usize::from);
            if let Ok(pools) = pools(&arguments, 9000, forced) {
                for pool in pools {
                    assert!(pool.set_size == 1 || (4..=16).contains(&pool.set_size), "{pool:?}");
                    assert_eq!(pool.sets() * pool.set_size, pool.endpoints.len());
                    assert!((1..=pool.endpoints.len()).contains(&pool.nodes()));
                    assert!(pool.node_failures_tolerated(1) < pool.nodes().max(1));
                }
            }
            let classes = StorageClasses {
                standard: *standard,
                reduced: *reduced,
            };
            if let Ok(topology) = Topology::resolve(&arguments, Path::new("/srv"), 9000, forced, classes) {
                let distinct: BTreeSet<_> = topology.drives.iter().collect();
                assert_eq!(distinct.len(), topology.drives.len(), "{topology:?}");
                assert!(
                    topology.drives.iter().all(|drive| drive.path.is_absolute()),
                    "{topology:?}"
                );
                assert_eq!(topology.sets * topology.set_size, topology.drives.len());
                let used: BTreeSet<_> = topology.drives.iter().map(|drive| drive.node).collect();
                assert!(used.into_iter().eq(0..topology.nodes.len().max(1)), "{topology:?}");
                assert!(
                    topology.nodes.len() != 1 && topology.nodes.len() <= NODES_MAX,
                    "{topology:?}"
                );
                assert_eq!(topology.scheme.is_some(), !topology.nodes.is_empty(), "{topology:?}");
                assert!(topology.warnings().len() <= 1, "{topology:?}");
                for code in [topology.standard(), topology.reduced()] {
                    assert!(code.data >= code.parity && code.data > 0, "{topology:?}");
                    assert_eq!(usize::from(code.data + code.parity), topology.set_size);
                }
            }
        });
}

/// The leftmost range varies fastest; a leading zero sets the width.
#[test]
fn ranges_of_drives_are_those_of_a_count() {
    type Input = ((u8, u8), (u8, u8), bool);
    check!()
        .with_type::<Input>()
        .for_each(|((outer, first), (inner, second), padded)| {
            let (outer, inner) = (usize::from(outer % 4) + 1, usize::from(inner % 4) + 1);
            let (first, second) = (usize::from(*first), usize::from(*second));
            let width = if *padded { 4 } else { 0 };
            let argument = format!(
                "/x{{{first:0width$}...{:0width$}}}/y{{{second}...{}}}",
                first + outer - 1,
                second + inner - 1
            );
            let expected: Vec<String> = (0..inner)
                .flat_map(|y| (0..outer).map(move |x| format!("/x{:0width$}/y{}", first + x, second + y)))
                .collect();
            match pools(&[argument], 9000, None) {
                Ok(pools) => {
                    let found: Vec<String> = pools[0].endpoints.iter().map(Endpoint::to_string).collect();
                    assert_eq!(found, expected);
                }
                Err(error) => assert!((2..4).contains(&expected.len()), "{error}: {expected:?}"),
            }
        });
}

#[test]
fn storage_classes_are_read_or_refused() {
    check!()
        .with_type::<(u16, Piece, bool)>()
        .for_each(|(parity, piece, exact)| {
            let text = if *exact {
                format!("EC:{parity}")
            } else {
                format!("EC:{}", piece.text())
            };
            match StorageClasses::parse(Some(&text), None) {
                Ok(classes) => {
                    let digits = text.trim_start_matches("EC:").trim_start_matches('0');
                    let parity = classes.standard.expect("a class");
                    assert_eq!(if digits.is_empty() { "0" } else { digits }, parity.to_string());
                    for set_size in 0..20 {
                        if let Ok((standard, _)) = classes.resolve(set_size) {
                            assert!(usize::from(standard) * 2 <= set_size);
                        }
                    }
                }
                Err(_) => assert!(!exact || *parity > 255, "{text}"),
            }
            StorageClasses::parse(None, Some(&piece.text())).ok();
        });
}

#[test]
fn sizes_are_read_and_written() {
    const UNITS: [(&str, u64); 12] = [
        ("", 1),
        ("B", 1),
        ("K", 1 << 10),
        (" KiB", 1 << 10),
        ("kb", 1000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("g", 1 << 30),
        ("GB", 1_000_000_000),
        ("TiB", 1 << 40),
        ("PiB", 1 << 50),
        ("EiB", 1 << 60),
    ];
    check!()
        .with_type::<(u64, u8, Vec<Piece>)>()
        .for_each(|(number, unit, pieces)| {
            let (unit, bytes) = UNITS[usize::from(*unit) % UNITS.len()];
            // Beyond 2^53 numbers are rounded, as those with a fraction are.
            let number = number % (1 << 53);
            let expected = u128::from(number) * u128::from(bytes);
            match size::parse(&format!("{number}{unit}")) {
                Ok(found) => {
                    assert!((1..=1 << 64).contains(&expected), "a size that fits");
                    let expected = expected as f64;
                    assert!(
                        (found as f64 - expected).abs() <= expected / (1u64 << 52) as f64,
                        "{number}{unit}"
                    );
                    if expected < (1u64 << 53) as f64 {
                        assert_eq!(found, expected as u64);
                    }
                    size::parse(&size::format(found)).expect("what is written is read");
                }
                Err(error) => assert!(expected == 0 || expected > (1 << 64) - 2048, "{error}"),
            }
            let text: String = pieces.iter().take(4).map(Piece::text).collect();
            assert!(size::parse(&text).is_ok_and(|bytes| bytes > 0) || size::parse(&text).is_err());
        });
}

/// A list of ETags matches exactly those in it, in any of the forms that clients write.
#[test]
fn lists_of_etags_match_what_is_in_them() {
    type Input = (Vec<(u128, u8)>, u128, String);
    check!().with_type::<Input>().for_each(|(etags, other, text)| {
        let form = |(etag, form): &(u128, u8)| match form % 5 {
            0 => format!("{etag:032x}"),
            1 => format!("\"{etag:032x}\""),
            2 => format!(" W/\"{etag:032x}\" "),
            3 => format!("\t\"{etag:032x}\""),
            _ => format!("\"{etag:032x}-17\""),
        };
        let list = etags.iter().map(form).collect::<Vec<_>>().join(",");
        let matcher = parse_etags(&list);
        for (etag, form) in etags {
            let suffix = if form % 5 == 4 { "-17" } else { "" };
            assert!(matcher.matches(&format!("{etag:032x}{suffix}")), "{list}");
        }
        let known = etags.iter().any(|(etag, form)| etag == other && form % 5 < 4);
        assert_eq!(matcher.matches(&format!("{other:032x}")), known, "{list}");
        assert_eq!(parse_etags(text) == EtagMatch::Any, text.trim() == "*");
    });
}
