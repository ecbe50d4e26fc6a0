//! Server under measurement, started here or already running, and its figures from /proc.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use ::tests::s3::Client;
use rustix::process::{Pid, Signal, kill_process};

/// Time after which a server that is not ready has failed.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time after SIGTERM at which a server that has not ended has failed.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
/// Clock ticks per second in `/proc/PID/stat`; 100 on every Linux but the Alpha's.
const TICKS_PER_SECOND: f64 = 100.0;

/// Configuration to start a server on its own drives.
pub struct Launch {
    /// Binary of the server; must accept `server --address A --quiet DIR/d{1...N}`.
    pub binary: PathBuf,
    /// Existing folder of the drives `d1` to `dN` and of the log.
    pub dir: PathBuf,
    pub drives: u32,
    /// Root user and password.
    pub credentials: (String, String),
}

/// Server process started here; killed, without regard for its data, when dropped.
pub struct Server {
    child: Child,
    /// Address that it listens on.
    pub addr: SocketAddr,
    /// Time from the start of the process to the first successful ListBuckets.
    pub ready_after: Duration,
}

impl Launch {
    /// Starts the server and waits until it is ready.
    ///
    /// # Errors
    /// I/O errors, and the server's log if it ends or is not ready in time.
    pub fn start(&self) -> io::Result<Server> {
        // If another process takes the port before the server binds it, the run fails with an error.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        for drive in 1..=self.drives {
            fs::create_dir_all(self.dir.join(format!("d{drive}")))?;
        }
        let log_path = self.dir.join("server.log");
        let log = File::create(&log_path)?;
        let start = Instant::now();
        let mut child = Command::new(&self.binary)
            .args(["server", "--address", &addr.to_string(), "--quiet"])
            .arg(self.dir.join(format!("d{{1...{}}}", self.drives)))
            .env("MINIO_ROOT_USER", &self.credentials.0)
            .env("MINIO_ROOT_PASSWORD", &self.credentials.1)
            // MinIO refuses drives on the file system of `/` without it.
            .env("MINIO_CI_CD", "1")
            // Excludes the delay in which load balancers notice a shutdown from the time of a stop.
            .env("MINIO_SHUTDOWN_DELAY", "0s")
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.binary.display())))?;
        let mut client = self.client(addr);
        loop {
            let ended = child.try_wait()?;
            if ended.is_none() && client.list_buckets().is_ok() {
                return Ok(Server {
                    child,
                    addr,
                    ready_after: start.elapsed(),
                });
            }
            if ended.is_some() || start.elapsed() > START_TIMEOUT {
                let _ = child.kill();
                let state = ended.map_or("is not ready".into(), |status| format!("ended with {status}"));
                let log = fs::read_to_string(&log_path).unwrap_or_default();
                return Err(io::Error::other(format!("the server {state}; its log:\n{log}")));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn client(&self, addr: SocketAddr) -> Client {
        Client::new(addr, &self.credentials.0, &self.credentials.1)
    }
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits; returns the time that the server took to end, and its exit status.
    pub fn terminate(mut self) -> io::Result<(Duration, ExitStatus)> {
        let start = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok((start.elapsed(), status));
            }
            if start.elapsed() > STOP_TIMEOUT {
                return Err(io::Error::other("the server does not end after SIGTERM"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Sends SIGKILL and waits until the process has ended.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if the process has ended already, which is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
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
