//! Log on a simulated drive: synced records survive, and records that were not synced may be lost.

mod common;

use common::{Honesty, power_failures};
use sim::run::{Scenario, simulate};
use std::time::Duration;

#[test]
fn nothing_synced_is_lost() {
    Scenario::new("nothing_synced_is_lost")
        .seeds(40)
        .check(|world| power_failures(world, 2, Honesty::Syncs));
}

/// Canary: if this passes for every seed, the drive loses nothing and the test above proves nothing.
#[test]
fn a_log_that_does_not_sync_is_caught() {
    let caught = (0..10).filter(|seed| {
        let limit = Duration::from_secs(600);
        let run = simulate(*seed, limit, |world| power_failures(world, 2, Honesty::Forgets));
        run.is_err_and(|failure| failure.message.contains("recovery does not panic"))
    });
    assert!(caught.count() >= 8);
}
