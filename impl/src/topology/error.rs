//! Errors of drive arguments. Each message says what was given and what would work.

use super::NodeAddress;

/// A refused layout, parity or storage class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// No drives.
    #[error("no drives given: name one folder, or at least 4, for example /data or /data{{1...4}}")]
    NoDrives,
    /// A pattern that is not `{N...M}`.
    #[error("{argument}: a range is written {{N...M}} with three dots and whole numbers, for example /data{{1...4}}")]
    InvalidEllipses {
        /// The argument as given.
        argument: String,
    },
    /// A range that runs backwards.
    #[error("{argument}: the range starts at {first}, after its end {last}")]
    BackwardRange {
        /// The argument as given.
        argument: String,
        /// The bound before the dots.
        first: u64,
        /// The bound after the dots.
        last: u64,
    },
    /// A pattern that stands for an absurd number of drives.
    #[error("{argument}: this names more than {limit} drives")]
    TooManyDrives {
        /// The argument as given.
        argument: String,
        /// The most that one argument may name.
        limit: usize,
    },
    /// Some arguments have ellipses and some have none.
    #[error("{argument}: when one argument has a range {{N...M}}, each is a pool and needs one")]
    MixedEllipses {
        /// The first argument without one.
        argument: String,
    },
    /// Drive counts and paths together.
    #[error("{argument}: give either drive counts or layouts, not both")]
    MixedCounts {
        /// The first argument that differs from those before it.
        argument: String,
    },
    /// Paths and URLs together, or http and https.
    #[error("{argument}: all drives must be given in the same way: paths, or URLs of one scheme")]
    MixedStyles {
        /// The first argument that differs from those before it.
        argument: String,
    },
    /// A path in quotes, or half of one.
    #[error("{argument}: a drive's path must not begin or end with a quote; give it without quotes")]
    Quote {
        /// The endpoint as given.
        argument: String,
    },
    /// An empty path or the root of the file system.
    #[error("{argument:?}: a drive must be a folder of its own, not the root")]
    RootPath {
        /// The endpoint as given.
        argument: String,
    },
    /// A URL that is not `http(s)://host[:port]/path`.
    #[error("{argument}: {reason}; a drive on another node is written http://host:port/path")]
    InvalidUrl {
        /// The endpoint as given.
        argument: String,
        /// The defect.
        reason: &'static str,
    },
    /// The same drive twice.
    #[error("{endpoint}: given twice; every drive must be a folder of its own")]
    Duplicate {
        /// The drive.
        endpoint: String,
    },
    /// One folder under two ports of its host.
    #[error("{first} and {second} are one folder, served by two processes; every drive must be a folder of its own")]
    ServedTwice {
        /// The drive.
        first: String,
        /// The same with another port.
        second: String,
    },
    /// Nested folders.
    #[error("{inner} lies inside {outer}; every drive must be a folder of its own")]
    Nested {
        /// The folder that contains the other.
        outer: String,
        /// The folder within it.
        inner: String,
    },
    /// Two or three drives.
    #[error("{drives} drives are too few to protect objects: give 1 drive, or at least 4")]
    TooFewDrives {
        /// Number of drives.
        drives: usize,
    },
    /// A drive count without a fitting set size.
    #[error("{drives} drives{} cannot be divided into equal erasure sets of 4 to 16 drives{}; {}",
        on_nodes(*nodes), if *nodes > 1 { " that spread evenly over the nodes" } else { "" }, would_work(working))]
    NoSetSize {
        /// Number of drives.
        drives: usize,
        /// Number of nodes.
        nodes: usize,
        /// Counts near it that would work: (drives, sets, set size).
        working: Vec<(usize, usize, usize)>,
    },
    /// `MINIO_ERASURE_SET_DRIVE_COUNT` does not fit.
    #[error("sets of {asked} drives cannot be made of {drives}; possible: {}", list(possible))]
    SetSizeNotPossible {
        /// The set size asked for.
        asked: usize,
        /// Number of drives.
        drives: usize,
        /// The sizes that divide them.
        possible: Vec<usize>,
    },
    /// A value that is not a whole number.
    #[error("{name}={value}: expected a whole number")]
    NotANumber {
        /// The variable.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// A storage class that is not `EC:n`.
    #[error("{name}={value}: expected EC:n, where n is the number of parity drives, for example EC:4")]
    InvalidStorageClass {
        /// The variable.
        name: &'static str,
        /// The value.
        value: String,
    },
    /// More parity than half of a set.
    #[error("{name}: parity {parity} is too high for sets of {set_size} drives, at most {} is possible", set_size / 2)]
    ParityTooHigh {
        /// Name of the setting.
        name: &'static str,
        /// The parity asked for.
        parity: u8,
        /// Drives of an erasure set: N.
        set_size: usize,
    },
    /// The reduced class has more parity than the standard one.
    #[error("the reduced redundancy class has more parity ({reduced}) than the standard class ({standard})")]
    ReducedAboveStandard {
        /// Parity of the standard class.
        standard: u8,
        /// Parity of the reduced class.
        reduced: u8,
    },
    /// URLs, all of one server.
    #[error("all URLs are of one node, {node}; give its folders as paths, for example {path}")]
    OneNode {
        /// The node.
        node: NodeAddress,
        /// The folder of its first drive.
        path: String,
    },
    /// More nodes than a deployment can have.
    #[error("the URLs name {nodes} nodes, and a deployment has at most {limit}; give fewer nodes more drives each")]
    TooManyNodes {
        /// Number of nodes.
        nodes: usize,
        /// The most there can be.
        limit: usize,
    },
    /// More than one pool.
    #[error("{pools} pools given: several pools are not supported yet; give one argument, or plain folders")]
    SeveralPools {
        /// Number of pools.
        pools: usize,
    },
}

fn on_nodes(nodes: usize) -> String {
    if nodes > 1 {
        format!(" on {nodes} nodes")
    } else {
        String::new()
    }
}

fn would_work(working: &[(usize, usize, usize)]) -> String {
    if working.is_empty() {
        return "no number of drives per node makes it work".into();
    }
    let counts: Vec<_> = working
        .iter()
        .map(|(drives, sets, size)| format!("{drives} ({sets} × {size})"))
        .collect();
    format!("{} would work", counts.join(" or "))
}

fn list(sizes: &[usize]) -> String {
    if sizes.is_empty() {
        return "none".into();
    }
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}
