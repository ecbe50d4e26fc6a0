//! Mutants of the server that the scenario of a cluster must notice (`specs/mutants.md`). Those of the protocol that
//! one node notices only without locks fall here with them: several nodes write to a key at once.

use super::{life::cluster_as, plan::Fault, plan::Plan};
use crate::{
    World,
    mutants::{Broken, Mutants, Running},
    one_node::{mutants::AnyMutant, names},
    peers,
};
use madsim::time::Duration;
use model::{formation::mutant::Mutant::AdoptsEmpty, protocol::mutant::Mutant as Break};
use store::runtime::{Mutant, Mutant::*};

/// Changes a plan so that the faults that reveal a mutant are frequent.
type Focus = fn(&mut Plan);

/// Number of seeds for each mutant.
const SEEDS: u64 = 300;

/// Every mutant with its focus.
const MUTANTS: [(Mutant, Focus); 16] = [
    (Protocol(Break::NoFencing), rivals),
    (Protocol(Break::ReadWithoutWriteBack), rivals),
    (Protocol(Break::ProposeAgain), rivals),
    (Protocol(Break::ReplyBeforeDurable), power_loss),
    (Protocol(Break::BaseNotChosen), rivals),
    (AcceptQuorumTooSmall, rivals),
    (PrepareQuorumTooSmall, rivals),
    (Protocol(Break::PreviousDroppedAtAccept), rivals),
    (Protocol(Break::RollBackWithoutCounting), rivals),
    (OfflineIsAbsent, partitions),
    (ListFromFewer, partitions),
    (ConditionApart, rivals),
    (CallNumbersReused, slow),
    (Formation(AdoptsEmpty), wrong_drives),
    (NeverSuspected, one_hangs),
    (SilenceIgnored, one_hangs),
];

/// Many clients that rarely pause, on nodes that are cut off from each other and killed.
fn rivals(plan: &mut Plan) {
    partitions(plan);
    (plan.clients, plan.pause_max) = (4, Duration::from_millis(5));
    plan.length = Duration::from_secs(5);
    plan.quiet_max = Duration::from_millis(300);
}

fn partitions(plan: &mut Plan) {
    small(plan);
    plan.faults = vec![
        (Fault::Partition, 2),
        (Fault::OneWay, 2),
        (Fault::Kill, 1),
        (Fault::Reset, 2),
    ];
}

fn power_loss(plan: &mut Plan) {
    small(plan);
    plan.faults = vec![(Fault::PowerOff, 4), (Fault::OneWay, 1), (Fault::Kill, 1)];
}

/// Answers that come late.
fn slow(plan: &mut Plan) {
    small(plan);
    plan.faults = vec![(Fault::DriveSlow, 2), (Fault::DriveHangs, 1), (Fault::SlowLink, 2)];
}

/// Wrong drives, and no others.
fn wrong_drives(plan: &mut Plan) {
    small(plan);
    plan.faults = vec![(Fault::WrongDrive, 1)];
}

/// One node is stopped now and then; no other faults.
pub fn one_hangs(plan: &mut Plan) {
    if !plan.spares_a_node() {
        (plan.nodes, plan.drives_per_node, plan.set_size, plan.parity) = (4, 1, 4, 2);
    }
    plan.victims.clear();
    (plan.hung, plan.faults, plan.strikers) = (Some(2), vec![(Fault::Pause, 1)], 1);
    (plan.length, plan.quiet_max) = (Duration::from_secs(60), Duration::from_secs(7));
    (plan.clients, plan.pause_max) = (2, Duration::from_millis(200));
}

/// Four nodes with a drive each that speak no TLS, and clients in their processes.
fn small(plan: &mut Plan) {
    (plan.nodes, plan.drives_per_node, plan.set_size, plan.parity) = (4, 1, 4, 2);
    plan.victims.clear();
    (plan.strikers, plan.http, plan.tls) = (2, false, false);
}

/// Returns every mutant with its focus.
pub fn mutants() -> Mutants {
    let mutants = MUTANTS.map(|(mutant, focus)| Broken::new(mutant, name(mutant), broken(mutant, focus)));
    Mutants::new("mutants of a cluster", SEEDS, mutants)
}

/// Returns a mutant's name in `specs/mutants.md`.
fn name(mutant: Mutant) -> String {
    match mutant {
        CallNumbersReused => peers::mutants::name(mutant).to_owned(),
        Formation(AdoptsEmpty) => "a node formats an empty drive while others serve".to_owned(),
        SilenceIgnored => "a node that is silent makes none of its drives suspected".to_owned(),
        other => names::name(AnyMutant::Server(other)),
    }
}

/// Returns the scenario with a mutant.
fn broken(mutant: Mutant, focus: Focus) -> impl Fn(World) -> Running {
    move |world| {
        world.set_mutation(mutant.into());
        Box::pin(async move {
            cluster_as(world, focus).await;
        })
    }
}
