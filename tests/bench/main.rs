//! The measurement: starts the server on drives in temporary folders, loads it over HTTP, and prints operations a
//! second, latencies, the server's CPU time for each operation, and its memory.
//!
//! Generator and server share the machine: compare ratios and CPU time, not operations a second of two machines.

#![allow(
    clippy::disallowed_methods,
    reason = "it runs outside the server, whose clock, threads and files the lint guards"
)]

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use ::tests::s3::Client;
use clap::{Parser, ValueEnum};

mod load;
mod report;
mod server;
mod workload;

use report::{Figures, Report, Row, Target};
use server::{Launch, Server};
use workload::{Operation, Workload};

/// Work that a server does after its last answer is counted if it is done so soon.
const SETTLE: Duration = Duration::from_millis(200);
/// Before its rounds each operation runs for this share of their time, unmeasured.
const WARM_UP_SHARE: f64 = 0.1;

/// Measures a server: PUT and GET of 4 KiB and 1 MiB, LIST of 10,000 keys.
#[derive(Parser, Debug)]
#[command(name = "bench")]
struct Args {
    /// Folder for the drives; once for each [default: /dev/shm, then the folder for temporary files]
    #[arg(long)]
    dir: Vec<PathBuf>,
    /// Number of drives
    #[arg(long, default_value_t = 4)]
    drives: u32,
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
    /// Seconds for each operation in each round
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Rounds of each operation; figures are medians of the rounds
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Operation to measure; once for each [default: all]
    #[arg(long = "operation")]
    operations: Vec<Operation>,
    /// Connections of PUT and GET
    #[arg(long, default_value_t = 16)]
    concurrency: usize,
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
    let mut args = Args::parse();
    if args.operations.is_empty() {
        args.operations = Operation::value_variants().to_vec();
    }
    match measure(&args) {
        Ok(reports) => {
            if args.json {
                let command = std::env::args().collect::<Vec<_>>().join(" ");
                println!("{:#}", report::json_document(&command, &reports));
            }
            let failed = reports
                .iter()
                .flat_map(|report| &report.targets)
                .any(|target| target.failure.is_some());
            if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
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

/// Measures a server that somebody else started.
fn measure_running(args: &Args, endpoint: &str) -> Result<Report, Box<dyn Error>> {
    let client = Client::new(resolve(endpoint)?, &args.access, &args.secret);
    let mut subject = Subject::new(args, endpoint.into(), &client, args.pid)?;
    run_all(args, std::slice::from_mut(&mut subject))?;
    subject.note_memory("peak RSS", "VmHWM")?;
    Ok(Report {
        setting: endpoint.into(),
        targets: vec![subject.target],
    })
}

/// Measures servers of our own on new drives in `dir`, in turn if they are two.
fn measure_in(args: &Args, dir: &Path, binaries: &[PathBuf]) -> Result<Report, Box<dyn Error>> {
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(dir)?;
    let setting = format!(
        "{} drives on {} ({})",
        args.drives,
        server::file_system(dir)?,
        dir.display()
    );
    let mut launches: Vec<Launch> = Vec::new();
    let mut servers: Vec<Server> = Vec::new();
    let mut subjects: Vec<Subject> = Vec::new();
    for (index, binary) in binaries.iter().enumerate() {
        let credentials = (args.access.clone(), args.secret.clone());
        let dir = folder.path().join(["a", "b"][index]);
        std::fs::create_dir_all(&dir)?;
        let launch = Launch {
            binary: binary.clone(),
            dir,
            drives: args.drives,
            credentials,
        };
        let server = launch.start()?;
        let mut subject = Subject::new(args, name(binary), &launch.client(server.addr), Some(server.pid()))?;
        subject.note("start on new drives", milliseconds(server.ready_after));
        subject.note_memory("RSS after the start", "VmRSS")?;
        launches.push(launch);
        servers.push(server);
        subjects.push(subject);
    }
    run_all(args, &mut subjects)?;
    for ((launch, server), subject) in launches.iter().zip(servers).zip(&mut subjects) {
        subject.note_memory("peak RSS", "VmHWM")?;
        // The figures above are worth printing even so.
        if let Err(error) = restart(launch, server, subject) {
            subject.target.failure = Some(format!("after a restart: {error}"));
        }
    }
    Ok(Report {
        setting,
        targets: subjects.into_iter().map(|subject| subject.target).collect(),
    })
}

/// Measures a start after an orderly stop and one after a kill, and checks that the objects are still there.
fn restart(launch: &Launch, server: Server, subject: &mut Subject) -> Result<(), Box<dyn Error>> {
    let (stopped_after, status) = server.terminate()?;
    subject.note(
        "stop after SIGTERM",
        format!("{}, {status}", milliseconds(stopped_after)),
    );
    let server = launch.start()?;
    subject.note("start on these drives", milliseconds(server.ready_after));
    server.kill()?;
    let server = launch.start()?;
    subject.note("start after SIGKILL", milliseconds(server.ready_after));
    subject.workload.check_after_restart(&launch.client(server.addr))?;
    Ok(())
}

/// A server under measurement, and what is known of it so far.
struct Subject {
    pid: Option<u32>,
    workload: Workload,
    target: Target,
}

impl Subject {
    fn new(args: &Args, name: String, client: &Client, pid: Option<u32>) -> Result<Subject, Box<dyn Error>> {
        let rows = args.operations.iter().map(|&operation| Row {
            operation,
            connections: operation.connections(args.concurrency),
            rounds: Vec::new(),
        });
        let target = Target {
            name,
            rows: rows.collect(),
            facts: Vec::new(),
            failure: None,
        };
        Ok(Subject {
            pid,
            workload: Workload::new(client, args.concurrency)?,
            target,
        })
    }

    fn note(&mut self, label: &str, value: String) {
        self.target.facts.push((label.into(), value));
    }

    fn note_memory(&mut self, label: &str, name: &str) -> Result<(), Box<dyn Error>> {
        if let Some(pid) = self.pid {
            let mib = server::memory_bytes(pid, name)? as f64 / f64::from(1 << 20);
            self.note(label, format!("{mib:.1} MiB"));
        }
        Ok(())
    }

    /// One measured run of an operation.
    fn run(&mut self, operation: Operation, seconds: f64) -> Result<Figures, Box<dyn Error>> {
        let own_pid = std::process::id();
        let server_before = self.pid.map(server::cpu_time).transpose()?;
        let client_before = server::cpu_time(own_pid)?;
        let run = self.workload.run(operation, Duration::from_secs_f64(seconds))?;
        std::thread::sleep(SETTLE);
        let client_cpu = server::cpu_time(own_pid)?.saturating_sub(client_before);
        let server_after = self.pid.map(server::cpu_time).transpose()?;
        let server_cpu = server_after
            .zip(server_before)
            .map(|(after, before)| after.saturating_sub(before));
        Ok(Figures::new(&run, server_cpu, client_cpu))
    }
}

/// Runs the operations in every round on every server; the servers take turns.
fn run_all(args: &Args, subjects: &mut [Subject]) -> Result<(), Box<dyn Error>> {
    for (index, &operation) in args.operations.iter().enumerate() {
        for subject in &mut *subjects {
            subject.workload.prepare(operation)?;
            subject.run(operation, args.seconds * WARM_UP_SHARE)?;
        }
        for _ in 0..args.rounds.max(1) {
            for subject in &mut *subjects {
                eprintln!("{}: {operation}", subject.target.name);
                let figures = subject.run(operation, args.seconds)?;
                subject.target.rows[index].rounds.push(figures);
            }
        }
    }
    Ok(())
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

fn name(binary: &Path) -> String {
    binary.display().to_string()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1e3)
}
