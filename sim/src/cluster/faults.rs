//! Fault injection into nodes, the network between them, and their drives.

use super::{life::Shared, plan::Fault, wrong};
use crate::{
    SimDrive,
    faults::{calm, cut_links, slow_link},
    net::Link,
    workload::random,
};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep},
};
use std::convert::Infallible;

/// Largest step of a clock, in nanoseconds, and its fastest or slowest pace in parts per million.
const CLOCK_STEP_NANOS: i64 = 3_000_000_000;
const CLOCK_DRIFT_PPM: i32 = 500;
/// Longest time that a process is stopped for: less than an operation may take in the simulation, stops included.
const PAUSE_MAX: Duration = Duration::from_secs(120);

/// Injects one fault after the other, until it is dropped.
pub async fn strike_on(shared: &Shared) -> Infallible {
    loop {
        sleep(random(shared.plan.quiet_max)).await;
        let chosen = shared
            .plan
            .faults
            .choose_weighted(&mut thread_rng(), |(_, weight)| *weight);
        let Ok((fault, _)) = chosen else {
            std::future::pending::<()>().await;
            continue;
        };
        strike(shared, *fault).await;
    }
}

/// Returns how long a fault is in effect.
pub fn for_a_while(shared: &Shared) -> Duration {
    random(shared.plan.quiet_max * 3)
}

/// Injects a fault for a while.
async fn strike(shared: &Shared, fault: Fault) {
    let (world, nodes) = (&shared.world, shared.plan.nodes);
    let node = thread_rng().gen_range(1..=nodes);
    let other = (node + thread_rng().gen_range(1..nodes) - 1) % nodes + 1;
    let is_wrong = fault == Fault::WrongDrive;
    // What befalls a drive goes with it to another place: no two of these at a time.
    if is_wrong && shared.disturbs_drives() || fault.is_of_drive() && shared.has_wrong_drive() {
        return;
    }
    match fault {
        Fault::Kill | Fault::PowerOff => {
            if !shared.take_down(node, fault == Fault::PowerOff) {
                return;
            }
            shared.count_fault(fault);
            sleep(for_a_while(shared)).await;
            shared.processes.bring_up(node);
        }
        Fault::Pause => {
            let node = shared.plan.hung.unwrap_or(node);
            if !shared.stop(node) {
                return;
            }
            shared.count_fault(fault);
            let long = thread_rng().gen_bool(0.2);
            sleep(if long {
                random(PAUSE_MAX)
            } else {
                for_a_while(shared).min(PAUSE_MAX)
            })
            .await;
            shared.resume(node);
        }
        Fault::Partition => {
            shared.count_fault(fault);
            // From one node to all but one.
            let side = thread_rng().gen_range(1..(1u32 << nodes) - 1);
            let is_there = |node: u32| side >> (node - 1) & 1 == 1;
            let cut: Vec<(u32, u32)> = (1..=nodes)
                .flat_map(|a| (1..=nodes).map(move |b| (a, b)))
                .filter(|(a, b)| is_there(*a) != is_there(*b))
                .collect();
            shared.harms(cut.iter().flat_map(|(from, to)| [*from, *to]));
            cut_links(world, &cut, for_a_while(shared)).await;
        }
        Fault::OneWay => {
            shared.count_fault(fault);
            shared.harms([node, other]);
            cut_links(world, &[(node, other)], for_a_while(shared)).await;
        }
        Fault::SlowLink => {
            shared.count_fault(fault);
            let latency_max = Duration::from_millis(1 << thread_rng().gen_range(2..11));
            let bandwidth = thread_rng().gen_bool(0.5).then(|| 1 << thread_rng().gen_range(16..24));
            let latency = Duration::from_micros(50)..=latency_max;
            shared.harms([node, other]);
            let link = Link { latency, bandwidth };
            slow_link(world, node, other, link, for_a_while(shared)).await;
        }
        Fault::Reset => {
            shared.count_fault(fault);
            shared.harms([node, other]);
            world.reset_connections(node, other);
        }
        Fault::Clock => {
            shared.count_fault(fault);
            world.set_clock_offset(node, thread_rng().gen_range(-CLOCK_STEP_NANOS..=CLOCK_STEP_NANOS));
            world.set_clock_drift(node, thread_rng().gen_range(-CLOCK_DRIFT_PPM..=CLOCK_DRIFT_PPM));
        }
        Fault::Pull => {
            let drives = pulled_together(shared, node);
            shared.count_fault(fault);
            shared.disturbs(1);
            for (node, drive) in &drives {
                shared.strikes_drives_of(*node);
                shared.pull(drive);
            }
            sleep(for_a_while(shared)).await;
            drives.iter().for_each(|(_, drive)| shared.put_back(drive));
            shared.disturbs(-1);
        }
        Fault::Rot => rot(shared),
        Fault::WrongDrive => wrong::strike(shared).await,
        _ => disturb_drive(shared, node, fault).await,
    }
}

/// Chooses a drive of a node, or drives of a set that has others beside it: those others serve without it.
fn pulled_together(shared: &Shared, node: u32) -> Vec<(u32, SimDrive)> {
    let rng = &mut thread_rng();
    let sets: Vec<_> = shared.plan.sets().collect();
    if sets.len() == 1 || rng.gen_bool(0.3) {
        let drives = shared.world.drives(node);
        let drive = drives.choose(rng).expect("a node has drives");
        return vec![(node, drive.clone())];
    }
    let mut drives: Vec<usize> = sets.choose(rng).expect("there are sets").clone().collect();
    drives.shuffle(rng);
    drives.truncate(rng.gen_range(1..=drives.len()));
    drives.into_iter().map(|drive| shared.drive(drive)).collect()
}

async fn disturb_drive(shared: &Shared, node: u32, fault: Fault) {
    let drives = shared.world.drives(node);
    let drive = drives.choose(&mut thread_rng()).expect("a node has drives");
    shared.count_fault(fault);
    shared.strikes_drives_of(node);
    shared.disturbs(1);
    let chance = 10f64.powf(thread_rng().gen_range(-3.0..-0.3));
    let delay_max = Duration::from_millis(1 << thread_rng().gen_range(4..13));
    drive.set_faults(|faults| match fault {
        Fault::DriveHangs => faults.hung = true,
        Fault::DriveSlow => faults.delay_max = delay_max,
        Fault::ReadErrors => faults.read_error = chance,
        Fault::ReadFlips => faults.read_flip = chance / 10.0,
        // A page cache that a failed write or sync has left ahead of the media is dropped with the host's power.
        Fault::WriteErrors => faults.write_error = chance,
        _ => faults.sync_error = chance,
    });
    let is_ahead = matches!(fault, Fault::WriteErrors | Fault::SyncErrors);
    if is_ahead {
        shared.processes.next_end_takes_power(node);
    }
    sleep(for_a_while(shared)).await;
    calm(drive);
    // It serves again in this life once its page cache is gone (`drive.reopened-from-media`).
    if is_ahead && thread_rng().gen_bool(0.5) {
        shared.pull(drive);
        sleep(Duration::from_millis(100)).await;
        shared.put_back(drive);
    }
    shared.disturbs(-1);
}

/// Lets shards of victims rot.
fn rot(shared: &Shared) {
    for victim in &shared.plan.victims {
        let (node, drive) = shared.drive(*victim);
        shared.count_fault(Fault::Rot);
        shared.harms([node]);
        drive.rot_below("data");
    }
}
