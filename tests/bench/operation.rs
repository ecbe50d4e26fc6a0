//! Operations of the benchmark, each defined by a kind and a size.

use std::fmt;
use std::str::FromStr;

/// Object sizes of the whole table, in bytes.
const SIZES: [u64; 4] = [4 << 10, 64 << 10, 1 << 20, 64 << 20];
/// Numbers of keys of the listings of the whole table.
const LISTINGS: [u64; 2] = [10_000, 100_000];
/// Number of keys of one DeleteObjects; S3's maximum.
const DELETED_KEYS_MAX: u64 = 1_000;
/// Size in bytes of the objects of operations that are about keys.
const LISTED_BYTES: u64 = 4 << 10;
/// Largest object in bytes: the generator holds random bytes for it in memory.
const OBJECT_BYTES_MAX: u64 = 1 << 30;
/// Bytes of the objects among which one is read, within these counts of objects.
const READ_BYTES: u64 = 256 << 20;
const READ_OBJECTS_MIN: u64 = 8;
const READ_OBJECTS_MAX: u64 = 10_000;
/// Object size in bytes from which on CPU time is also reported for a GiB.
const BULK_BYTES_MIN: u64 = 64 << 10;
const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Kind of request (for a listing: of a series of pages).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// PUT of a new object in one request.
    Put,
    /// GET of a random existing object.
    Get,
    /// HEAD of a random existing object.
    Head,
    /// DELETE of an existing object.
    Delete,
    /// Listing in pages of 1,000 keys.
    List,
    /// DeleteObjects of existing keys.
    DeleteObjects,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Put,
        Kind::Get,
        Kind::Head,
        Kind::Delete,
        Kind::List,
        Kind::DeleteObjects,
    ];

    fn name(self) -> &'static str {
        match self {
            Kind::Put => "put",
            Kind::Get => "get",
            Kind::Head => "head",
            Kind::Delete => "delete",
            Kind::List => "list",
            Kind::DeleteObjects => "delete-objects",
        }
    }

    /// Returns whether the size is a number of keys, not of object bytes.
    fn counts_keys(self) -> bool {
        matches!(self, Kind::List | Kind::DeleteObjects)
    }

    /// Returns the operation of this kind and size; the size is written as in an operation's name.
    fn of_size(self, text: &str) -> Result<Operation, String> {
        let size = match self {
            Kind::List => parse_listing(text)?,
            Kind::DeleteObjects => {
                let keys = text.parse().ok().filter(|keys| (1..=DELETED_KEYS_MAX).contains(keys));
                keys.ok_or(format!("{text}: not a number of keys from 1 to {DELETED_KEYS_MAX}"))?
            }
            Kind::Put | Kind::Get | Kind::Head | Kind::Delete => parse_size(text)?,
        };
        Ok(Operation { kind: self, size })
    }
}

/// Measured operation, such as `put-4KiB` or `list-100000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    pub kind: Kind,
    /// Object size in bytes; for a listing and DeleteObjects the number of keys.
    pub size: u64,
}

impl Operation {
    /// Returns the size in bytes of each of its objects.
    pub fn object_bytes(self) -> u64 {
        if self.kind.counts_keys() {
            LISTED_BYTES
        } else {
            self.size
        }
    }

    /// Returns the number of keys of one such operation.
    pub fn keys(self) -> u64 {
        if self.kind.counts_keys() { self.size } else { 1 }
    }

    /// Returns the number of objects that must exist before it runs and that it leaves in place.
    pub fn objects_read(self) -> u64 {
        match self.kind {
            Kind::Get | Kind::Head => (READ_BYTES / self.size).clamp(READ_OBJECTS_MIN, READ_OBJECTS_MAX),
            Kind::List => self.size,
            Kind::Put | Kind::Delete | Kind::DeleteObjects => 0,
        }
    }

    /// Returns the default number of connections.
    pub fn connections_default(self) -> usize {
        if self.kind.counts_keys() { 1 } else { 16 }
    }

    /// Returns CPU time per unit of work: a GiB of object bytes, a key, or `None` if the operation itself is the unit.
    pub fn cpu_for_unit(self, cpu_us: f64) -> Option<(f64, &'static str)> {
        match self.kind {
            Kind::List | Kind::DeleteObjects => Some((cpu_us / self.size as f64, "µs/key")),
            Kind::Put | Kind::Get if self.size >= BULK_BYTES_MIN => {
                let ops_per_gib = f64::from(1 << 30) / self.size as f64;
                Some((cpu_us * ops_per_gib / 1e6, "s/GiB"))
            }
            Kind::Put | Kind::Get | Kind::Head | Kind::Delete => None,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.name();
        if self.kind.counts_keys() {
            f.pad(&format!("{kind}-{}", self.size))
        } else {
            f.pad(&format!("{kind}-{}", size_text(self.size)))
        }
    }
}

/// Selected operation, or a kind at every selected size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selector {
    /// For example `put`.
    Kind(Kind),
    /// For example `put-4KiB`.
    Operation(Operation),
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Selector, String> {
        let kind_of = |name: &str| Kind::ALL.into_iter().find(|kind| kind.name() == name);
        if let Some(kind) = kind_of(text) {
            return Ok(Selector::Kind(kind));
        }
        let (kind, size) = text.rsplit_once('-').unwrap_or((text, ""));
        let kind = kind_of(kind).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            format!("{text}: not one of {names}, alone or with a size, as in put-4KiB")
        })?;
        kind.of_size(size).map(Selector::Operation)
    }
}

/// Selection of operations to measure.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// True for the whole table.
    pub all: bool,
    /// Operations selected by name.
    pub selectors: Vec<Selector>,
    /// Selected object sizes, in bytes.
    pub sizes: Vec<u64>,
    /// Selected numbers of keys of a listing.
    pub listings: Vec<u64>,
}

impl Selection {
    /// Returns the operations: those named, in that order; else those of the selected sizes, smallest first, so that
    /// data that is read was mostly written just before; else the most important few.
    pub fn operations(&self) -> Vec<Operation> {
        let sizes = or_default(&self.sizes, &SIZES);
        let listings = or_default(&self.listings, &LISTINGS);
        let at_sizes = |kind: Kind| {
            let sizes = match kind {
                Kind::List => listings,
                Kind::DeleteObjects => &[DELETED_KEYS_MAX],
                Kind::Put | Kind::Get | Kind::Head | Kind::Delete => sizes,
            };
            sizes.iter().map(move |&size| Operation { kind, size })
        };
        if !self.selectors.is_empty() {
            let of_selector = |&selector: &Selector| match selector {
                Selector::Kind(kind) => at_sizes(kind).collect(),
                Selector::Operation(operation) => vec![operation],
            };
            return self.selectors.iter().flat_map(of_selector).collect();
        }
        let is_asked = |kind: &Kind| match kind {
            Kind::List => self.all || !self.listings.is_empty(),
            Kind::DeleteObjects => self.all,
            Kind::Put | Kind::Get | Kind::Head | Kind::Delete => self.all || !self.sizes.is_empty(),
        };
        let asked = Kind::ALL.into_iter().filter(is_asked).flat_map(at_sizes);
        let mut operations: Vec<Operation> = asked.collect();
        // A stable sort: the kinds of one size stay in order, and operations about keys, the longest, come last.
        operations.sort_by_key(|operation| (operation.kind.counts_keys(), operation.object_bytes()));
        if operations.is_empty() {
            let (small, large) = (4 << 10, 1 << 20);
            let of = |kind, size| Operation { kind, size };
            return vec![
                of(Kind::Put, small),
                of(Kind::Get, small),
                of(Kind::List, LISTINGS[0]),
                of(Kind::Put, large),
                of(Kind::Get, large),
            ];
        }
        operations
    }
}

fn or_default<'a>(asked: &'a [u64], default: &'a [u64]) -> &'a [u64] {
    if asked.is_empty() { default } else { asked }
}

/// Parses an object size, such as `4KiB`, into bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let bytes = UNITS.iter().find_map(|(unit, bytes)| {
        let count: u64 = text.strip_suffix(unit)?.parse().ok()?;
        count.checked_mul(*bytes)
    });
    let bytes = bytes.filter(|bytes| (1..=OBJECT_BYTES_MAX).contains(bytes));
    bytes.ok_or_else(|| format!("{text:?}: not a size from 1B to 1GiB, such as 64KiB"))
}

/// Parses the number of keys of a listing: a power of ten, so that the keys are all those with one prefix.
pub fn parse_listing(text: &str) -> Result<u64, String> {
    let keys: Option<u64> = text.parse().ok();
    let keys = keys.filter(|&keys| (10..=10_000_000).contains(&keys) && 10_u64.pow(keys.ilog10()) == keys);
    keys.ok_or_else(|| format!("{text:?}: not a power of ten from 10 to 10000000"))
}

/// Formats a size as in names, such as `4KiB`.
pub fn size_text(bytes: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit_bytes)| bytes.is_multiple_of(*unit_bytes));
    let (unit, unit_bytes) = unit.unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / unit_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(selection: &Selection) -> String {
        let names: Vec<String> = selection.operations().iter().map(Operation::to_string).collect();
        names.join(" ")
    }

    fn select(selectors: &[&str], sizes: &[u64], listings: &[u64]) -> String {
        names(&Selection {
            all: false,
            selectors: selectors.iter().map(|text| text.parse().unwrap()).collect(),
            sizes: sizes.to_vec(),
            listings: listings.to_vec(),
        })
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let all = Selection {
            all: true,
            ..Selection::default()
        };
        for operation in all.operations() {
            assert_eq!(operation.to_string().parse(), Ok(Selector::Operation(operation)));
        }
        for name in ["put-1500B", "get-1GiB", "list-1000", "delete-objects-7"] {
            assert_eq!(select(&[name], &[], &[]), name);
        }
    }

    #[test]
    fn what_is_no_operation() {
        for text in [
            "",
            "post",
            "post-4KiB",
            "put-",
            "put-4",
            "put-4kb",
            "put-0B",
            "put-2GiB",
            "put-99999999999999GiB",
            "list-4KiB",
            "list-5000",
            "list-1",
            "delete-objects-1001",
            "delete-objects-0",
        ] {
            assert!(text.parse::<Selector>().is_err(), "{text}");
        }
    }

    #[test]
    fn selections() {
        assert_eq!(select(&[], &[], &[]), "put-4KiB get-4KiB list-10000 put-1MiB get-1MiB");
        assert_eq!(
            select(&["list", "put"], &[], &[]),
            "list-10000 list-100000 put-4KiB put-64KiB put-1MiB put-64MiB"
        );
        assert_eq!(
            select(&["head", "delete-objects", "get-1B"], &[4 << 10], &[]),
            "head-4KiB delete-objects-1000 get-1B"
        );
        assert_eq!(
            select(&[], &[1 << 20, 1 << 10], &[]),
            "put-1KiB get-1KiB head-1KiB delete-1KiB put-1MiB get-1MiB head-1MiB delete-1MiB"
        );
        assert_eq!(select(&[], &[], &[100]), "list-100");
        let all = Selection {
            all: true,
            ..Selection::default()
        };
        assert_eq!(all.operations().len(), 4 * 4 + 2 + 1);
        assert!(names(&all).ends_with("delete-64MiB list-10000 list-100000 delete-objects-1000"));
    }

    #[test]
    fn cpu_time_is_told_for_what_an_operation_is_about() {
        let of = |name: &str, cpu_us| match name.parse() {
            Ok(Selector::Operation(operation)) => operation.cpu_for_unit(cpu_us),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(of("put-1MiB", 1_000.0), Some((1.024, "s/GiB")));
        assert_eq!(of("get-64MiB", 64_000.0), Some((1.024, "s/GiB")));
        assert_eq!(of("list-10000", 61_000.0), Some((6.1, "µs/key")));
        assert_eq!(of("delete-objects-1000", 61_000.0), Some((61.0, "µs/key")));
        assert_eq!(of("put-4KiB", 1_000.0), None);
        assert_eq!(of("head-64MiB", 1_000.0), None);
    }
}
