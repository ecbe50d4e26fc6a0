//! Report of the benchmark: tables, or one JSON document.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::load::Run;
use crate::operation::Operation;

const OPERATIONS_HEAD: &str = "\
| operation           | conn. |    op/s |  p50 ms |  p99 ms | CPU µs/op |       CPU for | client µs/op |
|---------------------|------:|--------:|--------:|--------:|----------:|--------------:|-------------:|";
const STOPPED_HEAD: &str = "\
| operation           | conn. | p99, times healthy | errors in 2 s | slowest in 2 s, in ms |
|---------------------|------:|-------------------:|--------------:|----------------------:|";
/// Most that p99 may grow by when a node is stopped.
const STOPPED_P99_RATIO_MAX: f64 = 3.0;
const FACTS_HEAD: &str = "\
| process                       |           |
|-------------------------------|----------:|";

/// Figures of one run of an operation on one server.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub ops_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// CPU time of the server for one operation; `None` if its process is not known.
    pub server_cpu_us: Option<f64>,
    /// CPU time of the load generator for one operation.
    pub client_cpu_us: f64,
}

impl Figures {
    /// Computes the figures of a run and the CPU time of server and generator during it.
    pub fn new(run: &Run, server_cpu: Option<Duration>, client_cpu: Duration) -> Figures {
        let ops = run.ops().max(1) as f64;
        let milliseconds = |latency: Duration| latency.as_secs_f64() * 1e3;
        Figures {
            ops_per_second: ops / run.elapsed.as_secs_f64(),
            p50_ms: milliseconds(run.percentile(0.5)),
            p99_ms: milliseconds(run.percentile(0.99)),
            server_cpu_us: server_cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / ops),
            client_cpu_us: client_cpu.as_secs_f64() * 1e6 / ops,
        }
    }

    /// Returns the median of several rounds, for each figure.
    fn median(rounds: &[Figures]) -> Figures {
        let of = |figure: fn(&Figures) -> f64| median(rounds.iter().map(figure));
        let server_cpu_us = rounds.iter().filter_map(|round| round.server_cpu_us);
        Figures {
            ops_per_second: of(|round| round.ops_per_second),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
            server_cpu_us: (server_cpu_us.clone().count() > 0).then(|| median(server_cpu_us)),
            client_cpu_us: of(|round| round.client_cpu_us),
        }
    }
}

/// Figures of one run while the last node was stopped.
#[derive(Clone, Copy, Debug)]
pub struct StoppedFigures {
    pub figures: Figures,
    /// Failures that were tolerated, right after the stop and before the run.
    pub failures: u64,
    /// Longest operation of that time, with its repetitions.
    pub slowest_ms: f64,
}

/// Rounds of one operation on one server, at one number of connections.
pub struct Row {
    pub operation: Operation,
    pub connections: usize,
    pub rounds: Vec<Figures>,
    /// The same with the last node stopped, each right after the round with all nodes; empty if that is not measured.
    pub stopped: Vec<StoppedFigures>,
}

pub struct Fact {
    pub label: &'static str,
    pub value: f64,
    pub unit: &'static str,
}

/// Results of one server.
pub struct Target {
    pub name: String,
    pub rows: Vec<Row>,
    /// Figures of the process instead of an operation: starts, stop, memory, size.
    pub facts: Vec<Fact>,
    /// Error that ended the measurement, if any; the figures were taken before.
    pub failure: Option<String>,
}

/// Results on one file system: of one server, or of two whose rounds alternated.
pub struct Report {
    /// File system and drives, such as `tmpfs, 4 drives`.
    pub setting: String,
    pub targets: Vec<Target>,
}

impl Report {
    /// Prints tables, and the ratio of the second server to the first.
    pub fn print(&self) {
        println!("\n## {}", self.setting);
        for target in &self.targets {
            target.print();
        }
        for miss in self.misses() {
            println!("\nMISSED {miss}");
        }
        if let [a, b] = self.targets.as_slice() {
            println!("\nratio {} / {}, median of the pairs", b.name, a.name);
            let pairs = a.rows.iter().zip(&b.rows);
            for (row_a, row_b) in pairs.filter(|(_, row_b)| !row_b.rounds.is_empty()) {
                println!("{}", ratio_text(row_a, row_b));
            }
        }
    }

    /// Returns whether an error ended the measurement of a server.
    pub fn has_failures(&self) -> bool {
        self.targets.iter().any(|target| target.failure.is_some())
    }

    /// Returns what of the first server misses its target, in words. Of another one nothing is asked.
    pub fn misses(&self) -> impl Iterator<Item = String> {
        self.targets.iter().take(1).flat_map(|target| &target.rows).filter_map(|row| {
            let ratio = row.stopped_p99_ratio().filter(|&ratio| ratio > STOPPED_P99_RATIO_MAX)?;
            let operation = row.operation;
            Some(format!(
                "{operation}: p99 with a stopped node is {ratio:.2} of the healthy one, at most {STOPPED_P99_RATIO_MAX}"
            ))
        })
    }

    fn to_json(&self) -> Value {
        let targets: Vec<Value> = self.targets.iter().map(Target::to_json).collect();
        json!({ "setting": self.setting, "targets": targets })
    }
}

impl Target {
    fn print(&self) {
        println!("\n{}", self.name);
        if !self.rows.is_empty() {
            println!("\n{OPERATIONS_HEAD}");
        }
        for row in self.rows.iter().filter(|row| !row.rounds.is_empty()) {
            println!("{}", row.text());
        }
        self.print_stopped();
        if !self.facts.is_empty() {
            println!("\n{FACTS_HEAD}");
        }
        for fact in &self.facts {
            println!("{}", fact.text());
        }
        if let Some(failure) = &self.failure {
            println!("FAILED {failure}");
        }
    }

    /// Prints the rounds with a stopped node, and how they compare with the others.
    fn print_stopped(&self) {
        let rows = || self.rows.iter().filter(|row| !row.stopped.is_empty());
        if rows().count() == 0 {
            return;
        }
        println!("\nwith the last node stopped\n\n{OPERATIONS_HEAD}");
        for row in rows() {
            println!("{}", row.stopped_text());
        }
        println!("\n{STOPPED_HEAD}");
        for row in rows() {
            println!("{}", row.stopped_ratio_text());
        }
    }

    fn to_json(&self) -> Value {
        let rows = self.rows.iter().map(|row| {
            let rounds: Vec<Value> = row.rounds.iter().map(figures_json).collect();
            let stopped: Vec<Value> = row.stopped.iter().map(stopped_json).collect();
            json!({
                "operation": row.operation.to_string(),
                "connections": row.connections,
                "rounds": rounds,
                "rounds_with_stopped_node": stopped,
            })
        });
        let facts = self.facts.iter().map(|fact| {
            let Fact { label, value, unit } = fact;
            json!({ "label": label, "value": value, "unit": unit })
        });
        json!({
            "name": self.name,
            "rows": rows.collect::<Vec<_>>(),
            "facts": facts.collect::<Vec<_>>(),
            "failure": self.failure,
        })
    }
}

impl Fact {
    fn text(&self) -> String {
        let Fact { label, value, unit } = self;
        let decimals = if *value < 100.0 { 1 } else { 0 };
        format!("| {label:<29} | {:>9} |", format!("{value:.decimals$} {unit}"))
    }
}

impl Row {
    fn text(&self) -> String {
        self.text_of(&self.rounds)
    }

    fn stopped_text(&self) -> String {
        let rounds: Vec<Figures> = self.stopped.iter().map(|round| round.figures).collect();
        self.text_of(&rounds)
    }

    /// Returns p99 with a stopped node as a multiple of that with all nodes, the median of the rounds.
    fn stopped_p99_ratio(&self) -> Option<f64> {
        let pairs = self.stopped.iter().zip(&self.rounds);
        let ratios = pairs.map(|(stopped, all)| stopped.figures.p99_ms / all.p99_ms);
        (!self.stopped.is_empty()).then(|| median(ratios))
    }

    fn stopped_ratio_text(&self) -> String {
        let slowest_ms = self.stopped.iter().map(|round| round.slowest_ms).fold(0.0, f64::max);
        format!(
            "| {:<19} | {:>5} | {:>18.2} | {:>13} | {:>21.2} |",
            self.operation,
            self.connections,
            self.stopped_p99_ratio().unwrap_or(f64::NAN),
            self.stopped.iter().map(|round| round.failures).sum::<u64>(),
            slowest_ms,
        )
    }

    fn text_of(&self, rounds: &[Figures]) -> String {
        let figures = Figures::median(rounds);
        format!(
            "| {:<19} | {:>5} | {:>7.*} | {:>7.2} | {:>7.2} | {:>9} | {:>13} | {:>12.0} |",
            self.operation,
            self.connections,
            if figures.ops_per_second < 10.0 { 2 } else { 0 },
            figures.ops_per_second,
            figures.p50_ms,
            figures.p99_ms,
            figures.server_cpu_us.map_or("-".into(), |us| format!("{us:.0}")),
            figures
                .server_cpu_us
                .and_then(|us| self.operation.cpu_for_unit(us))
                .map_or("-".into(), |(cpu, unit)| format!("{cpu:.2} {unit}")),
            figures.client_cpu_us,
        )
    }
}

/// Returns one JSON document with the machine and all reports.
pub fn json_document(command: &str, reports: &[Report]) -> Value {
    let reports: Vec<Value> = reports.iter().map(Report::to_json).collect();
    json!({ "machine": machine(), "command": command, "reports": reports })
}

/// CPU flags, by their Linux names, that select the server's kernels.
const FLAGS: [&str; 8] = [
    "ssse3",
    "avx2",
    "avx512f",
    "gfni",
    "sha_ni",
    "pclmulqdq",
    "vaes",
    "vpclmulqdq",
];

/// Returns the machine in one line: processor and which of [`FLAGS`] it has, number of CPUs, memory, kernel.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let value = text
            .lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'));
        value.map_or_else(|| "unknown".to_string(), |(_, value)| value.trim().to_string())
    };
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = read("/proc/cpuinfo");
    let model = field(&processor, "model name");
    let flags = field(&processor, "flags");
    let has = |flag: &&str| flags.split(' ').any(|other| other == *flag);
    let flags: Vec<&str> = FLAGS.into_iter().filter(has).collect();
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    format!(
        "{model} ({}), {cpus} CPUs, {memory} memory, Linux {}",
        flags.join(" "),
        read("/proc/sys/kernel/osrelease").trim()
    )
}

fn figures_json(figures: &Figures) -> Value {
    json!({
        "ops_per_second": figures.ops_per_second,
        "p50_ms": figures.p50_ms,
        "p99_ms": figures.p99_ms,
        "server_cpu_us": figures.server_cpu_us,
        "client_cpu_us": figures.client_cpu_us,
    })
}

fn stopped_json(round: &StoppedFigures) -> Value {
    let mut value = figures_json(&round.figures);
    value["failures_before"] = json!(round.failures);
    value["slowest_ms_before"] = json!(round.slowest_ms);
    value
}

/// Formats the ratios of a pair. Each round is compared with the adjacent one of the other server, so that drift of the
/// machine's speed has no effect.
fn ratio_text(a: &Row, b: &Row) -> String {
    let of = |figure: fn(&Figures) -> Option<f64>| {
        let pairs = a.rounds.iter().zip(&b.rounds);
        let ratios: Vec<f64> = pairs.filter_map(|(a, b)| Some(figure(b)? / figure(a)?)).collect();
        if ratios.is_empty() {
            "-".into()
        } else {
            format!("{:.3}", median(ratios))
        }
    };
    let ops = of(|figures| Some(figures.ops_per_second));
    let p99 = of(|figures| Some(figures.p99_ms));
    let cpu = of(|figures| figures.server_cpu_us);
    format!(
        "{:<19} {:>5}  op/s {ops}  p99 {p99}  CPU per op {cpu}",
        a.operation, a.connections
    )
}

/// Returns the median, or NaN of no values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Kind;

    fn figures(ops_per_second: f64, server_cpu_us: Option<f64>) -> Figures {
        Figures {
            ops_per_second,
            p50_ms: 1.0,
            p99_ms: 2.0,
            server_cpu_us,
            client_cpu_us: 10.0,
        }
    }

    #[test]
    fn figures_of_a_run() {
        let run = Run {
            elapsed: Duration::from_secs(2),
            latencies: vec![Duration::from_millis(4); 1_000],
        };
        let figures = Figures::new(&run, Some(Duration::from_secs(1)), Duration::from_millis(100));
        assert_eq!(
            (figures.ops_per_second, figures.p50_ms, figures.p99_ms),
            (500.0, 4.0, 4.0)
        );
        assert_eq!((figures.server_cpu_us, figures.client_cpu_us), (Some(1_000.0), 100.0));
    }

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        let rounds = [
            figures(100.0, None),
            figures(300.0, Some(7.0)),
            figures(200.0, Some(9.0)),
        ];
        let middle = Figures::median(&rounds);
        assert_eq!((middle.ops_per_second, middle.server_cpu_us), (200.0, Some(8.0)));
    }

    #[test]
    fn rows_and_facts_as_text() {
        let mut row = Row {
            operation: Operation {
                kind: Kind::List,
                size: 10_000,
            },
            connections: 1,
            rounds: vec![figures(9.5, Some(61_000.0))],
            stopped: Vec::new(),
        };
        assert_eq!(
            row.text(),
            "| list-10000          |     1 |    9.50 |    1.00 |    2.00 |     61000 |   6.10 µs/key |           10 |"
        );
        row.rounds[0].server_cpu_us = None;
        assert!(row.text().contains("|         - |             - |"), "{}", row.text());
        let fact = |value, unit| Fact {
            label: "a start",
            value,
            unit,
        };
        assert_eq!(
            fact(9.96, "MiB").text(),
            "| a start                       |  10.0 MiB |"
        );
        assert_eq!(
            fact(361.4, "ms").text(),
            "| a start                       |    361 ms |"
        );
    }

    #[test]
    fn ratios_are_of_neighbours() {
        let row = |rounds: [f64; 3]| Row {
            operation: Operation {
                kind: Kind::Put,
                size: 4 << 10,
            },
            connections: 16,
            rounds: rounds.map(|ops| figures(ops, None)).to_vec(),
            stopped: Vec::new(),
        };
        // The machine halves its speed after the first round; the second server is 10 % faster throughout.
        let text = ratio_text(&row([200.0, 100.0, 100.0]), &row([220.0, 110.0, 110.0]));
        assert_eq!(text, "put-4KiB               16  op/s 1.100  p99 1.000  CPU per op -");
    }

    #[test]
    fn a_stopped_node_is_compared_with_the_round_before() {
        let stopped = |p99_ms: f64, failures: u64| StoppedFigures {
            figures: Figures {
                p99_ms,
                ..figures(50.0, None)
            },
            failures,
            slowest_ms: 100.0 * p99_ms,
        };
        let row = |p99_ms: [f64; 3]| Row {
            operation: Operation {
                kind: Kind::Get,
                size: 4 << 10,
            },
            connections: 16,
            rounds: vec![figures(100.0, None); 3],
            stopped: p99_ms.map(|p99_ms| stopped(p99_ms, 2)).to_vec(),
        };
        let misses = |row| {
            let target = Target {
                name: "server".into(),
                rows: vec![row],
                facts: Vec::new(),
                failure: None,
            };
            let report = Report {
                setting: "4 nodes".into(),
                targets: vec![target],
            };
            report.misses().collect::<Vec<_>>()
        };
        let kept = row([4.0, 6.0, 9.0]);
        assert_eq!(
            kept.stopped_ratio_text(),
            "| get-4KiB            |    16 |               3.00 |             6 |                900.00 |"
        );
        assert!(misses(kept).is_empty());
        assert_eq!(
            misses(row([2.0, 7.0, 9.0])),
            ["get-4KiB: p99 with a stopped node is 3.50 of the healthy one, at most 3"]
        );
    }
}
