//! Mutants of the first start that its scenario must notice (`specs/mutants.md`).

use super::{
    life::formation_as,
    plan::{Fault, Plan},
};
use crate::{
    World,
    mutants::{Broken, Mutants, Running},
};
use madsim::time::Duration;
use model::formation::mutant::Mutant::{self, *};
use store::runtime;

/// Changes a plan so that what reveals a mutant is frequent.
type Focus = fn(&mut Plan);

/// Number of seeds for each mutant.
const SEEDS: u64 = 300;

/// Every mutant with its name in `specs/mutants.md` and its focus.
const MUTANTS: [(Mutant, &str, Focus); 10] = [
    (
        BeginsBeforeLooking,
        "the leader begins before it has looked everywhere",
        as_drawn,
    ),
    (
        BeginsUnconfirmed,
        "the leader begins by looks that nobody has confirmed",
        mixed_up,
    ),
    (
        BeginsBesideRefused,
        "the leader begins although a drive is refused",
        as_drawn,
    ),
    (
        MakesAnother,
        "the leader makes another deployment than was begun",
        in_the_middle,
    ),
    (
        BeginsAfterComplete,
        "the leader begins again where a drive is complete",
        wiped,
    ),
    (
        CompletesEarly,
        "the leader completes once most nodes have begun",
        in_the_middle,
    ),
    (
        CompletesOthersFirst,
        "the leader completes drives of others before its own",
        in_the_middle,
    ),
    (
        FinishesAfterBegun,
        "a node completes its drives when another has begun",
        as_drawn,
    ),
    (
        AdoptsEmpty,
        "a node formats empty drives when another's are complete",
        wiped,
    ),
    (
        ServesAlone,
        "a drive serves although no other is complete",
        in_the_middle,
    ),
];

/// Returns every mutant with its focus.
pub fn mutants() -> Mutants {
    let mutants = MUTANTS.map(|(mutant, name, focus)| Broken::new(mutant, name, broken(mutant, focus)));
    Mutants::new("mutants of a first start", SEEDS, mutants)
}

fn as_drawn(_: &mut Plan) {}

/// Nodes end again and again while drives are being formatted.
fn in_the_middle(plan: &mut Plan) {
    (plan.obstacle, plan.wrong, plan.clock) = (None, None, None);
    plan.faults = vec![
        (Fault::Kill, 4),
        (Fault::PowerOff, 2),
        (Fault::CutOff, 2),
        (Fault::Partition, 2),
    ];
    (plan.aimed, plan.strikers) = (0.9, 2);
    plan.job_max = Duration::from_millis(100);
    (plan.length, plan.quiet_max) = (Duration::from_secs(10), Duration::from_millis(300));
}

/// Drives are mixed up and put right again while they are being formatted, and links fail.
fn mixed_up(plan: &mut Plan) {
    in_the_middle(plan);
    plan.faults = vec![
        (Fault::Swap, 8),
        (Fault::Partition, 4),
        (Fault::SlowLink, 2),
        (Fault::Kill, 1),
    ];
    plan.strikers = 3;
}

/// A drive is wiped once all is formed, and all nodes start again.
fn wiped(plan: &mut Plan) {
    (plan.obstacle, plan.wrong, plan.clock, plan.late_clock) = (None, None, None, None);
    (plan.nodes, plan.drives, plan.set_size) = (4, 4, 4);
    plan.faults.clear();
    (plan.length, plan.begin_max) = (Duration::from_secs(1), Duration::ZERO);
    (plan.wiped, plan.all_restart) = (Some(plan.wiped.unwrap_or(1) % 4), true);
}

/// Returns the scenario with a mutant.
fn broken(mutant: Mutant, focus: Focus) -> impl Fn(World) -> Running {
    move |world| {
        world.set_mutation(runtime::Mutant::Formation(mutant).into());
        Box::pin(async move {
            formation_as(world, focus).await;
        })
    }
}
