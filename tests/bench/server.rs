//! Servers under measurement, started here or already running, and their figures from /proc.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use ::tests::cluster::{drive_url, is_well};
use ::tests::http;
use ::tests::s3::Client;
use ::tests::server::free_ports;
use rustix::process::{Pid, Signal, kill_process};

/// Time after which a server that is not ready has failed.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time after which a node that is not ready, or does not see all drives, has failed.
const WELL_TIMEOUT: Duration = Duration::from_secs(60);
/// Time after SIGTERM at which a server that has not ended has failed.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Clock ticks per second in `/proc/PID/stat`; 100 on every Linux but the Alpha's.
const TICKS_PER_SECOND: f64 = 100.0;

/// Configuration to start a store on its own drives: a server process, or several as its nodes.
pub struct Launch {
    /// Binary of the server; must accept `server --address A --quiet DIR/d{1...N}`, or with several nodes one URL for
    /// each drive instead of the folders.
    binary: PathBuf,
    /// Folder of the drives and of the logs.
    dir: PathBuf,
    /// Address of this machine in the URLs of the drives of several nodes.
    host: Ipv4Addr,
    /// Ports of the nodes; the same at each start, since they are in the URLs.
    ports: Vec<u16>,
    /// Number of drives of each node.
    drives: u32,
    /// Root user and password.
    credentials: (String, String),
}

/// Processes of a store, started here; killed, without regard for their data, when dropped.
pub struct Servers {
    nodes: Vec<Node>,
    /// Time from the start of the first process to the first successful ListBuckets; of several nodes, until each
    /// answers it and is ready for writes.
    pub ready_after: Duration,
}

/// Process of a node; killed when dropped.
struct Node {
    child: Child,
    log: PathBuf,
}

impl Launch {
    /// Chooses the ports, and makes the folder `dir`. A single node listens on loopback, whatever `host` is.
    pub fn new(
        binary: &Path,
        dir: PathBuf,
        (host, nodes): (Ipv4Addr, usize),
        drives: u32,
        credentials: (String, String),
    ) -> io::Result<Launch> {
        let host = if nodes == 1 { Ipv4Addr::LOCALHOST } else { host };
        fs::create_dir_all(&dir)?;
        Ok(Launch {
            binary: binary.to_path_buf(),
            // URLs have no relative paths.
            dir: dir.canonicalize()?,
            host,
            // If another process takes a port before a node binds it, the run fails with an error.
            ports: free_ports(listen_address(host), nodes)?,
            drives,
            credentials,
        })
    }

    /// Starts all nodes and waits until they are ready.
    ///
    /// # Errors
    /// I/O errors, and the log of a node that ends or is not ready in time.
    pub fn start(&self) -> io::Result<Servers> {
        let start = Instant::now();
        let nodes = (0..self.ports.len()).map(|node| self.spawn(node));
        let mut nodes = nodes.collect::<io::Result<Vec<Node>>>()?;
        let is_one = nodes.len() == 1;
        for ((node, &port), mut client) in nodes.iter_mut().zip(&self.ports).zip(self.clients()) {
            // A node of several may list buckets before it can reach enough others to write.
            let is_ready = || client.list_buckets().is_ok() && (is_one || is_well(port));
            wait_until_ready(node, is_ready, start)?;
        }
        let ready_after = start.elapsed();
        Ok(Servers { nodes, ready_after })
    }

    fn spawn(&self, node: usize) -> io::Result<Node> {
        let log_path = self.dir.join(format!("server{}.log", node + 1));
        let log = File::create(&log_path)?;
        let address = format!("{}:{}", listen_address(self.host), self.ports[node]);
        let mut command = Command::new(&self.binary);
        command
            .args(["server", "--address", &address, "--quiet"])
            .args(self.drive_arguments(node)?)
            .env("MINIO_ROOT_USER", &self.credentials.0)
            .env("MINIO_ROOT_PASSWORD", &self.credentials.1)
            // MinIO refuses drives on the file system of `/` without it.
            .env("MINIO_CI_CD", "1")
            // Excludes the delay in which load balancers notice a shutdown from the time of a stop.
            .env("MINIO_SHUTDOWN_DELAY", "0s");
        if self.ports.len() > 1 {
            // Lets the benchmark ask without a token whether drives are offline.
            command.env("MINIO_PROMETHEUS_AUTH_TYPE", "public");
        }
        let child = command.stdout(log.try_clone()?).stderr(log).spawn();
        let in_binary = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.binary.display()));
        Ok(Node {
            child: child.map_err(in_binary)?,
            log: log_path,
        })
    }

    /// Makes the folders of a node's drives; returns the arguments that name all drives.
    fn drive_arguments(&self, node: usize) -> io::Result<Vec<String>> {
        let folder = |node: usize| match self.ports.len() {
            1 => self.dir.clone(),
            _ => self.dir.join(format!("node{}", node + 1)),
        };
        for drive in 1..=self.drives {
            fs::create_dir_all(folder(node).join(format!("d{drive}")))?;
        }
        if self.ports.len() == 1 {
            let pattern = self.dir.join(format!("d{{1...{}}}", self.drives));
            return Ok(vec![pattern.display().to_string()]);
        }
        let urls = self.ports.iter().enumerate().flat_map(|(node, &port)| {
            let drives = 1..=self.drives;
            drives.map(move |drive| drive_url(self.host, port, &folder(node).join(format!("d{drive}"))))
        });
        Ok(urls.collect())
    }

    /// Returns the ports of the nodes.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Returns a client of each node.
    pub fn clients(&self) -> Vec<Client> {
        let (access, secret) = &self.credentials;
        let client = |&port: &u16| Client::new((Ipv4Addr::LOCALHOST, port).into(), access, secret);
        self.ports.iter().map(client).collect()
    }
}

/// Returns the address that nodes listen on so that they are reached at `host` and, by clients, on loopback.
fn listen_address(host: Ipv4Addr) -> Ipv4Addr {
    if host.is_loopback() {
        host
    } else {
        Ipv4Addr::UNSPECIFIED
    }
}

/// Waits until a node is ready.
fn wait_until_ready(node: &mut Node, mut is_ready: impl FnMut() -> bool, start: Instant) -> io::Result<()> {
    loop {
        let ended = node.child.try_wait()?;
        if ended.is_none() && is_ready() {
            return Ok(());
        }
        if ended.is_some() || start.elapsed() > START_TIMEOUT {
            let state = ended.map_or("is not ready".into(), |status| format!("ended with {status}"));
            let log = fs::read_to_string(&node.log).unwrap_or_default();
            return Err(io::Error::other(format!("the server {state}; its log:\n{log}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until each of the nodes on these ports is ready and sees all drives of all nodes.
pub fn wait_until_well(ports: &[u16]) -> io::Result<()> {
    let start = Instant::now();
    for (index, &port) in ports.iter().enumerate() {
        loop {
            let is_ready = is_well(port);
            let offline = drives_offline(port);
            if is_ready && offline == Some(0) {
                break;
            }
            if start.elapsed() > WELL_TIMEOUT {
                let node = index + 1;
                let state = format!("node {node}: ready: {is_ready}, drives that it sees offline: {offline:?}");
                return Err(io::Error::other(state));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}

/// Returns how many drives of the deployment are offline, as the node on this port sees it.
fn drives_offline(port: u16) -> Option<u64> {
    let page = http::request(port, "GET", "/minio/v2/metrics/cluster")?;
    drives_offline_in(&page)
}

fn drives_offline_in(page: &str) -> Option<u64> {
    let mut lines = page.lines();
    let line = lines.find(|line| line.starts_with("minio_cluster_drive_offline_total"))?;
    line.rsplit(' ').next()?.parse().ok()
}

impl Servers {
    /// Returns the process ids of the nodes.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(|node| node.child.id()).collect()
    }

    /// Sends SIGTERM to all nodes and waits; returns the time that they took to end.
    ///
    /// # Errors
    /// I/O errors, an exit status other than success, and a node that does not end.
    pub fn terminate(mut self) -> io::Result<Duration> {
        let start = Instant::now();
        for node in &self.nodes {
            kill_process(Pid::from_child(&node.child), Signal::TERM)?;
        }
        for node in &mut self.nodes {
            loop {
                match node.child.try_wait()? {
                    Some(status) if status.success() => break,
                    Some(status) => return Err(io::Error::other(format!("SIGTERM ended the server with {status}"))),
                    None if start.elapsed() > STOP_TIMEOUT => {
                        return Err(io::Error::other("the server does not end after SIGTERM"));
                    }
                    None => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        }
        Ok(start.elapsed())
    }

    /// Sends SIGKILL to all nodes and waits until they have ended.
    pub fn kill(mut self) -> io::Result<()> {
        for node in &mut self.nodes {
            node.child.kill()?;
        }
        self.nodes.iter_mut().try_for_each(|node| node.child.wait().map(drop))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail if the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Process stopped with SIGSTOP, which goes on when this is dropped.
pub struct Stopped(Pid);

impl Stopped {
    /// Stops a process, which the caller has not waited for.
    pub fn new(pid: u32) -> io::Result<Stopped> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("no process id"))?;
        kill_process(pid, Signal::STOP)?;
        Ok(Stopped(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Fails if the process was killed meanwhile, which is fine.
        let _ = kill_process(self.0, Signal::CONT);
    }
}

/// Returns the CPU time, user and system, of a process and its ended threads, in steps of 10 ms.
pub fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = ticks_of_stat(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat: {stat:?}")))?;
    Ok(Duration::from_secs_f64(ticks as f64 / TICKS_PER_SECOND))
}

fn ticks_of_stat(stat: &str) -> Option<u64> {
    // The second field, the name in parentheses, may itself contain spaces and parentheses.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Returns memory of a process in bytes, by its name in `/proc/PID/status`: `VmRSS` now, `VmHWM` at its peak.
pub fn memory_bytes(pid: u32, name: &str) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .ok_or_else(|| io::Error::other(format!("no {name} in /proc/{pid}/status")))
}

/// Returns the size in bytes of a binary after `strip`, which works on a copy.
pub fn stripped_bytes(binary: &Path, folder: &Path) -> io::Result<u64> {
    let stripped = folder.join("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(binary).status();
    if !status
        .map_err(|error| io::Error::new(error.kind(), format!("strip: {error}")))?
        .success()
    {
        return Err(io::Error::other("strip failed"));
    }
    let bytes = fs::metadata(&stripped)?.len();
    fs::remove_file(&stripped)?;
    Ok(bytes)
}

/// Returns the type of the file system that holds `path`, from /proc/self/mounts.
pub fn file_system(path: &Path) -> io::Result<String> {
    let path = path.canonicalize()?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    Ok(file_system_in(&mounts, &path).unwrap_or("unknown").to_string())
}

/// Picks the deepest mount above `path`, and of several there the last.
fn file_system_in<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some((Path::new(fields.next()?), fields.next()?))
    });
    let above = mounts.filter(|(point, _)| path.starts_with(point));
    above
        .max_by_key(|(point, _)| point.components().count())
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_after_a_strange_name() {
        let stat = "17 (a) b (c) S 1 17 17 0 -1 4194560 1 2 3 4 250 50 7 8 20 0 1 0";
        assert_eq!(ticks_of_stat(stat), Some(300));
        assert_eq!(ticks_of_stat("17 (a) S 1 2"), None);
    }

    #[test]
    fn offline_drives_are_found_among_metrics() {
        let page = "HTTP/1.1 200 OK\n# TYPE minio_cluster_drive_offline_total gauge\n\
                    minio_cluster_drive_offline_total 3\nminio_cluster_drive_online_total 13\n";
        assert_eq!(drives_offline_in(page), Some(3));
        let labelled = "minio_cluster_drive_offline_total{server=\"127.0.0.1:9000\"} 0\n";
        assert_eq!(drives_offline_in(labelled), Some(0));
        assert_eq!(drives_offline_in("HTTP/1.1 403 Forbidden\n"), None);
    }

    #[test]
    fn own_process() {
        let pid = std::process::id();
        assert!(cpu_time(pid).unwrap() < Duration::from_secs(600));
        let (now, peak) = (memory_bytes(pid, "VmRSS").unwrap(), memory_bytes(pid, "VmHWM").unwrap());
        assert!(100_000 < now && now <= peak + (1 << 20), "{now} {peak}");
        assert!(memory_bytes(pid, "Nope").is_err());
    }

    #[test]
    fn what_is_no_binary_has_no_size() {
        let folder = tempfile::tempdir().unwrap();
        assert!(stripped_bytes(&folder.path().join("none"), folder.path()).is_err());
    }

    #[test]
    fn deepest_mount_counts() {
        let mounts =
            "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/x xfs rw 0 0\nnone /tmp tmpfs rw 0 0\n";
        assert_eq!(file_system_in(mounts, Path::new("/tmp/x/y")), Some("xfs"));
        assert_eq!(file_system_in(mounts, Path::new("/tmp/xy")), Some("tmpfs"));
        assert_eq!(file_system_in(mounts, Path::new("/home")), Some("ext4"));
    }
}
