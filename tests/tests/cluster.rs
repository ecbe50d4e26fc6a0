//! Deployments of four nodes, each a process: popular clients, lost nodes, restarts, and what is refused.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tests::{
    Cluster, Server, clients, http,
    load::{Away, BUCKET, Journal, Known, content, load, number_of, read, with_retries},
    s3::{Client, Error},
    server::{SECRET_KEY, free_port},
};

#[test]
fn clients_use_four_nodes_of_one_drive() {
    clients_use(Cluster::start(4, 1));
}

#[test]
fn clients_use_four_nodes_of_four_drives() {
    clients_use(Cluster::start(4, 4));
}

/// All clients at once, each with a bucket of its own and all nodes; then all is there after a stop of all nodes.
fn clients_use(mut cluster: Cluster) {
    let endpoints = cluster.endpoints();
    let run = |phase| {
        let mut commands = vec![
            ("cluster.py", clients::command_at(&endpoints, "cluster.py", &[phase])),
            (
                "cluster.py, old boto3",
                clients::command_with_old_boto3(&endpoints, "cluster.py", &[phase]),
            ),
        ];
        if phase == "fill" {
            for script in ["cluster_aws.sh", "cluster_rclone.sh"] {
                let folder = cluster.folder().join(script);
                fs::create_dir(&folder).unwrap();
                let folder = folder.to_str().unwrap();
                commands.push((script, clients::command_at(&endpoints, script, &[folder])));
            }
        }
        thread::scope(|scope| {
            for (name, mut command) in commands {
                scope.spawn(move || clients::check(name, &[phase], &command.output().unwrap()));
            }
        });
    };
    run("fill");
    let all: Vec<usize> = cluster.nodes().collect();
    for status in cluster.terminate(&all) {
        assert_eq!(status.code(), Some(0));
    }
    cluster.start_all();
    let endpoints = cluster.endpoints();
    let mut verify = clients::command_at(&endpoints, "cluster.py", &["verify"]);
    clients::check("cluster.py", &["verify"], &verify.output().unwrap());
    let mut verify = clients::command_with_old_boto3(&endpoints, "cluster.py", &["verify"]);
    clients::check("cluster.py, old boto3", &["verify"], &verify.output().unwrap());
}

/// The nodes that are killed, one after the other; the other two stay.
const FIRST: usize = 3;
const SECOND: usize = 2;
const REST: [usize; 2] = [0, 1];
/// Age from which on what was acknowledged must be on all nodes that took part.
const SETTLED: Duration = Duration::from_secs(2);
/// Time within which a write is answered when it cannot succeed. The aim is 5 s; the machine may be busy.
const REFUSED_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn one_node_is_lost_and_then_another() {
    let mut cluster = Cluster::start(4, 1);
    let mut client = cluster.client(0);
    client.create_bucket(BUCKET).unwrap();
    client.put(BUCKET, "to be deleted", b"x").unwrap();
    for node in cluster.nodes() {
        let (mut client, key) = (cluster.client(node), format!("gone/{node}"));
        client.put(BUCKET, &key, &content(&key, 16)).unwrap();
        client.delete(BUCKET, &key).unwrap();
    }
    let away = Away::default();
    let (mut journal, mut killed_at) = (Journal::new(), Instant::now());
    // The nodes outlive the load, which is on all of them: a process is killed by its id.
    let ports = cluster.ports();
    thread::scope(|scope| {
        let (cluster, away, ports) = (&cluster, &away, &ports);
        let writers: Vec<_> = [0, 1, SECOND, FIRST, 0, 1]
            .into_iter()
            .enumerate()
            .map(|(writer, node)| (node, scope.spawn(move || load(ports, writer, node, away))))
            .collect();
        thread::sleep(SETTLED + Duration::from_millis(1500));
        killed_at = Instant::now();
        away.goes(FIRST);
        cluster.signal(FIRST, "-KILL");
        thread::sleep(Duration::from_secs(4));
        away.goes(SECOND);
        cluster.signal(SECOND, "-KILL");
        for node in REST {
            writes_are_refused(cluster, node);
        }
        away.end();
        for (node, writer) in writers {
            let (known, longest) = writer.join().expect("no failure that retries do not mend");
            println!(
                "node {node}: {} keys, at most {longest:?} for a write and a read",
                known.len()
            );
            journal.extend(known);
        }
    });
    cluster.kill(FIRST);
    cluster.kill(SECOND);

    let settled = |known: &Known| {
        let is_old = |(_, at): (u64, Instant)| at + SETTLED < killed_at;
        known.attempted.is_empty() && known.acknowledged.is_some_and(is_old)
    };
    let old = journal.values().filter(|known| settled(known)).count();
    println!("{} keys, {old} of them settled before the first kill", journal.len());
    assert!(old >= 10 && journal.len() > 2 * old, "the load was none");
    let unavailable = on_nodes(&REST, |node| {
        let mut client = cluster.client(node);
        let mut unavailable = 0;
        for (key, known) in &journal {
            let found = read(&mut client, key, known);
            assert!(
                found.is_some() || !settled(known),
                "{key} cannot be read at node {node}"
            );
            unavailable += usize::from(found.is_none());
        }
        match client.list_all(BUCKET, "") {
            Ok(listed) => {
                let listed: BTreeSet<String> = listed.into_iter().collect();
                for (key, known) in &journal {
                    assert!(
                        listed.contains(key) || !settled(known),
                        "{key} is not listed at node {node}"
                    );
                }
                assert!(
                    !listed.iter().any(|key| key.starts_with("gone/")),
                    "deleted, and listed"
                );
            }
            // A write that was cut off cannot be resolved by two nodes.
            Err(error) => {
                println!("node {node} lists nothing: {error}");
                assert_eq!(error.status(), Some(503));
                assert!(
                    journal.values().any(|known| !known.attempted.is_empty()),
                    "nothing is in doubt"
                );
            }
        }
        for number in cluster.nodes() {
            let gone = client.get(BUCKET, &format!("gone/{number}")).unwrap_err();
            assert_eq!(gone.status(), Some(404), "deleted long before: {gone}");
        }
        unavailable
    });
    println!("answered 503 by the two that are left: {unavailable:?}");
    for node in REST {
        let status = |path| http::status(cluster.port(node), "GET", path);
        assert_eq!(status("/minio/health/ready"), Some(200));
        assert_eq!(status("/minio/health/cluster"), Some(503));
        assert_eq!(status("/minio/health/cluster/read"), Some(200));
    }

    cluster.start_all();
    println!("all are back");
    let nodes: Vec<usize> = cluster.nodes().collect();
    let found = on_nodes(&nodes, |node| {
        let mut client = cluster.client(node);
        let mut settle = |(key, known): (&String, &Known)| {
            let began = Instant::now();
            loop {
                match read(&mut client, key, known) {
                    Some(found) => return found,
                    // A write that was cut off is resolved first.
                    None => assert!(began.elapsed() < Duration::from_secs(30), "{key}: never at node {node}"),
                }
                thread::sleep(Duration::from_millis(100));
            }
        };
        journal.iter().map(&mut settle).collect::<Vec<u64>>()
    });
    assert!(found.iter().all(|at_node| *at_node == found[0]), "nodes disagree");
    println!("all is read by all");
    for node in nodes {
        let (mut client, key) = (cluster.client(node), format!("back/{node}"));
        for number in 1..=16 {
            client.put(BUCKET, &key, &content(&key, number)).unwrap();
        }
        for reader in cluster.nodes() {
            let bytes = cluster.client(reader).get(BUCKET, &key).unwrap();
            assert_eq!(number_of(&key, &bytes), 16);
        }
        client.delete(BUCKET, &key).unwrap();
    }
}

/// Runs a check at several nodes at once.
fn on_nodes<T: Send>(nodes: &[usize], check: impl Fn(usize) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let check = &check;
        let checks: Vec<_> = nodes.iter().map(|&node| scope.spawn(move || check(node))).collect();
        checks
            .into_iter()
            .map(|check| check.join().expect("the check holds"))
            .collect()
    })
}

/// With two of four nodes every kind of write is answered 503, soon.
fn writes_are_refused(cluster: &Cluster, node: usize) {
    let mut client = cluster.client(node);
    let mut refused = |what: &str, write: &mut dyn FnMut(&mut Client) -> Result<(), Error>| {
        let began = Instant::now();
        let answer = write(&mut client);
        let took = began.elapsed();
        println!("node {node}: {what} was answered after {took:?}");
        let status = answer.as_ref().err().and_then(Error::status);
        assert_eq!(status, Some(503), "{what}: {answer:?}");
        assert!(took < REFUSED_WITHIN, "{what}: {took:?}");
    };
    let (small, large) = (format!("refused/{node}"), vec![7; 2 << 20]);
    refused("a small object", &mut |client| {
        client.put(BUCKET, &small, b"x").map(drop)
    });
    refused("a large object", &mut |client| {
        client.put(BUCKET, &small, &large).map(drop)
    });
    refused("a delete", &mut |client| client.delete(BUCKET, "to be deleted"));
    refused("a bucket", &mut |client| client.create_bucket("refused"));
}

#[test]
fn nodes_without_the_secret_are_refused_and_the_secret_can_be_changed() {
    let (old, new) = ("0ld5ecret".repeat(5), "n3w5ecret".repeat(5));
    let mut cluster = Cluster::prepare(4, 1);
    cluster.set_variable("IMPL_PEER_SECRET", &old);
    cluster.start_all();
    cluster.client(0).create_bucket(BUCKET).unwrap();
    let works = |cluster: &Cluster, at: usize, key: &str| {
        cluster.client(at).put(BUCKET, key, key.as_bytes()).unwrap();
        for node in cluster.nodes().filter(|&node| node != 3 || at == 3) {
            assert_eq!(cluster.client(node).get(BUCKET, key).unwrap(), key.as_bytes());
        }
    };

    cluster.terminate(&[3]);
    cluster.set_variable("IMPL_PEER_SECRET", &new);
    cluster.spawn(3);
    cluster.wait_logged(3, "give all nodes the same IMPL_PEER_SECRET");
    cluster.wait_logged(0, "give all nodes the same IMPL_PEER_SECRET");
    assert_ne!(http::status(cluster.port(3), "GET", "/minio/health/ready"), Some(200));
    works(&cluster, 0, "without the fourth");
    assert_eq!(cluster.terminate(&[3])[0].code(), Some(0));

    cluster.set_variable("IMPL_PEER_SECRET", &old);
    cluster.restart(3);
    for secrets in [format!("{new},{old}"), new.clone()] {
        cluster.set_variable("IMPL_PEER_SECRET", &secrets);
        for node in cluster.nodes() {
            cluster.terminate(&[node]);
            cluster.restart(node);
            works(&cluster, 3, &format!("{node} was restarted"));
        }
    }
    for node in cluster.nodes() {
        let log = cluster.log(node);
        for secret in [&old, &new, SECRET_KEY] {
            assert!(!log.contains(secret), "the log of node {node} shows a secret");
        }
    }
}

#[test]
fn a_first_start_waits_for_all_and_says_for_whom() {
    let mut cluster = Cluster::prepare(4, 1);
    for node in 0..3 {
        cluster.spawn(node);
    }
    for node in 0..3 {
        cluster.wait_logged(node, "first start: waits for all nodes");
        assert!(cluster.log(node).contains(&cluster.endpoint(3)["http://".len()..]));
        assert_eq!(http::status(cluster.port(node), "GET", "/minio/health/live"), Some(200));
        assert_eq!(
            http::status(cluster.port(node), "GET", "/minio/health/ready"),
            Some(503)
        );
    }
    cluster.start_all();
    cluster.client(1).create_bucket(BUCKET).unwrap();

    // Later a node needs one other.
    let all: Vec<usize> = cluster.nodes().collect();
    cluster.terminate(&all);
    cluster.spawn(1);
    cluster.wait_logged(1, "waits for another node with formatted drives");
    cluster.start_all();
    assert_eq!(cluster.client(1).list_buckets().unwrap(), [BUCKET]);
}

/// Every node writes, and all read it, while no node is away.
fn all_serve(cluster: &Cluster, phase: &str) {
    for writer in cluster.nodes() {
        let key = format!("{phase}/{writer}");
        let mut client = cluster.client(writer);
        let put = with_retries(|| client.put(BUCKET, &key, key.as_bytes()));
        assert!(put.is_ok(), "{phase}, at node {writer}: {put:?}");
        for reader in cluster.nodes() {
            let mut client = cluster.client(reader);
            let read = with_retries(|| client.get(BUCKET, &key));
            assert_eq!(read.unwrap(), key.as_bytes(), "{phase}, at node {reader}");
        }
    }
}

#[test]
fn hosts_are_renamed_and_replaced_one_by_one() {
    let differs = "a node is set up differently";
    let mut cluster = Cluster::start(4, 1);
    cluster.client(0).create_bucket(BUCKET).unwrap();
    let names = |cluster: &Cluster| {
        cluster
            .nodes()
            .map(|node| cluster.name(node))
            .collect::<Vec<_>>()
            .join(" ")
    };

    // The host of the last node gets another name, which node after node is told.
    let old = names(&cluster);
    cluster.set_host(3, "localhost");
    let new = names(&cluster);
    for node in cluster.nodes() {
        cluster.terminate(&[node]);
        let before = cluster.log(node).len();
        cluster.restart(node);
        if node == 0 {
            let [here, there] = [(&new, &old), (&old, &new)].map(|(here, there)| {
                let quoted = |name, value| format!("{name}=\"{value}\"");
                [quoted("here", here), quoted("there", there)]
            });
            cluster.wait_logged_line(0, &[differs, &here[0], &here[1]]);
            cluster.wait_logged_line(1, &[differs, &there[0], &there[1]]);
        }
        all_serve(&cluster, &format!("node {node} is told of a name"));
        let is_last = node == 3;
        let says = cluster.log(node)[before..].contains(differs);
        assert_ne!(says, is_last, "the log of node {node}: {}", cluster.log(node));
    }

    // A host is replaced by another one, at another address, with the same drives.
    let (old, gone) = (names(&cluster), cluster.name(2));
    cluster.terminate(&[2]);
    cluster.set_port(2, free_port());
    let new = names(&cluster);
    for node in [2, 0, 1, 3] {
        if node != 2 {
            cluster.terminate(&[node]);
        }
        cluster.restart(node);
        if node == 2 {
            cluster.wait_logged_line(2, &[differs, &old, &new]);
            // It dials the others, who do not know yet where to dial it.
            cluster.wait_logged_line(3, &["not connected to a node", &gone, "refused"]);
        }
        all_serve(&cluster, &format!("node {node} is told of a replaced host"));
    }
    for node in cluster.nodes() {
        assert_eq!(
            http::status(cluster.port(node), "GET", "/minio/health/cluster"),
            Some(200)
        );
    }
}

#[test]
fn a_store_of_paths_is_none_of_nodes_and_the_reverse() {
    let mut server = Server::start(4);
    assert!(server.terminate().success());
    let mut cluster = Cluster::start(4, 1);
    let all: Vec<usize> = cluster.nodes().collect();
    cluster.terminate(&all);

    let of = |node: usize, path: &std::path::Path| format!("{}{}", cluster.endpoint(node), path.display());
    let urls: Vec<String> = server
        .drives()
        .iter()
        .enumerate()
        .map(|(node, path)| of(node, path))
        .collect();
    let error = refusal(cluster.command(0, &urls));
    assert!(error.contains("copy") && error.contains("paths"), "{error}");
    assert!(error.contains(&server.drives()[0].display().to_string()), "{error}");
    assert!(!error.contains("formatted"), "it takes part in no first start: {error}");

    let paths: Vec<String> = cluster
        .nodes()
        .map(|node| cluster.drive(node, 0).display().to_string())
        .collect();
    let error = refusal(cluster.command(0, &paths));
    assert!(error.contains("give the URLs of all its drives"), "{error}");

    server.restart();
    cluster.start_all();
}

/// Returns the one line by which a server ends at its start.
fn refusal(mut command: Command) -> String {
    let Output { status, stderr, .. } = command.stdout(Stdio::null()).output().unwrap();
    let error = String::from_utf8(stderr).unwrap();
    println!("{error}");
    assert_eq!(status.code(), Some(1), "{error}");
    error
}
