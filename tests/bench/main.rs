//! Benchmark: starts the server on drives in temporary folders, loads it over HTTP, and prints operations a second,
//! latencies, the server's CPU time for each operation, and its memory.
//!
//! Generator and server share the machine: compare ratios and CPU time, not operations a second of two machines.

#![allow(
    clippy::disallowed_methods,
    reason = "it runs outside the server, whose clock, threads and files the lint guards"
)]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use ::tests::s3::Client;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

mod load;
mod operation;
mod report;
mod server;
mod subject;
mod workload;

use operation::{Operation, Selection, Selector, parse_listing, parse_size};
use report::Report;
use server::{Launch, Servers};
use subject::{Subject, Task};

/// Time after the start at which a server counts as idle.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// Share of an operation's time for which it runs unmeasured before its rounds.
const WARM_UP_SHARE: f64 = 0.1;
const MIB: f64 = (1 << 20) as f64;

const HELP: &str = "\
Operations are named KIND-SIZE: put, get, head and delete of an object of that size (put-4KiB), list of that many keys \
(list-10000), delete-objects with that many keys in one request (delete-objects-1000). What an operation reads or \
deletes is written before, unmeasured; a round of delete ends when that is used up, a round of put after 2 GiB.

Examples:
  bench                                     the few operations that matter most
  bench --all --rounds 3                    the whole table, on 1 and on 16 connections
  bench --all --seconds 1 --dir /dev/shm    whether everything works
  bench --operation put-4KiB --concurrency 64 --dir /mnt/nvme
                                            durable small writes on a file system of yours
  bench --operation get,head --size 64KiB --concurrency 1,16
                                            get-64KiB and head-64KiB, on 1 and on 16
  bench --listing 100000 --seconds 20       list-100000, and nothing else
  bench --no-operations --rounds 5          starts, stops, idle memory and size only
  bench --compare OLD --rounds 5            a second binary, in turn with this workspace's
  bench --nodes 4 --drives 1                four nodes of one drive each, connections spread over them
  bench --nodes 4 --drives 1 --stop-node --rounds 3
                                            the same, and again while the last node hangs

Columns: latencies are from request to checked answer. CPU is that of the server, user and system, for one operation, \
then for a GiB or for a key; several nodes are added up. Generator and server share the CPUs: compare within one run \
only.";

/// Measures a server: operations a second, latency and CPU time of S3 operations; starts, stops, memory.
#[derive(Parser, Debug)]
#[command(name = "bench", after_help = HELP)]
struct Args {
    /// Folder for the drives; once for each [default: /dev/shm, then the folder for temporary files]
    #[arg(long)]
    dir: Vec<PathBuf>,
    /// Number of server processes on this machine that are the nodes of one store
    #[arg(long, default_value_t = 1, value_parser = parse_nodes, conflicts_with = "endpoint")]
    nodes: usize,
    /// IPv4 address of this machine in the URLs of several nodes' drives; in a container MinIO takes none of loopback
    #[arg(long, default_value_t = Ipv4Addr::LOCALHOST)]
    host: Ipv4Addr,
    /// Number of drives, per node
    #[arg(long, default_value_t = 4)]
    drives: u32,
    /// Measure each round twice, with all nodes and with the last one stopped (SIGSTOP); connections are to the others
    #[arg(long, conflicts_with = "endpoint")]
    stop_node: bool,
    /// Server binary [default: this workspace's, built in release mode]
    #[arg(long)]
    server: Option<PathBuf>,
    /// Second server binary, measured in turn with the first, round by round
    #[arg(long)]
    compare: Option<PathBuf>,
    /// Measure a server that runs already, such as http://127.0.0.1:9000; it must not have a bucket `bench`
    #[arg(long, conflicts_with_all = ["dir", "server", "compare"])]
    endpoint: Option<String>,
    /// Process of that server, for its CPU time and memory
    #[arg(long, requires = "endpoint")]
    pid: Option<u32>,
    /// Shell command to run before anything is measured, when the objects that are read have been written
    #[arg(long, requires = "endpoint", value_name = "COMMAND")]
    when_prepared: Option<String>,
    /// Seconds for each operation in each round
    #[arg(long, default_value_t = 5.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Rounds of each operation, and starts of each sort; figures are medians of the rounds
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Operation to measure, such as put-4KiB, or a kind at each --size or --listing, such as put
    /// [default: put and get of 4KiB and 1MiB, list-10000]
    #[arg(long = "operation", value_name = "KIND[-SIZE]", value_delimiter = ',')]
    operations: Vec<Selector>,
    /// Object size; without --operation: put, get, head and delete of it [default: 4KiB,64KiB,1MiB,64MiB]
    #[arg(long = "size", value_name = "SIZE", value_delimiter = ',', value_parser = parse_size)]
    sizes: Vec<u64>,
    /// Keys of a listing, a power of ten; without --operation: list of so many [default: 10000,100000]
    #[arg(long = "listing", value_name = "KEYS", value_delimiter = ',', value_parser = parse_listing)]
    listings: Vec<u64>,
    /// Measure every operation: all kinds at all sizes
    #[arg(long, conflicts_with_all = ["operations", "sizes", "listings"])]
    all: bool,
    /// Measure none: starts, stops, memory and size only
    #[arg(long, conflicts_with_all = ["operations", "sizes", "listings", "all"])]
    no_operations: bool,
    /// Connections, each with one request under way; each operation runs at each of these numbers
    /// [default: 16, but 1 for list and delete-objects; with --all: 1,16]
    #[arg(long, value_name = "CONNECTIONS", value_delimiter = ',', value_parser = parse_connections)]
    concurrency: Vec<usize>,
    /// Access key
    #[arg(long, env = "MINIO_ROOT_USER", default_value = "bench-user")]
    access: String,
    /// Secret key
    #[arg(
        long,
        env = "MINIO_ROOT_PASSWORD",
        default_value = "bench-password",
        hide_env_values = true
    )]
    secret: String,
    /// Print one JSON document instead of tables
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.stop_node && args.nodes == 1 {
        let message = "--stop-node needs --nodes: the connections are to the other nodes";
        Args::command().error(ErrorKind::ArgumentConflict, message).exit();
    }
    match measure(&args) {
        Ok(reports) => {
            if args.json {
                let command = std::env::args().collect::<Vec<_>>().join(" ");
                println!("{:#}", report::json_document(&command, &reports));
            }
            let failed = reports
                .iter()
                .any(|report| report.has_failures() || report.misses().count() > 0);
            if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Args {
    fn tasks(&self) -> Vec<Task> {
        if self.no_operations {
            return Vec::new();
        }
        let selection = Selection {
            all: self.all,
            selectors: self.operations.clone(),
            sizes: self.sizes.clone(),
            listings: self.listings.clone(),
        };
        let at_each_concurrency = |operation: Operation| {
            let concurrency = match self.concurrency.as_slice() {
                [] if self.all => vec![1, 16],
                [] => vec![operation.connections_default()],
                asked => asked.to_vec(),
            };
            concurrency
                .into_iter()
                .map(move |connections| Task { operation, connections })
        };
        selection
            .operations()
            .into_iter()
            .flat_map(at_each_concurrency)
            .collect()
    }
}

fn measure(args: &Args) -> Result<Vec<Report>, Box<dyn Error>> {
    if !args.json {
        println!("{}", report::machine());
    }
    let mut reports = Vec::new();
    let mut keep = |report: Report| {
        if !args.json {
            report.print();
        }
        reports.push(report);
    };
    if let Some(endpoint) = &args.endpoint {
        keep(measure_running(args, endpoint)?);
        return Ok(reports);
    }
    let binary = args.server.clone().map_or_else(build_server, Ok)?;
    let binaries: Vec<PathBuf> = [binary].into_iter().chain(args.compare.clone()).collect();
    let default_dirs = [PathBuf::from("/dev/shm"), std::env::temp_dir()];
    let dirs = if args.dir.is_empty() {
        &default_dirs[..]
    } else {
        &args.dir
    };
    for dir in dirs {
        keep(measure_in(args, dir, &binaries)?);
    }
    Ok(reports)
}

/// Measures a server that is already running.
fn measure_running(args: &Args, endpoint: &str) -> Result<Report, Box<dyn Error>> {
    let client = Client::new(resolve(endpoint)?, &args.access, &args.secret);
    let pids = args.pid.into_iter().collect();
    let mut subject = Subject::new(endpoint.into(), &args.tasks(), &[client], pids)?;
    if let Some(command) = &args.when_prepared {
        for Task { operation, connections } in args.tasks() {
            let time = Duration::from_secs_f64(args.seconds);
            subject.workload.prepare(operation, connections, time)?;
        }
        let status = Command::new("sh").args(["-c", command]).status()?;
        if !status.success() {
            return Err(format!("{command}: {status}").into());
        }
    }
    if run_all(args, std::slice::from_mut(&mut subject)) {
        subject.note_memory("peak RSS", "VmHWM")?;
        if let Err(error) = subject.workload.check() {
            subject.target.failure = Some(format!("at the end: {error}"));
        }
    }
    Ok(Report {
        setting: endpoint.into(),
        targets: vec![subject.target],
    })
}

/// Starts and measures stores on new drives in `dir`; two take turns.
fn measure_in(args: &Args, dir: &Path, binaries: &[PathBuf]) -> Result<Report, Box<dyn Error>> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(dir)?;
    let file_system = server::file_system(dir)?;
    let (nodes, drives) = (args.nodes, args.drives);
    let place = format!("on {file_system} ({})", dir.display());
    let setting = match nodes {
        1 => format!("{drives} drives {place}"),
        _ => format!("{nodes} nodes, drives of each: {drives}, {place}"),
    };
    let mut started: Vec<(Launch, Servers)> = Vec::new();
    let mut subjects: Vec<Subject> = Vec::new();
    for (binary, name) in binaries.iter().zip(["a", "b"]) {
        let (launch, servers, subject) = start(args, binary, folder.path(), name)?;
        started.push((launch, servers));
        subjects.push(subject);
    }
    if run_all(args, &mut subjects) {
        for ((launch, servers), subject) in started.into_iter().zip(&mut subjects) {
            subject.note_memory("peak RSS", "VmHWM")?;
            if let Err(error) = subject.restart(args.rounds, &launch, servers) {
                subject.target.failure = Some(format!("after a restart: {error}"));
            }
        }
    }
    Ok(Report {
        setting,
        targets: subjects.into_iter().map(|subject| subject.target).collect(),
    })
}

/// Starts a store on new drives in the subfolder `name`, and notes its size, start and idle memory.
fn start(args: &Args, binary: &Path, folder: &Path, name: &str) -> Result<(Launch, Servers, Subject), Box<dyn Error>> {
    let credentials = (args.access.clone(), args.secret.clone());
    let nodes = (args.host, args.nodes);
    let launch = Launch::new(binary, folder.join(name), nodes, args.drives, credentials)?;
    let servers = launch.start()?;
    if args.nodes > 1 {
        server::wait_until_well(launch.ports())?;
    }
    let mut clients = launch.clients();
    if args.stop_node {
        clients.pop();
    }
    let title = binary.display().to_string();
    let mut subject = Subject::new(title, &args.tasks(), &clients, servers.pids())?;
    subject.ports = launch.ports().to_vec();
    match server::stripped_bytes(binary, folder) {
        Ok(bytes) => subject.note("size of the stripped binary", bytes as f64 / MIB, "MiB"),
        Err(error) => {
            eprintln!("{error}: the size is that of the binary as it is");
            let bytes = std::fs::metadata(binary)?.len();
            subject.note("size of the binary", bytes as f64 / MIB, "MiB");
        }
    }
    subject.note("start on new drives", milliseconds(servers.ready_after), "ms");
    std::thread::sleep(IDLE_AFTER);
    subject.note_memory("idle RSS after the start", "VmRSS")?;
    Ok((launch, servers, subject))
}

/// Runs the operations in every round on every store; the stores take turns. Returns false if one failed: that ends the
/// measurement, but the figures taken before are worth printing.
fn run_all(args: &Args, subjects: &mut [Subject]) -> bool {
    let runs = args.tasks().into_iter().enumerate().try_for_each(|(index, task)| {
        for subject in &mut *subjects {
            subject.run(task, args.seconds * WARM_UP_SHARE)?;
        }
        for _ in 0..args.rounds.max(1) {
            for subject in &mut *subjects {
                eprintln!("{}: {}, {}", subject.target.name, task.operation, task.connections);
                let figures = subject.run(task, args.seconds)?;
                subject.target.rows[index].rounds.push(figures);
                if args.stop_node {
                    let figures = subject.run_with_stopped_node(task, args.seconds)?;
                    subject.target.rows[index].stopped.push(figures);
                }
            }
        }
        Some(())
    });
    runs.is_some()
}

/// Builds the server of this workspace and returns its binary.
fn build_server() -> Result<PathBuf, Box<dyn Error>> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "-p", "impl"])
        .current_dir(workspace)
        .status()?;
    if !status.success() {
        return Err("the server does not build".into());
    }
    // This binary is <target>/<profile>/bench.
    let target = std::env::current_exe()?.ancestors().nth(2).map(Path::to_path_buf);
    Ok(target.ok_or("no target folder above this binary")?.join("release/impl"))
}

fn resolve(endpoint: &str) -> Result<SocketAddr, Box<dyn Error>> {
    let host = endpoint
        .strip_prefix("http://")
        .unwrap_or(endpoint)
        .trim_end_matches('/');
    let addr = host
        .to_socket_addrs()
        .map_err(|error| format!("--endpoint {endpoint}: {error}"))?
        .next();
    Ok(addr.ok_or_else(|| format!("--endpoint {endpoint}: no address"))?)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn parse_connections(text: &str) -> Result<usize, String> {
    let connections = text
        .parse()
        .ok()
        .filter(|connections| (1..=1_024).contains(connections));
    connections.ok_or_else(|| format!("{text:?}: not a number from 1 to 1024"))
}

fn parse_nodes(text: &str) -> Result<usize, String> {
    let nodes = text.parse().ok().filter(|nodes| (1..=16).contains(nodes));
    nodes.ok_or_else(|| format!("{text:?}: not a number from 1 to 16"))
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.01..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| format!("{text:?}: not a number from 0.01 to 86400"))
}
