//! The calculator's output.

use super::{
    banner::count,
    erasure::{ParityReport, PoolReport, Tolerated},
};
use crate::config::size;
use serde_json::json;
use std::fmt::Write;

/// Formats reports for people: a list for one parity, a table for several.
pub fn to_text(pools: &[PoolReport]) -> String {
    let mut text = String::new();
    for (index, pool) in pools.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        if pools.len() > 1 {
            text.push_str(&format!("Pool {}: ", index + 1));
        }
        text.push_str(&heading(pool));
        match pool.parities.as_slice() {
            [only] => list(&mut text, pool, only),
            several => table(&mut text, several),
        }
    }
    text
}

/// Formats reports as one JSON document.
pub fn to_json(pools: &[PoolReport]) -> String {
    format!("{:#}\n", json!({ "pools": pools }))
}

fn heading(pool: &PoolReport) -> String {
    let nodes = pool
        .nodes
        .map(|nodes| format!(" on {}", count(nodes, "node")))
        .unwrap_or_default();
    format!(
        "{}{nodes}: {} × {}\n",
        count(pool.drives, "drive"),
        count(pool.sets, "set"),
        pool.set_size
    )
}

fn list(text: &mut String, pool: &PoolReport, parity: &ParityReport) {
    let mut row = |name: &str, value: String| writeln!(text, "  {name:<22} {value}").expect("a string takes text");
    let of_set = |drives: u8| format!("{drives} of {}", count(pool.set_size, "drive"));
    let default = if parity.default { " (default)" } else { "" };
    row(
        "Parity",
        format!(
            "EC:{}{default}, {} data + {} parity",
            parity.parity, parity.data, parity.parity
        ),
    );
    row("Usable space", usable(parity));
    row("Read quorum", of_set(parity.read_quorum));
    row("Write quorum", of_set(parity.write_quorum));
    row(
        "Drives that may fail",
        format!("{}, in each set", tolerated(parity.drive_failures_tolerated)),
    );
    if let Some(nodes) = parity.node_failures_tolerated {
        row("Nodes that may fail", tolerated(nodes));
    }
}

fn usable(parity: &ParityReport) -> String {
    let ratio = format!("ratio {:.3}", parity.usable_ratio);
    match (parity.usable_bytes, parity.raw_bytes) {
        (Some(usable), Some(raw)) => format!("{ratio}, {} of {}", size::format(usable), size::format(raw)),
        _ => ratio,
    }
}

fn tolerated(failures: Tolerated) -> String {
    format!("{} for reads, {} for writes", failures.reads, failures.writes)
}

fn table(text: &mut String, parities: &[ParityReport]) {
    let with_size = parities.iter().any(|parity| parity.usable_bytes.is_some());
    let with_nodes = parities.iter().any(|parity| parity.node_failures_tolerated.is_some());
    let mut columns = vec!["Parity", "Ratio"];
    if with_size {
        columns.push("Usable");
    }
    columns.extend(["Read quorum", "Write quorum", "Drives lost: reads", "writes"]);
    if with_nodes {
        columns.extend(["Nodes lost: reads", "writes"]);
    }
    let mut line = |cells: Vec<String>, mark: &str| {
        let padded = cells
            .iter()
            .zip(&columns)
            .map(|(cell, column)| format!("{cell:>0$}", column.len().max(9)));
        writeln!(text, "  {}{mark}", padded.collect::<Vec<_>>().join("  ")).expect("a string takes text");
    };
    line(columns.iter().map(|column| (*column).to_owned()).collect(), "");
    for parity in parities {
        line(cells(parity), if parity.default { "  (default)" } else { "" });
    }
}

/// Returns the cells of a row, in the order of the columns.
fn cells(parity: &ParityReport) -> Vec<String> {
    let mut cells = vec![format!("EC:{}", parity.parity), format!("{:.3}", parity.usable_ratio)];
    cells.extend(parity.usable_bytes.map(size::format));
    let quorums = [parity.read_quorum, parity.write_quorum].map(usize::from);
    let drives = parity.drive_failures_tolerated;
    cells.extend(
        quorums
            .into_iter()
            .chain([drives.reads, drives.writes])
            .map(|number| number.to_string()),
    );
    if let Some(nodes) = parity.node_failures_tolerated {
        cells.extend([nodes.reads, nodes.writes].map(|number| number.to_string()));
    }
    cells
}
