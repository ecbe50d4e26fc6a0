//! Clients that are hosts of their own: they speak S3 to the node's HTTP server over the simulated network, and outlive
//! the node's crashes.

use super::life::{NODE, Shared};
use crate::{
    s3::{S3Client, S3Config},
    workload::{BUCKET, KEYS, http, random},
};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use std::{convert::Infallible, net::SocketAddr, sync::Arc};
use store::{
    runtime::Rt,
    store::{Store, StoreError},
};

/// First node of the clients, and the node that reads every key at the end.
const CLIENTS: u32 = 100;
const READER: u32 = 99;
const PORT: u16 = 9000;
/// Time limit of a request without faults.
const CALM_PATIENCE: Duration = Duration::from_secs(20);

/// Serves S3 until the node ends.
pub async fn serve(rt: Rt, store: Arc<Store>, shared: Arc<Shared>) {
    http::serve(rt, address(&shared), store, None).await;
}

fn address(shared: &Shared) -> SocketAddr {
    SocketAddr::new(shared.world.ip(NODE), PORT)
}

fn client(rt: Rt, shared: &Shared, patience: Duration) -> S3Client {
    let world = shared.world.clone();
    let config = S3Config {
        server: address(shared),
        credentials: http::credentials(),
        bucket: BUCKET.to_owned(),
        patience,
        // As clients do that take the time from the server's answers.
        wall_nanos: Arc::new(move || world.wall_nanos(NODE)),
    };
    S3Client::new(rt, config)
}

/// Starts the clients, each on a host of its own.
pub fn start(shared: &Arc<Shared>) {
    for client in 0..shared.plan.clients as u32 {
        let shared = shared.clone();
        let world = shared.world.clone();
        world.start(CLIENTS + client, move |rt| work(CLIENTS + client, rt, shared.clone()));
    }
}

/// Ends the clients: their requests stay open in the histories.
pub fn stop(shared: &Shared) {
    for client in nodes(shared) {
        shared.world.kill(client);
    }
}

fn nodes(shared: &Shared) -> Vec<u32> {
    (CLIENTS..CLIENTS + shared.plan.clients as u32).collect()
}

/// Awaits a life while the network of its clients is disturbed, if the plan says so.
pub async fn disturbed<T>(shared: &Shared, life: impl Future<Output = T>) -> T {
    if !(shared.plan.http && shared.plan.link_faults) {
        return life.await;
    }
    tokio::select! { biased; ended = life => ended, never = disturb(shared) => match never {} }
}

/// Resets connections of clients, and cuts links in one direction or both for a while, until it is dropped.
async fn disturb(shared: &Shared) -> Infallible {
    let world = &shared.world;
    for client in nodes(shared) {
        // What was cut when the last life ended.
        world.set_link(NODE, client, true);
        world.set_link(client, NODE, true);
    }
    loop {
        sleep(random(shared.plan.quiet_max)).await;
        let client = *nodes(shared).choose(&mut thread_rng()).expect("there are clients");
        let (there, back) = match thread_rng().gen_range(0..4) {
            0 => (true, false),
            1 => (false, true),
            2 => (true, true),
            _ => {
                world.reset_connections(NODE, client);
                continue;
            }
        };
        let links = [(client, NODE, there), (NODE, client, back)].into_iter();
        let cut: Vec<(u32, u32)> = links
            .filter(|(_, _, is_cut)| *is_cut)
            .map(|(from, to, _)| (from, to))
            .collect();
        cut.iter().for_each(|(from, to)| world.set_link(*from, *to, false));
        sleep(random(shared.plan.quiet_max * 3)).await;
        cut.iter().for_each(|(from, to)| world.set_link(*from, *to, true));
    }
}

/// Runs a client.
async fn work(node: u32, rt: Rt, shared: Arc<Shared>) {
    let mut s3 = client(rt, &shared, shared.plan.patience());
    loop {
        let key = *KEYS.choose(&mut thread_rng()).expect("there are keys");
        let what = shared.what();
        let result = http::operation(&mut s3, &shared, key, what).await;
        shared.world.event(node, &format!("{key} {what} {result:?}"));
        if result == Err(StoreError::NoSuchBucket) {
            s3.create_bucket().await.ok();
        }
        sleep(shared.pause()).await;
    }
}

/// Reads every key once over HTTP, without faults.
pub async fn verify(shared: &Arc<Shared>) {
    let there = shared.clone();
    let read = shared.world.run_on(READER, move |rt| async move {
        let mut s3 = client(rt, &there, CALM_PATIENCE);
        for key in KEYS {
            let read = http::get(&mut s3, &there, key).await;
            assert!(read.is_ok(), "put.acked-survives: {key} over HTTP: {read:?}");
        }
    });
    read.await.expect("nobody kills the reader");
}
