//! Nodes that must not talk to each other: the log of each says why, with what both have.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use super::*;
use crate::{
    drive::format::{SYSTEM_FOLDER, format_path},
    peer::{Certificates, PeerTls},
    runtime::{Accepted, Executor, Files, Listener, Runtime, Stream, Task, real::RealRuntime, spawn},
};
use std::{
    fs,
    future::ready,
    io::{self, Write},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::{Mutex, mpsc},
    thread,
    time::Instant,
};
use tracing_subscriber::fmt::MakeWriter;

/// Time in which both logs must say it; long because other tests keep the machine busy.
const SAID_WITHIN: Duration = Duration::from_secs(60);
const NODES: usize = 2;

/// How the nodes of a test are started, one of which may be wrong.
#[derive(Clone)]
struct Setup {
    drives: usize,
    set_size: usize,
    parity: u8,
    region: &'static str,
    domain: &'static str,
    secret: u8,
    versions: RangeInclusive<u16>,
    /// Number of seconds that the clock is ahead.
    ahead: u64,
    /// The order of the hosts is reversed.
    is_reversed: bool,
    /// Nodes that the drives are divided among.
    nodes: usize,
}

impl Setup {
    fn right() -> Setup {
        Setup {
            drives: 4,
            set_size: 4,
            parity: 2,
            region: "here",
            domain: "one.example",
            secret: 1,
            versions: VERSIONS,
            ahead: 0,
            is_reversed: false,
            nodes: NODES,
        }
    }

    fn config(&self, me: usize, folder: &Path, addresses: &[SocketAddr]) -> ClusterConfig {
        let mut hosts: Vec<Host> = addresses.iter().map(host).collect();
        let extra = (NODES..self.nodes).map(|node| host(&SocketAddr::from(([127, 0, 0, 9], node as u16))));
        hosts.extend(extra);
        let mut me = me;
        if self.is_reversed {
            hosts.reverse();
            me = NODES - 1 - me;
        }
        let place = |drive: usize| DrivePlace {
            node: (drive % self.nodes) as u16,
            path: folder.join(format!("d{drive}")),
        };
        let same = [("region", self.region), ("domain", self.domain)];
        let tls = PeerTls::new(rustls::crypto::ring::default_provider(), Certificates::Throwaway);
        ClusterConfig {
            me: me as u16,
            hosts,
            drives: (0..self.drives).map(place).collect(),
            set_size: self.set_size,
            standard_parity: self.parity,
            reduced_parity: 1,
            index: IndexPolicy::default(),
            secrets: vec![PeerSecret::from_bytes(&[self.secret; 32]).expect("long enough")],
            security: Security::Tls(tls.expect("settings")),
            same: same.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }
}

fn host(address: &SocketAddr) -> Host {
    let address = *address;
    Host {
        name: address.to_string(),
        certificate: "localhost".to_owned(),
        resolve: Arc::new(move || Box::pin(ready(Ok(vec![address])))),
    }
}

/// What a node has logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic")).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Log;

    fn make_writer(&self) -> Log {
        self.clone()
    }
}

/// A host whose clock is ahead.
struct Ahead(Rt, u64);

impl Runtime for Ahead {
    fn wall_nanos(&self) -> u64 {
        self.0.wall_nanos() + self.1 * 1_000_000_000
    }
    fn mono(&self) -> Duration {
        self.0.mono()
    }
    fn sleep(&self, duration: Duration) -> runtime::BoxFuture<()> {
        self.0.sleep(duration)
    }
    fn spawn_boxed(&self, what: &'static str, future: runtime::BoxFuture<()>) -> Arc<dyn Task> {
        self.0.spawn_boxed(what, future)
    }
    fn cpu_boxed(&self, job: runtime::Job) -> runtime::BoxFuture<()> {
        self.0.cpu_boxed(job)
    }
    fn fill_random(&self, buf: &mut [u8]) {
        self.0.fill_random(buf);
    }
    fn listen(&self, addr: SocketAddr) -> runtime::BoxFuture<io::Result<Box<dyn Listener>>> {
        self.0.listen(addr)
    }
    fn resolve(&self, host: String, port: u16) -> runtime::BoxFuture<io::Result<Vec<SocketAddr>>> {
        self.0.resolve(host, port)
    }
    fn connect(&self, addr: SocketAddr) -> runtime::BoxFuture<io::Result<Box<dyn Stream>>> {
        self.0.connect(addr)
    }
    fn files(&self) -> Arc<dyn Files> {
        self.0.files()
    }
    fn executor(&self, drive: &str) -> Arc<dyn Executor> {
        self.0.executor(drive)
    }
}

/// A node that runs in a thread, and so in a log, of its own until it is dropped.
struct Life {
    log: Log,
    end: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
    /// Told once its drives are open.
    opened: mpsc::Receiver<()>,
}

impl Life {
    fn start(setup: &Setup, me: usize, folder: &Path, addresses: &[SocketAddr]) -> Life {
        let (log, (end, ended)) = (Log::default(), tokio::sync::oneshot::channel());
        let (tell, opened) = mpsc::channel();
        let (config, address) = (setup.config(me, folder, addresses), addresses[me]);
        let (ahead, versions, into) = (setup.ahead, setup.versions.clone(), log.clone());
        let thread = thread::spawn(move || {
            let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(into).finish();
            let _lines = tracing::subscriber::set_default(lines);
            let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
            tokio.expect("a runtime").block_on(async {
                let rt: Rt = Arc::new(Ahead(RealRuntime::new(), ahead));
                live(&rt, config, versions, address, tell, ended).await;
            });
        });
        Life {
            log,
            end: Some(end),
            thread: Some(thread),
            opened,
        }
    }

    /// Waits until the log has all of these, in one line.
    fn says(&self, what: &str, words: &[String]) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let text = self.log.text();
            if text.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return Ok(());
            }
            if began.elapsed() > SAID_WITHIN {
                return Err(format!("{what}: no line has all of {words:?}:\n{text}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Runs a node. One that does not start says so, as the server does.
async fn live(
    rt: &Rt,
    config: ClusterConfig,
    versions: RangeInclusive<u16>,
    at: SocketAddr,
    tell: mpsc::Sender<()>,
    mut ended: tokio::sync::oneshot::Receiver<()>,
) {
    let starting = Starting::speaking(rt.clone(), config, versions).expect("a shape");
    let (entrance, accepting) = (starting.entrance().clone(), rt.clone());
    let listener = rt.listen(at).await.expect("the port is free");
    spawn(rt, "accept", async move {
        while let Ok::<Accepted, _>((stream, from)) = listener.accept().await {
            spawn(&accepting, "peer", entrance.clone().serve(stream, from));
        }
    });
    let opened = tokio::select! {
        biased;
        _ = &mut ended => return,
        opened = starting.open() => opened,
    };
    match opened {
        Ok(open) => {
            tell.send(()).ok();
            ended.await.ok();
            open.entrance.close();
            open.node.store.close().await;
        }
        Err(error) => {
            tracing::error!(%error, "the server does not start");
            ended.await.ok();
        }
    }
}

fn free_addresses() -> Vec<SocketAddr> {
    let held: Vec<TcpListener> = (0..NODES)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a port"))
        .collect();
    held.iter().map(|held| held.local_addr().expect("bound")).collect()
}

/// A case: what it is, what is wrong with node 1, and the words in one line of each node's log.
type Case = (&'static str, fn(&mut Setup), [&'static [&'static str]; 2]);

const GIVE_SAME: &str = "give all nodes the same";

/// What is wrong with one of two nodes that have never been started.
const FIRST: [Case; 10] = [
    (
        "parity",
        |setup| setup.parity = 1,
        [
            &[
                "parity of this node is EC:2, reduced EC:1, of the peer EC:1, reduced EC:1",
                GIVE_SAME,
            ],
            &[
                "parity of this node is EC:1, reduced EC:1, of the peer EC:2, reduced EC:1",
                GIVE_SAME,
            ],
        ],
    ),
    (
        "region",
        |setup| setup.region = "elsewhere",
        [
            &["region of this node is here, of the peer elsewhere", GIVE_SAME],
            &["region of this node is elsewhere, of the peer here", GIVE_SAME],
        ],
    ),
    (
        "domain",
        |setup| setup.domain = "two.example",
        [
            &["domain of this node is one.example, of the peer two.example", GIVE_SAME],
            &["domain of this node is two.example, of the peer one.example", GIVE_SAME],
        ],
    ),
    (
        "number of drives",
        |setup| (setup.drives, setup.set_size) = (8, 8),
        [
            &[
                "4 in sets of 4 on 2 nodes, of the peer 8 in sets of 8 on 2 nodes",
                GIVE_SAME,
            ],
            &[
                "8 in sets of 8 on 2 nodes, of the peer 4 in sets of 4 on 2 nodes",
                GIVE_SAME,
            ],
        ],
    ),
    (
        "size of the sets",
        |setup| (setup.drives, setup.set_size, setup.parity) = (8, 4, 2),
        [
            &[
                "4 in sets of 4 on 2 nodes, of the peer 8 in sets of 4 on 2 nodes",
                GIVE_SAME,
            ],
            &[
                "8 in sets of 4 on 2 nodes, of the peer 4 in sets of 4 on 2 nodes",
                GIVE_SAME,
            ],
        ],
    ),
    (
        "number of nodes",
        |setup| setup.nodes = 4,
        [
            &[
                "4 in sets of 4 on 2 nodes, of the peer 4 in sets of 4 on 4 nodes",
                GIVE_SAME,
            ],
            &[
                "4 in sets of 4 on 4 nodes, of the peer 4 in sets of 4 on 2 nodes",
                GIVE_SAME,
            ],
        ],
    ),
    (
        "order of the hosts",
        |setup| setup.is_reversed = true,
        [
            &[
                "node 1 was dialled, and node 0 answers there",
                "give all nodes the URLs in the same order",
            ],
            &[
                "node 1 was dialled, and node 0 answers there",
                "give all nodes the URLs in the same order",
            ],
        ],
    ),
    (
        "secret",
        |setup| setup.secret = 2,
        [
            &["proof of the secret", "give all nodes the same IMPL_PEER_SECRET"],
            &["proof of the secret", "give all nodes the same IMPL_PEER_SECRET"],
        ],
    ),
    (
        "version",
        |setup| setup.versions = 2..=4,
        [
            &[
                "this node speaks versions 1 to 1 of the protocol, the peer 2 to 4",
                "upgrade the one",
            ],
            &[
                "this node speaks versions 2 to 4 of the protocol, the peer 1 to 1",
                "upgrade the one",
            ],
        ],
    ),
    (
        "clock",
        |setup| setup.ahead = 100,
        [
            &[
                "the peer's clock is ",
                " s ahead: this node's says ",
                "the peer's ",
                "set the clock that is wrong",
            ],
            &[
                "the peer's clock is ",
                " s behind: this node's says ",
                "the peer's ",
                "set the clock that is wrong",
            ],
        ],
    ),
];

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Runs checks of cases at once.
fn all(checks: Vec<Box<dyn FnOnce() -> Result<(), String> + Send>>) {
    let checks: Vec<_> = checks.into_iter().map(thread::spawn).collect();
    let failed = checks
        .into_iter()
        .filter_map(|check| check.join().expect("no panic").err());
    let failed: Vec<String> = failed.collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

// `peer.same-settings`, `peer.right-node`, `format.refuse-changes-nothing`
#[test]
fn nodes_that_differ_say_how_in_both_logs_and_write_nothing() {
    let case = |(what, change, words): Case| {
        let check = move || {
            let (folder, addresses) = (tempfile::tempdir().expect("a folder"), free_addresses());
            let mut wrong = Setup::right();
            change(&mut wrong);
            let nodes = [Setup::right(), wrong];
            let nodes: Vec<Life> = (0..NODES)
                .map(|me| Life::start(&nodes[me], me, folder.path(), &addresses))
                .collect();
            for (node, words) in nodes.iter().zip(words) {
                node.says(what, &owned(words))?;
            }
            let written = (0..8).find(|drive| folder.path().join(format!("d{drive}")).exists());
            written.map_or(Ok(()), |drive| Err(format!("{what}: d{drive} was made")))
        };
        Box::new(check) as Box<dyn FnOnce() -> Result<(), String> + Send>
    };
    all(FIRST.into_iter().map(case).collect());
}

/// Forms a deployment of two nodes, and stops them.
fn formed(addresses: &[SocketAddr]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let nodes: Vec<Life> = (0..NODES)
        .map(|me| Life::start(&Setup::right(), me, folder.path(), addresses))
        .collect();
    for node in &nodes {
        let opened = node.opened.recv_timeout(SAID_WITHIN);
        assert!(opened.is_ok(), "it does not start:\n{}", node.log.text());
    }
    folder
}

/// Returns a UUID of a drive's `format.json`.
fn id(folder: &Path, drive: usize, name: &str) -> String {
    let text = fs::read_to_string(format_path(&folder.join(format!("d{drive}")))).expect("a format");
    let format: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    format[name].as_str().expect("an id").to_owned()
}

fn exchange(one: &Path, other: &Path) {
    let away = one.with_extension("away");
    fs::rename(one, &away).expect("moved");
    fs::rename(other, one).expect("moved");
    fs::rename(&away, other).expect("moved");
}

// `format.topology`, `format.by-identity`, `format.foreign-data`, `peer.same-settings`
#[test]
fn formatted_drives_that_do_not_fit_are_named_with_what_was_expected() {
    let (addresses, others) = (free_addresses(), free_addresses());
    let (here, there) = (formed(&addresses), formed(&others));
    let drive = |folder: &tempfile::TempDir, drive: usize| folder.path().join(format!("d{drive}"));
    let run = |setup: &Setup| -> Vec<Life> {
        let nodes = [Setup::right(), setup.clone()];
        (0..NODES)
            .map(|me| Life::start(&nodes[me], me, here.path(), &addresses))
            .collect()
    };
    let says =
        |node: &Life, what: &str, words: &[&str]| node.says(what, &owned(words)).unwrap_or_else(|e| panic!("{e}"));

    for (what, change, words) in [
        (
            "more drives",
            (|setup| (setup.drives, setup.set_size) = (8, 8)) as fn(&mut Setup),
            "8 drives given, the drives' format has 4: give what it was formatted with",
        ),
        (
            "more nodes",
            |setup| setup.nodes = 4,
            "4 nodes given, the drives' format has 2: give what it was formatted with",
        ),
    ] {
        let mut wrong = Setup::right();
        change(&mut wrong);
        let nodes = run(&wrong);
        says(&nodes[1], what, &["/d1", words]);
    }

    // A drive of another node of the deployment, in each of their logs.
    exchange(&drive(&here, 0), &drive(&here, 1));
    let (zero, one) = (id(here.path(), 1, "this"), id(here.path(), 0, "this"));
    let nodes = run(&Setup::right());
    let advice = "mount each at its own node";
    says(
        &nodes[0],
        "a wrong slot",
        &["/d0", &one, "that of drive", &zero, advice],
    );
    says(
        &nodes[1],
        "a wrong slot",
        &["/d1", &zero, "that of drive", &one, advice],
    );
    drop(nodes);
    exchange(&drive(&here, 0), &drive(&here, 1));

    // One drive of another deployment: its node names it with both.
    let (ours, theirs) = (id(here.path(), 0, "id"), id(there.path(), 0, "id"));
    exchange(&drive(&here, 1), &drive(&there, 1));
    let nodes = run(&Setup::right());
    let tie = [
        "this drive is of deployment",
        &*ours,
        &*theirs,
        "mount the drives of one deployment",
    ];
    says(&nodes[1], "a drive of another deployment", &tie);
    drop(nodes);

    // All drives of a node are.
    exchange(&drive(&here, 3), &drive(&there, 3));
    let nodes = run(&Setup::right());
    let look = "has its own drives mounted";
    let words =
        |ours: &str, theirs: &str| format!("of this node are of deployment {ours}, those of the peer of {theirs}");
    says(&nodes[0], "another deployment", &[&words(&ours, &theirs), look]);
    says(&nodes[1], "another deployment", &[&words(&theirs, &ours), look]);
    drop(nodes);
    exchange(&drive(&here, 3), &drive(&there, 3));
    exchange(&drive(&here, 1), &drive(&there, 1));

    // Something else lies there.
    let lost = here.path().join("d1-away");
    fs::rename(drive(&here, 1), &lost).expect("moved");
    fs::create_dir_all(drive(&here, 1).join("photos")).expect("made");
    let nodes = run(&Setup::right());
    says(
        &nodes[1],
        "foreign data",
        &["/d1", "photos", "its file system is not mounted"],
    );
    drop(nodes);
    let names: Vec<_> = fs::read_dir(drive(&here, 1)).expect("there").collect();
    assert_eq!(names.len(), 1, "format.foreign-data");
    assert!(!drive(&here, 1).join(SYSTEM_FOLDER).exists(), "format.foreign-data");
}

// `format.foreign-data`, `format.one-deployment`
#[test]
fn what_is_in_the_way_of_a_first_start_is_named_in_both_logs() {
    let addresses = free_addresses();
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("d1/photos")).expect("made");
    let nodes: Vec<Life> = (0..NODES)
        .map(|me| Life::start(&Setup::right(), me, folder.path(), &addresses))
        .collect();
    for node in &nodes {
        let words = [
            "first start",
            "/d1",
            "photos",
            "look whether the right file systems are mounted",
        ];
        node.says("foreign data", &owned(&words))
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(
            !node.log.text().contains("empty the"),
            "nothing advises to empty a drive"
        );
    }
}
