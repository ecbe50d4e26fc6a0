//! Mutants of the calls between nodes, and the scenes that must notice them (`specs/mutants.md`).

use super::{Plan, attacks, life::peers_as, plan::Fault, scenes};
use crate::{
    World,
    mutants::{Broken, Mutants, Running},
};
use std::time::Duration;
use store::runtime::{Mutant, Mutant::*};

/// A scene.
pub type Scene = fn(World) -> Running;

/// Returns the scenes beside the scenario, with their names.
pub fn scenes() -> [(&'static str, Scene); 13] {
    [
        ("calls_pile_up", calls_pile_up),
        ("answers_pile_up", answers_pile_up),
        ("answers_come_at_once", answers_come_at_once),
        ("both_flood", both_flood),
        ("links_are_narrow", links_are_narrow),
        ("clocks_drift_apart", clocks_drift_apart),
        ("calls_come_too_late", calls_come_too_late),
        ("strangers_dial", strangers_dial),
        ("strangers_are_dialled", strangers_are_dialled),
        ("one_sits_in_the_middle", one_sits_in_the_middle),
        ("one_says_it_again", one_says_it_again),
        ("addresses_are_mixed_up", addresses_are_mixed_up),
        ("strangers_flood", strangers_flood),
    ]
}

/// Number of seeds for each mutant.
const SEEDS: u64 = 200;

/// Mutants, their names in `specs/mutants.md`, and what notices them.
const MUTANTS: [(Mutant, &str, Scene); 19] = [
    (
        ProofOfAnySession,
        "a proof says nothing of its session",
        one_sits_in_the_middle,
    ),
    (
        ProofOfEitherSide,
        "a proof is the same for both sides",
        strangers_are_dialled,
    ),
    (ProvesToAnyone, "a node proves itself to who has not", strangers_dial),
    (
        NonceRepeated,
        "a node greets each with the same nonce",
        one_says_it_again,
    ),
    (
        PeerIndexIgnored,
        "a node talks to another one than it dialled",
        addresses_are_mixed_up,
    ),
    (
        StrangersUnbounded,
        "strangers have as many places as they come",
        strangers_flood,
    ),
    (CallNumbersReused, "numbers of calls are used again", as_drawn),
    (
        CallRepeated,
        "a call without an answer is made again",
        broken_connections,
    ),
    (
        LostIsNotSent,
        "a call that is lost with its connection counts as not sent",
        broken_connections,
    ),
    (CallWithoutDeadline, "a call waits for its answer without end", as_drawn),
    (
        SlowIsSilent,
        "a peer on a narrow link counts as silent",
        links_are_narrow,
    ),
    (
        PingsNotCompared,
        "clocks are compared by calls alone",
        clocks_drift_apart,
    ),
    (ExpiredIsRun, "a call is run however late it comes", calls_come_too_late),
    (
        OldConnectionsKept,
        "a new connection leaves those before it as they are",
        overtaken,
    ),
    (
        CallsUnbounded,
        "calls are taken however many wait to be sent",
        calls_pile_up,
    ),
    (
        CallsUnderWayUnbounded,
        "calls are taken however many are under way",
        calls_pile_up,
    ),
    (
        AnswersUnbounded,
        "calls are taken however many answers wait",
        answers_pile_up,
    ),
    (
        AnswersAllKept,
        "answers are kept however many wait",
        answers_come_at_once,
    ),
    (
        AnswersNotRead,
        "answers are not read while calls wait to be sent",
        both_flood,
    ),
];

/// Returns every mutant with the scene that must notice it.
pub fn mutants() -> Mutants {
    let mutants = MUTANTS.map(|(mutant, name, scene)| Broken::new(mutant, name, broken(mutant, scene)));
    Mutants::new("mutants of peers", SEEDS, mutants)
}

/// Returns a mutant's name in `specs/mutants.md`.
pub fn name(mutant: Mutant) -> &'static str {
    let named = MUTANTS.iter().find(|(other, ..)| *other == mutant);
    named.map_or("?", |(_, name, _)| name)
}

/// Returns a scene with a mutant.
fn broken(mutant: Mutant, scene: Scene) -> impl Fn(World) -> Running {
    move |world| {
        world.set_mutation(mutant.into());
        scene(world)
    }
}

fn run(world: World, focus: fn(&mut Plan)) -> Running {
    Box::pin(async move {
        peers_as(world, focus).await;
    })
}

fn as_drawn(world: World) -> Running {
    run(world, |_| {})
}

/// Connections end again and again.
fn broken_connections(world: World) -> Running {
    run(world, |plan| {
        plan.faults = vec![(Fault::Reset, 1), (Fault::Kill, 1)];
        plan.quiet_max = Duration::from_secs(1);
    })
}

/// Processes die while what they have sent is under way, and the next ones are there before it comes.
fn overtaken(world: World) -> Running {
    run(world, |plan| {
        plan.faults = vec![(Fault::CutOneWay, 3), (Fault::Kill, 2)];
        (plan.quiet_max, plan.fault_max) = (Duration::from_millis(200), Duration::from_secs(1));
        (plan.gremlins, plan.life, plan.pause_max) = (4, Duration::from_secs(60), Duration::from_millis(50));
    })
}

macro_rules! boxed {
    ($($module:ident::$scene:ident),* $(,)?) => {
        $(fn $scene(world: World) -> Running {
            Box::pin($module::$scene(world))
        })*
    };
}

boxed!(
    scenes::calls_pile_up,
    scenes::answers_pile_up,
    scenes::answers_come_at_once,
    scenes::both_flood,
    scenes::links_are_narrow,
    scenes::clocks_drift_apart,
    scenes::calls_come_too_late,
    attacks::strangers_dial,
    attacks::strangers_are_dialled,
    attacks::one_sits_in_the_middle,
    attacks::one_says_it_again,
    attacks::addresses_are_mixed_up,
    attacks::strangers_flood,
);
