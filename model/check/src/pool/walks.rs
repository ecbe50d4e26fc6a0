//! Random walks with all faults at once. In the end the faults stop, and everything left incomplete must be finished
//! (`pool.left-is-finished`).

use super::state::{Action, State, World};
use crate::harness::World as _;
use crate::kit::client::Stage;
use crate::rng::Rng;
use model::pool::Placed;
use model::protocol::Value;

/// Number of steps of a walk before the faults stop.
const STEPS: usize = 200;

/// Walks with all clients but the last two, then runs these (a recovery and a read) alone. Returns the number of
/// clients that were answered.
///
/// # Panics
/// If a rule is broken, or an operation does not end.
#[must_use]
pub fn walk(world: &World, seed: u64) -> usize {
    let last = world.jobs.len() as u8 - 2;
    let mut rng = Rng::new(seed);
    let mut state = world.initial();
    let mut actions = Vec::new();
    for _ in 0..STEPS {
        actions.clear();
        world.enabled(&state, &mut actions);
        actions.retain(|action| client_of(action).is_none_or(|client| client < last));
        if actions.is_empty() {
            break;
        }
        let action = actions[rng.roll(actions.len())];
        if let Some(next) = world.next(&state, action) {
            state = next;
            state.ledger.broken.assert_none(seed);
        }
    }
    run(world, &mut state, last, seed);
    let chosen = (0..world.sizes.len() as u8).map(|pool| state.ledger.chosen_in(pool));
    let chosen: Vec<_> = chosen.collect();
    let copies = chosen.iter().filter(|set| set.is_incoming()).count();
    assert_eq!(copies, 0, "pool.left-is-finished: seed {seed}, {chosen:?}");
    let live = chosen.iter().filter(|set| set.is_live()).count();
    assert_eq!(
        live,
        state.ledger.homes(world.pools().end).len(),
        "pool.left-is-finished: seed {seed}"
    );
    assert!(
        chosen
            .iter()
            .all(|set| set.is_live() || set.is_absent() || is_sign(set))
    );
    run(world, &mut state, last + 1, seed);
    assert!(
        state.system.clients[usize::from(last + 1)].answered,
        "pool.left-is-finished: no answer, seed {seed}"
    );
    state.system.clients.iter().filter(|client| client.answered).count()
}

fn is_sign<V: Value>(set: &Placed<V>) -> bool {
    matches!(set, Placed::Forward { .. } | Placed::Withdrawn)
}

fn client_of(action: &Action) -> Option<u8> {
    match action {
        Action::Invoke(client)
        | Action::Deliver { client, .. }
        | Action::StragglerTimeout(client)
        | Action::Read(client, ..)
        | Action::Conclude(client)
        | Action::Crash(client) => Some(*client),
        Action::Boot(..) => None,
    }
}

/// Runs one operation to its end, with every message delivered.
fn run(world: &World, state: &mut State, client: u8, seed: u64) {
    let mut actions = Vec::new();
    for _ in 0..1_000 {
        if state.system.clients[usize::from(client)].stage == Stage::Over
            && state.system.clients[usize::from(client)].mail.is_empty()
        {
            return;
        }
        actions.clear();
        world.enabled(state, &mut actions);
        let own = |action: &&Action| {
            let lost = matches!(action, Action::Deliver { answered: false, .. } | Action::Crash(_));
            client_of(action) == Some(client) && !lost
        };
        let mut own: Vec<Action> = actions.iter().filter(own).copied().collect();
        own.sort_by_key(|action| matches!(action, Action::StragglerTimeout(_) | Action::Conclude(_)));
        let Some(next) = own.iter().find_map(|action| world.next(state, *action)) else {
            // The rest of its mail has no effect.
            assert_eq!(
                state.system.clients[usize::from(client)].stage,
                Stage::Over,
                "stuck, seed {seed}"
            );
            return;
        };
        *state = next;
        state.ledger.broken.assert_none(seed);
    }
    panic!("pool.left-is-finished: no end, seed {seed}");
}
