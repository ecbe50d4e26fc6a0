//! Fault injection while the node runs, and between its lives.

use super::{
    life::{NODE, Shared},
    log::rot_log,
    plan::{Fault, Plan},
};
use crate::{Faults, SimDrive, workload::random};
use madsim::{
    rand::{Rng, seq::SliceRandom, thread_rng},
    time::{Duration, sleep, timeout},
};

/// Size of a drive in bytes: enough for a run, and small enough for the reserve to be made quickly.
pub const CAPACITY_BYTES: u64 = 128 << 20;

/// Removes all faults from a drive.
pub fn calm(drive: &SimDrive) {
    drive.set_faults(|faults| *faults = calm_faults());
}

/// Returns the switches of a drive without faults.
pub fn calm_faults() -> Faults {
    Faults {
        capacity_bytes: CAPACITY_BYTES,
        ..Faults::default()
    }
}

/// Injects faults for the time `life`; returns whether a drive was cut off at its end.
pub async fn inject_faults(shared: &Shared, drives: &[SimDrive], life: Duration) -> bool {
    let plan = &shared.plan;
    let absentees = plan.absentees();
    let mischief = async {
        loop {
            sleep(random(plan.quiet_max)).await;
            if shared.is_serving() {
                strike(shared, drives, &absentees).await;
            }
        }
    };
    let cut = absentees
        .choose(&mut thread_rng())
        .filter(|_| thread_rng().gen_bool(plan.cut));
    match cut {
        // Interrupts a write in progress, in most cases an index commit.
        Some(&index) => {
            let drive = &drives[index];
            drive.cut_after(thread_rng().gen_range(0..300));
            let until_cut = timeout(life, drive.until_cut());
            tokio::select! { biased; cut = until_cut => cut.is_ok(), () = mischief => false }
        }
        None => {
            timeout(life, mischief).await.ok();
            false
        }
    }
}

/// Injects one fault for a while.
async fn strike(shared: &Shared, drives: &[SimDrive], absentees: &[usize]) {
    let mut rng = thread_rng();
    let plan = &shared.plan;
    let Ok((fault, _)) = plan.faults.choose_weighted(&mut rng, |(_, weight)| *weight) else {
        return;
    };
    let Some(&index) = absentees.choose(&mut rng) else {
        return;
    };
    let drive = &drives[index];
    if *fault != Fault::ClockStep {
        shared.hangs.struck([index]);
    }
    let chance = 10f64.powf(rng.gen_range(-3.0..-0.3));
    match fault {
        Fault::Hang => drive.set_faults(|faults| faults.hung = true),
        Fault::Slow => {
            let delay_max = Duration::from_millis(1 << rng.gen_range(4..13));
            drive.set_faults(|faults| faults.delay_max = delay_max);
        }
        Fault::ReadErrors => drive.set_faults(|faults| faults.read_error = chance),
        Fault::WriteErrors => drive.set_faults(|faults| faults.write_error = chance),
        Fault::SyncErrors => drive.set_faults(|faults| faults.sync_error = chance),
        Fault::ReadFlips => drive.set_faults(|faults| faults.read_flip = chance / 10.0),
        Fault::Full => {
            let capacity_bytes = drive.used_bytes() + rng.gen_range(0..256 << 10);
            drive.set_faults(|faults| faults.capacity_bytes = capacity_bytes);
        }
        // At most one drive is gone at a time: without any format a start is impossible.
        Fault::Pull if shared.gone(drives).is_empty() => {
            drive.remove();
            shared.pulled(drive);
        }
        Fault::Pull => {}
        Fault::ClockStep => {
            let hour_nanos = 3_600_000_000_000;
            shared
                .world
                .set_clock_offset(NODE, rng.gen_range(-hour_nanos..hour_nanos));
            shared.world.set_clock_drift(NODE, rng.gen_range(-100_000..100_000));
        }
    }
    sleep(random(plan.quiet_max * 3)).await;
    match fault {
        // The drive serves again without a restart, or stays out until one.
        Fault::Pull if rng.gen_bool(0.5) => shared.put_back(std::slice::from_ref(drive)),
        Fault::Pull => {}
        _ if rng.gen_bool(0.7) => calm(drive),
        _ => {}
    }
    shared.hangs.changed();
}

/// Damages victims while the node is down.
pub fn damage(shared: &Shared, drives: &[SimDrive]) {
    let mut rng = thread_rng();
    let plan = &shared.plan;
    let loses_index = plan.index_victims();
    for victim in plan.victims() {
        let drive = &drives[victim];
        let may_lose_index = loses_index.contains(&victim);
        if may_lose_index && plan.log_rot && rot_log(drive) {
            shared.hangs.struck([victim]);
        }
        if may_lose_index && rng.gen_bool(plan.wipe) && shared.gone(drives).is_empty() {
            drive.replace();
            calm(drive);
            shared.wiped(drive);
        } else if may_lose_index && rng.gen_bool(plan.index_rot) {
            drive.rot_anywhere();
        } else if rng.gen_bool(plan.data_rot) {
            drive.rot_below("data");
        } else {
            continue;
        }
        shared.hangs.struck([victim]);
    }
}

/// Returns whether a life ends with a power loss. A failed sync has left the page cache ahead of the media for good,
/// as on Linux, and a process that starts over that cache takes it for durable: so a life with such errors does.
pub fn ends_with_power(plan: &Plan, cut: bool) -> bool {
    cut || plan.has(Fault::SyncErrors) || thread_rng().gen_bool(plan.power)
}
