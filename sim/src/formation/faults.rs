//! Fault injection into nodes that start, the network between them, and their drives.

use super::{life::Shared, plan::Fault};
use crate::{
    SimDrive,
    faults::{self, cut_links, slow_link},
    net::Link,
    workload::random,
};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep, timeout},
};
use std::{convert::Infallible, sync::Arc};

/// Most writes of a drive before its host loses its power: about as many as it takes to format it.
const WRITES_MAX: u64 = 60;

/// Removes all faults from a drive; a job takes up to `job_max`.
pub fn calm(drive: &SimDrive, job_max: Duration) {
    faults::calm(drive);
    drive.set_faults(|faults| faults.delay_max = job_max);
}

/// Injects one fault after the other, until it is dropped.
pub async fn strike_on(shared: &Shared) -> Infallible {
    loop {
        sleep(random(shared.plan.quiet_max)).await;
        let faults = &shared.plan.faults;
        let Ok((fault, _)) = faults.choose_weighted(&mut thread_rng(), |(_, weight)| *weight) else {
            return std::future::pending().await;
        };
        if thread_rng().gen_bool(shared.plan.aimed) {
            while !shared.is_in_the_middle() {
                sleep(Duration::from_millis(1)).await;
            }
        }
        strike(shared, *fault).await;
    }
}

/// Returns how long a fault is in effect.
fn for_a_while(shared: &Shared) -> Duration {
    random(shared.plan.quiet_max * 3)
}

/// Injects a fault for a while.
async fn strike(shared: &Shared, fault: Fault) {
    let (world, nodes) = (&shared.world, shared.plan.nodes);
    let node = match thread_rng().gen_bool(shared.plan.at_leader) {
        true => 1,
        false => thread_rng().gen_range(1..=nodes),
    };
    let other = (node + thread_rng().gen_range(1..nodes) - 1) % nodes + 1;
    match fault {
        Fault::Kill | Fault::PowerOff => {
            if shared.take_down(node, fault == Fault::PowerOff) {
                shared.count_fault(fault);
                sleep(for_a_while(shared)).await;
                shared.processes.bring_up(node);
            }
        }
        Fault::CutOff => {
            shared.count_fault(fault);
            shared.processes.next_end_takes_power(node);
            let drive = a_drive_of(shared, node);
            drive.cut_after(thread_rng().gen_range(0..WRITES_MAX));
            timeout(for_a_while(shared), drive.until_cut()).await.ok();
            end_with_power(shared, node).await;
        }
        Fault::Pause => {
            if shared.stop(node) {
                shared.count_fault(fault);
                sleep(for_a_while(shared)).await;
                shared.processes.resume(node);
            }
        }
        Fault::Partition | Fault::OneWay => {
            shared.count_fault(fault);
            let both = [(node, other), (other, node)];
            let links = if fault == Fault::Partition {
                &both[..]
            } else {
                &both[..1]
            };
            cut_links(world, links, for_a_while(shared)).await;
        }
        Fault::SlowLink => {
            shared.count_fault(fault);
            let latency_max = Duration::from_millis(1 << thread_rng().gen_range(4..12));
            let latency = Duration::from_micros(50)..=latency_max;
            let bandwidth = None;
            let link = Link { latency, bandwidth };
            slow_link(world, node, other, link, for_a_while(shared)).await;
        }
        Fault::Reset => {
            shared.count_fault(fault);
            world.reset_connections(node, other);
        }
        Fault::WriteErrors => {
            shared.count_fault(fault);
            shared.processes.next_end_takes_power(node);
            let drive = a_drive_of(shared, node);
            let chance = [0.02, 0.2, 1.0][thread_rng().gen_range(0..3)];
            drive.set_faults(|faults| faults.write_error = chance);
            sleep(for_a_while(shared)).await;
            calm(&drive, shared.plan.job_max);
            end_with_power(shared, node).await;
        }
        Fault::Swap => {
            let drive = shared.plan.drive_of(node);
            if shared.swap(drive, shared.plan.drive_of(other)) {
                shared.count_fault(fault);
                sleep(for_a_while(shared)).await;
                shared.swap_back();
            }
        }
    }
}

fn a_drive_of(shared: &Shared, node: u32) -> SimDrive {
    shared.media().drives[shared.plan.drive_of(node)].clone()
}

/// Takes the power of a node's host for a while: a page cache that a failed write has left ahead of the media is gone.
async fn end_with_power(shared: &Shared, node: u32) {
    if shared.take_down(node, true) {
        sleep(for_a_while(shared)).await;
        shared.processes.bring_up(node);
    }
}

/// Checks the drives all the time, until it is dropped.
pub async fn watch(shared: &Arc<Shared>) -> Infallible {
    loop {
        shared.check();
        sleep(Duration::from_millis(2)).await;
    }
}
