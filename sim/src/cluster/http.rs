//! Clients on hosts of their own, each of which speaks S3 to all nodes.

use super::{life::Shared, node::address};
use crate::{
    s3::{S3Client, S3Config},
    workload::{BUCKET, KEYS, http},
};
use madsim::{
    rand::{seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use std::sync::Arc;
use store::{runtime::Rt, store::StoreError};

/// First node of the clients.
const CLIENTS: u32 = 100;
/// Time that a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

fn hosts(shared: &Shared) -> impl Iterator<Item = u32> + use<> {
    CLIENTS..CLIENTS + shared.plan.nodes * shared.plan.clients as u32
}

/// Starts the clients.
pub fn start(shared: &Arc<Shared>) {
    for host in hosts(shared) {
        let there = shared.clone();
        shared.world.start(host, move |rt| work(host, rt, there.clone()));
    }
}

/// Ends the clients: their requests stay open in the histories.
pub fn stop(shared: &Shared) {
    hosts(shared).for_each(|host| shared.world.kill(host));
}

fn client(rt: &Rt, shared: &Arc<Shared>, node: u32) -> S3Client {
    let world = shared.world.clone();
    let config = S3Config {
        server: address(shared, node),
        credentials: http::credentials(),
        bucket: BUCKET.to_owned(),
        patience: PATIENCE,
        wall_nanos: Arc::new(move || world.wall_nanos(node)),
    };
    S3Client::new(rt.clone(), config)
}

/// Runs a client, which asks another node each time.
async fn work(host: u32, rt: Rt, shared: Arc<Shared>) {
    let nodes = 1..=shared.plan.nodes;
    let mut nodes: Vec<(u32, S3Client)> = nodes.map(|node| (node, client(&rt, &shared, node))).collect();
    loop {
        let key = *KEYS.choose(&mut thread_rng()).expect("there are keys");
        let what = shared.what();
        let (node, s3) = nodes.choose_mut(&mut thread_rng()).expect("there are nodes");
        let watched = shared.begin(*node, what);
        let result = http::operation(s3, &shared, key, what).await;
        let event = format!("{key} {what} {result:?}");
        shared.end(watched.as_ref(), &event);
        shared.world.event(host, &event);
        shared.answered(result.is_ok());
        if result == Err(StoreError::NoSuchBucket) {
            s3.create_bucket().await.ok();
        }
        sleep(shared.client_pause()).await;
    }
}
