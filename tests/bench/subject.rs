//! Store under measurement: its processes, its workload and its results so far.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use ::tests::s3::Client;

use crate::operation::Operation;
use crate::report::{self, Fact, Figures, Row, StoppedFigures, Target};
use crate::server::{self, Launch, Servers, Stopped};
use crate::workload::Workload;
use crate::{MIB, milliseconds};

/// Interval of the checks of the servers' CPU time; work that they do this soon after the last answer is counted.
const SETTLE: Duration = Duration::from_millis(200);
/// Most CPU time of a process in an interval at which it counts as quiet: earlier work is done.
const QUIET_CPU: Duration = Duration::from_millis(10);
/// Time after which a store that is not quiet is measured nevertheless.
const QUIET_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after which a restarted store of several nodes that still refuses reads has failed.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after a node was stopped in which errors are tolerated and nothing is measured.
const NOTICE: Duration = Duration::from_secs(2);

/// Row of the table: an operation at a number of connections.
#[derive(Clone, Copy)]
pub struct Task {
    pub operation: Operation,
    pub connections: usize,
}

/// Store under measurement, with its results so far.
pub struct Subject {
    /// Processes of its nodes; none if they are not known.
    pids: Vec<u32>,
    /// Ports of its nodes, if they were started here.
    pub ports: Vec<u16>,
    pub workload: Workload,
    pub target: Target,
}

impl Subject {
    /// Prepares to measure a store through `clients`, of those of its nodes that get connections.
    pub fn new(name: String, tasks: &[Task], clients: &[Client], pids: Vec<u32>) -> Result<Subject, Box<dyn Error>> {
        let operations: Vec<Operation> = tasks.iter().map(|task| task.operation).collect();
        let connections_max = tasks.iter().map(|task| task.connections).max().unwrap_or(1);
        let rows = tasks.iter().map(|&Task { operation, connections }| Row {
            operation,
            connections,
            rounds: Vec::new(),
            stopped: Vec::new(),
        });
        let target = Target {
            name,
            rows: rows.collect(),
            facts: Vec::new(),
            failure: None,
        };
        Ok(Subject {
            pids,
            ports: Vec::new(),
            workload: Workload::new(clients, &operations, connections_max)?,
            target,
        })
    }

    pub fn note(&mut self, label: &'static str, value: f64, unit: &'static str) {
        self.target.facts.push(Fact { label, value, unit });
    }

    /// Notes memory of the process that has most of it.
    pub fn note_memory(&mut self, label: &'static str, name: &str) -> Result<(), Box<dyn Error>> {
        let bytes = self.pids.iter().map(|&pid| server::memory_bytes(pid, name));
        let bytes = bytes.collect::<io::Result<Vec<u64>>>()?;
        if let Some(most) = bytes.into_iter().max() {
            self.note(label, most as f64 / MIB, "MiB");
        }
        Ok(())
    }

    /// Measures stops, starts after them, and starts after a kill, of all nodes together, and checks that the objects
    /// survive.
    pub fn restart(&mut self, rounds: u32, launch: &Launch, mut servers: Servers) -> Result<(), Box<dyn Error>> {
        let (mut stops, mut starts, mut starts_after_kill) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds.max(1) {
            stops.push(milliseconds(servers.terminate()?));
            servers = launch.start()?;
            starts.push(milliseconds(servers.ready_after));
            servers.kill()?;
            servers = launch.start()?;
            starts_after_kill.push(milliseconds(servers.ready_after));
        }
        self.note("stop after SIGTERM", report::median(stops), "ms");
        self.note("start on these drives", report::median(starts), "ms");
        self.note("start after SIGKILL", report::median(starts_after_kill), "ms");
        self.check_after_restart(launch)
    }

    /// Checks the objects after a restart. Nodes that said they were ready may refuse reads for a moment, until they
    /// have found each other; how long that is gets noted.
    fn check_after_restart(&mut self, launch: &Launch) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let mut refused_for = None;
        while let Err(error) = self.workload.check_after_restart(&launch.clients()) {
            let is_waiting = error.status() == Some(503) && launch.ports().len() > 1;
            if !is_waiting || start.elapsed() > REFUSED_TIMEOUT {
                return Err(error.into());
            }
            refused_for = Some(start.elapsed());
            std::thread::sleep(SETTLE);
        }
        if let Some(time) = refused_for {
            self.note("status 503 after that start", milliseconds(time), "ms");
        }
        Ok(())
    }

    /// Returns the CPU time of all processes together, or `None` if they are not known.
    fn cpu_time(&self) -> io::Result<Option<Duration>> {
        let times = self.pids.iter().map(|&pid| server::cpu_time(pid));
        let times = times.collect::<io::Result<Vec<Duration>>>()?;
        Ok((!times.is_empty()).then(|| times.iter().sum()))
    }

    /// Waits until the servers have finished background work, which would be counted for the next operation.
    fn wait_until_quiet(&self) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let quiet_cpu = QUIET_CPU * self.pids.len().max(1) as u32;
        loop {
            let before = self.cpu_time()?;
            std::thread::sleep(SETTLE);
            let after = self.cpu_time()?;
            let is_quiet = after
                .zip(before)
                .is_none_or(|(after, before)| after <= before + quiet_cpu);
            if is_quiet || start.elapsed() > QUIET_TIMEOUT {
                return Ok(());
            }
        }
    }

    /// Prepares and measures one run, and deletes what it leaves over. Returns `None` if it failed.
    pub fn run(&mut self, task: Task, seconds: f64) -> Option<Figures> {
        let figures = self.run_prepared(task, Duration::from_secs_f64(seconds));
        let fail = |error| self.target.failure = Some(format!("{}: {error}", task.operation));
        figures.map_err(fail).ok()
    }

    fn run_prepared(&mut self, task: Task, time: Duration) -> Result<Figures, Box<dyn Error>> {
        self.workload.prepare(task.operation, task.connections, time)?;
        self.wait_until_quiet()?;
        let figures = self.run_measured(task, time)?;
        self.clean_up(task.operation)?;
        Ok(figures)
    }

    /// Does as [`Self::run`] while the last node is stopped: once what is read or deleted has been written, until the
    /// end of the run. Returns when all nodes are well again.
    pub fn run_with_stopped_node(&mut self, task: Task, seconds: f64) -> Option<StoppedFigures> {
        let figures = self.run_stopped(task, Duration::from_secs_f64(seconds));
        let fail = |error| self.target.failure = Some(format!("{}, with a stopped node: {error}", task.operation));
        figures.map_err(fail).ok()
    }

    fn run_stopped(&mut self, task: Task, time: Duration) -> Result<StoppedFigures, Box<dyn Error>> {
        let Task { operation, connections } = task;
        self.workload.prepare(operation, connections, NOTICE + time)?;
        self.wait_until_quiet()?;
        let last = self.pids.last().ok_or("there is no process to stop")?;
        let stopped = Stopped::new(*last)?;
        let (notice, failures) = self.workload.run_tolerant(operation, connections, NOTICE)?;
        let figures = self.run_measured(task, time)?;
        drop(stopped);
        server::wait_until_well(&self.ports)?;
        self.clean_up(operation)?;
        Ok(StoppedFigures {
            figures,
            failures,
            slowest_ms: milliseconds(notice.percentile(1.0)),
        })
    }

    fn run_measured(&mut self, task: Task, time: Duration) -> Result<Figures, Box<dyn Error>> {
        let own_pid = std::process::id();
        let server_before = self.cpu_time()?;
        let client_before = server::cpu_time(own_pid)?;
        let run = self.workload.run(task.operation, task.connections, time)?;
        std::thread::sleep(SETTLE);
        let client_cpu = server::cpu_time(own_pid)?.saturating_sub(client_before);
        let server_cpu = self
            .cpu_time()?
            .zip(server_before)
            .map(|(after, before)| after.saturating_sub(before));
        Ok(Figures::new(&run, server_cpu, client_cpu))
    }

    /// Deletes what a run has left over, and waits: background work would take CPU time from the store whose turn is
    /// next.
    fn clean_up(&mut self, operation: Operation) -> Result<(), Box<dyn Error>> {
        self.workload.trim(operation)?;
        self.wait_until_quiet()
    }
}
