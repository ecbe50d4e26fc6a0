//! `impl erasure`: what a number of drives or a layout gives, before anything is bought or formatted.

use super::{fail, print, report};
use crate::config::{DEFAULT_PORT, size};
use crate::topology::{Code, Endpoint, Pool, TopologyError, default_parity, pools};
use clap::Args;
use serde::Serialize;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  Sixteen drives with the default parity
    impl erasure 16

  The same with eight for parity, and what is left of drives of 4 TiB
    impl erasure 16 --parity 8 --drive-size 4TiB

  Every parity that twelve drives allow
    impl erasure 12 --all

  Four nodes with four drives each: how many nodes may fail
    impl erasure http://node{1...4}/drive{1...4} --parity 8

A read needs as many drives of an object's set as it has data shards, and a write as many; one
more when data and parity are equal, so that neither half of a set that is cut in two may write.
What may fail is counted for objects whose shards are all in place: an object that was written
while drives were missing can lose fewer until it is healed.
";

/// Calculate usable space, quorums and tolerated failures
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct ErasureArgs {
    /// A number of drives, or drives as `impl server` takes them, also http://host{1...4}/drive{1...4}
    #[arg(value_name = "DRIVES", required = true)]
    layout: Vec<String>,
    /// Drives of each set that hold parity: 4, or EC:4 [default: by set size]
    #[arg(long, value_name = "M", value_parser = parse_parity, conflicts_with = "all")]
    parity: Option<u8>,
    /// Show every parity that is possible
    #[arg(long)]
    all: bool,
    /// Size of one drive, for example 4TiB or 500GB
    #[arg(long, value_name = "SIZE", value_parser = parse_drive_size)]
    drive_size: Option<u64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Maximum size of a drive: more than any has, and little enough to be multiplied.
const DRIVE_SIZE_BYTES_MAX: u64 = 1 << 50;

/// Report of a pool.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PoolReport {
    /// All its drives.
    pub drives: usize,
    /// The nodes that serve them; `None` when no layout was given and nothing is known of nodes.
    pub nodes: Option<usize>,
    /// Number of erasure sets.
    pub sets: usize,
    /// N, the drives of a set.
    pub set_size: usize,
    /// The parities asked for.
    pub parities: Vec<ParityReport>,
}

/// Report of a parity.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParityReport {
    /// Parity shards of an object: M.
    pub parity: u8,
    /// Data shards of an object: K.
    pub data: u8,
    /// It is the default.
    pub default: bool,
    /// Usable over raw space.
    pub usable_ratio: f64,
    /// Space for objects, when the size of a drive was given.
    pub usable_bytes: Option<u64>,
    /// Space of the drives, when it was given.
    pub raw_bytes: Option<u64>,
    /// Drives of a set that a read needs.
    pub read_quorum: u8,
    /// Drives of a set that a write needs.
    pub write_quorum: u8,
    /// Failures in each set after which reads, and writes, still succeed.
    pub drive_failures_tolerated: Tolerated,
    /// The same for nodes.
    pub node_failures_tolerated: Option<Tolerated>,
}

/// A number of failures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Tolerated {
    /// Reads go on.
    pub reads: usize,
    /// Writes go on.
    pub writes: usize,
}

/// Prints the calculation.
pub(super) fn run(args: &ErasureArgs) -> ExitCode {
    match calculate(args) {
        Ok(pools) if args.json => print(&report::to_json(&pools)),
        Ok(pools) => print(&report::to_text(&pools)),
        Err(error) => fail(&error),
    }
}

fn calculate(args: &ErasureArgs) -> Result<Vec<PoolReport>, TopologyError> {
    pools_of(&args.layout)?
        .iter()
        .map(|pool| pool_report(pool, args))
        .collect()
}

/// Numbers are pools of so many drives; anything else is read as a server reads it.
fn pools_of(layout: &[String]) -> Result<Vec<Pool>, TopologyError> {
    let counts: Vec<Option<usize>> = layout.iter().map(|argument| argument.parse().ok()).collect();
    if counts.iter().all(Option::is_none) {
        return pools(layout, DEFAULT_PORT, None);
    }
    let count_or_error = |(count, argument): (Option<usize>, &String)| {
        let count = count.ok_or_else(|| TopologyError::MixedCounts {
            argument: argument.clone(),
        })?;
        Pool::of_count(count)
    };
    counts.into_iter().zip(layout).map(count_or_error).collect()
}

fn pool_report(pool: &Pool, args: &ErasureArgs) -> Result<PoolReport, TopologyError> {
    let default = default_parity(pool.set_size);
    let parities = match (args.all, args.parity) {
        (true, _) => 0..=(pool.set_size / 2) as u8,
        (false, parity) => parity.unwrap_or(default)..=parity.unwrap_or(default),
    };
    let parity_report = |parity| {
        let code = Code::new("--parity", pool.set_size, parity)?;
        Ok(parity_report(pool, code, parity == default, args.drive_size))
    };
    Ok(PoolReport {
        drives: pool.endpoints.len(),
        nodes: on_nodes(pool).then(|| pool.nodes()),
        sets: pool.sets(),
        set_size: pool.set_size,
        parities: parities.map(parity_report).collect::<Result<_, _>>()?,
    })
}

fn parity_report(pool: &Pool, code: Code, default: bool, drive_bytes: Option<u64>) -> ParityReport {
    let (read, write) = (usize::from(code.read_quorum()), usize::from(code.write_quorum()));
    // 4096 drives of 1 PiB are 2^62 bytes.
    let space = |drives: usize| drive_bytes.map(|bytes| bytes * drives as u64);
    let nodes = Tolerated {
        reads: pool.node_failures_tolerated(read),
        writes: pool.node_failures_tolerated(write),
    };
    ParityReport {
        parity: code.parity,
        data: code.data,
        default,
        usable_ratio: code.usable_ratio(),
        usable_bytes: space(pool.sets() * usize::from(code.data)),
        raw_bytes: space(pool.endpoints.len()),
        read_quorum: code.read_quorum(),
        write_quorum: code.write_quorum(),
        drive_failures_tolerated: Tolerated {
            reads: pool.set_size - read,
            writes: pool.set_size - write,
        },
        node_failures_tolerated: on_nodes(pool).then_some(nodes),
    }
}

/// Returns whether the layout says which node has which drive.
fn on_nodes(pool: &Pool) -> bool {
    pool.endpoints
        .iter()
        .any(|endpoint| matches!(endpoint, Endpoint::Remote { .. }))
}

fn parse_parity(text: &str) -> Result<u8, String> {
    let number = text.strip_prefix("EC:").unwrap_or(text);
    number
        .parse()
        .map_err(|_| "expected a number of drives, for example 4".into())
}

fn parse_drive_size(text: &str) -> Result<u64, String> {
    let bytes = size::parse(text)?;
    if bytes > DRIVE_SIZE_BYTES_MAX {
        return Err(format!(
            "at most {} can be calculated with",
            size::format(DRIVE_SIZE_BYTES_MAX)
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ErasureArgs,
    }

    fn run(line: &str) -> Result<Vec<PoolReport>, String> {
        let words = std::iter::once("erasure").chain(line.split_whitespace());
        calculate(&Line::try_parse_from(words).unwrap().args).map_err(|error| error.to_string())
    }

    /// Returns what the program prints for `impl erasure LINE`.
    fn shown(line: &str) -> String {
        run(line).map_or_else(|error| format!("error: {error}\n"), |pools| report::to_text(&pools))
    }

    #[test]
    fn texts() {
        insta::assert_snapshot!("erasure_16", shown("16 --parity 4"));
        insta::assert_snapshot!("erasure_16_ec6", shown("16 --parity 6"));
        insta::assert_snapshot!("erasure_16_ec8", shown("16 --parity EC:8 --drive-size 4TiB"));
        insta::assert_snapshot!("erasure_16_all", shown("16 --all --drive-size 500GB"));
        insta::assert_snapshot!("erasure_4", shown("4"));
        insta::assert_snapshot!("erasure_1", shown("1"));
        insta::assert_snapshot!("erasure_18", shown("18"));
        insta::assert_snapshot!("erasure_4x4", shown("http://host{1...4}/d{1...4} --parity 8"));
        insta::assert_snapshot!("erasure_4x4_all", shown("http://host{1...4}/d{1...4} --all"));
        insta::assert_snapshot!(
            "erasure_two_pools",
            shown("http://a{1...4}/d{1...4} http://b{1...8}/d --drive-size 1TiB")
        );
    }

    #[test]
    fn refusals() {
        let lines = [
            "2",
            "3",
            "19",
            "31",
            "34",
            "0",
            "16 --parity 9",
            "1 --parity 1",
            "16 /d",
            "http://h{1...17}/d{1...2}",
        ];
        insta::assert_snapshot!(
            "erasure_refusals",
            lines.map(|line| format!("{line}\n  {}", shown(line))).concat()
        );
    }

    #[test]
    fn json() {
        let pools = run("http://host{1...4}/d{1...4} --drive-size 1TiB").unwrap();
        insta::assert_snapshot!("erasure_json", report::to_json(&pools));
    }

    #[test]
    fn reference_figures() {
        for (line, sets, ratio, read, write) in [
            ("16 --parity 4", (1, 16), 0.750, 12, 12),
            ("16 --parity 6", (1, 16), 0.625, 10, 10),
            ("16 --parity 8", (1, 16), 0.500, 8, 9),
            ("4", (1, 4), 0.500, 2, 3),
            ("18", (2, 9), 5.0 / 9.0, 5, 5),
        ] {
            let pool = run(line).unwrap().remove(0);
            let parity = &pool.parities[0];
            assert_eq!((pool.sets, pool.set_size), sets, "{line}");
            assert_eq!(
                (parity.usable_ratio, parity.read_quorum, parity.write_quorum),
                (ratio, read, write),
                "{line}"
            );
        }
    }
}
