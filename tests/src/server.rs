//! Server process on temporary drives; dropping it kills the process and removes its folder.

use crate::{http, mounts::Mounts};
use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Root user of the servers under test.
pub const ACCESS_KEY: &str = "tests-root";
/// Secret of the root user.
pub const SECRET_KEY: &str = "tests-secret-key";

/// Time in which a server must be ready; long because other tests keep the machine busy.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// Binary of the server, chosen once per test process.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Selects the binary to test, unless one has been started already.
pub fn use_binary(path: &str) {
    BINARY.get_or_init(|| path.into());
}

/// Returns the server's binary: that of [`use_binary`], else the one that `IMPL_BIN` names, else a release build of the
/// current sources.
pub fn binary() -> &'static Path {
    BINARY.get_or_init(|| match std::env::var_os("IMPL_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

/// Returns the root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Builds the release binary. Cargo's own lock serializes test processes.
fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .args(["build", "--quiet", "--release", "--package", "impl"])
        .current_dir(workspace());
    assert!(
        cargo.status().expect("cargo runs").success(),
        "the server does not build"
    );
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    target.join("release/impl")
}

/// Running (or killed) server.
pub struct Server {
    folder: TempDir,
    drives: Vec<PathBuf>,
    port: u16,
    env: Vec<(String, String)>,
    child: Option<Child>,
    /// Mount namespace that it runs in, if not that of the test.
    mounts: Option<Mounts>,
    /// Additional flags and variables.
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    /// Certificate authority that clients trust; if set, they use HTTPS.
    authority: Option<PathBuf>,
}

impl Server {
    /// Starts a server on `drives` new drives, in `TEST_TMPDIR` if set, and waits until it is ready.
    #[must_use]
    pub fn start(drives: usize) -> Server {
        let mut server = Server::prepare(drives);
        server.restart();
        server
    }

    /// Starts a server with additional environment variables.
    #[must_use]
    pub fn start_with(drives: usize, env: &[(&str, &str)]) -> Server {
        let mut server = Server::prepare(drives);
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        server.env = env.iter().map(owned).collect();
        server.restart();
        server
    }

    /// Makes the folders of a server without starting it.
    #[must_use]
    pub fn prepare(drives: usize) -> Server {
        let parent = std::env::var_os("TEST_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new()
            .prefix("impl-test-")
            .tempdir_in(parent)
            .expect("a temporary folder");
        let drives: Vec<PathBuf> = (1..=drives)
            .map(|number| folder.path().join(format!("d{number}")))
            .collect();
        for drive in &drives {
            fs::create_dir(drive).expect("a drive's folder");
        }
        Server {
            folder,
            drives,
            port: 0,
            env: Vec::new(),
            child: None,
            mounts: None,
            arguments: Vec::new(),
            variables: Vec::new(),
            authority: None,
        }
    }

    /// Runs the server in a mount namespace from the next start on.
    pub fn enter(&mut self, mounts: Mounts) {
        self.mounts = Some(mounts);
    }

    /// Returns the mount namespace of the server.
    ///
    /// # Panics
    /// If it runs in that of the test.
    #[must_use]
    pub fn mounts(&self) -> &Mounts {
        self.mounts.as_ref().expect("a namespace of its own")
    }

    /// Adds flags from the next start on.
    pub fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
    }

    /// Adds an environment variable from the next start on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Serves the certificates in `folder`, signed by the authority in the file `authority`, from the next start on.
    pub fn use_certificates(&mut self, folder: &Path, authority: PathBuf) {
        self.add_arguments(&["--certs-dir", folder.to_str().expect("a path of our own")]);
        self.authority = Some(authority);
    }

    /// Returns the authority that its clients trust.
    #[must_use]
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Restarts the server on the same drives and port, and waits until it answers.
    pub fn restart(&mut self) {
        self.spawn();
        self.wait("/minio/health/cluster");
    }

    /// Starts the server with this standard output and error, and waits until it answers.
    pub fn restart_writing_to(&mut self, stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) {
        self.spawn_with(stdout.into(), stderr.into());
        self.wait("/minio/health/cluster");
    }

    /// Starts the server, and does not wait until it can write.
    pub fn restart_damaged(&mut self) {
        self.spawn();
        self.wait("/minio/health/live");
    }

    fn spawn(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_path())
            .expect("a log file");
        let stderr = log.try_clone().expect("a log file");
        self.spawn_with(log.into(), stderr.into());
    }

    fn spawn_with(&mut self, stdout: Stdio, stderr: Stdio) {
        assert!(self.child.is_none(), "it runs");
        if self.port == 0 {
            self.port = free_port();
        }
        let child = self
            .command(self.port)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .expect("the server starts");
        self.child = Some(child);
    }

    /// Returns the command that serves these drives on `port`.
    #[must_use]
    pub fn command(&self, port: u16) -> Command {
        let mut command = match &self.mounts {
            None => Command::new(binary()),
            Some(mounts) => mounts.command(binary()),
        };
        command.arg("server").arg("--address").arg(format!("127.0.0.1:{port}"));
        match self.drives.len() {
            1 => command.arg(&self.drives[0]),
            count => command.arg(self.folder.path().join(format!("d{{1...{count}}}"))),
        };
        command
            .args(&self.arguments)
            // No load balancer needs the delay when a test ends it.
            .env("MINIO_SHUTDOWN_DELAY", "0s")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            // Ignores certificates in the home folder of the user who runs the tests.
            .env("HOME", self.folder.path())
            .env("MINIO_ROOT_USER", ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
            .env_remove("MINIO_VOLUMES")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn wait(&mut self, path: &str) {
        let started = Instant::now();
        while started.elapsed() < READY_TIME_MAX {
            let is_ready = match self.authority {
                None => http::status(self.port, "GET", path) == Some(200),
                // It listens before its drives are open, and answers once it serves.
                Some(_) => refuses_plain_text(self.port),
            };
            if is_ready {
                return;
            }
            let child = self.child.as_mut().expect("it was spawned");
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("the server is not ready:\n{}", self.log());
    }

    /// Returns the URL for clients.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Returns the port that it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the paths of its drives.
    #[must_use]
    pub fn drives(&self) -> &[PathBuf] {
        &self.drives
    }

    /// Returns a folder for a test's own files, which is removed with the server.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the end of its log once the log has stopped growing: lines are written off the request path.
    #[must_use]
    pub fn log(&self) -> String {
        const MOMENT: Duration = Duration::from_millis(200);
        const LONGEST: Duration = Duration::from_secs(5);
        let started = Instant::now();
        let length = || fs::metadata(self.log_path()).map_or(0, |file| file.len());
        let mut last = length();
        loop {
            thread::sleep(MOMENT);
            let now = length();
            if now == last || started.elapsed() > LONGEST {
                return self.log_tail();
            }
            last = now;
        }
    }

    fn log_tail(&self) -> String {
        const TAIL_BYTES: i64 = 20_000;
        let Ok(mut file) = File::open(self.log_path()) else {
            return String::new();
        };
        // Fails for a shorter log, which is then read from its start.
        let _ = file.seek(SeekFrom::End(-TAIL_BYTES));
        let mut text = Vec::new();
        let _ = file.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Returns its peak resident memory, in bytes.
    #[must_use]
    pub fn peak_memory_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Returns its current resident memory, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let id = self.child.as_ref().expect("it runs").id();
        let status = fs::read_to_string(format!("/proc/{id}/status")).expect("its status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("its memory");
        let kib = line
            .split_whitespace()
            .nth(1)
            .and_then(|number| number.parse::<u64>().ok());
        kib.expect("a number") << 10
    }

    /// Kills the server with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Ends the server with SIGTERM, and waits.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal_terminate();
        self.wait_ended()
    }

    /// Sends SIGTERM.
    pub fn signal_terminate(&self) {
        self.signal("-TERM");
    }

    /// Sends a signal, such as `-HUP`.
    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("it runs").id().to_string();
        let killed = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(killed.success());
    }

    /// Waits until the server has ended.
    pub fn wait_ended(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        child.wait().expect("it ends")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            // Best effort: the test has failed already.
            let _ = writeln!(std::io::stderr(), "--- log of the server ---\n{}", self.log());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Returns whether the port accepts a connection, and answers plain text, closes or resets, as a TLS server does.
fn refuses_plain_text(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let answered = stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .and_then(|()| stream.write_all(b"GET / HTTP/1.1\r\n\r\n"))
        .and_then(|()| stream.read(&mut [0; 16]));
    match answered {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// Returns a port that is free now.
#[must_use]
pub fn free_port() -> u16 {
    free_ports(Ipv4Addr::LOCALHOST, 1).expect("a free port")[0]
}

/// Returns so many different ports of an address that are free now.
///
/// # Errors
/// Errors of the sockets.
pub fn free_ports(address: Ipv4Addr, count: usize) -> io::Result<Vec<u16>> {
    let bind = |_| TcpListener::bind((address, 0));
    // Held together, so that all are different.
    let held = (0..count).map(bind).collect::<io::Result<Vec<TcpListener>>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
