//! Several server processes on temporary drives, as the nodes of one deployment; dropping it kills them all and removes
//! their folder.

use crate::{
    http,
    s3::Client,
    server::{ACCESS_KEY, SECRET_KEY, binary, free_ports},
};
use std::{
    fmt::Display,
    fs::{self, File},
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Time in which a node must be ready; long because other tests keep the machine busy.
const READY_TIME_MAX: Duration = Duration::from_secs(60);

/// Nodes of one deployment, numbered from 0. Each runs or does not.
pub struct Cluster {
    folder: TempDir,
    drives_per_node: usize,
    /// Names of the nodes' hosts in the URLs of the drives.
    hosts: Vec<String>,
    ports: Vec<u16>,
    children: Vec<Option<Child>>,
    variables: Vec<(String, String)>,
}

impl Cluster {
    /// Chooses ports and folders of so many nodes without starting any.
    #[must_use]
    pub fn prepare(nodes: usize, drives_per_node: usize) -> Cluster {
        let parent = std::env::var_os("TEST_TMPDIR").map_or_else(std::env::temp_dir, PathBuf::from);
        let folder = tempfile::Builder::new()
            .prefix("impl-test-")
            .tempdir_in(parent)
            .expect("a temporary folder");
        Cluster {
            folder,
            drives_per_node,
            hosts: vec![Ipv4Addr::LOCALHOST.to_string(); nodes],
            ports: free_ports(Ipv4Addr::LOCALHOST, nodes).expect("free ports"),
            children: (0..nodes).map(|_| None).collect(),
            variables: Vec::new(),
        }
    }

    /// Starts so many nodes on new drives, and waits until all are ready.
    #[must_use]
    pub fn start(nodes: usize, drives_per_node: usize) -> Cluster {
        let mut cluster = Cluster::prepare(nodes, drives_per_node);
        cluster.start_all();
        cluster
    }

    /// Returns the indices of the nodes.
    pub fn nodes(&self) -> std::ops::Range<usize> {
        0..self.ports.len()
    }

    /// Sets an environment variable of each node that is started from now on.
    pub fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.retain(|(set, _)| set != name);
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Names the host of a node, which listens on 127.0.0.1, in the URLs of each node that is started from now on.
    pub fn set_host(&mut self, node: usize, name: &str) {
        name.clone_into(&mut self.hosts[node]);
    }

    /// Gives a node that does not run another port, at which nodes that are started from now on look for it.
    pub fn set_port(&mut self, node: usize, port: u16) {
        assert!(self.children[node].is_none(), "it runs");
        self.ports[node] = port;
    }

    /// Returns a node's name and port, as the other nodes know it.
    #[must_use]
    pub fn name(&self, node: usize) -> String {
        format!("{}:{}", self.hosts[node], self.ports[node])
    }

    /// Returns the folder of a drive.
    #[must_use]
    pub fn drive(&self, node: usize, drive: usize) -> PathBuf {
        self.folder.path().join(format!("node{node}-drive{drive}"))
    }

    /// Returns a folder for a test's own files, which is removed with the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the URLs of all drives, in the order of the deployment.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let drives = |node| (0..self.drives_per_node).map(move |drive| (node, drive));
        self.nodes()
            .flat_map(drives)
            .map(|(node, drive)| drive_url(&self.hosts[node], self.ports[node], &self.drive(node, drive)))
            .collect()
    }

    /// Returns the command of a node with these drive arguments.
    #[must_use]
    pub fn command(&self, node: usize, drives: &[String]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(["server", "--address", &format!("127.0.0.1:{}", self.ports[node])])
            .args(drives)
            // No load balancer needs the delay when a test ends it.
            .env("MINIO_SHUTDOWN_DELAY", "0s")
            // Ignores certificates in the home folder of the user who runs the tests.
            .env("HOME", self.folder.path())
            .env("MINIO_ROOT_USER", ACCESS_KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET_KEY)
            .env_remove("MINIO_VOLUMES")
            .env_remove("IMPL_PEER_SECRET")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    /// Starts a node, and does not wait for it.
    pub fn spawn(&mut self, node: usize) {
        assert!(self.children[node].is_none(), "it runs");
        let log = File::options().create(true).append(true).open(self.log_path(node));
        let log = log.expect("a log file");
        let mut command = self.command(node, &self.urls());
        command.stdout(log.try_clone().expect("a log file")).stderr(log);
        self.children[node] = Some(command.spawn().expect("the node starts"));
    }

    /// Starts all nodes that do not run, and waits until all are ready.
    pub fn start_all(&mut self) {
        for node in self.nodes() {
            if self.children[node].is_none() {
                self.spawn(node);
            }
        }
        for node in self.nodes() {
            self.wait_ready(node);
        }
    }

    /// Starts a node, and waits until it is ready.
    pub fn restart(&mut self, node: usize) {
        self.spawn(node);
        self.wait_ready(node);
    }

    /// Waits until a node is ready, and writes succeed as far as it can tell.
    pub fn wait_ready(&mut self, node: usize) {
        let port = self.ports[node];
        self.wait_until(node, "ready", |_| is_well(port));
    }

    /// Waits until the log of a node contains this text.
    pub fn wait_logged(&mut self, node: usize, text: &str) {
        self.wait_logged_line(node, &[text]);
    }

    /// Waits until one line of a node's log contains all of these.
    pub fn wait_logged_line(&mut self, node: usize, texts: &[&str]) {
        let has_all = |line: &str| texts.iter().all(|text| line.contains(text));
        self.wait_until(node, &format!("{texts:?}"), |cluster| {
            cluster.log(node).lines().any(has_all)
        });
    }

    fn wait_until(&mut self, node: usize, what: &str, mut done: impl FnMut(&Cluster) -> bool) {
        let started = Instant::now();
        while !done(self) {
            let child = self.children[node].as_mut().expect("it was spawned");
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("node {node} ended with {status}:\n{}", self.log(node));
            }
            assert!(started.elapsed() < READY_TIME_MAX, "node {node}: never: {what}");
            thread::sleep(Duration::from_millis(30));
        }
    }

    /// Sends a signal to a node, such as `-STOP`.
    pub fn signal(&self, node: usize, signal: &str) {
        let id = self.children[node].as_ref().expect("it runs").id().to_string();
        let signalled = Command::new("kill").args([signal, &id]).status().expect("kill runs");
        assert!(signalled.success());
    }

    /// Kills a node with SIGKILL, unless it has been killed already, and waits.
    pub fn kill(&mut self, node: usize) {
        let mut child = self.children[node].take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    /// Ends nodes with SIGTERM, all at once, and waits; returns how they ended.
    pub fn terminate(&mut self, nodes: &[usize]) -> Vec<ExitStatus> {
        for &node in nodes {
            self.signal(node, "-TERM");
        }
        let ended = |&node: &usize| self.children[node].take().expect("it runs").wait().expect("it ends");
        nodes.iter().map(ended).collect()
    }

    /// Returns the ports that the nodes listen on.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.ports.clone()
    }

    /// Returns the port that a node listens on.
    #[must_use]
    pub fn port(&self, node: usize) -> u16 {
        self.ports[node]
    }

    /// Returns the URL of a node for clients.
    #[must_use]
    pub fn endpoint(&self, node: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[node])
    }

    /// Returns the URLs of all nodes for clients.
    #[must_use]
    pub fn endpoints(&self) -> Vec<String> {
        self.nodes().map(|node| self.endpoint(node)).collect()
    }

    /// Makes a client of a node that repeats nothing.
    #[must_use]
    pub fn client(&self, node: usize) -> Client {
        client_of(self.ports[node])
    }

    /// Returns what a node has logged so far, in all its lives.
    #[must_use]
    pub fn log(&self, node: usize) -> String {
        let bytes = fs::read(self.log_path(node)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_path(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("node{node}.log"))
    }
}

/// Makes a client of the node on this port that repeats nothing.
#[must_use]
pub fn client_of(port: u16) -> Client {
    Client::new(([127, 0, 0, 1], port).into(), ACCESS_KEY, SECRET_KEY)
}

/// Returns the URL of a drive of the node at this address.
#[must_use]
pub fn drive_url(host: impl Display, port: u16, folder: &Path) -> String {
    format!("http://{host}:{port}{}", folder.display())
}

/// Returns whether the server on this port is ready, and writes succeed as far as it can tell.
#[must_use]
pub fn is_well(port: u16) -> bool {
    let is_ok = |path| http::status(port, "GET", path) == Some(200);
    is_ok("/minio/health/ready") && is_ok("/minio/health/cluster")
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            let _ = child.kill();
            let _ = child.wait();
        }
        if thread::panicking() {
            for node in self.nodes() {
                // Best effort: the test has failed already.
                let _ = writeln!(std::io::stderr(), "--- log of node {node} ---\n{}", self.log(node));
            }
        }
    }
}
