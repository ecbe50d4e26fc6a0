//! Nodes of a cluster that are away for a while, one after the other, under load: restarted as an operator does it, and
//! hanging.
#![allow(clippy::disallowed_methods, reason = "tests run on the host")]

use std::{thread, time::Duration};
use tests::{
    Cluster,
    load::{Away, BUCKET, Journal, load, read},
};

/// Time for which a node hangs.
const HANGS: Duration = Duration::from_secs(4);
/// Time between two absences.
const BETWEEN: Duration = Duration::from_secs(1);
/// Fewest operations of a load that was one.
const WRITES_MIN: usize = 100;

/// Runs a load on all nodes while `absence` is done to each of them, one after the other. Nothing fails at the nodes
/// that are there that a client's retry does not mend; then every node reads what was acknowledged.
fn each_is_away(cluster: &mut Cluster, absence: impl Fn(&mut Cluster, usize)) {
    cluster.client(0).create_bucket(BUCKET).unwrap();
    let away = Away::default();
    let nodes: Vec<usize> = cluster.nodes().collect();
    let (ports, mut journal) = (cluster.ports(), Journal::new());
    thread::scope(|scope| {
        let (away, ports) = (&away, &ports);
        let writer = |&node: &usize| scope.spawn(move || load(ports, node, node, away));
        let writers: Vec<_> = nodes.iter().map(writer).collect();
        for &node in &nodes {
            thread::sleep(BETWEEN);
            away.goes(node);
            absence(cluster, node);
            away.is_back(node);
        }
        thread::sleep(BETWEEN);
        away.end();
        for (node, writer) in writers.into_iter().enumerate() {
            let (known, longest) = writer.join().expect("no failure that retries do not mend");
            println!(
                "node {node}: {} keys, at most {longest:?} for a write and a read",
                known.len()
            );
            journal.extend(known);
        }
    });
    assert!(journal.len() >= WRITES_MIN, "the load was none: {} keys", journal.len());
    for node in nodes {
        let mut client = cluster.client(node);
        for (key, known) in &journal {
            assert!(
                read(&mut client, key, known).is_some(),
                "{key} cannot be read at node {node}"
            );
        }
    }
}

#[test]
fn nodes_are_restarted_one_after_the_other() {
    let mut cluster = Cluster::start(4, 1);
    each_is_away(&mut cluster, |cluster, node| {
        let ended = cluster.terminate(&[node]);
        assert!(ended[0].success(), "node {node} ended with {}", ended[0]);
        cluster.restart(node);
    });
    for node in cluster.nodes() {
        assert!(
            cluster.log(node).contains("it was stopped"),
            "node {node} was told why others went"
        );
    }
}

#[test]
fn nodes_hang_one_after_the_other() {
    let mut cluster = Cluster::start(4, 1);
    each_is_away(&mut cluster, |cluster, node| {
        cluster.signal(node, "-STOP");
        thread::sleep(HANGS);
        cluster.signal(node, "-CONT");
        for other in cluster.nodes() {
            cluster.wait_ready(other);
        }
    });
}
